"""SELinux labels: from `--security-opt label=...` to the labels of a container's processes and of its files.

As with a dockerd that was not told otherwise, a container is labelled only if it asks to be. The parts it does not name
are the policy's own for containers, with two categories that hardly another container has. Where the kernel has no policy
loaded, the options are checked and have no effect.

Source: selinux(8); container-selinux's lxc_contexts; opencontainers/selinux go-selinux/label (InitLabels).
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from firkin.errors import Invalid

_PARTS = ("user", "role", "type", "level")
_CATEGORIES = 1024
_CONFIG = "/etc/selinux/config"
_FALLBACK = ("system_u:system_r:container_t:s0", "system_u:object_r:container_file_t:s0")


def check(options: Iterable[str]) -> None:
    """Raises `Invalid` for what is not "disable", "nested" or PART:VALUE."""
    for option in options:
        part, colon, value = option.partition(":")
        if option not in ("disable", "nested") and (part not in (*_PARTS, "filetype") or not colon or not value):
            raise Invalid(
                f"bad label option {option!r}, valid options 'disable' or 'user, role, level, type, filetype' "
                "followed by ':' and a value"
            )


def labels(options: tuple[str, ...], contexts: tuple[str, str], container_id: str) -> tuple[str, str]:
    """(process label, label of files). `contexts`: the policy's own, USER:ROLE:TYPE:LEVEL. ("", "") if none is asked for."""
    check(options)
    wanted = dict(option.split(":", 1) for option in options if ":" in option)
    if not wanted or "disable" in options:
        return "", ""
    process, files = (dict(zip(_PARTS, context.split(":", 3), strict=True)) for context in contexts)
    process |= {"level": _level(container_id)} | {part: wanted[part] for part in _PARTS if part in wanted}
    files |= {"level": process["level"], "type": wanted.get("filetype", files["type"])}
    return ":".join(process.values()), ":".join(files.values())


def _level(container_id: str) -> str:
    """Of its own, and the same at every start: what its files have been labelled with stays its own."""
    number = int(container_id[:12], 16)
    first, second = number % _CATEGORIES, number // _CATEGORIES % (_CATEGORIES - 1)
    second += second >= first  # another one
    return f"s0:c{min(first, second)},c{max(first, second)}"


def options_of(label: str) -> tuple[str, ...]:
    """What to ask for to have this process label; "" is none."""
    return tuple(f"{part}:{value}" for part, value in zip(_PARTS, label.split(":", 3), strict=True)) if label else ("disable",)


def shared(label: str) -> str:
    """The label for files that several containers share: of no category in particular."""
    return ":".join([*label.split(":", 3)[:3], "s0"])


def contexts(config: str = _CONFIG) -> tuple[str, str]:
    """What the machine's policy calls containers' processes and files."""
    try:
        policy = _settings(config).get("SELINUXTYPE", "targeted")
        found = _settings(os.path.join(os.path.dirname(config), policy, "contexts/lxc_contexts"))
        return found["process"], found["file"]
    except (OSError, KeyError):
        return _FALLBACK


def _settings(path: str) -> dict[str, str]:
    """Lines of NAME = "value"."""
    with open(path, encoding="utf-8") as file:
        pairs = (line.split("=", 1) for line in file if "=" in line and not line.lstrip().startswith("#"))
        return {name.strip(): value.strip().strip('"') for name, value in pairs}
