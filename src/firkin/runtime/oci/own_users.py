"""A caller who is an ordinary user: his containers are in user namespaces of his own, and what takes more is left out.

The invariant: such a namespace has his own id alone, or what subuid(5) and subgid(5) give him besides. Whatever is made for
the container is made by its child, as root there; hooks and the command stay what he is.
Source: user_namespaces(7), newuidmap(1), runc libcontainer/configs/validate/rootless.go, rootless_linux.go, nsexec.c.
"""

from __future__ import annotations

import os

from firkin.errors import Invalid, Unsupported
from firkin.linux import process, userns
from firkin.runtime import id_maps, plan_users
from firkin.runtime.oci.caller import is_ordinary
from firkin.runtime.plan import NAMESPACES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from firkin.oci.runtime_config import Config, Mount
    from firkin.oci.runtime_linux import Linux
    from firkin.runtime.id_maps import Ranges
    from firkin.runtime.plan_terms import Step

_DIRECTORIES = ("/usr/bin", "/bin", "/usr/local/bin")


def check(config: Config) -> None:
    """Raises `Invalid` for what an ordinary user cannot have."""
    linux = config.linux
    if not plan_users.has_users(linux):
        raise Invalid("linux.namespaces: rootless container requires user namespaces")
    for index, one in enumerate(config.mounts):
        _check_mount(f"mounts[{index}]", one, linux)


def _check_mount(field: str, one: Mount, linux: Linux) -> None:
    if {"idmap", "ridmap"} & set(one.options):
        raise Invalid(f"{field}.options: an ordinary user cannot make idmapped mounts")
    for word, mappings in (("uid", linux.uid_mappings), ("gid", linux.gid_mappings)):
        for option in one.options:
            name, _, value = option.partition("=")
            if (
                name == word
                and value.isdigit()
                and mappings
                and id_maps.outside_of(plan_users.ranges(mappings), int(value)) is None
            ):
                raise Invalid(
                    f"{field}.options: cannot specify {word}= mount options for unmapped {word} in rootless containers"
                )


def forbids_groups(linux: Linux) -> bool:
    """Whether the container's user namespace will not let it set groups, as those of one's own group alone do not."""
    alone = is_ordinary() and _is_own(plan_users.ranges(linux.gid_mappings), os.getegid())
    return alone or userns.forbids_groups(os.getpid())  # it is handed down


def not_to_be_joined(linux: Linux) -> int:
    """Kinds (CLONE_NEW*) of namespaces that a container shares with whoever made it, and that he may not enter himself."""
    if not is_ordinary() and not process.in_user_namespace():
        return 0
    own = {one.type for one in linux.namespaces}
    return sum(flag for kind, flag in NAMESPACES.items() if kind not in own)


def map_steps(linux: Linux) -> list[Step]:
    """For the command, once there is a child to map ids for. Raises `Unsupported` if that takes a tool that is missing."""
    return [*_map_steps(linux)]


def _map_steps(linux: Linux) -> Iterator[Step]:
    if any(one.type == "user" and one.path for one in linux.namespaces):
        return
    users, groups = plan_users.ranges(linux.uid_mappings), plan_users.ranges(linux.gid_mappings)
    if _is_own(users, os.geteuid()):
        yield "uid-map", id_maps.text(users)
    else:
        yield "mapping-tool", _tool("newuidmap"), id_maps.text(users)
    if _is_own(groups, os.getegid()):
        yield "setgroups", "deny"  # a group that denies something must not be dropped; user_namespaces(7)
        yield "gid-map", id_maps.text(groups)
    else:
        yield "mapping-tool", _tool("newgidmap"), id_maps.text(groups)


def _is_own(ranges: Ranges, own: int) -> bool:
    """Whether it is the one id that everybody may map."""
    return len(ranges) == 1 and ranges[0][1:] == (own, 1)


def _tool(name: str) -> str:
    for directory in _DIRECTORIES:
        if os.access(f"{directory}/{name}", os.X_OK):
            return f"{directory}/{name}"
    raise Unsupported(
        f"linux.{name[3:6]}Mappings: more than one's own id takes {name} (package uidmap), which is not installed"
    )
