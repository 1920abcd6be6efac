"""What a word on the command line may become: commands, flags and their values, names of the daemon's objects.

All of it derives from the tables that parse: the catalog, the flags, and the words of a command's usage (`CONTAINER`,
`IMAGE`, ... say what an argument names). A daemon is asked, never started.
"""

from __future__ import annotations

from firkin.cli import catalog
from firkin.cli.client import Client
from firkin.cli.command import load
from firkin.cli.errors import Failure
from firkin.cli.global_flags import GLOBAL_FLAGS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from firkin.cli.command import Command, Context
    from firkin.cli.flags import Flag

FLAG_VALUES = {
    "cgroupns": ("host", "private"),
    "ipc": ("host", "none", "private", "shareable"),
    "log-driver": ("json-file", "local", "none"),
    "log-level": ("debug", "info", "warn", "error", "fatal"),
    "pid": ("host",),
    "pull": ("always", "missing", "never"),
    "restart": ("always", "no", "on-failure", "unless-stopped"),
    "type": ("container", "image", "network", "volume"),
    "uts": ("host",),
}
FLAG_OBJECTS = {"link": "CONTAINER", "network": "NETWORK", "volumes-from": "CONTAINER"}


def candidates(words: list[str], context: Context) -> list[str]:
    """What the last word, which may be unfinished or empty, can become; sorted."""
    *before, current = words
    found = (each for each in _all(before, current, context) if each.startswith(current))
    return sorted(dict.fromkeys(found))


def _all(before: list[str], current: str, context: Context) -> Iterable[str]:
    before = _skip_globals(before, GLOBAL_FLAGS)
    if not before:
        return _flag_names(GLOBAL_FLAGS) if current.startswith("-") else [*_names(""), *catalog.GROUPS]
    if before[0] in catalog.GROUPS and len(before) == 1:
        return _names(before[0])
    name, rest = (" ".join(before[:2]), before[2:]) if before[0] in catalog.GROUPS else (before[0], before[1:])
    entry = catalog.find(name)
    return _in_command(load(entry), rest, current, context) if entry else []


def _skip_globals(before: list[str], flags: tuple[Flag, ...]) -> list[str]:
    while before and before[0].startswith("-"):
        before = before[2:] if _takes_value(before[0], flags) else before[1:]
    return before


def _names(group: str) -> list[str]:
    return [name for name, _ in catalog.members(group)]


def _flag_names(flags: tuple[Flag, ...]) -> list[str]:
    return ["--" + flag.name for flag in flags] + ["--help"]


def _in_command(command: Command, before: list[str], current: str, context: Context) -> Iterable[str]:
    """Candidates after a command's name."""
    name, given, _ = current.partition("=")
    if given and name.startswith("--"):
        return [f"{name}={value}" for value in _flag_values(name[2:], context)]
    if before and (flag := _takes_value(before[-1], command.flags)):
        return _flag_values(flag.name, context)
    arguments = _arguments(before, command.flags)
    if current.startswith("-") and (command.interspersed or not arguments):
        return _flag_names(command.flags)
    return _objects(_argument_word(command.usage, len(arguments)), context)


def _takes_value(word: str, flags: tuple[Flag, ...]) -> Flag | None:
    """The flag of `word` (`--name`, or `-itn` whose last letter counts) when the next word is its value."""
    if not word.startswith("-") or "=" in word:
        return None
    for flag in flags:
        matches = word == "--" + flag.name if word.startswith("--") else flag.short and word.endswith(flag.short)
        if matches and flag.kind != "bool":
            return flag
    return None


def _arguments(before: list[str], flags: tuple[Flag, ...]) -> list[str]:
    """The words that are neither flags nor their values."""
    values = [index + 1 for index, word in enumerate(before) if _takes_value(word, flags)]
    return [word for index, word in enumerate(before) if index not in values and not word.startswith("-")]


def _argument_word(usage: str, position: int) -> str:
    """What usage calls the argument at `position`; its last one repeats when it ends in dots."""
    words = [word for word in usage.split("\n")[0].split() if word != "[OPTIONS]"]
    if position < len(words):
        return words[position]
    return words[-1] if words and words[-1].endswith("...]") else ""


def _flag_values(name: str, context: Context) -> Iterable[str]:
    return FLAG_VALUES.get(name) or _objects(FLAG_OBJECTS.get(name, ""), context)


def _objects(word: str, context: Context) -> Iterator[str]:
    """Names of the objects that `word` stands for, or the fixed words it lists."""
    if word.islower() and "|" in word:
        yield from word.split("|")
    try:
        client = Client(context.host.connect, {})
        if "CONTAINER" in word or "NAME|ID" in word:
            for container in client.get("/containers/json", all=True):
                yield container["Names"][0].removeprefix("/")
        if "IMAGE" in word or "NAME|ID" in word or "REPOSITORY" in word:
            for image in client.get("/images/json"):
                yield from (tag for tag in image["RepoTags"] or () if tag != "<none>:<none>")
        if "NETWORK" in word:
            yield from (network["Name"] for network in client.get("/networks"))
        if "VOLUME" in word:
            yield from (volume["Name"] for volume in client.get("/volumes")["Volumes"] or ())
    except Failure:
        return  # no daemon, no names
