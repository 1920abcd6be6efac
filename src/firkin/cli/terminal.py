"""The user's terminal: raw mode, and the keys that detach from a container (termios(3))."""

from __future__ import annotations

import termios
import tty

from firkin.cli.errors import Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType

DEFAULT_DETACH_KEYS = "ctrl-p,ctrl-q"
_CONTROL = {"@": 0, "[": 27, "\\": 28, "]": 29, "^": 30, "_": 31, **{chr(97 + n): n + 1 for n in range(26)}}


class RawMode:
    """While entered, every key goes through as it is; what was set before is restored."""

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def __enter__(self) -> None:
        self.saved = termios.tcgetattr(self.fd)
        tty.setraw(self.fd, termios.TCSANOW)  # what was typed already is not thrown away

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        termios.tcsetattr(self.fd, termios.TCSADRAIN, self.saved)


def parse_keys(text: str) -> bytes:
    """`ctrl-p,ctrl-q` as the bytes a terminal sends. Raises `Failure`."""
    keys = bytearray()
    for key in text.split(","):
        if len(key) == 1 and key.isascii():
            keys += key.encode()
        elif key.startswith("ctrl-") and key[5:] in _CONTROL:
            keys.append(_CONTROL[key[5:]])
        else:
            raise Failure(f"invalid detach keys ({text}): Unknown character: '{key}'")
    return bytes(keys)


class DetachKeys:
    """Watches typed bytes for the detach sequence; a prefix of it is held back until it is known not to be one."""

    def __init__(self, keys: bytes) -> None:
        self.keys = keys
        self.held = 0  # how many bytes of the sequence have just been typed

    def feed(self, typed: bytes) -> tuple[bytes, bool]:
        """(bytes to pass on, whether the sequence is complete)."""
        passed = bytearray()
        for byte in typed:
            if byte != self.keys[self.held]:
                passed += self.keys[: self.held]
                self.held = 0
            if byte != self.keys[self.held]:
                passed.append(byte)
                continue
            self.held += 1
            if self.held == len(self.keys):
                return bytes(passed), True
        return bytes(passed), False
