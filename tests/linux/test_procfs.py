"""What is read of a process in /proc, beside what the process knows of itself."""

from __future__ import annotations

import os
import resource
import subprocess

import pytest

from firkin.linux import procfs


def test_of_this_very_process() -> None:
    pid = os.getpid()
    assert (
        procfs.namespaces(pid) == procfs.namespaces("self")
        and procfs.namespaces(pid)["mnt"] == os.stat("/proc/self/ns/mnt").st_ino
    )
    assert procfs.status(pid)["Pid"] == str(pid)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert ("Max open files", str(soft), str(hard)) in procfs.limits(pid)
    read, write = os.pipe()
    try:
        assert dict(procfs.descriptors(pid))[read] == os.readlink(f"/proc/self/fd/{write}")
    finally:
        os.close(read)
        os.close(write)
    assert procfs.mounts(pid)[0].target.startswith("/") and procfs.groups(pid) and procfs.id_map(pid, "uid_map")


def test_a_mount_line() -> None:
    line = procfs.MountLine(
        r"36 35 98:0 /mnt\0401 /mnt2\134x rw,noatime master:1 shared:7 - ext3 /dev/ro\040ot rw,errors=continue"
    )
    assert (line.number, line.parent, line.device, line.kind) == (36, 35, "98:0", "ext3")
    assert (line.root, line.target, line.source) == ("/mnt 1", "/mnt2\\x", "/dev/ro ot")
    assert (line.options, line.propagation, line.details) == ("rw,noatime", ["master:1", "shared:7"], "rw,errors=continue")


def test_a_process_that_has_ended_is_noticed() -> None:
    child = subprocess.Popen(["sleep", "100"])
    pidfd = os.pidfd_open(child.pid)
    try:
        assert not procfs.has_ended(pidfd)
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert procfs.has_ended(pidfd)  # a zombie is dead, too
        with pytest.raises(OSError):
            procfs.namespaces(child.pid)
            procfs.mounts(child.pid)
    finally:
        child.wait()
        os.close(pidfd)
