"""Command-line flags as runc's library for them reads them: one dash or two, `--name value` or `--name=value`, up to the
first word that is none, or `anywhere`.

A table row is (name, kind, short name or "", what it does). Numbers and switches are checked here, and a path is made one
from the caller's directory, which a command may leave. Other values are kept as given.
Source: urfave/cli version 1 (reorderArgs), Go's package flag.
"""

from __future__ import annotations

import os

from firkin.runtime.oci.failure import Usage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    Flag = tuple[str, str, str, str]

SWITCH, TEXT, PATH, NUMBER, LIST, NUMBERS = "switch", "text", "path", "number", "list", "numbers"
ANY = 1 << 20  # as the most arguments of a command: they are a command line of their own
_TRUTHS = {"1": True, "t": True, "true": True, "0": False, "f": False, "false": False}


class Options:
    """What was given, by the flags' long names."""

    def __init__(self) -> None:
        self._given: dict[str, str | bool | int | list[str]] = {}

    def set(self, name: str, value: str | bool | int | list[str]) -> None:
        self._given[name] = value

    def has(self, name: str) -> bool:
        return name in self._given

    def on(self, name: str) -> bool:
        return bool(self._given.get(name, False))

    def text(self, name: str, default: str = "") -> str:
        value = self._given.get(name, default)
        return value if isinstance(value, str) else default

    def number(self, name: str, default: int = 0) -> int:
        value = self._given.get(name, default)
        return value if isinstance(value, int) else default

    def texts(self, name: str) -> list[str]:
        value = self._given.get(name)
        return value if isinstance(value, list) else []


def parse(table: Sequence[Flag], words: list[str], *, anywhere: bool = False) -> tuple[Options, list[str]]:
    """(options, the words beside them). Raises `Usage` for what the table does not know, up to the first word that is no flag;
    `anywhere`: flags that it does know may stand behind that too."""
    kinds = {name: (name, kind) for name, kind, _, _ in table}
    kinds.update((short, (name, kind)) for name, kind, short, _ in table if short)
    options, left = Options(), [*words]
    others: list[str] = []
    while left and (word := left.pop(0)) != "--":
        given, equals, value = word.removeprefix("-").removeprefix("-").partition("=")
        name, kind = kinds.get(given, ("", ""))
        if not word.startswith("-") or word == "-" or (others and not kind):
            others.append(word)
            if not anywhere:
                break
        elif not kind:
            raise Usage(f"flag provided but not defined: -{given}")
        elif kind == SWITCH:
            options.set(name, _truth(given, value) if equals else True)
        elif not equals and not left:
            raise Usage(f"flag needs an argument: -{given}")
        else:
            _keep(options, name, kind, value if equals else left.pop(0))
    return options, [*others, *left]


def _keep(options: Options, name: str, kind: str, value: str) -> None:
    if kind == LIST:
        options.set(name, [*options.texts(name), value])
    elif kind == NUMBERS:
        options.set(name, [*options.texts(name), str(_number(name, value))])
    elif kind == NUMBER:
        options.set(name, _number(name, value))
    else:
        options.set(name, os.path.abspath(value) if kind == PATH and value else value)


def _number(name: str, value: str) -> int:
    try:
        return int(value, 0)
    except ValueError:
        raise Usage(f'invalid value "{value}" for flag -{name}: parse error') from None


def _truth(name: str, value: str) -> bool:
    if value.lower() not in _TRUTHS:
        raise Usage(f'invalid boolean value "{value}" for -{name}: parse error')
    return _TRUTHS[value.lower()]


def describe(table: Sequence[Flag]) -> str:
    """One line a flag, for `--help`."""
    rows = []
    for name, kind, short, text in table:
        value = "" if kind == SWITCH else " value"
        rows.append((f"--{name}{value}" + (f", -{short}{value}" if short else ""), text))
    width = max(len(left) for left, _ in rows)
    return "".join(f"   {left.ljust(width)}  {text}\n" for left, text in rows)
