"""Help texts, laid out as docker's: overview, management command, one command; and the nearest name for a wrong one."""

from __future__ import annotations

from firkin.cli import catalog, kinds
from firkin.cli.flags import Flag
from firkin.cli.global_flags import GLOBAL_FLAGS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firkin.cli.command import Command

WIDTH = 80
_NO_DEFAULT = ("", "false", "0")


def overview() -> str:
    """What `firkin` alone prints."""
    top = dict(catalog.members(""))
    rest = [row for row in top.items() if row[0] not in catalog.COMMON]
    sections = [
        "Usage:  firkin [OPTIONS] COMMAND\n\nA container engine you can read\n",
        _listing("Common Commands", [(name, top[name]) for name in catalog.COMMON]),
        _listing("Management Commands", sorted(catalog.GROUPS.items())),
        _listing("Commands", rest),
        "Global Options:\n" + _flag_lines(GLOBAL_FLAGS),
        "Run 'firkin COMMAND --help' for more information on a command.\n",
    ]
    return "\n".join(sections)


def group(name: str) -> str:
    """What a management command alone prints."""
    return "\n".join(
        [
            f"Usage:  firkin {name} COMMAND\n\n{catalog.GROUPS[name]}\n",
            _listing("Commands", catalog.members(name)),
            f"Run 'firkin {name} COMMAND --help' for more information on a command.\n",
        ]
    )


def command(command: Command, entry: catalog.Entry, name: str) -> str:
    """What `firkin COMMAND --help` prints."""
    lines = (command.usage or "").split("\n")
    text = "Usage:  " + "\n\t".join(f"firkin {name} {line}".rstrip() for line in lines) + "\n\n"
    text += (command.text or entry.summary) + "\n"
    if len(entry.names) > 1:
        text += "\nAliases:\n  " + ", ".join("firkin " + alias for alias in entry.names) + "\n"
    if command.flags:
        text += "\nOptions:\n" + _flag_lines(command.flags)
    return text


def _listing(title: str, rows: list[tuple[str, str]]) -> str:
    return f"{title}:\n" + "".join(f"  {name:<11} {summary}\n" for name, summary in rows)


def _flag_lines(flags: tuple[Flag, ...]) -> str:
    """One block per flag: names and kind on the left, the help wrapped on the right."""
    shown = sorted(flags, key=lambda flag: flag.name)
    left = [_left(flag) for flag in shown]
    column = max(map(len, left)) + 3
    return "".join(f"{start:<{column}}{_wrapped(_right(flag), column)}\n" for start, flag in zip(left, shown, strict=True))


def _left(flag: Flag) -> str:
    short = f"-{flag.short}, " if flag.short else "    "
    label = "" if flag.kind == "bool" else " " + (kinds.KINDS[flag.kind].label or flag.kind)
    return f"  {short}--{flag.name}{label}"


def _right(flag: Flag) -> str:
    if flag.default in _NO_DEFAULT:
        return flag.help
    quoted = f'"{flag.default}"' if flag.kind == "string" else flag.default
    return f"{flag.help} (default {quoted})"


def _wrapped(text: str, column: int) -> str:
    """Wrap at `WIDTH`, continuation lines indented to `column`; line ends in the text stay."""
    lines: list[str] = []
    for paragraph in text.split("\n"):
        line = ""
        for word in paragraph.split(" "):
            if line and column + len(line) + 1 + len(word) > WIDTH:
                lines.append(line)
                line = word
            else:
                line = f"{line} {word}" if line else word
        lines.append(line)
    return ("\n" + " " * column).join(lines)


def unknown(name: str, group: str) -> str:
    """The message for a command that does not exist, with the nearest one that does."""
    from difflib import get_close_matches

    names = [f"{group} {last}".strip() for last, _ in catalog.members(group)]
    near = get_close_matches(name, names if group else [*names, *catalog.GROUPS], 1)
    hint = f"\n\nDid you mean this?\n\tfirkin {near[0]}" if near else ""
    call = f"firkin {group}".rstrip()
    return f"firkin: unknown command: firkin {name}{hint}\n\nRun '{call} --help' for more information"
