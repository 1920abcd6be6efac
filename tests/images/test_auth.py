"""Credentials, challenges and tokens, against docker-registry with a password file and a token service of our own."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from yarl import URL

from firkin.errors import Forbidden, Invalid, NotFound, Unavailable
from firkin.images.auth import ANONYMOUS, Challenge, Credentials, decode_registry_auth, parse_challenges
from firkin.images.endpoints import Endpoint, Registries, login_domain
from firkin.images.transport import Transport
from tests.images.faulty import FaultyRegistry
from tests.images.rig import Registry, Rig, Sample, skopeo, tar_of

ANN = Credentials("ann", "s:cret")
WRONG = Credentials("ann", "wrong")


@pytest.fixture
async def locked(tmp_path: Path) -> AsyncIterator[Registry]:
    """docker-registry that only ann may use."""
    passwords = tmp_path / "htpasswd"
    passwords.write_text("ann:$2y$04$CvAej3Cye0vl0i3ZrUixQuH039fStsANTDSDiaOOjn/..JKVHYVjm\n")  # bcrypt of s:cret
    extra = f"auth:\n  htpasswd: {{realm: test, path: {passwords}}}\n"
    async with Registry(tmp_path / "locked", 5003, extra) as registry:
        yield registry


async def test_basic_credentials_open_a_registry(rig: Rig, locked: Registry, tmp_path: Path) -> None:
    layout = Sample(tar_of({"a": b"1"})).write(tmp_path / "layout")
    name = f"{locked.host}/private"
    await skopeo("copy", "--dest-tls-verify=false", "--dest-creds=ann:s:cret", f"oci:{layout}:latest", f"docker://{name}")
    for credentials in (ANONYMOUS, WRONG):
        with pytest.raises(NotFound, match=f"pull access denied for {name}, repository does not exist or may require"):
            await rig.images.pull(name, credentials=credentials)
    image = await rig.images.pull(name, credentials=ANN)
    with pytest.raises(Forbidden):
        await rig.images.push(name)
    assert (await rig.images.push(name, ANN)).digest == image.manifest_digest


async def test_login_tells_good_from_bad(rig: Rig, locked: Registry, faulty: FaultyRegistry) -> None:
    assert await rig.images.login(locked.host, ANN) == ""
    assert await rig.images.login(f"http://{locked.host}/v2/", ANN) == ""
    with pytest.raises(Forbidden, match="unauthorized: incorrect username or password"):
        await rig.images.login(locked.host, WRONG)
    faulty.users = {"ann": "s:cret"}
    assert await rig.images.login(faulty.host, ANN) == "identity"
    with pytest.raises(Forbidden, match="unauthorized: incorrect username or password"):
        await rig.images.login(faulty.host, WRONG)


@pytest.mark.parametrize("credentials", [ANN, Credentials(identity_token="identity"), Credentials(registry_token="good-token")])
async def test_a_token_is_got_with_whatever_was_given(rig: Rig, faulty: FaultyRegistry, credentials: Credentials) -> None:
    sample = Sample(tar_of({"a": b"1"}))
    faulty.add(sample)
    faulty.users = {"ann": "s:cret"}
    assert (await rig.images.pull(f"{faulty.host}/team/app", credentials=credentials)).id == sample.id
    asked = [seen for seen in faulty.seen if seen.path.startswith("/token")]
    assert [seen.method for seen in asked] == (
        [] if credentials.registry_token else ["POST" if credentials.identity_token else "GET"]
    )
    if credentials is ANN:
        assert asked[0].path == "/token?service=the,+service&scope=repository:team/app:pull&account=ann"


async def test_wrong_credentials_are_told_as_such(rig: Rig, faulty: FaultyRegistry) -> None:
    faulty.users = {"ann": "s:cret"}
    for credentials in (WRONG, Credentials(identity_token="old"), ANONYMOUS):
        with pytest.raises(Forbidden, match="unauthorized: incorrect username or password"):
            await rig.images.pull(f"{faulty.host}/app", credentials=credentials)


def test_challenges_are_parsed_as_the_rfc_writes_them() -> None:
    bearer = 'Bearer realm="https://auth.example/token",service="a, \\"b\\"",scope="repository:x:pull"'
    assert parse_challenges(["Basic realm=x", bearer]) == Challenge("bearer", "https://auth.example/token", 'a, "b"')
    assert parse_challenges(["basic realm=x"]) == Challenge("basic", "x")
    assert parse_challenges(["Negotiate", ""]) is None


def test_what_clients_send_is_understood() -> None:
    def header(document: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(document).encode()).decode().rstrip("=")

    assert decode_registry_auth("") == ANONYMOUS
    assert decode_registry_auth(header({"username": "ann", "password": "s:cret", "serveraddress": "x"})) == ANN
    assert decode_registry_auth(header({"auth": base64.b64encode(b"ann:s:cret").decode()})) == ANN
    assert decode_registry_auth(header({"identitytoken": "i"})) == Credentials(identity_token="i")
    assert decode_registry_auth(header({"registrytoken": "r"})) == Credentials(registry_token="r")
    for bad in ("%%%", header([]), header({"username": 1})):
        with pytest.raises(Invalid, match="invalid X-Registry-Auth header"):
            decode_registry_auth(bad)
    assert "s:cret" not in repr(ANN)


def test_plain_http_is_for_this_machine_and_for_what_is_declared() -> None:
    registries = Registries(insecure=("10.1.0.0/16", "named.example", "ported.example:81"))
    plain = ["localhost", "localhost:5000", "127.0.0.1:5000", "127.9.9.9", "[::1]:5000", "10.1.2.3:80", "named.example:5"]
    for domain in [*plain, "ported.example:81"]:
        assert [endpoint.url.scheme for endpoint in registries.push_endpoints(domain)] == ["https", "http"], domain
    for domain in ("10.2.0.1", "ported.example", "docker.io", "localhost.example", "127.0.0.1.example"):
        assert [endpoint.url.scheme for endpoint in registries.push_endpoints(domain)] == ["https"], domain


def test_login_to_docker_hub_has_many_names() -> None:
    for server in ("", "https://index.docker.io/v1/", "docker.io", "registry-1.docker.io"):
        assert login_domain(server) == "docker.io"
    assert login_domain("https://r.example:5000/v2/") == "r.example:5000"


def test_nothing_leads_from_tls_to_plain_http() -> None:
    transport = Transport(Endpoint(URL("https://r.example/path")))
    assert str(transport.url("/v2/x")) == "https://r.example/path/v2/x"
    assert str(transport.url("https://cdn.example/x")) == "https://cdn.example/x"
    for target in ("http://r.example/x", "file:///etc/passwd", "x"):
        with pytest.raises(Unavailable, match="which is not safe"):
            transport.url(target)
