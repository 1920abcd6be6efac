"""The smallest client of D-Bus: one connection, one call at a time, and the signals that came meanwhile.

The invariant: nothing a peer says or leaves unsaid keeps a caller longer than `patience`; what is no D-Bus is an OSError in
words. Source: D-Bus Specification, "Authentication Protocol", "Message Bus Messages"; sd-bus(3).
"""

from __future__ import annotations

import errno
import time

from firkin.linux import sdbus_wire as wire
from firkin.linux import sockets as socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, Self

# Who we are is for the kernel to say (SO_PEERCRED): in a user namespace our own number would not be the one it tells the peer.
_LOGIN = b"\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n"
_BUS, _BUS_PATH = "org.freedesktop.DBus", "/org/freedesktop/DBus"
_LONGEST_LINE, _MOST_SIGNALS = 1024, 1000
_BLOCK = 1 << 16


class BusError(OSError):
    """The peer's answer is an error; `name` as in "org.freedesktop.DBus.Error.AccessDenied"."""

    def __init__(self, member: str, name: str, text: str) -> None:
        super().__init__(errno.EREMOTEIO, f"{name}: {text}", member)
        self.name, self.text = name, text


class Bus:
    """A connection to the socket at `address`; a message bus wants to be greeted, a `direct` peer must not be.
    `patience`: seconds for each call and for each wait."""

    def __init__(self, address: str, *, direct: bool, patience: float) -> None:
        self._address, self._direct, self._patience = address, direct, patience
        self._buffer = bytearray()
        self._signals: list[wire.Message] = []
        self._listens = ("", "")
        self._serial = 0
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            self._log_in()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        self._socket.close()

    def call(
        self, destination: str, path: str, interface: str, member: str, signature: str = "", values: Sequence[object] = ()
    ) -> list[object]:
        """What the method returns. Raises `BusError` if that is an error."""
        self._serial += 1
        fields: dict[int, object] = {wire.PATH: path, wire.INTERFACE: interface, wire.MEMBER: member}
        if not self._direct:
            fields[wire.DESTINATION] = destination
        if signature:
            fields[wire.SIGNATURE] = signature
        deadline = self._deadline()
        self._send(wire.message(wire.METHOD_CALL, self._serial, fields, wire.pack(signature, values)), deadline)
        while (answer := self._next(deadline)).fields.get(wire.REPLY_SERIAL) != self._serial:
            pass
        returned: list[object] = self._understood(answer.values)
        if answer.kind == wire.ERROR:
            raise BusError(member, str(answer.fields.get(wire.ERROR_NAME, "")), str(returned[0]) if returned else "")
        return returned

    def listen(self, interface: str, member: str) -> None:
        """From now on, keep signals of this name for `wait`."""
        self._listens = interface, member
        if not self._direct:
            rule = f"type='signal',interface='{interface}',member='{member}'"
            self.call(_BUS, _BUS_PATH, _BUS, "AddMatch", "s", [rule])

    def wait(self, wanted: Callable[[list[object]], bool]) -> list[object]:
        """The values of the first signal since `listen` that is `wanted`. Others are forgotten."""
        deadline = self._deadline()
        while True:
            for signal in self._signals:
                values: list[object] = self._understood(signal.values)
                if wanted(values):
                    return values
            self._signals.clear()
            self._next(deadline)

    # --- inside --------------------------------------------------------------------------------------------------
    def _log_in(self) -> None:
        deadline = self._deadline()
        self._limit(deadline)
        try:
            self._socket.connect(self._address)
        except OSError as error:
            raise self._failure(error) from None
        self._send(_LOGIN, deadline)
        answers = [self._line(deadline), self._line(deadline)]
        if not answers[1].startswith(b"OK "):
            raise OSError(errno.EACCES, f"the login was answered by {bytes(answers[1][:40])!r}", self._address)
        if not self._direct:
            self.call(_BUS, _BUS_PATH, _BUS, "Hello")

    def _next(self, deadline: float) -> wire.Message:
        """The next message; a signal that somebody listens for is kept, too."""
        self._fill(wire.FIXED, deadline)
        size: int = self._understood(lambda: wire.length(bytes(self._buffer[: wire.FIXED])))
        self._fill(size, deadline)
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
        message: wire.Message = self._understood(lambda: wire.parse(data))
        name = message.fields.get(wire.INTERFACE), message.fields.get(wire.MEMBER)
        if message.kind == wire.SIGNAL and name == self._listens:
            self._signals = [*self._signals[1 - _MOST_SIGNALS :], message]
        return message

    def _line(self, deadline: float) -> bytes:
        while (end := self._buffer.find(b"\r\n")) < 0:
            if len(self._buffer) > _LONGEST_LINE:
                raise OSError(errno.EPROTO, "the login was answered by an endless line", self._address)
            self._fill(len(self._buffer) + 1, deadline)
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 2]
        return line

    def _understood(self, read: Callable[[], Any]) -> Any:
        try:
            return read()
        except (ValueError, TypeError) as error:
            raise OSError(errno.EPROTO, f"message not understood: {error}", self._address) from None

    def _fill(self, size: int, deadline: float) -> None:
        """Until so many bytes are there."""
        while len(self._buffer) < size:
            self._limit(deadline)
            try:
                data = self._socket.recv(_BLOCK)
            except OSError as error:
                raise self._failure(error) from None
            if not data:
                raise OSError(errno.ECONNRESET, "the connection was closed", self._address)
            self._buffer += data

    def _send(self, data: bytes, deadline: float) -> None:
        self._limit(deadline)
        try:
            self._socket.sendall(data)
        except OSError as error:
            raise self._failure(error) from None

    def _deadline(self) -> float:
        return time.monotonic() + self._patience

    def _limit(self, deadline: float) -> None:
        left = deadline - time.monotonic()
        if left <= 0:
            raise self._failure(TimeoutError())
        self._socket.settimeout(left)

    def _failure(self, error: OSError) -> OSError:
        if isinstance(error, TimeoutError):
            return OSError(errno.ETIMEDOUT, f"no answer within {self._patience:g} seconds", self._address)
        return OSError(error.errno, error.strerror, self._address)
