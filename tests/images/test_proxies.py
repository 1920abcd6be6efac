"""Which way a registry is asked, by the environment; and that nothing is sent there but what was given for it."""

from __future__ import annotations

import base64
from contextlib import nullcontext
from pathlib import Path

import pytest
from yarl import URL

from firkin.errors import Forbidden, Invalid
from firkin.images.proxies import Proxies
from tests.images.faulty import FaultyRegistry
from tests.images.rig import Rig, Sample, tar_of

# NO_PROXY, hosts that it excepts, hosts that it does not. The rules are golang.org/x/net/http/httpproxy's.
EXCEPTIONS: list[tuple[str, list[str], list[str]]] = [
    ("", ["localhost", "127.0.0.1", "127.9.9.9", "[::1]:5000"], ["example.org", "10.1.2.3", "localhost.example"]),
    ("*", ["example.org", "10.1.2.3"], []),
    ("example.org", ["example.org", "EXAMPLE.org:5000", "deep.in.example.org"], ["badexample.org", "example.org.evil"]),
    (".example.org", ["in.example.org"], ["example.org", "badexample.org"]),
    ("*.example.org", ["in.example.org"], ["example.org"]),
    ("example.org:5000", ["example.org:5000"], ["example.org", "example.org:5001"]),
    (" other , example.org ,", ["example.org", "other"], ["another.example"]),
    ("10.0.0.0/8,fd00::/8", ["10.1.2.3", "[fd00::7]:80"], ["11.1.2.3", "[fe00::7]", "10.example"]),
    ("10.1.2.3", ["10.1.2.3", "10.1.2.3:5000"], ["10.1.2.30", "110.1.2.3"]),
    ("10.1.2.3:80,[fd00::7]:5000", ["10.1.2.3", "[fd00::7]:5000"], ["10.1.2.3:5000", "[fd00::7]"]),
    ("10.0.0.0/99,,:80", [], ["10.0.0.0", "example.org"]),
]


@pytest.mark.parametrize(("exceptions", "direct", "proxied"), EXCEPTIONS, ids=[row[0] or "none" for row in EXCEPTIONS])
def test_exceptions(exceptions: str, direct: list[str], proxied: list[str]) -> None:
    proxies = Proxies({"http_proxy": "proxy.example:3128", "NO_PROXY": exceptions})
    assert [host for host in direct if proxies.of(URL(f"http://{host}/v2/"))] == []
    assert {str(proxies.of(URL(f"http://{host}/v2/"))) for host in proxied} <= {"http://proxy.example:3128"}


def test_each_scheme_has_its_own() -> None:
    proxies = Proxies({"HTTPS_PROXY": "https://user:word@proxy.example", "https_proxy": "other"})
    assert str(proxies.of(URL("https://example.org/"))) == "https://user:word@proxy.example"
    assert proxies.of(URL("http://example.org/")) is None


@pytest.mark.parametrize("proxy", ["socks5://user:word@proxy:1080", "http://", "http://proxy:port", "ftp://proxy"])
def test_what_is_no_proxy_is_named_without_its_password(proxy: str) -> None:
    with pytest.raises(Invalid, match="invalid proxy address") as raised:
        Proxies({"HTTP_PROXY": proxy}).of(URL("http://example.org/"))
    assert "word" not in raised.value.message


async def test_a_registry_is_asked_through_a_proxy(
    tmp_path: Path, faulty: FaultyRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The token service too. The toy registry takes whole URLs, as a proxy does."""
    monkeypatch.setenv("HTTP_PROXY", f"http://user:word@{faulty.host}")
    rig, sample = Rig(tmp_path / "proxied", insecure_registries=("registry.example",)), Sample(tar_of({"a": b"1"}))
    faulty.add(sample)
    assert (await rig.images.pull("registry.example/app")).id == sample.id
    assert len(faulty.seen) > 2
    for seen in faulty.seen:
        assert seen.path.startswith("http://registry.example/v2/")
        assert seen.headers["Proxy-Authorization"] == "Basic " + base64.b64encode(b"user:word").decode()


@pytest.mark.parametrize("users", [{}, {"ann": "s:cret"}], ids=["open", "with tokens"])
async def test_passwords_for_other_programs_stay_here(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, users: dict[str, str]
) -> None:
    """Those in ~/.netrc, be they for this very host, or for any."""
    for name in (".netrc", "elsewhere"):
        (tmp_path / name).write_text("machine 127.0.0.2 login me password mine\ndefault login me password mine\n")
        (tmp_path / name).chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / "elsewhere"))
    async with FaultyRegistry(address="127.0.0.2", users=users) as registry:
        registry.add(Sample(tar_of({"a": b"1"})))
        with pytest.raises(Forbidden) if users else nullcontext():
            await rig.images.pull(f"{registry.host}/app")
        assert registry.seen and not [seen for seen in registry.seen if "Authorization" in seen.headers]
