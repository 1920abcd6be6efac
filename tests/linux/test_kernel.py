"""`linux.syscalls`, `process`, `capabilities`, `tty` and `mount`: what they say is what the kernel does."""

from __future__ import annotations

import errno
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.lab import SLOWNESS

from firkin.linux import capabilities, process, syscalls, tty

HEADERS = {
    "x86_64": Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
    "aarch64": Path("/usr/include/asm-generic/unistd.h"),
}


@pytest.mark.parametrize("machine", list(HEADERS))
def test_numbers_are_the_kernels(machine: str) -> None:
    if not HEADERS[machine].exists():
        pytest.skip("needs linux-libc-dev")
    listed = dict(re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", HEADERS[machine].read_text()))
    column = list(HEADERS).index(machine)
    wrong = {name: row[column] for name, row in syscalls._TABLE.items() if int(listed.get(name, row[column])) != row[column]}
    assert wrong == {}


def test_a_failed_call_names_itself_or_its_object() -> None:
    with pytest.raises(OSError) as caught:
        syscalls.call("umount2", b"/no/such/place", 0)
    assert (caught.value.errno, caught.value.filename) == (errno.ENOENT, "umount2")
    with pytest.raises(ValueError):
        syscalls.cstring("cut\0short")


def in_child(work) -> int:
    """The exit code of a forked child that does `work`; 99 if it raises."""
    if (pid := os.fork()) == 0:
        try:
            code = work() or 0
        except BaseException as error:
            os.write(2, repr(error).encode())
            code = 99
        os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_clone3_makes_namespaces_and_a_pidfd() -> None:
    reading, writing = os.pipe()
    pid, pidfd = process.clone3(process.CLONE_NEWPID | process.CLONE_NEWUTS)
    if pid == 0:
        process.set_hostname("clone")
        process.set_domainname("example")
        os.write(writing, f"{os.getpid()} {os.uname().nodename}".encode())
        signal.pause()
    assert os.read(reading, 100) == b"1 clone"
    assert os.uname().nodename != "clone"
    assert not os.get_inheritable(pidfd)
    assert process.start_time(pid) > process.start_time(1)
    process.pidfd_send_signal(pidfd, signal.SIGKILL)
    os.waitid(os.P_PIDFD, pidfd, os.WEXITED)
    for fd in (reading, writing, pidfd):
        os.close(fd)


def test_a_child_born_in_a_cgroup() -> None:
    mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines() if " - cgroup2 " in line]
    if not mounts:
        pytest.skip("needs cgroup version 2, alone or beside version 1")
    group = Path(mounts[0]) / f"firkin-test-{os.getpid()}"
    group.mkdir()
    directory = os.open(group, os.O_RDONLY | os.O_DIRECTORY)
    try:
        pid, pidfd = process.clone3(0, directory)
        if pid == 0:
            signal.pause()
        assert f"0::/{group.name}\n" in Path(f"/proc/{pid}/cgroup").read_text()
        process.pidfd_send_signal(pidfd, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(pidfd)
    finally:
        os.close(directory)
        group.rmdir()


def test_unshare_and_setns() -> None:
    def work() -> bool:
        before = os.open("/proc/self/ns/uts", os.O_RDONLY)
        process.unshare(process.CLONE_NEWUTS)
        process.set_hostname("away")
        process.setns(before, process.CLONE_NEWUTS)
        return os.uname().nodename == "away"

    assert in_child(work) == 0


def test_rlimits() -> None:
    def work() -> bool:
        process.set_rlimit(4, 0, -1 if process.get_rlimit(4)[1] == process.RLIM_INFINITY else process.get_rlimit(4)[1])
        process.set_rlimit(7, 10, 20)
        return process.get_rlimit(7) != (10, 20)

    assert in_child(work) == 0


def test_capabilities_can_only_shrink() -> None:
    chown, kill = 1, 1 << 5

    def work() -> bool:
        capabilities.limit_bounding(chown | kill)
        assert capabilities.in_bounding(0) and not capabilities.in_bounding(21)
        capabilities.set_(kill, chown | kill, kill)
        capabilities.set_ambient(kill)
        assert capabilities.get() == (kill, chown | kill, kill)
        with pytest.raises(PermissionError):
            capabilities.set_(kill, chown | kill | 1 << 21, 0)
        return False

    assert in_child(work) == 0


def test_signals_are_reset_behind_the_interpreters_back() -> None:
    def work() -> bool:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
        process.reset_signals()
        os.kill(os.getpid(), signal.SIGTERM)
        return True

    assert in_child(work) == -signal.SIGTERM


MOUNTS = """
import os, sys
from firkin.linux import mount as m, tty, overlay
base = sys.argv[1]
def fails(*arguments):
    try:
        m.filesystem(*arguments)
    except OSError as error:
        return error.filename
print(fails("nosuchfs", "", 0, []),
      fails("tmpfs", "t", 0, ["size=much"]), fails("tmpfs", "t", 0, ["huge=always", "x"]), sep="|")

os.mkdir(f"{base}/dev"); os.mkdir(f"{base}/dev/pts"); os.mkdir(f"{base}/bound")
place = os.open(f"{base}/dev/pts", os.O_PATH)
m.attach(m.filesystem("devpts", "devpts", m.MOUNT_ATTR_NOEXEC, ["newinstance", "ptmxmode=0666"]), place)
master, slave = tty.open_pty(os.open(base, os.O_PATH))
tty.set_size(master, 40, 132)
name = os.readlink(f"/proc/self/fd/{slave}").rpartition("/")[2]
print(name, os.get_terminal_size(slave), os.listdir(f"{base}/dev/pts"), sep="|")

tree = m.tree(f"{base}/dev", recursive=True)
m.attach_with(tree, os.open(f"{base}/bound", os.O_PATH), [(m.MOUNT_ATTR_RDONLY, 0, 0, False)])
print(os.statvfs(f"{base}/bound").f_flag & 1, os.statvfs(f"{base}/bound/pts").f_flag & 1, os.path.exists(f"{base}/bound/pts/0"))
m.change(tree, (m.MOUNT_ATTR_NOATIME, m.MOUNT_ATTR_RDONLY, m.MS_SHARED, True))
info = next(line for line in open("/proc/self/mountinfo") if line.split()[4] == f"{base}/bound")
print("noatime" in info, "shared:" in info, os.statvfs(f"{base}/bound").f_flag & 1)
m.make_parent_private(f"{base}/bound/pts/..")
m.umount(f"{base}/bound", m.MNT_DETACH)
try:
    overlay.attach(base, [f"{base}/dev"], f"{base}/dev", f"{base}/bound", ["x"])
except OSError as error:
    print(error.filename)
"""


def test_mounts_terminals_and_the_kernels_explanations(tmp_path: Path) -> None:
    command = ["unshare", "-m", "--propagation", "private", sys.executable, "-c", MOUNTS, str(tmp_path)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=30 * SLOWNESS, cwd=Path(__file__).parents[2])
    assert run.returncode == 0, run.stderr
    refusals, terminal, attributes, changed, layers = run.stdout.splitlines()
    assert refusals == "nosuchfs|tmpfs: Bad value for 'size'|tmpfs: Unknown parameter 'x'"
    assert terminal == "0|os.terminal_size(columns=132, lines=40)|['0', 'ptmx']"
    assert attributes == "1 0 True"
    assert changed == "True True 0"
    release = tuple(int(part) for part in os.uname().release.split(".")[:2])
    assert layers == ("overlay: Unknown parameter 'x'" if release >= (6, 5) else "overlay")  # older ones tell their log


def test_ordinary_files_are_no_terminals(tmp_path: Path) -> None:
    (tmp_path / "dev/pts").mkdir(parents=True)
    (tmp_path / "dev/pts/ptmx").touch()
    root = os.open(tmp_path, os.O_PATH)
    with pytest.raises(OSError) as caught:
        tty.open_pty(root)
    os.close(root)
    assert caught.value.errno == errno.ENOTTY
