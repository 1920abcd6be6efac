"""Maps of ids as values: read, compared, chosen; and what a user namespace changes in a plan."""

from __future__ import annotations

from typing import Any

import pytest

from firkin.engine.userns_mode import Mode, parse
from firkin.engine.users import Users
from firkin.errors import FirkinError, Invalid, Unavailable
from firkin.linux import process
from firkin.model import IdMaps
from firkin.oci.runtime_config import Config, Mount, Process, Rlimit, Root
from firkin.oci.runtime_linux import Device, IDMapping, Linux, Namespace
from firkin.runtime import id_maps, plan

MAPPED = (IDMapping(0, 100000, 65536),)
FRESH = tuple(Namespace(kind) for kind in ("user", "mount", "pid", "network", "uts", "ipc"))
DEV = Mount("/dev", "tmpfs", "tmpfs", ("nosuid", "mode=755"))


# --- maps ----------------------------------------------------------------------------------------------------------
def test_a_map_is_read_for_users_and_groups() -> None:
    assert id_maps.parse("0:100000:65536") == (((0, 100000, 65536),),) * 2
    assert id_maps.parse("0:1:2,u2:10:1,g2:20:3") == (((0, 1, 2), (2, 10, 1)), ((0, 1, 2), (2, 20, 3)))


@pytest.mark.parametrize(
    "text",
    ["", "0", "0:1", "0:1:2:3", "a:b:c", "-1:0:1", "0:1:2,", "x0:1:2", "gu0:1:2", "0:1:0", "1:1:1", "u0:1:2", "0:0:4294967296",
     "0:1:5,4:100:2", "0:1:5,10:4:2", "0:\u0661:2", ",".join(f"{2 * n}:{2 * n + 7}:1" for n in range(341))],
)  # fmt: skip
def test_a_bad_map_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        id_maps.parse(text)


def test_a_mounts_map() -> None:
    assert id_maps.parse_mount("idmap") is None
    assert id_maps.parse_mount("idmap=uids=0-1-10#10-11-10;gids=0-100-10") == (((0, 1, 10), (10, 11, 10)), ((0, 100, 10),))
    for text in ("idmap=uids=0-1-10", "idmap=x", "idmap=uids=;gids=", "idmap=uids=0-1-2;gids=0-1-2;z=1"):
        with pytest.raises(Invalid):
            id_maps.parse_mount(text)


def test_looking_up_and_comparing() -> None:
    ranges = ((0, 1000, 10), (20, 5000, 1))
    assert [id_maps.outside_of(ranges, one) for one in (0, 9, 10, 20, 21)] == [1000, 1009, None, 5000, None]
    assert id_maps.last_in_a_row(ranges) == 9 and id_maps.last_in_a_row(((1, 0, 5),)) == -1
    assert id_maps.overlap(ranges, ((7, 1009, 1),)) and not id_maps.overlap(ranges, ((0, 1010, 3990),))
    assert id_maps.spread([(500, 10), (900, 5)]) == ((0, 500, 10), (10, 900, 5))
    assert id_maps.keeping(5000, 100, 7) == ((0, 5000, 7), (7, 7, 1), (8, 5008, 92))
    assert id_maps.keeping(5000, 100, 12345) == ((0, 5000, 100), (12345, 12345, 1))


def test_subordinate_ids() -> None:
    content = "a:100:10\nb:x:1\n5:200:20\n# a comment\na:300:0\na:400:5\nbroken\n"
    assert id_maps.subordinate(content, ["a"]) == [(100, 10), (400, 5)]
    assert id_maps.subordinate(content, ["z", "5"]) == [(200, 20)]
    assert id_maps.everybodys(content) == [(100, 10), (200, 20), (400, 5)]


def test_the_first_room_that_is_free() -> None:
    pool = [(1000, 100), (5000, 50)]
    assert id_maps.free(pool, 40, []) == 1000
    assert id_maps.free(pool, 40, [(990, 20), (1045, 5)]) == 1050
    assert id_maps.free(pool, 40, [(1030, 40)]) == 5000
    assert id_maps.free(pool, 101, []) is None


# --- whose ---------------------------------------------------------------------------------------------------------
def auto(users: Users, name: str, last: IdMaps | None = None, remembered: tuple[IdMaps, ...] = (), size: int = 65536) -> IdMaps:
    maps = users.choose(Mode("auto", size), last, remembered)
    assert maps
    users.hold(name, maps)
    return maps


def test_what_is_held_is_nobody_elses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("firkin.engine.users.text_of", lambda path: "somebody:1879048192:100\n")
    users = Users()
    first, second = auto(users, "a"), auto(users, "b")
    assert first.users == ((0, 0x70000000 + 100, 65536),) and second.users == ((0, 0x70000000 + 100 + 65536, 65536),)
    users.release("a")
    assert auto(users, "a", last=first) == first
    users.release("a")
    third = auto(users, "c", remembered=(first,))  # there is room elsewhere
    assert third not in (first, second)
    assert auto(users, "a", last=second) not in (second, third)  # held by b


def test_a_small_pool_runs_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("firkin.engine.users.text_of", lambda path: "firkin:100000:131072\n")
    users = Users()
    first = auto(users, "a")
    assert auto(users, "b", remembered=(IdMaps(((0, 165536, 65536),), ((0, 165536, 65536),)),)) != first  # it waives
    with pytest.raises(Unavailable):
        users.choose(Mode("auto"), None, ())
    users.release("a")
    assert auto(users, "c", size=10).users == ((0, 100000, 10),)


@pytest.mark.parametrize(
    "text", ["Auto", "auto:", "auto:size", "auto:size=-1", "keep-id", "keep-id:1", "keep-id:1:0", "ns:/x", "hosts"]
)
def test_a_bad_mode_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        parse(text)


def test_modes() -> None:
    assert [parse(text).kind for text in ("", "host", "private", "auto", "auto:size=9", "keep-id:1:2", "0:1:2", "u0:1:2,g0:1:2")] == [
        "default", "host", "private", "auto", "auto", "keep-id", "map", "map",
    ]  # fmt: skip


# --- plans ---------------------------------------------------------------------------------------------------------
def made(*mounts: Mount, users: bool = True, **changes: Any) -> dict[str, Any]:
    linux = Linux(namespaces=FRESH, uid_mappings=MAPPED, gid_mappings=MAPPED) if users else Linux(namespaces=FRESH[1:])
    process_ = Process("/", ("true",), oom_score_adj=5, rlimits=(Rlimit("RLIMIT_NOFILE", 1, 2),))
    config = Config("1.2.1", Root("/r"), process_, mounts, linux=linux.replace(**changes))
    return plan.container_plan(config, plan.Launch(id="c", root="/r", staging="/s"))


def operations(steps: list[Any]) -> list[str]:
    return [step[0] for step in steps]


def test_what_the_mapped_root_may_not_do_the_launcher_does() -> None:
    bind = Mount("/b", "bind", "/source", ("rbind", "ro"))
    nodes = (Device("/dev/net/tun", "c", 10, 200),)
    found = made(DEV, Mount("/dev/pts", "devpts", "devpts", ("gid=5",)), bind, devices=nodes)
    assert found["clone"] & process.CLONE_NEWUSER
    assert operations(found["parent"]) == [
        "uid-map",
        "gid-map",
        "oom-score-adj",
        "rlimit-ceiling",
        "tree",
        "tree",
        "device-directory",
    ]
    _, name, _, options, devices = found["parent"][-1]
    assert (name, options) == ("/dev", ["mode=755"])
    assert ("net/tun", 0o20666, 10, 200, 0, 0) in devices and len(devices) == 7
    child = operations(found["child"])
    assert child.index("open-staging") < child.index("wait-parent") < child.index("root-propagation") < child.index("rootfs")
    assert not {"mknod", "oom-score-adj", "overlay"} & set(child)
    assert next(step for step in found["child"] if step[0] == "bind")[:3] == ("bind", "fd:mount 1", "/b")


def test_an_overlay_is_made_outside_and_attached_inside() -> None:
    class Layers:
        lowers, upper, work, options = ("/l/a", "/l/b"), "/s/upper", "/s/work", ()

    config = Config("1.2.1", Root("/r"), Process("/", ("true",)), linux=Linux(FRESH, MAPPED, MAPPED))
    found = plan.container_plan(config, plan.Launch(id="c", root=Layers(), staging="/s", volatile=True))
    layers = ("root", ["/l/a", "/l/b"], "/s/upper", "/s/work", ["volatile"])
    assert ("idmapped-overlay", *layers) in found["parent"]
    assert ("rootfs", "/s", "fd:root", False) in found["child"]


def test_groups_that_are_not_there_own_no_terminals() -> None:
    pts = Mount("/dev/pts", "devpts", "devpts", ("newinstance", "gid=5"))
    steps = made(pts, gid_mappings=(IDMapping(0, 1, 5),))["child"]
    assert next(step for step in steps if step[:2] == ("mount", "devpts"))[5] == ["newinstance"]


def test_a_user_namespace_that_exists_is_entered_first() -> None:
    joined = (Namespace("user", "/proc/7/ns/user"), Namespace("network", "/proc/7/ns/net"), *FRESH[1:3])
    found = made(DEV, namespaces=joined)
    assert found["userns"] == "ns-user" and found["fds"] == ["ns-user", "ns-network"]
    assert not found["clone"] & (process.CLONE_NEWUSER | process.CLONE_NEWNET)
    assert "uid-map" not in operations(found["parent"])
    assert [step for step in found["child"] if step[0] == "setns"] == [("setns", "ns-network", process.CLONE_NEWNET)]


def test_without_one_nothing_changes_hands_but_what_is_mapped() -> None:
    own = {"uid_mappings": (IDMapping(5, 0, 1),), "gid_mappings": (IDMapping(6, 0, 1),)}
    plain, mapped = Mount("/a", "bind", "/x", ("bind",)), Mount("/b", "bind", "/y", ("rbind", "ridmap"), **own)
    assert made(DEV, plain, users=False)["parent"] == []
    found = made(DEV, plain, mapped, users=False)
    assert found["parent"] == [("tree", "mount 0", "/y", True, ["5 0 1\n", "6 0 1\n"], True)]
    child = operations(found["child"])
    assert child.index("wait-parent") < child.index("root-propagation") and "mknod" in child


@pytest.mark.parametrize(
    ("mount", "complaint"),
    [
        (Mount("/b", "bind", "/y", ("bind", "idmap")), "idmap wants uidMappings and gidMappings, or a user namespace"),
        (Mount("/b", "bind", "/y", ("bind",), MAPPED, MAPPED), "uidMappings and gidMappings want option idmap or ridmap"),
        (Mount("/b", "bind", "/y", ("bind", "idmap"), MAPPED), "uidMappings and gidMappings want each other"),
        (Mount("/b", "tmpfs", "t", ("idmap",)), "idmap is for bind mounts"),
    ],
)
def test_a_mapping_without_sense_is_refused(mount: Mount, complaint: str) -> None:
    with pytest.raises(FirkinError, match=complaint):
        made(mount, users=False)
