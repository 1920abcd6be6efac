"""Detach keys: a sequence such as `ctrl-p,ctrl-q` that ends an attachment instead of reaching the process.

Source: docker(1), `--detach-keys`; moby/term's escape proxy for what happens to a half-typed sequence.
"""

from __future__ import annotations

from firkin.errors import Invalid

DEFAULT = "ctrl-p,ctrl-q"
_CONTROL = {f"ctrl-{chr(c)}": c - 96 for c in range(97, 123)} | {"ctrl-@": 0, "ctrl-[": 27, "ctrl-\\": 28}
_CONTROL |= {"ctrl-]": 29, "ctrl-^": 30, "ctrl-_": 31}


class Detached(Exception):
    """The client typed the detach keys."""


def parse_keys(text: str) -> bytes:
    """`ctrl-x,a` -> the bytes to look for; "" gives the default. Raises `Invalid`."""
    keys = []
    for key in (text or DEFAULT).split(","):
        if key.lower() in _CONTROL:
            keys.append(_CONTROL[key.lower()])
        elif len(key) == 1 and key.isascii():
            keys.append(ord(key))
        else:
            raise Invalid(f"Invalid detach keys ({text}): unknown character: '{key}'")
    return bytes(keys)


class KeyScanner:
    """Feeds input through, holding back a sequence that has begun."""

    def __init__(self, keys: str) -> None:
        self._keys = parse_keys(keys)
        self._held = b""

    def feed(self, data: bytes) -> tuple[bytes, bool]:
        """(what goes on to the process, whether the whole sequence was seen)."""
        out = bytearray()
        for byte in data:
            self._held += bytes((byte,))
            if self._held == self._keys:
                return bytes(out), True
            while self._held and not self._keys.startswith(self._held):
                out.append(self._held[0])
                self._held = self._held[1:]
        return bytes(out), False
