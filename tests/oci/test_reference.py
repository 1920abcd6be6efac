"""References: Docker's normalisation, its refusals, and what holds for any text at all."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firkin.errors import Invalid
from firkin.oci.digest import Digest
from firkin.oci.reference import Reference, parse_reference

DIGEST = Digest("sha256:" + "ab" * 32)


@pytest.mark.parametrize(
    ("text", "full", "familiar"),
    [
        ("nginx", "docker.io/library/nginx", "nginx"),
        ("nginx:1.25", "docker.io/library/nginx:1.25", "nginx:1.25"),
        ("team/app", "docker.io/team/app", "team/app"),
        ("docker.io/nginx", "docker.io/library/nginx", "nginx"),
        ("docker.io/library/nginx", "docker.io/library/nginx", "nginx"),
        ("index.docker.io/team/app", "docker.io/team/app", "team/app"),
        ("library/nginx", "docker.io/library/nginx", "nginx"),
        ("library/a/b", "docker.io/library/a/b", "library/a/b"),
        ("localhost/app", "localhost/app", "localhost/app"),
        ("localhost:5000/app", "localhost:5000/app", "localhost:5000/app"),
        ("app:5000", "docker.io/library/app:5000", "app:5000"),
        ("127.0.0.1:5000/a/b:v1", "127.0.0.1:5000/a/b:v1", "127.0.0.1:5000/a/b:v1"),
        ("[::1]:5000/app", "[::1]:5000/app", "[::1]:5000/app"),
        ("Registry/app", "Registry/app", "Registry/app"),
        (f"app:v1@{DIGEST}", f"docker.io/library/app:v1@{DIGEST}", f"app:v1@{DIGEST}"),
        ("a__b/c-d.e", "docker.io/a__b/c-d.e", "a__b/c-d.e"),
    ],
)
def test_names_are_normalised_as_docker_does(text: str, full: str, familiar: str) -> None:
    assert str(parse_reference(text)) == full
    assert parse_reference(text).familiar == familiar


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "invalid reference format"),
        ("a//b", "invalid reference format"),
        ("/a", "invalid reference format"),
        ("a:", "invalid reference format"),
        ("a:" + "t" * 129, "invalid reference format"),
        ("a@sha256:12", "invalid reference format"),
        ("-a", "invalid reference format"),
        ("a b", "invalid reference format"),
        ("a\n", "invalid reference format"),
        ("../../etc/passwd", "invalid reference format"),
        ("Nginx", r"invalid reference format: repository name \(library/Nginx\) must be lowercase"),
        ("localhost:5000/App", r"invalid reference format: repository name \(App\) must be lowercase"),
        ("a" * 300, "repository name must not be more than 255 characters"),
        ("f" * 64, r"invalid repository name \(f{64}\), cannot specify 64-byte hexadecimal strings"),
    ],
)
def test_bad_names_are_refused_in_dockers_words(text: str, words: str) -> None:
    with pytest.raises(Invalid, match=words):
        parse_reference(text)


def test_latest_is_what_was_not_said() -> None:
    assert parse_reference("a").with_default_tag().tag == "latest"
    assert parse_reference(f"a@{DIGEST}").with_default_tag().tag == ""


@given(st.text(alphabet="aZ0/:@._-[]% \n", max_size=40) | st.text(max_size=40))
def test_any_text_is_a_reference_or_invalid(text: str) -> None:
    try:
        parse_reference(text)
    except Invalid:
        pass


def references() -> st.SearchStrategy[Reference]:
    word = st.text("az09", min_size=1, max_size=9)
    part = st.builds(
        lambda words, mark: mark.join(words),
        st.lists(word, min_size=1, max_size=3),
        st.sampled_from([".", "_", "__", "-", "--"]),
    )
    domains = st.sampled_from(["docker.io", "localhost", "ghcr.io", "r.example:5000", "[::1]:80"])
    tags = st.builds(str.__add__, st.sampled_from("aZ9_"), st.text("aZ9_.-", max_size=127)) | st.just("")
    paths = st.lists(part, min_size=2, max_size=4).map("/".join)
    return st.builds(Reference, domains, paths, tags, st.sampled_from([DIGEST, Digest("")]))


@given(references())
def test_both_spellings_of_a_reference_lead_back_to_it(reference: Reference) -> None:
    assert parse_reference(str(reference)) == reference
    assert parse_reference(reference.familiar) == reference
