"""Command-line flags as runc's library for them reads them: one dash or two, `--name value` or `--name=value`, up to the
first word that is none.

A table row is (name, kind, short name or "", what it does). Values are kept as given; numbers and switches are checked here.
"""

from __future__ import annotations

from firkin.runtime.oci.failure import Usage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    Flag = tuple[str, str, str, str]

SWITCH, TEXT, NUMBER, LIST = "switch", "text", "number", "list"
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


def parse(table: Sequence[Flag], words: list[str]) -> tuple[Options, list[str]]:
    """(options, the words after them). Raises `Usage` for what the table does not know."""
    kinds = {name: (name, kind) for name, kind, _, _ in table}
    kinds.update((short, (name, kind)) for name, kind, short, _ in table if short)
    options, place = Options(), 0
    while place < len(words) and words[place].startswith("-") and words[place] != "-":
        word = words[place]
        place += 1
        if word == "--":
            break
        given, equals, value = word.removeprefix("-").removeprefix("-").partition("=")
        if given not in kinds:
            raise Usage(f"flag provided but not defined: -{given}")
        name, kind = kinds[given]
        if kind == SWITCH:
            options.set(name, _truth(given, value) if equals else True)
            continue
        if not equals:
            if place == len(words):
                raise Usage(f"flag needs an argument: -{given}")
            value = words[place]
            place += 1
        _keep(options, name, kind, value)
    return options, words[place:]


def _keep(options: Options, name: str, kind: str, value: str) -> None:
    if kind == LIST:
        options.set(name, [*options.texts(name), value])
    elif kind == NUMBER:
        try:
            options.set(name, int(value, 0))
        except ValueError:
            raise Usage(f'invalid value "{value}" for flag -{name}: parse error') from None
    else:
        options.set(name, value)


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
