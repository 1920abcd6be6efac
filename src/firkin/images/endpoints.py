"""Where a registry is spoken to: mirrors first, TLS unless the registry is local or declared insecure. Pure.

Source: dockerd's `--registry-mirror` and `--insecure-registry`; per-registry certificates lie where Docker looks for
them, `/etc/docker/certs.d/HOST[:PORT]/` with `*.crt` (authorities) and `NAME.cert` + `NAME.key` (client).
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field

from yarl import URL

from firkin.config import DaemonConfig
from firkin.errors import Invalid
from firkin.oci.reference import DEFAULT_DOMAIN

HUB = "https://registry-1.docker.io"
CERTIFICATES = "/etc/docker/certs.d"
_LOGIN_HUB = ("", "docker.io", "index.docker.io", "registry-1.docker.io")


@dataclass(frozen=True)
class Endpoint:
    """One base URL that may serve a registry's repositories."""

    url: URL
    verify: bool = True  # check the TLS certificate
    is_mirror: bool = False


@dataclass(frozen=True)
class Registries:
    """What the configuration says of registries. `mirrors`: registry domain -> base URLs, tried in order before it."""

    mirrors: dict[str, tuple[str, ...]] = field(default_factory=dict)
    insecure: tuple[str, ...] = ()  # HOST[:PORT] or CIDR
    certificates: str = CERTIFICATES

    def pull_endpoints(self, domain: str) -> list[Endpoint]:
        """All places to pull from, in the order to try them."""
        mirrors = (_mirror_url(text) for text in self.mirrors.get(domain, ()))
        return [Endpoint(url, not self.is_insecure(_authority(url)), True) for url in mirrors] + self.push_endpoints(domain)

    def push_endpoints(self, domain: str) -> list[Endpoint]:
        """The registry itself; where it is insecure, TLS without a check and then plain HTTP."""
        if domain == DEFAULT_DOMAIN:
            return [Endpoint(URL(HUB))]
        secure, plain = _url(f"https://{domain}"), _url(f"http://{domain}")
        if self.is_insecure(domain):
            return [Endpoint(secure, verify=False), Endpoint(plain)]
        return [Endpoint(secure)]

    def is_insecure(self, domain: str) -> bool:
        """Whether `domain` (HOST[:PORT]) is this machine, or listed as insecure by name or network."""
        host = _url(f"//{domain}").host or ""
        if host == "localhost" or domain in self.insecure or host in self.insecure:
            return True
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return False
        return address.is_loopback or any(address in network for network in self._insecure_networks())

    def _insecure_networks(self) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
        return [ipaddress.ip_network(entry, strict=False) for entry in self.insecure if "/" in entry]


def registries_of(config: DaemonConfig) -> Registries:
    """What the daemon's configuration says; `registry-mirrors` are Docker Hub's."""
    hub = (*config.registry_mirrors, *config.mirrors.get(DEFAULT_DOMAIN, ()))
    return Registries({**config.mirrors, DEFAULT_DOMAIN: hub}, config.insecure_registries)


def login_domain(server: str) -> str:
    """The registry domain meant by what `docker login` sends (`https://index.docker.io/v1/`, `registry:5000`, "")."""
    host = server.partition("://")[2] or server
    host = host.partition("/")[0]
    return DEFAULT_DOMAIN if host in _LOGIN_HUB else host


def _url(text: str) -> URL:
    """Raises `Invalid`, also for a port that is none."""
    try:
        url = URL(text)
        url.host_port_subcomponent  # noqa: B018 - what is wrong with it is only found when it is asked for
    except ValueError as error:
        raise Invalid(f"invalid registry address {text.rpartition('//')[2][:200]!r}: {error}") from None
    return url


def _mirror_url(text: str) -> URL:
    url = _url(text if "://" in text else f"https://{text}")
    if url.scheme not in ("http", "https") or not url.host or url.user or url.query_string or url.fragment:
        raise Invalid(f"invalid registry mirror {text!r}: want http(s)://HOST[:PORT][/PATH]")
    return url


def _authority(url: URL) -> str:
    """HOST, or HOST:PORT where the port is not the scheme's own."""
    return url.host_port_subcomponent or ""
