"""Who `--user` means, by the container's own passwd and group files.

Pure: bytes in, ids out. Docker's rules, as github.com/moby/sys/user has them: a number is always an id and need not be
listed; the first line that fits wins; a user who is listed has the supplementary groups that name him, unless a group
is asked for. Lines without numeric ids are passed over.
Source: passwd(5), group(5).
"""

from __future__ import annotations

import errno
import os

_LARGEST = 2**31 - 1
_DIGITS = 20  # no id has more, leading zeros or not


class Account:
    """Ids, `groups` being the supplementary ones, and `name` "" for an id that is not listed."""

    def __init__(self, name: str, uid: int, gid: int, groups: list[int]) -> None:
        self.name, self.uid, self.gid, self.groups = name, uid, gid, groups


def find_account(spec: str, extra_groups: list[str], passwd: bytes, group: bytes) -> Account:
    """`spec` is "", "user", "user:group" or ":group", each a name or a number. OSError (EINVAL) says who is unknown.

    The primary group leads the supplementary ones, so that dropping them cannot lift a denial (CVE-2022-36109)."""
    user, _, wanted_group = spec.partition(":")
    account = _find_user(user, passwd)
    listed = list(_groups(group))
    if wanted_group:
        account.gid = _find_group(wanted_group, listed)
    groups = [account.gid]
    if account.name and not wanted_group:
        groups += [gid for _, gid, members in listed if account.name in members]
    groups += [_find_group(name, listed) for name in extra_groups]
    # The files are the image's: an id of -1 in them would mean "leave as it is" to setuid(2).
    account.groups = [_in_range(gid) for gid in dict.fromkeys(groups)]
    _in_range(account.uid)
    return account


def home_of(uid: int, passwd: bytes) -> str:
    for _, found, _, home in _users(passwd):
        if found == uid:
            return home if home and "\0" not in home else "/"
    return "/"


def _find_user(wanted: str, passwd: bytes) -> Account:
    number = _number(wanted or "0")
    for name, uid, gid, _ in _users(passwd):
        if uid == number if number is not None else name == wanted:
            return Account(name, uid, gid, [])
    if number is None:
        raise _unknown(f"unable to find user {wanted}: no matching entries in passwd file")
    return Account("", _in_range(number), 0, [])


def _find_group(wanted: str, listed: list[tuple[str, int, list[str]]]) -> int:
    number = _number(wanted)
    for name, gid, _ in listed:
        if gid == number if number is not None else name == wanted:
            return gid
    if number is None:
        raise _unknown(f"unable to find group {wanted}: no matching entries in group file")
    return _in_range(number)


def _users(passwd: bytes) -> list[tuple[str, int, int, str]]:
    """(name, uid, gid, home)"""
    found = []
    for fields in _lines(passwd, 7):
        uid, gid = _number(fields[2]), _number(fields[3])
        if uid is not None and gid is not None:
            found.append((fields[0], uid, gid, fields[5]))
    return found


def _groups(group: bytes) -> list[tuple[str, int, list[str]]]:
    """(name, gid, members)"""
    found = []
    for fields in _lines(group, 4):
        gid = _number(fields[2])
        if gid is not None:
            found.append((fields[0], gid, fields[3].split(",")))
    return found


def _lines(content: bytes, width: int) -> list[list[str]]:
    """Every line's fields, at least `width` of them."""
    rows = [line.strip().split(":") for line in content.decode("utf-8", "surrogateescape").split("\n")]
    return [row + [""] * (width - len(row)) for row in rows if row != [""]]


def _number(text: str) -> int | None:
    digits = text[1:] if text[:1] in ("+", "-") else text
    if not digits.isascii() or not digits.isdigit():
        return None
    return int(text) if len(digits) <= _DIGITS else _LARGEST + 1


def _in_range(number: int) -> int:
    if not 0 <= number <= _LARGEST:
        raise _unknown("uids and gids must be in range 0-2147483647")
    return number


def _unknown(detail: str) -> OSError:
    return OSError(errno.EINVAL, os.strerror(errno.EINVAL), detail)
