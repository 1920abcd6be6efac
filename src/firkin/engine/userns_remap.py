"""`userns-remap`: the user whose subordinate ids all containers run as, unless they say otherwise.

Source: dockerd(8) `--userns-remap`, moby daemon/daemon_unix.go (parseRemappedRoot), pkg/idtools (AddNamespaceRangesUser).
"""

from __future__ import annotations

import grp
import pwd
import subprocess

from firkin.engine.users import SUBGID, SUBUID, Users
from firkin.errors import Invalid, Unavailable
from firkin.model import IdMaps
from firkin.paths import text_of
from firkin.runtime import id_maps

_DEFAULT_USER = "dockremap"  # Docker's: its ranges are taken over
_SIZE = 65536
_LOWEST = 100000


def users(setting: str) -> Users:
    """For `auto`, which is Firkin's own, every container has a range of its own; else see `remapped`."""
    return Users(each_its_own=True) if setting == "auto" else Users(remapped(setting))


def remapped(setting: str) -> IdMaps | None:
    """The maps for `default`, USER[:GROUP] or UID[:GID]; None for "". Raises `Invalid` naming what is not there."""
    if not setting:
        return None
    if setting == "default":
        _ensure_default_user()
        setting = _DEFAULT_USER
    user, _, group = setting.partition(":")
    account = _user(user)
    group_name = _group(group or account.pw_name)
    if account.pw_uid == 0:
        raise Invalid(f"userns-remap {setting}: root cannot be remapped to itself")
    users = id_maps.subordinate(text_of(SUBUID), {account.pw_name, str(account.pw_uid)})
    groups = id_maps.subordinate(text_of(SUBGID), {group_name, account.pw_name})
    for found, path, name in ((users, SUBUID, account.pw_name), (groups, SUBGID, group_name)):
        if not found:
            raise Invalid(f"userns-remap {setting}: no subordinate ids for {name} in {path}")
    maps = IdMaps(id_maps.spread(users), id_maps.spread(groups))
    id_maps.check(maps.users, f"ranges in {SUBUID}")
    id_maps.check(maps.groups, f"ranges in {SUBGID}")
    return maps


def _user(name: str) -> pwd.struct_passwd:
    try:
        return pwd.getpwuid(int(name)) if name.isdecimal() else pwd.getpwnam(name)
    except KeyError:
        raise Invalid(f"userns-remap: no such user: {name}") from None


def _group(name: str) -> str:
    try:
        return grp.getgrgid(int(name)).gr_name if name.isdecimal() else grp.getgrnam(name).gr_name
    except KeyError:
        raise Invalid(f"userns-remap: no such group: {name}") from None


def _ensure_default_user() -> None:
    """As dockerd does: a system user of that name, and ranges for it, if either is missing."""
    try:
        pwd.getpwnam(_DEFAULT_USER)
    except KeyError:
        _run("useradd", "--system", "--no-create-home", "--user-group", "--shell", "/bin/false", _DEFAULT_USER)
    for path, flag in ((SUBUID, "--add-subuids"), (SUBGID, "--add-subgids")):
        content = text_of(path)
        if not id_maps.subordinate(content, [_DEFAULT_USER]):
            first = max((start + count for start, count in id_maps.everybodys(content)), default=_LOWEST)
            _run("usermod", flag, f"{first}-{first + _SIZE - 1}", _DEFAULT_USER)


def _run(*argv: str) -> None:
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise Unavailable(f"userns-remap default: {argv[0]} is not installed") from None
    if done.returncode:
        raise Unavailable(f"userns-remap default: {' '.join(argv)}: {done.stderr.strip()}")
