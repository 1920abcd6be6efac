"""What a registry sends: headers, tokens, errors, a whole exchange of requests and answers."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any

import aiohttp
from hypothesis import strategies as st
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from firkin.errors import FirkinError, Forbidden, Invalid, Unavailable
from firkin.images import auth, registry
from firkin.images.endpoints import Endpoint
from firkin.images.retry import Retry
from firkin.images.transport import Transport
from firkin.oci.digest import digest_of, parse_digest
from firkin.oci.manifest import (
    MANIFEST_TYPES,
    Descriptor,
)
from firkin.oci.reference import parse_reference
from tests.fuzz.rig import fuzzed, passes, remembered
from tests.fuzz.samples import json_bytes, mutated, mutated_text
from tests.oci.test_documents import IMAGE

SHA = "sha256:" + "0123456789abcdef" * 4

# --- headers -------------------------------------------------------------------------------------------------------
CHALLENGE = 'Bearer realm="https://auth.example/token",service="registry.example",scope="repository:a/b:pull"'


@fuzzed(
    st.lists(
        mutated_text(
            CHALLENGE, 'Basic realm="x\\"y"', "bearer realm=https://a/b , service=c", "Negotiate", 'Bearer realm="http://[::1'
        ),
        max_size=3,
    ),
    st.booleans(),
)
@remembered(["Bearer " + "a" * 60000], False)
@remembered(["Bearer " + 'a="' * 20000], False)
@remembered(["Bearer " + "a=" + " " * 60000], False)
def test_www_authenticate(headers: list[str], plain: bool) -> None:
    """Whatever the headers, they pose one challenge or none, and a password goes only to an http(s) URL with a host, over
    TLS unless the registry itself has none; anything else is Forbidden."""
    challenge = auth.parse_challenges(headers)
    if challenge is None:
        return
    assert challenge.scheme in ("bearer", "basic")
    realm = passes(lambda: auth._checked_realm(challenge, plain), Forbidden)
    if realm:
        assert realm.host and not realm.user and (realm.scheme == "https" or plain)
        realm.extend_query([("service", "a"), ("scope", "b")])


@fuzzed(
    st.sampled_from((200, 200, 200, 401, 404, 500)),
    json_bytes({"token": "abc", "expires_in": 300, "refresh_token": "d"}, {"access_token": "abc", "issued_at": "x"}),
)
@remembered(200, b'{"token": "a", "expires_in": 1' + b"0" * 400 + b"}")
@remembered(200, b'{"token": "a", "x": ' + b"[" * 50000)
def test_token(status: int, body: bytes) -> None:
    """Whatever a token service answers, it is a token that can stand in a header and that expires, or it is Forbidden or
    Unavailable."""
    token = passes(lambda: auth._parse_token(status, body, URL("https://a/")), Forbidden, Unavailable)
    if token:
        assert (
            token.value.isascii()
            and token.value.isprintable()
            and token.value
            and token.expires > 0
            and isinstance(token.refresh, str)
        )


def header(document: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(document).encode()).decode()


AUTH = header({"username": "u", "password": "p", "auth": "dTpw", "identitytoken": "i", "registrytoken": "r"})


@fuzzed(
    st.one_of(
        mutated_text(AUTH, header({}), header({"auth": "dTpw"})),
        json_bytes({"username": "u", "password": "p"}, {"auth": "dTpw"}).map(
            lambda data: base64.urlsafe_b64encode(data).decode()
        ),
    )
)
@remembered(base64.urlsafe_b64encode(b'{"x":' + b"[" * 40000).decode())
def test_credentials(text: str) -> None:
    """Whatever stands in X-Registry-Auth, it is credentials that can be sent on, or it is Invalid."""
    found = passes(lambda: auth.decode_registry_auth(text), Invalid)
    if found:
        assert found.basic.isascii() and repr(found) == f"Credentials(username={found.username!r}, ...)"


class Content:
    def __init__(self, body: bytes) -> None:
        self.body = body

    async def read(self, most: int = -1) -> bytes:
        return self.body[: most if most >= 0 else None]

    def at_eof(self) -> bool:
        return True

    async def iter_any(self) -> Any:
        yield self.body


class Response:
    """As much of a response as the code of a registry looks at."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status, self.content, self.reason, self.method = status, Content(body), "Reason", "GET"
        self.headers = CIMultiDictProxy(CIMultiDict(headers))
        self.url = URL("https://registry.example/v2/a/manifests/b")

    @property
    def links(self) -> Any:
        """What aiohttp makes of the Link header."""
        return vars(aiohttp.ClientResponse)["links"].wrapped(self)

    def release(self) -> None:
        """Nothing is held."""

    close = release


ERRORS = {"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown", "detail": {"Tag": "x"}}]}


@fuzzed(st.sampled_from((400, 401, 403, 404, 405, 416, 429, 500)), json_bytes(ERRORS, {"errors": []}, {"tags": ["a"]}))
@remembered(404, b"[" * 50000)
@remembered(404, b'{"errors": [{"code": "\xff"}]}')
def test_registrys_error(status: int, body: bytes) -> None:
    """Whatever comes with an error status, it becomes one of our errors, its text no longer than what is read of it."""
    error = asyncio.run(registry.refusal(Response(status, {}, body), parse_reference("a")))  # type: ignore[arg-type]
    assert isinstance(error, FirkinError) and len(error.message) < (64 << 10) + 500


@fuzzed(mutated_text("120", "Wed, 21 Oct 2015 07:28:00 GMT", "-1", "1e9", "٣"))
@remembered("9" * 5000)
def test_retry_after(text: str) -> None:
    """Whatever Retry-After says, the wait is within our own limits."""
    retry = Retry()
    assert 0 <= retry.delay(1, text) <= retry.longest_asked


@fuzzed(mutated(b'{"tags":["a","b"]}', b'{"tags":null}', b'{"tags":3}'))
def test_registrys_reply(body: bytes) -> None:
    """Whatever a registry replies where an object is due, it is one, or it is Unavailable."""
    assert isinstance(passes(lambda: registry._decode(body), Unavailable), dict | None)


# --- a whole exchange ----------------------------------------------------------------------------------------------
class Session:
    """Answers every request with the next of `answers`, and remembers where it went."""

    def __init__(self, answers: list[Response]) -> None:
        self.answers, self.asked = answers, []  # type: list[Response], list[URL]

    async def request(self, method: str, url: URL, **_: Any) -> Response:
        self.asked.append(url)
        answer = self.answers[(len(self.asked) - 1) % len(self.answers)]
        answer.method, answer.url = method, url
        return answer


HEADERS = st.dictionaries(
    st.sampled_from(("Location", "Docker-Content-Digest", "Content-Range", "Content-Type", "Link", "Retry-After", "Content-Length")),
    mutated_text("https://cdn.example/x?y=z", "/v2/a/blobs/uploads/1?_state=x", "http://[::1", "//evil", "bytes 5-9/10", "bytes 5-", SHA, '</v2/a/tags/list?n=1&last=b>; rel="next"', MANIFEST_TYPES[0], "http://internal/"),
    max_size=3,
)  # fmt: skip
ANSWERS = st.builds(
    Response, st.sampled_from((200, 201, 202, 206, 301, 307, 401, 404)), HEADERS, json_bytes({"tags": ["a"]}, IMAGE, ERRORS)
)


async def exchange(answers: list[Response], secure: bool) -> list[URL]:
    """Each thing one asks of a registry, of one that answers so; where the requests went."""
    session = Session(answers)
    endpoint = Endpoint(URL("https://registry.example" if secure else "http://127.0.0.1:5000"))
    transport = Transport(endpoint, retry=Retry(attempts=1))
    transport._session = session  # type: ignore[assignment]
    repository = registry.Repository(transport, parse_reference("registry.example/a"))
    blob = Descriptor("", parse_digest(SHA), 10)
    for verb in (
        lambda: repository.resolve("latest"),
        lambda: repository.manifest("latest"),
        lambda: repository.manifest(SHA),
        lambda: _blob(repository, blob),
        lambda: repository.begin_upload(blob.digest),
        repository.tags,
    ):
        try:
            found = await asyncio.wait_for(verb(), 5)
        except FirkinError:
            continue
        assert not isinstance(found, registry.Fetched) or digest_of(found.data) == found.digest
    return session.asked


async def _blob(repository: registry.Repository, blob: Descriptor) -> None:
    async with repository.blob(blob, 5) as response:
        assert response.status == 200 or response.headers["Content-Range"].startswith("bytes 5-")


@fuzzed(st.lists(ANSWERS, min_size=1, max_size=4), st.booleans())
@remembered([Response(200, {"Link": "</v2/a/tags/list>; rel=next"}, b"{}")], True)
def test_exchange(answers: list[Response], secure: bool) -> None:
    """Whatever status, headers and bodies a registry answers with, each request ends in a result or in one of our errors;
    bytes taken for a manifest have the digest they go by; and from TLS no redirect leads to plain HTTP."""
    asked = asyncio.run(exchange(answers, secure))
    assert all(url.host and url.scheme in ("https",) if secure else ("https", "http") for url in asked)
