"""The launcher's side of a start: failures leave nothing behind, nothing is inherited that should not be."""

from __future__ import annotations

import errno
import marshal
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from tests.lab import SLOWNESS
from tests.runtime.box import Box, reap, wait_started

from firkin.linux import process as p
from firkin.linux.netlink import Netlink
from firkin.runtime import child
from firkin.runtime.spawn import Outcome, SpawnError, spawn


def plan(steps: list[tuple[object, ...]], parent: tuple[tuple[object, ...], ...] = (), clone: int = 0) -> dict[str, object]:
    return {"id": "x", "clone": clone, "pidns": "", "parent": list(parent), "child": steps}


def spawn_here(one: dict[str, object], **handed: int) -> tuple[int, Outcome]:
    with Netlink() as netlink:
        spawned = spawn(one, handed, netlink)
    outcome = wait_started(spawned)
    return reap(spawned), outcome


def children() -> set[str]:
    return set(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())


def open_files() -> set[str]:
    return set(os.listdir("/proc/self/fd"))


def test_a_plan_without_a_program() -> None:
    code, outcome = spawn_here(plan([("exit", 7)]))
    assert (code, outcome.failure) == (7, None)


def test_a_plan_that_ends_nowhere_is_a_failure() -> None:
    _, outcome = spawn_here(plan([("setsid",)]))
    assert outcome.failure == (0, 0, "the plan ends without a program")


def test_a_clone_the_kernel_refuses() -> None:
    before = children(), open_files()
    with pytest.raises(SpawnError) as caught, Netlink() as netlink:
        spawn(plan([], clone=0x10000), {}, netlink)  # CLONE_THREAD without CLONE_VM
    assert (caught.value.where, caught.value.index) == ("clone", -1)
    assert (children(), open_files()) == before


@pytest.mark.parametrize(
    ("malformed", "where", "detail"),
    [
        ({"parent": [("no-such-step",)]}, "parent", "KeyError: 'no-such-step'"),
        ({"parent": [("uid-map",)]}, "parent", "TypeError"),
        ({"pidns": "nothing"}, "clone", "KeyError: 'nothing'"),
        ({"clone": "all"}, "clone", "TypeError: plan: clone is 'all'"),
    ],
)
def test_a_malformed_plan_is_an_error_like_any_other(malformed: dict[str, object], where: str, detail: str) -> None:
    before = children(), open_files()
    with pytest.raises(SpawnError) as caught, Netlink() as netlink:
        spawn(plan([("exit", 0)]) | malformed, {}, netlink)
    assert caught.value.where == where and caught.value.filename.startswith(detail)
    assert (children(), open_files()) == before


def test_a_failed_parent_step_leaves_no_child() -> None:
    before = children(), open_files()
    parent = (("setgroups", "allow"), ("write-file", "/proc/sys/no/such", "1"))
    with pytest.raises(SpawnError) as caught, Netlink() as netlink:
        spawn(plan([("wait-parent",), ("exec", ["/bin/sleep", "100"], [])], parent), {}, netlink)
    assert (caught.value.where, caught.value.index, caught.value.filename) == ("parent", 1, "/proc/sys/no/such")
    assert (children(), open_files()) == before


def test_the_child_waits_for_the_parents_steps(tmp_path: Path) -> None:
    (tmp_path / "flag").touch()
    parent = (("write-file", f"{tmp_path}/flag", "ready"),)
    command = ["/bin/sh", "-c", f"read word < {tmp_path}/flag; test $word = ready"]
    code, outcome = spawn_here(plan([("wait-parent",), ("exec", command, [])], parent))
    assert (code, outcome.failure) == (0, None)


@pytest.mark.parametrize("last", [[], [("uid-map", "0 0 1")]], ids=["only the release", "a step"])
def test_the_cause_is_told_and_not_its_consequence(tmp_path: Path, last: list[tuple[str, str]]) -> None:
    """When a child fails first, the parent's steps have nobody to work on any more; that is not what went wrong."""
    os.mkfifo(tmp_path / "gate")
    subprocess.Popen(["sh", "-c", f"sleep 0.3; cat {tmp_path}/gate"], stdout=subprocess.DEVNULL)
    child_steps: list[tuple[object, ...]] = [("hostname", "x" * 100), ("wait-parent",), ("exit", 0)]
    parent = (("write-file", f"{tmp_path}/gate", "the child is gone by now"), *last)
    code, outcome = spawn_here(plan(child_steps, parent, p.CLONE_NEWUTS))
    assert (code, outcome.failure) == (127, (0, errno.EINVAL, "x" * 100))


def test_a_child_that_fails_after_its_release_was_sent() -> None:
    """The unread byte makes the kernel report a reset before it hands out what the child said."""
    for _ in range(50):
        child_steps: list[tuple[object, ...]] = [("hostname", "x" * 100), ("wait-parent",), ("exit", 0)]
        _, outcome = spawn_here(plan(child_steps, (), p.CLONE_NEWUTS))
        assert outcome.failure == (0, errno.EINVAL, "x" * 100)


def test_a_child_whose_launcher_is_gone_ends(tmp_path: Path) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    pid, pidfd = p.clone3(0)
    if pid == 0:
        try:
            ours.close()
            child.run(plan([("wait-parent",), ("exec", ["/bin/sleep", "100"], [])]), {}, theirs)
        finally:
            os._exit(99)
    theirs.close()
    ours.close()
    os.close(pidfd)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 1


def test_nothing_is_inherited(tmp_path: Path) -> None:
    """No descriptor, not even one that is not close-on-exec; no ignored, blocked or handled signal; no odd umask."""
    secret = os.open("/etc/shadow", os.O_RDONLY)
    os.set_inheritable(secret, True)
    reading, writing = os.pipe()
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    signal.signal(signal.SIGUSR2, lambda *_: None)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    try:
        script = "ls /proc/self/fd | tr '\\n' ' '; grep -E 'Sig(Ign|Blk|Cgt)' /proc/self/status; umask"
        command = ["/bin/busybox", "sh", "-c", script]
        code, outcome = spawn_here(
            plan([("stdio", "null", "out", "out"), ("close-fds",), ("exec", command, ["PATH=/bin"])]), out=writing
        )
    finally:
        signal.signal(signal.SIGUSR1, signal.SIG_DFL)
        signal.signal(signal.SIGUSR2, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
        os.close(secret)
        os.close(writing)
    with open(reading) as stream:
        words = stream.read().split()
    assert (code, outcome.failure) == (0, None)
    assert words == ["0", "1", "2", "3", "SigBlk:", "0" * 16, "SigIgn:", "0" * 16, "SigCgt:", "0" * 16, "0022"]


def test_no_handler_of_the_launcher_runs_in_a_child() -> None:
    """Not even before the child has reset them: the kernel does it in clone."""
    seen: list[int] = []
    previous = signal.signal(signal.SIGTERM, lambda number, frame: seen.append(os.getpid()))
    try:
        pid, pidfd = p.clone3(0)
        if pid == 0:
            os.kill(os.getpid(), signal.SIGTERM)
            os._exit(0)
        os.close(pidfd)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGTERM
        assert seen == []
    finally:
        signal.signal(signal.SIGTERM, previous)


def test_the_launchers_own_pid_namespace_stays_when_a_child_is_born_in_another(tmp_path: Path) -> None:
    box = Box(tmp_path)
    first, _ = box.start([*box.root(), *box.mounts(), ("pivot", 0), *box.become("sleep", "60")])
    try:
        before = os.readlink("/proc/self/ns/pid_for_children")
        box.clone, box.pidns = 0, "target"
        result = box.run([("stdio", "null", "out", "out"), ("exec", ["/bin/sh", "-c", "echo $$"], [])], target=first.pidfd)
        assert result.output == "2\n"
        assert os.readlink("/proc/self/ns/pid_for_children") == before
    finally:
        p.pidfd_send_signal(first.pidfd, signal.SIGKILL)
        reap(first)
    with pytest.raises(SpawnError) as caught:  # the namespace has died with its first process
        dead = os.open("/proc/self/ns/net", os.O_RDONLY)  # not even a pid namespace
        box.run([("exit", 0)], target=dead)
    os.close(dead)
    assert caught.value.where == "clone"
    assert os.readlink("/proc/self/ns/pid_for_children") == before


VETH = """
import subprocess, sys
from pathlib import Path
from firkin.linux.netlink import Netlink
from tests.runtime.box import Box
with Netlink() as netlink:
    index = netlink.create_bridge("br0", "02:42:0a:00:00:01")
    netlink.add_address("br0", "10.0.0.1", 24)
box = Box(Path(sys.argv[1]))
box.parent = [("veth", "veth1", index, "eth0", "02:42:0a:00:00:02", 1400, "")]
inside = [("wait-parent",), ("link-up", "lo"), ("address", "eth0", "10.0.0.2", 24), ("link-up", "eth0"),
          ("route", "0.0.0.0/0", "10.0.0.1", "eth0")]
result = box.shell("cat /sys/class/net/eth0/address /sys/class/net/eth0/mtu; ip route; ping -c1 -W5 10.0.0.1 | grep -c ttl",
                   ("mount", "sysfs", "sysfs", "/sys", 15, [], "dir"), *inside)
print(result.output, result.failure)
"""


def test_a_network_interface_is_there_before_the_program(tmp_path: Path) -> None:
    command = ["unshare", "-nm", "--propagation", "private", sys.executable, "-c", VETH, str(tmp_path)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=30 * SLOWNESS, cwd=Path(__file__).parents[2])
    lines = run.stdout.splitlines()
    assert lines[:3] == ["02:42:0a:00:00:02", "1400", "default via 10.0.0.1 dev eth0 "], run
    assert lines[-2:] == ["1", " None"]


def test_outcomes() -> None:
    outcome = Outcome()
    assert not outcome.feed(marshal.dumps("console"), [5])
    assert not outcome.feed(marshal.dumps("sockets"), [6, 7])
    assert not outcome.feed(marshal.dumps((3, 2, "/x")), [])
    assert outcome.feed(b"", [])
    assert (outcome.console, outcome.sockets, outcome.failure, outcome.done) == (5, [6, 7], (3, 2, "/x"), True)
