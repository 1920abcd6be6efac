"""Flags as a table: parsing, help and completion all derive from one list of `Flag` per command.

Syntax and messages are those of docker's client (GNU style, spf13/pflag): `--name value`, `--name=value`, `-n value`,
`-nvalue`, `-itn value`, `--switch=false`, `--` ends the flags; a command that runs another one stops at its first
argument, any other takes flags anywhere.
"""

from __future__ import annotations

from firkin.cli import kinds
from firkin.cli.errors import FlagError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any


class Flag:
    """One row. `kind` names a row of `kinds.KINDS`; `target` is where the value goes in a request (create and update:
    a dotted path into the body), "" when the command asks for it by name; `default` is only shown."""

    __slots__ = ("default", "help", "kind", "name", "short", "target")

    def __init__(self, name: str, short: str, kind: str, help: str, target: str = "", default: str = "") -> None:
        self.name = name
        self.short = short
        self.kind = kind
        self.help = help
        self.target = target
        self.default = default

    def title(self) -> str:
        """How messages name the flag: `-m, --memory`."""
        return f"-{self.short}, --{self.name}" if self.short else "--" + self.name


# Spellings that docker still takes but no longer shows
OLD_NAMES = {"dns-opt": "dns-option", "net": "network", "net-alias": "network-alias", "time": "timeout"}

HELP = Flag("help", "", "bool", "Print usage")


class Options(dict[str, "Any"]):
    """Values by flag name. Asking for a flag that was not given yields the empty value of its kind."""

    def __init__(self, flags: tuple[Flag, ...]) -> None:
        self.flags = flags

    def __missing__(self, name: str) -> Any:
        for flag in self.flags:
            if flag.name == name:
                return kinds.KINDS[flag.kind].empty()
        raise KeyError(name)

    def put(self, flag: Flag, text: str) -> None:
        """Convert and store; a kind that repeats collects a list."""
        kind = kinds.KINDS[flag.kind]
        try:
            value = kind.convert(text)
        except ValueError as error:
            raise FlagError(f'invalid argument "{text}" for "{flag.title()}" flag: {error}') from None
        if kind.repeats:
            self.setdefault(flag.name, []).extend(value)
        else:
            self[flag.name] = value


def parse(flags: tuple[Flag, ...], words: list[str], interspersed: bool) -> tuple[Options, list[str]]:
    """Split a command's words into options and arguments. Raises `FlagError`."""
    options, arguments = Options((*flags, HELP)), []
    pending = iter(words)
    for word in pending:
        if word == "--":
            break
        if word.startswith("--"):
            _long(options, word, pending)
        elif word.startswith("-") and word != "-":
            _short(options, word, pending)
        else:
            arguments.append(word)
            if not interspersed:
                break
    return options, arguments + list(pending)


def _long(options: Options, word: str, pending: Iterator[str]) -> None:
    name, given, value = word[2:].partition("=")
    current = OLD_NAMES.get(name, name)
    flag = next((flag for flag in options.flags if flag.name == current), None)
    if flag is None or not name:
        raise FlagError(f"unknown flag: --{name}")
    if not given:
        value = "true" if flag.kind == "bool" else _next(pending, "--" + name)
    options.put(flag, value)


def _short(options: Options, word: str, pending: Iterator[str]) -> None:
    """A cluster such as `-itp 80:80`: the first flag that takes a value gets the rest of the word or the next one."""
    letters = word[1:]
    while letters:
        letter, letters = letters[0], letters[1:]
        flag = next((flag for flag in options.flags if flag.short == letter), None)
        if flag is None and letter == "h":
            flag = HELP
        if flag is None:
            raise FlagError(f"unknown shorthand flag: '{letter}' in -{letter}{letters}")
        if letters.startswith("="):
            value, letters = letters[1:], ""
        elif flag.kind == "bool":
            value = "true"
        elif letters:
            value, letters = letters, ""
        else:
            value = _next(pending, f"'{letter}' in -{letter}")
        options.put(flag, value)


def _next(pending: Iterator[str], flag: str) -> str:
    for word in pending:
        return word
    raise FlagError(f"flag needs an argument: {flag}")
