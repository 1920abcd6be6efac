"""Finding, naming, listing, committing and removing images, with Docker's words for what is refused."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import pytest

from firkin.errors import Conflict, Invalid, NotFound
from firkin.images.changes import apply_changes
from firkin.images.make import Recipe
from firkin.images.removal import Use
from firkin.images.store import Image
from firkin.oci.image import RunConfig
from tests.images.rig import Rig, tar_of

CONTAINER = "c0ffee" + "0" * 58


async def one(data: bytes) -> AsyncIterator[bytes]:
    yield data


async def made(rig: Rig, name: str, *changes: str) -> Image:
    """An image of one small layer that differs by name."""
    await rig.images.import_(one(tar_of({"name": name.encode()})), name, changes=changes)
    return rig.images.resolve(name)


async def committed(rig: Rig, base: Image, name: str, **files: bytes) -> Image:
    return await rig.images.commit(base, one(tar_of(dict(files))), Recipe(base.config.config, created_by="sh"), name)


def lines(removed: object) -> list[str]:
    return [f"{item.kind}: {item.name}" for item in removed]  # type: ignore[attr-defined]


async def test_an_image_is_found_by_all_its_names(rig: Rig) -> None:
    image = await made(rig, "team/app:v1")
    rig.images.tag("team/app:v1", "app")
    digits = image.id.removeprefix("sha256:")
    for text in (
        "team/app:v1",
        "docker.io/team/app:v1",
        "app",
        "app:latest",
        image.id,
        digits,
        digits[:12],
        f"sha256:{digits[:9]}",
    ):
        assert rig.images.resolve(text).id == image.id
    for text in ("team/app", "app:v2", "0" * 12 if digits[0] != "0" else "1" * 12, "APP", ""):
        with pytest.raises(NotFound, match="No such image: "):
            rig.images.resolve(text)
    with pytest.raises(NotFound, match=r"does not match the specified platform \(linux/riscv64\)"):
        rig.images.resolve("app", "linux/riscv64")


async def test_names_survive_a_restart_and_move(rig: Rig) -> None:
    first, second = await made(rig, "first"), await made(rig, "second")
    rig.images.tag("first", "current")
    rig.images.tag("second", "current")
    await rig.restart()
    assert rig.images.resolve("current").id == second.id
    assert rig.images.resolve("first").id == first.id
    assert rig.images.resolve("second").tags == ["current:latest", "second:latest"]
    with pytest.raises(Invalid, match="refusing to create a tag with a digest reference"):
        rig.images.tag("first", f"x@{first.id}")
    with pytest.raises(Invalid, match="invalid reference format"):
        rig.images.tag("first", "x//y")


async def test_removing_a_name_keeps_the_image_until_the_last(rig: Rig) -> None:
    image = await made(rig, "app:v1")
    rig.images.tag("app:v1", "app:v2")
    assert lines(await rig.images.remove("app:v1")) == ["untagged: app:v1"]
    assert lines(await rig.images.remove("app:v2")) == [
        "untagged: app:v2",
        f"deleted: {image.id}",
        f"deleted: {image.chain[0]}",
    ]
    assert rig.left() == {}
    assert [action for action, _, _ in rig.events[-3:]] == ["untag", "untag", "delete"]
    with pytest.raises(NotFound, match="No such image: app:v2"):
        await rig.images.remove("app:v2")


async def test_an_image_with_names_in_two_repositories_is_not_removed_by_id(rig: Rig) -> None:
    image = await made(rig, "app")
    rig.images.tag("app", "other/app")
    short = image.id[7:19]
    words = f"conflict: unable to delete {short} (must be forced) - image is referenced in multiple repositories"
    with pytest.raises(Conflict, match=re.escape(words)):
        await rig.images.remove(short)
    assert lines(await rig.images.remove(short, force=True))[:3] == [
        "untagged: app:latest",
        "untagged: other/app:latest",
        f"deleted: {image.id}",
    ]


async def test_a_container_keeps_its_image(rig: Rig) -> None:
    image = await made(rig, "app")
    short = image.id[7:19]
    rig.users[image.id] = [Use(CONTAINER, running=True)]
    rig.in_use = {image.chain[-1]}
    by_name = (
        'conflict: unable to remove repository reference "app" (must force) - '
        f"container c0ffee000000 is using its referenced image {short}"
    )
    by_id = f"conflict: unable to delete {short} (cannot be forced) - image is being used by running container c0ffee000000"
    for text, force, words in (("app", False, by_name), (short, False, by_id), (short, True, by_id)):
        with pytest.raises(Conflict, match=re.escape(words)):
            await rig.images.remove(text, force)
    rig.users[image.id] = [Use(CONTAINER, running=False)]
    stopped = f"conflict: unable to delete {short} (must be forced) - image is being used by stopped container c0ffee000000"
    with pytest.raises(Conflict, match=re.escape(stopped)):
        await rig.images.remove(short)
    assert lines(await rig.images.remove(short, force=True)) == ["untagged: app:latest", f"deleted: {image.id}"]
    assert rig.files(image.chain[0]) == {"name"}
    rig.in_use, rig.users = set(), {}
    await rig.images.sweep()
    assert rig.left() == {}


async def test_an_untagged_parent_goes_with_its_last_child(rig: Rig) -> None:
    base = await made(rig, "base")
    middle = await committed(rig, base, "", a=b"1")
    top = await committed(rig, middle, "top", b=b"2")
    with pytest.raises(Conflict, match=r"\(cannot be forced\) - image has dependent child images"):
        await rig.images.remove(middle.id, force=True)
    assert rig.images.list({}) == [top, base]
    assert rig.images.list({}, show_all=True) == [top, middle, base]
    assert [entry.id for entry in rig.images.history("top")] == [top.id, middle.id, base.id]
    removed = lines(await rig.images.remove("top"))
    assert removed[:3] == ["untagged: top:latest", f"deleted: {top.id}", f"deleted: {middle.id}"]
    assert rig.images.list({}, show_all=True) == [base]
    assert rig.left()["layers"] == [base.chain[0].removeprefix("sha256:")]


async def test_a_commit_adds_a_layer_and_a_step(rig: Rig) -> None:
    base = await made(rig, "base", "ENV A=1")
    top = await committed(rig, base, "top", new=b"1")
    assert top.chain[:-1] == base.chain
    assert rig.files(top.chain[-1]) == {"new"}
    assert top.parent == base.id
    assert top.config.config.env == ("A=1",)
    assert [step.created_by for step in top.config.history] == ["", "sh"]
    assert top.size == base.size + 1
    assert rig.images.shared_sizes() == {base.id: base.size, top.id: base.size}
    assert rig.images.layers_size() == top.size


async def test_filters_select(rig: Rig) -> None:
    old = await made(rig, "team/app:v1", "LABEL kind=old tier=1")
    new = await made(rig, "team/app:v2", "LABEL kind=new")
    await made(rig, "gone")
    await made(rig, "spare")
    rig.images.tag("spare", "gone")
    [dangling] = rig.images.list({"dangling": ["1"]})

    def found(**filters: str) -> list[str]:
        return [tag for image in rig.images.list({key: [value] for key, value in filters.items()}) for tag in image.tags]

    assert dangling.tags == []
    assert found(reference="team/*") == found(reference="team/app:*") == ["team/app:v2", "team/app:v1"]
    assert found(reference="*") == ["gone:latest", "spare:latest"]
    assert found(label="kind") == ["team/app:v2", "team/app:v1"]
    assert found(label="kind=old") == ["team/app:v1"]
    assert found(before=new.id) == ["team/app:v1"]
    assert found(since="team/app:v1", reference="team/*") == ["team/app:v2"]
    assert found(until="1h") == []
    assert set(found(until="2100-01-01")) > {"team/app:v1"}
    with pytest.raises(Invalid, match="invalid filter 'colour'"):
        found(colour="red")
    with pytest.raises(NotFound, match="No such image: nothing:latest"):
        found(before="nothing")
    assert old.config.config.labels == {"kind": "old", "tier": "1"}


async def test_prune_takes_what_nobody_needs(rig: Rig) -> None:
    used, unused = await made(rig, "used"), await made(rig, "unused")
    dangling = await made(rig, "moved")
    await made(rig, "other")
    rig.images.tag("other", "moved")
    rig.users[used.id] = [Use(CONTAINER, running=False)]
    removed, freed = await rig.images.prune({})
    assert lines(removed) == [f"deleted: {dangling.id}", f"deleted: {dangling.chain[0]}"]
    assert freed == dangling.size
    removed, _ = await rig.images.prune({"dangling": ["false"], "label!": ["keep"]})
    assert f"deleted: {unused.id}" in lines(removed)
    assert [image.tags for image in rig.images.list({})] == [["used:latest"]]


@pytest.mark.parametrize(
    ("line", "field", "value"),
    [
        ("CMD echo hi", "cmd", ("/bin/sh", "-c", "echo hi")),
        ('ENTRYPOINT ["a", "b"]', "entrypoint", ("a", "b")),
        ("env OLD form of it", "env", ("PATH=/bin", "OLD=form of it")),
        ("ENV PATH=/new", "env", ("PATH=/new",)),
        ('VOLUME ["/a b", "/c"]', "volumes", {"/a b": {}, "/c": {}}),
        ("EXPOSE 8000-8001/udp", "exposed_ports", {"8000/udp": {}, "8001/udp": {}}),
        ("WORKDIR sub", "working_dir", "/sub"),
        ("STOPSIGNAL 9", "stop_signal", "9"),
        ("ONBUILD RUN make", "on_build", ("RUN make",)),
    ],
)
def test_changes_are_dockerfile_instructions(line: str, field: str, value: object) -> None:
    assert getattr(apply_changes(RunConfig(env=("PATH=/bin",)), [line]), field) == value


@pytest.mark.parametrize(
    "line", ["RUN x", "", "CMD", "EXPOSE x", "EXPOSE 70000", "ENV", "ENV x", "LABEL a=1 b", "ONBUILD FROM x", 'ENV a="']
)
def test_changes_that_are_none_are_refused(line: str) -> None:
    with pytest.raises(Invalid):
        apply_changes(RunConfig(), [line])


def test_a_healthcheck_is_understood() -> None:
    check = apply_changes(RunConfig(), ["HEALTHCHECK --interval=1m30s --retries=2 CMD curl localhost"]).healthcheck
    assert check is not None
    assert (check.test, check.interval, check.retries) == (("CMD-SHELL", "curl localhost"), 90_000_000_000, 2)
