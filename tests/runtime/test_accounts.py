"""Docker's rules of who `--user` means (moby/sys/user), case by case."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firkin.runtime.accounts import find_account, home_of

PASSWD = b"""root:x:0:0:root:/root:/bin/sh
# a comment
adm:x:43:83:adm:/var/adm:/bin/false
toor:x:0:5:second root:/toor:/bin/sh
1000:x:7:8:a number for a name:/seven:/bin/sh
+::::::
short:x:50:51
web:x:33:33::/srv:
"""
GROUP = b"""root:x:0:root
adm:x:43:
grp:x:1234:root,adm,user4001
this is not a line
mail:x:12:adm,web
1000:x:99:web
"""


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("", (0, 0, [0, 1234])),
        ("root", (0, 0, [0, 1234])),
        ("adm", (43, 83, [83, 1234, 12])),
        ("43", (43, 83, [83, 1234, 12])),
        ("adm:grp", (43, 1234, [1234])),
        ("adm:43", (43, 43, [43])),
        ("adm:777", (43, 777, [777])),
        (":grp", (0, 1234, [1234])),
        ("4001", (4001, 0, [0])),
        ("4001:mail", (4001, 12, [12])),
        ("1000", (1000, 0, [0])),  # always an id, even if it is a name too
        ("33:1000", (33, 1000, [1000])),
        ("toor", (0, 5, [5])),
        ("short", (50, 51, [51])),
        ("2147483647:2147483647", (2147483647, 2147483647, [2147483647])),
    ],
)
def test_ids(spec: str, expected: tuple[int, int, list[int]]) -> None:
    account = find_account(spec, [], PASSWD, GROUP)
    assert (account.uid, account.gid, account.groups) == expected


@pytest.mark.parametrize(
    ("spec", "extra", "message"),
    [
        ("nobody", [], "unable to find user nobody: no matching entries in passwd file"),
        ("root:staff", [], "unable to find group staff: no matching entries in group file"),
        ("root", ["staff"], "unable to find group staff: no matching entries in group file"),
        ("2147483648", [], "uids and gids must be in range 0-2147483647"),
        ("-1", [], "uids and gids must be in range 0-2147483647"),
        ("0:-5", [], "uids and gids must be in range 0-2147483647"),
    ],
)
def test_unknown(spec: str, extra: list[str], message: str) -> None:
    with pytest.raises(OSError) as caught:
        find_account(spec, extra, PASSWD, GROUP)
    assert caught.value.filename == message


def test_extra_groups_follow_the_primary_one() -> None:
    assert find_account("web", ["grp", "5", "12"], PASSWD, GROUP).groups == [33, 12, 99, 1234, 5]


def test_home() -> None:
    assert [home_of(uid, PASSWD) for uid in (0, 43, 50, 4711)] == ["/root", "/var/adm", "/", "/"]


@given(st.binary(), st.binary())
def test_no_file_breaks_the_parser(passwd: bytes, group: bytes) -> None:
    assert find_account("12:34", ["56"], passwd, group).gid == 34
