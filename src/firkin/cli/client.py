"""Docker's API as a client sees it: JSON bodies, query strings, error messages, streams.

Calls share one kept-alive connection; what streams gets a connection of its own. Requests are unversioned, so a daemon
answers in its newest version without a round trip to negotiate; `DOCKER_API_VERSION` pins one. The version in effect
is on every reply (`Api-Version`) and kept in `api_version`.
"""

from __future__ import annotations

from firkin.cli import jsontext
from firkin.cli.errors import DaemonError
from firkin.cli.http import Connection, Disconnected, percent

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any

    from firkin.cli.http import Response

UPGRADE = {"Connection": "Upgrade", "Upgrade": "tcp"}


def target(path: str, query: dict[str, Any]) -> str:
    """`path?query`: empty values are left out, `True` is 1, a list repeats its key, a dict is sent as JSON."""
    pairs: list[str] = []
    for name, value in query.items():
        if value is True:
            value = "1"
        elif isinstance(value, dict):
            value = jsontext.dumps(value) if value else ""
        for each in value if isinstance(value, list) else [value]:
            if each is not None and each is not False and each != "":
                pairs.append(name + "=" + percent(str(each)))
    return percent(path) + ("?" + "&".join(pairs) if pairs else "")


class Client:
    """One daemon. `connect` makes a fresh connected socket; `headers` go with every request."""

    def __init__(self, connect: Callable[[], socket], headers: dict[str, str], version: str = "") -> None:
        self._connect = connect
        self._headers = headers
        self._prefix = "/v" + version if version else ""
        self._kept: Connection | None = None
        self.api_version = version

    # --- one request, one JSON answer -------------------------------------------------------------------------------
    def get(self, path: str, **query: Any) -> Any:
        return self.call("GET", path, query)

    def post(self, path: str, body: Any = None, **query: Any) -> Any:
        return self.call("POST", path, query, body)

    def delete(self, path: str, **query: Any) -> Any:
        return self.call("DELETE", path, query)

    def call(self, method: str, path: str, query: dict[str, Any], body: Any = None) -> Any:
        """Ask and decode: the JSON value of the answer, or None when it has no body. Raises `DaemonError`."""
        text = self.text(method, path, query, body)
        return jsontext.loads(text) if text.strip() else None

    def text(self, method: str, path: str, query: dict[str, Any], body: Any = None) -> str:
        """The answer as text, for those who show the daemon's own JSON."""
        return self.exchange(method, path, query, body).read().decode("utf-8", "surrogateescape")

    def exchange(self, method: str, path: str, query: dict[str, Any], body: Any = None) -> Response:
        """Send over the kept connection; an idle one that the daemon has closed meanwhile is replaced once."""
        reused = self._kept is not None
        if self._kept is None:
            self._kept = self.dial()
        try:
            self.send(self._kept, method, path, query, body)
            return self.check(self._kept.response(method))
        except Disconnected:
            self._kept = None
            if not reused:
                raise
            return self.exchange(method, path, query, body)

    # --- connections of their own -----------------------------------------------------------------------------------
    def dial(self) -> Connection:
        return Connection(self._connect())

    def send(
        self,
        connection: Connection,
        method: str,
        path: str,
        query: dict[str, Any],
        body: Any = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        """Send a request. `body` is bytes, a producer of bytes (both sent as they are), or a value to send as JSON."""
        extra = dict(self._headers, **(headers or {}))
        if isinstance(body, dict | list):
            body = jsontext.dumps(body).encode("utf-8", "surrogateescape")
            extra["Content-Type"] = "application/json"
        try:
            connection.send(method, self._prefix + target(path, query), extra, body)
        except (BrokenPipeError, ConnectionResetError):
            pass  # refused before all was sent: the answer says why

    def open(
        self, method: str, path: str, query: dict[str, Any], body: Any = None, headers: dict[str, str] | None = None
    ) -> Response:
        """A request on a connection of its own, for a body that streams."""
        connection = self.dial()
        self.send(connection, method, path, query, body, headers)
        return self.check(connection.response(method))

    def hijack(self, path: str, query: dict[str, Any], body: Any = None) -> Connection:
        """Take a connection over: what follows the headers is the container's stream, both ways."""
        return self.open("POST", path, query, body, UPGRADE).connection

    def documents(self, response: Response) -> Iterator[Any]:
        """The JSON documents of a streaming body, one a line, as they arrive."""
        for line in lines(response.pieces()):
            yield from jsontext.documents(line.decode("utf-8", "surrogateescape"))

    def check(self, response: Response) -> Response:
        """Note the daemon's version and turn an error status into `DaemonError`."""
        self.api_version = response.headers.get("api-version", self.api_version)
        if response.status >= 400:
            raise DaemonError(response.status, _reason(response))
        return response

    def at_least(self, version: str) -> bool:
        """Whether the daemon speaks `version` or newer; asks it when no reply has said so yet."""
        if not self.api_version:
            self.exchange("GET", "/_ping", {}).read()
        return _numbers(self.api_version) >= _numbers(version)


def _numbers(version: str) -> list[int]:
    return [int(part) for part in version.split(".")] if version else []


def _reason(response: Response) -> str:
    text = response.read().decode("utf-8", "replace").strip()
    try:
        return str(jsontext.loads(text)["message"])
    except (ValueError, KeyError, TypeError):
        return text or f"status {response.status}"


def lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Complete lines, ends included, out of pieces of any size."""
    pending = b""
    for piece in chunks:
        *whole, pending = (pending + piece).split(b"\n")
        for line in whole:
            yield line + b"\n"
    if pending:
        yield pending
