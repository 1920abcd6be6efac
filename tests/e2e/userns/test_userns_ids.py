"""Which of the machine's ids a container's stand for: `auto`, maps, `keep-id`, shared namespaces."""

from __future__ import annotations

import os

import pytest
from tests.e2e.conftest import IMAGE
from tests.e2e.userns.rig import outside, refused, run
from tests.lab import Engine, Lab


def test_no_two_have_the_same_and_what_is_given_back_is_taken_again(engine: Engine) -> None:
    names = ("one", "two", "three")
    for name in names:
        engine.firkin("run", "-d", "--name", name, "--userns", "auto", IMAGE, "sleep", "1000")
    ranges = [outside(engine, name) for name in names]
    assert len({one[0] for one in ranges}) == 3
    assert all(not set(a) & set(b) for a in ranges for b in ranges if a is not b)
    engine.firkin("restart", "-t", "0", "two")
    assert outside(engine, "two") == ranges[1]  # what it owns elsewhere is its own still
    engine.firkin("rm", "-f", "two")
    engine.firkin("run", "-d", "--name", "four", "--userns", "auto:size=1000", IMAGE, "sleep", "1000")
    assert outside(engine, "four") == range(ranges[1][0], ranges[1][0] + 1000)
    engine.firkin("rm", "-f", "one", "three", "four")


def test_a_map_of_ones_own(engine: Engine) -> None:
    script = "cat /proc/self/uid_map /proc/self/gid_map; cat /proc/sys/net/ipv4/ping_group_range"
    out = run(engine, IMAGE, "sh", "-c", script, userns="0:200000:11,20:5000:1,g100:300000:5").split()
    users, groups = ["0", "200000", "11", "20", "5000", "1"], ["100", "300000", "5"]
    assert out == [*users, *users, *groups, "0", "10"]
    assert "does not map all of user 0, groups 0 10" in refused(
        engine, "--userns=0:200000:5", "--group-add", "10", IMAGE, "true"
    )


def test_keeping_ones_id(engine: Engine, lab: Lab) -> None:
    home = lab.dir / "home"
    home.mkdir()
    os.chown(home, 1234, 2345)
    script = "id -u; id -g; touch /home/mine; stat -c %u:%g /home/mine"
    out = run(engine, "-v", f"{home}:/home", IMAGE, "sh", "-c", script, userns="keep-id:1234:2345")
    assert out.split() == ["1234", "2345", "1234:2345"]
    assert ((home / "mine").stat().st_uid, (home / "mine").stat().st_gid) == (1234, 2345)
    assert run(engine, "-u", "0", IMAGE, "sh", "-c", "id -u; touch /x", userns="keep-id:1234:2345") == "0\n"
    assert "root's id is not for keeping" in refused(engine, "--userns=keep-id", IMAGE, "true")


def test_sharing_a_namespace_is_sharing_the_users(engine: Engine) -> None:
    engine.firkin("run", "-d", "--name", "owner", "--userns", "auto", "--ipc", "shareable", IMAGE, "sleep", "1000")
    mapped = outside(engine, "owner")
    for joined in (["--network"], ["--pid"], ["--ipc"], ["--network", "--pid", "--ipc"]):
        flags = [f"{kind}=container:owner" for kind in joined]
        script = "awk '{print $2}' /proc/self/uid_map; ls /sys/kernel >/dev/null && ls -d /proc/1; ping -c1 -W1 127.0.0.1 >/dev/null && echo ping"
        out = run(engine, *flags, IMAGE, "sh", "-c", script, userns="")
        assert out.split() == [str(mapped[0]), "/proc/1", "ping"], joined
    assert "conflicting options" in refused(engine, "--userns=auto", "--network=container:owner", IMAGE, "true")
    engine.firkin("run", "-d", "--name", "stranger", "--userns", "auto", IMAGE, "sleep", "1000")
    complaint = refused(engine, "--network=container:owner", "--pid=container:stranger", IMAGE, "true")
    assert "different user namespaces" in complaint
    assert run(engine, "--network=container:owner", IMAGE, "id", "-u", userns="host") == "0\n"
    engine.firkin("rm", "-f", "owner", "stranger")


@pytest.mark.parametrize(
    ("argv", "complaint"),
    [
        (["--userns=bogus"], "invalid user namespace mode: bogus"),
        (["--userns=auto:size=0"], "want auto:size=N"),
        (["--userns=auto:size=9999999999"], "want auto:size=N"),
        (["--userns=auto:uidmapping=1"], "want auto:size=N"),
        (["--userns=1:100000:10"], "it has no range for id 0"),
        (["--userns=0:100000:10,5:200000:10"], "two ranges hold id 5 inside"),
        (["--userns=0:100000:10,20:100005:10"], "two ranges hold id 100005 outside"),
        (["--userns=0:100000:0"], "is empty or goes beyond"),
        (["--userns=0:4294967290:10"], "is empty or goes beyond"),
        (["--userns=0:1"], "want CONTAINER:HOST:SIZE"),
        (["--userns=keep-id:0:0"], "root's id is not for keeping"),
        (["--userns=keep-id:x"], "whose ids?"),
        (["--userns=auto", "--network=host"], "cannot share the host's network namespace when user namespaces are enabled"),
        (["--userns=auto", "--pid=host"], "cannot share the host PID namespace when user namespaces are enabled"),
        (["--userns=auto", "--ipc=host"], "cannot share the host's IPC namespace when user namespaces are enabled"),
        (["-v", "/tmp:/x:idmap"], "idmap wants a user namespace (--userns) or a map"),
        (["-v", "/tmp:/x:idmap=uids=1-2"], "want idmap=uids=DISK-HOST-COUNT;gids=DISK-HOST-COUNT"),
        (["-v", "/tmp:/x:idmap=uids=1-2;gids=1-2-1"], "want CONTAINER:HOST:SIZE"),
    ],
)
def test_what_makes_no_sense_is_refused_at_once(engine: Engine, argv: list[str], complaint: str) -> None:
    assert complaint in refused(engine, *argv, IMAGE, "true")
    assert engine.firkin("ps", "-aq").stdout == ""
