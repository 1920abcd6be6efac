"""Where the daemon is: which address the client was told, and how to connect to it.

Precedence: `--host`, then `FIRKIN_HOST`, then `DOCKER_HOST`, then the default socket. Only with nothing told may a
daemon be started (see `autostart`). TLS options are docker's: `--tls*`, `DOCKER_TLS_VERIFY`, `DOCKER_CERT_PATH`.
"""

from __future__ import annotations

import os
from _socket import AF_UNIX, SOCK_CLOEXEC, SOCK_STREAM, socket

from firkin.cli.errors import Failure, Unreachable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

DEFAULT_HOST = "unix:///run/firkin/firkin.sock"


class Host:
    """One daemon address: `unix://PATH` or `tcp://HOST:PORT`, the latter with TLS when `tls` says so."""

    def __init__(self, address: str, told: bool, tls: dict[str, Any]) -> None:
        self.address = address
        self.told = told
        self.tls = tls
        self.scheme, separator, self.rest = address.partition("://")
        if not separator or self.scheme not in ("unix", "tcp"):
            raise Failure(f'unable to parse docker host "{address}"')

    def connect(self) -> socket:
        """A connected blocking socket. Raises `Unreachable`."""
        try:
            return _connect_unix(self.rest) if self.scheme == "unix" else self._connect_tcp()
        except PermissionError:
            raise Failure(f"permission denied while trying to connect to the daemon at {self.address}") from None
        except OSError as error:
            raise Unreachable(
                f"Cannot connect to the Firkin daemon at {self.address}: {error.strerror or error}. Is the daemon running?"
            ) from None

    def _connect_tcp(self) -> socket:
        from socket import create_connection

        name, _, port = self.rest.rstrip("/").rpartition(":")
        context = _tls_context(self.tls) if self.tls["tls"] else None
        plain = create_connection((name.strip("[]"), int(port)))
        return context.wrap_socket(plain, server_hostname=name.strip("[]")) if context else plain


def _connect_unix(path: str) -> socket:
    sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC)
    try:
        sock.connect(path)
    except OSError:
        sock.close()
        raise
    return sock


def _tls_context(tls: dict[str, Any]) -> Any:
    import ssl

    try:
        context = ssl.create_default_context(cafile=tls["tlscacert"] if tls["tlsverify"] else None)
        if not tls["tlsverify"]:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if os.path.exists(tls["tlscert"]):
            context.load_cert_chain(tls["tlscert"], tls["tlskey"])
    except OSError as error:
        raise Failure(f"load TLS files {tls['tlscacert']}, {tls['tlscert']}, {tls['tlskey']}: {error}") from None
    return context


def choose(told: list[str], tls: dict[str, Any], environ: os._Environ[str]) -> Host:
    """The host to talk to. `told` is the value of `--host`; more than one is an error, as docker's."""
    if len(told) > 1:
        raise Failure("Specify only one -H")
    address = told[0] if told else environ.get("FIRKIN_HOST") or environ.get("DOCKER_HOST") or ""
    if address.startswith("/"):
        address = "unix://" + address
    return Host(address or _default(environ), bool(address), tls)


def _default(environ: os._Environ[str]) -> str:
    """Root's daemon; for an ordinary user his own, unless he may use root's and has none that runs."""
    uid = os.geteuid()
    if uid == 0:
        return DEFAULT_HOST
    from firkin import userdirs

    own = userdirs.host(environ, uid)
    shared = DEFAULT_HOST.removeprefix("unix://")
    return DEFAULT_HOST if not os.path.exists(own.removeprefix("unix://")) and os.access(shared, os.W_OK) else own


def tls_options(options: dict[str, Any], environ: os._Environ[str], config_dir: str) -> dict[str, Any]:
    """The `--tls*` flags with their defaults from the environment filled in."""
    directory = environ.get("DOCKER_CERT_PATH") or config_dir
    verify = options["tlsverify"] or bool(environ.get("DOCKER_TLS_VERIFY"))
    files = {"tlscacert": "ca.pem", "tlscert": "cert.pem", "tlskey": "key.pem"}
    return {
        "tls": options["tls"] or verify,
        "tlsverify": verify,
        **{name: options[name] or os.path.join(directory, file) for name, file in files.items()},
    }
