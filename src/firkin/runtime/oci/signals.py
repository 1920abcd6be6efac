"""Signals by name or number; signal(7)."""

from __future__ import annotations

_NAMES = (
    "HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD CONT STOP TSTP TTIN TTOU URG XCPU XFSZ "
    "VTALRM PROF WINCH IO PWR SYS"
)
_NUMBERS = {name: number for number, name in enumerate(_NAMES.split(), start=1)} | {"IOT": 6, "CLD": 17, "POLL": 29}
_RTMIN, _RTMAX = 34, 64


def number_of(word: str) -> int | None:
    """Of "TERM", "SIGTERM", "sigterm", "15", "RTMIN+3", "RTMAX-1"; None if it is no signal."""
    if word.isascii() and word.isdigit():
        return int(word) if 0 <= int(word) <= _RTMAX else None
    name = word.upper().removeprefix("SIG")
    if name in _NUMBERS:
        return _NUMBERS[name]
    for base, start, sign in (("RTMIN", _RTMIN, "+"), ("RTMAX", _RTMAX, "-")):
        if name.startswith(base):
            rest = name.removeprefix(base)
            offset = 0 if not rest else int(rest) if rest[0] == sign and rest[1:].isdigit() else None
            if offset is not None and _RTMIN <= start + offset <= _RTMAX:
                return start + offset
    return None
