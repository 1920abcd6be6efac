"""What a flag's value may be: one converter per kind, named as docker's help names them.

A converter takes the text of one occurrence and raises `ValueError` with the reason, worded as docker's. Kinds that
repeat return a list, which is appended to what came before. Sizes follow docker/go-units (1024 whatever the unit's
spelling), durations Go's `time.ParseDuration`.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_TRUE = ("1", "t", "T", "TRUE", "true", "True")
_FALSE = ("0", "f", "F", "FALSE", "false", "False")
_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_BINARY = "bkmgtp"  # the power of 1024 is the place
_NANOSECONDS = {"ns": 1, "us": 10**3, "µs": 10**3, "μs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}


class Kind:
    """A converter, the value when the flag is absent, whether it may be repeated, and what help calls the value."""

    __slots__ = ("convert", "empty", "label", "repeats")

    def __init__(self, convert: Callable[[str], Any], empty: Callable[[], Any], repeats: bool = False, label: str = "") -> None:
        self.convert = convert
        self.empty = empty
        self.repeats = repeats
        self.label = label


def boolean(text: str) -> bool:
    if text not in _TRUE + _FALSE:
        raise ValueError(f'strconv.ParseBool: parsing "{text}": invalid syntax')
    return text in _TRUE


def integer(text: str) -> int:
    try:
        return int(text, 0)
    except ValueError:
        raise ValueError(f'strconv.ParseInt: parsing "{text}": invalid syntax') from None


def short_unsigned(text: str) -> int:
    if not text.isdecimal():
        raise ValueError(f'strconv.ParseUint: parsing "{text}": invalid syntax')
    if int(text) > 65535:
        raise ValueError(f'strconv.ParseUint: parsing "{text}": value out of range')
    return int(text)


def size(text: str) -> int:
    """Bytes: `512`, `64k`, `1.5GiB`, ... Raises `ValueError`."""
    digits = text.rstrip(_LETTERS)
    suffix = text[len(digits) :].lower()
    if not digits:
        raise ValueError(f"invalid size: '{text}'")
    if suffix not in ("", "b") and (suffix[0] not in _BINARY or suffix[1:] not in ("", "b", "ib")):
        raise ValueError(f"invalid suffix: '{suffix}'")
    try:
        number = float(digits)
    except ValueError:
        raise ValueError(f'strconv.ParseFloat: parsing "{digits}": invalid syntax') from None
    if number < 0:
        raise ValueError(f"invalid size: '{text}'")
    return _in_range(number * 1024 ** _BINARY.index(suffix[:1] or "b"), text)


def swap_size(text: str) -> int:
    """Bytes, or -1 for no limit."""
    return -1 if text == "-1" else size(text)


def duration(text: str) -> int:
    """Nanoseconds: `1m30s`, `500ms`, `0`. Raises `ValueError`."""
    if text == "0":
        return 0
    rest, total = text.lstrip("+-"), 0.0
    while rest:
        number = _prefix(rest, "0123456789.")
        unit = _prefix(rest[len(number) :], "nuµμsmh")
        if not number or number == ".":
            raise ValueError(f'time: invalid duration "{text}"')
        if unit not in _NANOSECONDS:
            problem = f'unknown unit "{unit}" in' if unit else "missing unit in"
            raise ValueError(f'time: {problem} duration "{text}"')
        total += float(number) * _NANOSECONDS[unit]
        rest = rest[len(number) + len(unit) :]
    if not text.lstrip("+-"):
        raise ValueError(f'time: invalid duration "{text}"')
    return _in_range(-total if text.startswith("-") else total, text)


def _in_range(number: float, text: str) -> int:
    """As the API's 64 bits hold it."""
    if not -(2.0**63) <= number < 2.0**63:
        raise ValueError(f'parsing "{text}": value out of range')
    return int(number)


def _prefix(text: str, alphabet: str) -> str:
    return text[: len(text) - len(text.lstrip(alphabet))]


def cpus(text: str) -> int:
    """Billionths of a CPU, exactly: `1.5` is 1500000000."""
    whole, _, fraction = text.partition(".")
    if not (whole + fraction).isdecimal():
        raise ValueError(f"failed to parse {text} as a rational number")
    if len(fraction) > 9:
        raise ValueError("value is too precise")
    return int(whole or "0") * 10**9 + int(fraction.ljust(9, "0") or "0")


def one(text: str) -> list[str]:
    return [text]


def comma_separated(text: str) -> list[str]:
    return text.split(",") if text else []


def pair(text: str) -> list[str]:
    """`KEY=VALUE`; docker's filters insist on the `=`."""
    if text and "=" not in text:
        raise ValueError(f"invalid filter '{text}'" if text else "")
    return [text] if text else []


def ulimit(text: str) -> list[dict[str, Any]]:
    """`nofile=1024:2048`: one entry of `HostConfig.Ulimits`."""
    name, given, limits = text.partition("=")
    if not given:
        raise ValueError(f"invalid ulimit argument: {text}")
    soft, _, hard = limits.partition(":")
    try:
        low, high = int(soft), int(hard or soft)
    except ValueError:
        raise ValueError(f'strconv.ParseInt: parsing "{limits}": invalid syntax') from None
    if high != -1 and low > high:
        raise ValueError(f"ulimit soft limit must be less than or equal to hard limit: {soft} > {hard}")
    return [{"Name": name, "Soft": low, "Hard": high}]


KINDS = {
    "bool": Kind(boolean, bool),
    "string": Kind(str, str),
    "int": Kind(integer, int),
    "uint16": Kind(short_unsigned, int),
    "bytes": Kind(size, int),
    "swap": Kind(swap_size, int, label="bytes"),
    "duration": Kind(duration, int),
    "decimal": Kind(cpus, int),
    "list": Kind(one, list, True),
    "strings": Kind(comma_separated, list, True),
    "map": Kind(one, list, True),
    "filter": Kind(pair, list, True),
    "ulimit": Kind(ulimit, list, True),
    "mount": Kind(one, list, True),
    "network": Kind(one, list, True),
    "gpu-request": Kind(one, list, True),
}
