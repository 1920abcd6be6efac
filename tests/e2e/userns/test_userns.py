"""What a process in a user namespace of its own sees and may do, and how such a container begins and ends."""

from __future__ import annotations

import os
import subprocess
from typing import Any

import pytest
from tests.e2e.conftest import IMAGE
from tests.e2e.traces import same_again, traces
from tests.e2e.userns.rig import CAP_NET_RAW, PARENT, inspect, outside, refused, run
from tests.lab import Engine, Lab


def test_root_inside_is_nobody_outside(engine: Engine) -> None:
    engine.firkin("run", "-d", "--name", "plain", "--userns", "auto", IMAGE, "sleep", "1000")
    assert engine.firkin("exec", "plain", "id", "-u").stdout == "0\n"
    pid, mapped = inspect(engine, "plain")["State"]["Pid"], outside(engine, "plain")
    assert len(mapped) == 65536 and os.stat(f"/proc/{pid}").st_uid == mapped[0]
    assert inspect(engine, "plain")["HostConfig"]["IDMappings"]["UidMap"] == [f"0:{mapped[0]}:65536"]
    # Every namespace is the user namespace's own, not only made beside it.
    script = (
        "ping -c1 -W5 127.0.0.1 >/dev/null && echo ping;"
        "nc -l -p 80 & until cat /proc/net/tcp /proc/net/tcp6 | grep -q :0050; do sleep 0.05; done; echo listens; kill $!;"
        "touch /mine; stat -c %u:%g /mine /etc/hosts /dev/shm; cat /proc/self/oom_score_adj"
    )
    assert engine.firkin("exec", "plain", "sh", "-c", script).stdout.split() == ["ping", "listens", "0:0", "0:0", "0:0", "0"]
    engine.firkin("rm", "-f", "plain")


def test_what_is_there_without_is_there_within(engine: Engine) -> None:
    """Mounts, devices, hidden paths, limits, groups: the same but for who owns the kernel's files."""
    script = (
        "cut -d' ' -f2,3 /proc/mounts | sort; ls /dev /dev/pts /sys/fs/cgroup; cat /proc/self/cgroup | wc -l; id; ulimit -a; umask;"
        "for f in null zero full random urandom tty; do stat -c '%n %a %t:%T' /dev/$f; done; hostname; cat /proc/keys /proc/kcore;"
        "grep -E 'Cap|Seccomp:|NoNewPrivs' /proc/self/status; head -c 3 /dev/zero | od -An -tx1; echo x > /dev/null; echo $?"
    )
    flags = ["-h", "box", "--ulimit", "nofile=100:200", "--group-add", "10", "--shm-size", "1m", "--tmpfs", "/t"]
    seen = [run(engine, *flags, IMAGE, "sh", "-c", script, userns=mode) for mode in ("host", "auto")]
    assert seen[1] == seen[0]


@pytest.mark.parametrize("user", ["0", "nobody"])
def test_streams_can_be_opened_again(engine: Engine, user: str) -> None:
    script = "echo out > /dev/stdout; echo err > /dev/stderr; cat /dev/stdin"
    done = engine.firkin("run", "--rm", "-i", "--userns=auto", "-u", user, IMAGE, "sh", "-c", script, input="in\n")
    assert (done.stdout, done.stderr) == ("out\nin\n", "err\n")
    name = f"streams-{user}"
    engine.firkin("run", "-d", "--name", name, "--userns", "auto", IMAGE, "sleep", "1000")
    done = engine.firkin("exec", "-i", "-u", user, name, "sh", "-c", script, input="in\n")
    assert (done.stdout, done.stderr) == ("out\nin\n", "err\n")
    engine.firkin("rm", "-f", name)


def test_a_terminal_belongs_to_its_user(engine: Engine) -> None:
    out = run(engine, "-t", "-u", "nobody", IMAGE, "sh", "-c", "stat -c %u:%g $(tty) /dev/console; echo hi > $(tty)")
    assert out.split() == ["65534:5", "65534:5", "hi"]


def test_privileges_of_files(engine: Engine) -> None:
    ids = run(engine, "-u", "nobody", IMAGE, "setuid-cat", "/proc/self/status")
    assert "Uid:\t65534\t7\t7\t7\n" in ids and "Gid:\t65534\t10\t10\t10\n" in ids
    capable = ["/bin/busybox-capable", "grep", "CapEff", "/proc/self/status"]
    assert int(run(engine, "-u", "nobody", IMAGE, *capable).split()[1], 16) == 1 << CAP_NET_RAW


def test_privileged_is_so_in_its_own_world_only(engine: Engine) -> None:
    script = (
        "mount -t tmpfs none /tmp && hostname changed && echo done; for d in /dev/[sv]da; do [ -b $d ] && head -c1 $d; done;"
        "mknod /tmp/n c 1 3; echo 1 > /proc/sys/kernel/panic; echo 1 > /proc/sysrq-trigger; cat /proc/self/uid_map | wc -l"
    )
    done = engine.firkin("run", "--rm", "--privileged", "--userns=auto", IMAGE, "sh", "-c", script)
    assert done.stdout.split() == ["done", "1"]
    assert done.stderr.lower().count("permission denied") + done.stderr.lower().count("not permitted") >= 3


# --- beginnings and ends -------------------------------------------------------------------------------------------
def test_a_failed_start_leaves_nothing(engine: Engine, lab: Lab) -> None:
    run(engine, IMAGE, "true")
    before = traces(engine, PARENT)
    place = lab.run(
        "sh", "-c", f"mkdir -p {lab.dir}/nomap; mount -t ramfs none {lab.dir}/nomap; echo {lab.dir}/nomap"
    ).stdout.strip()
    complaint = refused(engine, "--userns=auto", "-v", f"{place}:/x:idmap", IMAGE, "true")
    assert f"idmapped mount of {place}" in complaint and "invalid argument" in complaint
    refused(engine, "--userns=auto:size=5", "-u", "7", IMAGE, "true")
    assert engine.firkin(
        "run", "--rm", "--userns=auto", "--sysctl", "net.ipv4.no_such=1", IMAGE, "true", check=False
    ).returncode
    assert engine.firkin("run", "--rm", "--userns=auto", IMAGE, "no-such-program", check=False).returncode == 127
    lab.run("umount", place)
    same_again(engine, PARENT, before)
    engine.firkin("run", "-d", "--name", "first", "--userns", "auto", IMAGE, "sleep", "1000")
    first = outside(engine, "first")
    engine.firkin("rm", "-f", "first")
    assert first == range(0x70000000, 0x70000000 + 65536)  # no failed start holds anything


def test_a_new_daemon_knows_who_has_what(engine: Engine) -> None:
    engine.firkin("run", "-d", "--name", "before", "--userns", "auto", IMAGE, "sleep", "1000")
    mapped = outside(engine, "before")
    engine.kill()
    engine.start()
    engine.firkin("run", "-d", "--name", "after", "--userns", "auto", IMAGE, "sleep", "1000")
    assert not set(mapped) & set(outside(engine, "after"))
    assert engine.firkin("exec", "before", "sh", "-c", "touch /x; stat -c %u /x").stdout == "0\n"
    engine.firkin("rm", "-f", "before")
    assert run(engine, IMAGE, "awk", "{print $2}", "/proc/self/uid_map").strip() == str(mapped[0])
    engine.firkin("rm", "-f", "after")


class OfAnotherGroup(Engine):
    """A daemon of root's, but not of root's group."""

    def start(self) -> OfAnotherGroup:
        start = self.lab.start

        def with_group(*argv: str, **options: Any) -> subprocess.Popen[bytes]:
            return start("setpriv", "--regid", "5", "--clear-groups", *argv, **options)

        self.lab.start = with_group  # type: ignore[method-assign]
        try:
            super().start()
        finally:
            self.lab.start = start  # type: ignore[method-assign]
        return self


def test_nobody_may_trace_the_launcher_and_its_children(lab: Lab) -> None:
    """Files in /proc of a process that is not "dumpable" belong to root's group, of any other to its own (proc(5))."""
    engine = OfAnotherGroup(lab, "group", "--cgroup-parent", PARENT).start()
    engine.firkin("import", str(lab.dir / "users.tar"), IMAGE)
    engine.firkin("run", "-d", "--name", "made", "--userns", "auto", IMAGE, "sleep", "1000")
    assert engine.process and os.stat(f"/proc/{engine.process.pid}/fd").st_gid == 5
    found = engine.helpers("launcher")
    assert len(found) == 2  # with the spare
    assert {os.stat(f"/proc/{pid}/fd").st_gid for pid in found} == {0}
    engine.firkin("rm", "-f", "made")
    engine.stop()
