"""Doors of the kernel that no namespace closes: system calls, devices, keys, groups with agents, parameters of the host's."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from tests.attacks.rig import CALL, IMAGE, PYTHON, PYTHON3, Rig

pytestmark = pytest.mark.skipif(os.uname().machine != "x86_64", reason="call numbers of x86_64")

NEW_USER = 0x10000000

# What Docker's profile of today refuses, by a real attempt: (number, arguments...).
REFUSED: dict[str, tuple[int, ...]] = {
    "a new user namespace": (272, NEW_USER),
    "a child in a new user namespace": (56, NEW_USER | 17),
    "AF_ALG": (41, 38, 5, 0),
    "AF_VSOCK": (41, 40, 1, 0),
    "add_key": (248,),
    "request_key": (249,),
    "keyctl": (250, 1),
    "bpf": (321,),
    "perf_event_open": (298,),
    "userfaultfd": (323,),
    "io_uring_setup": (425, 1),
    "open_by_handle_at": (304,),
    "mount": (165,),
    "move_mount": (429,),
    "setns": (308,),
    "kexec_load": (246,),
    "init_module": (175,),
    "pidfd_getfd": (438,),
    "process_madvise": (440,),
    "kcmp": (312,),
    "reboot": (169,),
    "swapon": (167,),
    "settimeofday": (164,),
    "iopl": (172, 3),
    "syslog": (103, 3),
}
TRY = CALL + "import json, sys\nprint(json.dumps([call(*one) for one in json.loads(sys.argv[1])]))"


def attempts(rig: Rig, *flags: str, inside: str = "") -> dict[str, Any]:
    argv = [PYTHON3, "-IS", "-c", TRY, json.dumps(list(REFUSED.values()))]
    done = rig.engine.firkin("exec", inside, *argv) if inside else rig.run(*flags, *PYTHON, IMAGE, *argv)
    assert done.returncode == 0, done.stderr
    return dict(zip(REFUSED, json.loads(done.stdout), strict=True))


def test_dangerous_calls_are_refused_in_a_container_and_in_an_exec(rig: Rig) -> None:
    refused = dict.fromkeys(REFUSED, "EPERM")
    assert attempts(rig) == refused
    assert attempts(rig, "--user", "nobody", "--security-opt", "no-new-privileges") == refused
    with rig.held(*PYTHON, IMAGE, "sleep", "1000") as container:
        assert attempts(rig, inside=container) == refused


def test_without_the_filter_some_would_be_answered(rig: Rig) -> None:
    answers = attempts(rig, "--security-opt", "seccomp=unconfined")
    assert answers["a new user namespace"] == 0 and answers["io_uring_setup"] != "EPERM" and answers["keyctl"] != "EPERM"


# --- devices -------------------------------------------------------------------------------------------------------
NODES = [
    path for path in ("/dev/vda", "/dev/sda", "/dev/loop-control", "/dev/fuse", "/dev/kmsg", "/dev/kvm") if os.path.exists(path)
]
OPEN = """
import errno, json, os, sys
def attempt(kind, major, minor):
    os.mknod('/tmp/node', 0o600 | kind, os.makedev(major, minor))
    try: os.close(os.open('/tmp/node', os.O_RDONLY | os.O_NONBLOCK)); return 'open'
    except OSError as error: return errno.errorcode[error.errno]
    finally: os.unlink('/tmp/node')
print(json.dumps([attempt(*one) for one in json.loads(sys.argv[1])]))
"""


def opened(rig: Rig, nodes: list[str], *flags: str) -> list[str]:
    """What becomes of opening a node like each of these, made in the container."""
    found = [os.stat(path) for path in nodes]
    wanted = [[stat.S_IFMT(one.st_mode), os.major(one.st_rdev), os.minor(one.st_rdev)] for one in found]
    done = rig.run(*flags, *PYTHON, IMAGE, PYTHON3, "-IS", "-c", OPEN, json.dumps(wanted))
    assert done.returncode == 0, done.stderr
    answers: list[str] = json.loads(done.stdout)
    return answers


def test_a_node_can_be_made_but_not_opened(rig: Rig) -> None:
    """CAP_MKNOD is a default; the device cgroup is what stands before the host's disks. The null device shows that opening
    works, and a rule for one of the others that it is the rules that decide."""
    assert opened(rig, [*NODES, "/dev/null"]) == ["EPERM"] * len(NODES) + ["open"]
    if "/dev/loop-control" in NODES:
        assert opened(rig, ["/dev/loop-control"], "--device-cgroup-rule", "c 10:237 r") == ["open"]


def test_a_disk_that_is_bound_into_the_container(rig: Rig) -> None:
    disk = next((path for path in NODES if stat.S_ISBLK(os.stat(path).st_mode)), None)
    if disk is None:
        pytest.skip("this machine has no disk by a usual name")
    assert "Operation not permitted" in rig.shell("cat /disk | wc -c", f"-v{disk}:/disk:ro")


def test_a_node_in_an_image_or_from_outside_is_no_way_round(rig: Rig, tmp_path: Path) -> None:
    """Nor is a container that may do more, sharing a volume with one that may not."""
    rig.shell("mknod /v/memory c 1 1; mknod /v/log c 1 11", f"-v{tmp_path}:/v")
    found = rig.shell("cat /v/memory | wc -c; cat /v/log | wc -c", f"-v{tmp_path}:/v")
    assert found.count("Operation not permitted") == 2, found


# --- groups and parameters -----------------------------------------------------------------------------------------
def test_groups_are_seen_but_not_changed(rig: Rig) -> None:
    """Neither a release agent nor a limit: the views are read-only and begin at the container's own group, and no other
    hierarchy can be mounted (CVE-2022-0492)."""
    script = """
    for file in $(find /sys/fs/cgroup/ -name release_agent -o -name notify_on_release -o -name memory.limit_in_bytes \
        -o -name tasks -o -name cgroup.procs -o -name memory.max); do
        case $file in */release_agent) echo "agent: $file";; esac
        echo looked
        (echo 1 > $file) 2>/dev/null && echo "written: $file"
    done
    mkdir /tmp/c && mount -t cgroup -o memory cgroup /tmp/c && echo mounted
    mount -t cgroup2 cgroup /tmp/c && echo mounted
    mkdir /sys/fs/cgroup/*/x && echo made
    """
    found = rig.shell(script).splitlines()
    assert not [line for line in found if line.startswith(("agent", "written", "mounted", "made"))], found
    assert found.count("looked") > 3


def test_what_a_container_with_sys_admin_can_do_is_what_the_documentation_says(rig: Rig) -> None:
    """CAP_SYS_ADMIN without a user namespace is the host's for the taking, as with Docker where no AppArmor forbids mounts:
    /proc/sys can be made writable. The table in docs/security.md says so; should this fail, it is to be corrected."""
    script = (
        "mount -o remount,rw /proc/sys && cat /proc/sys/kernel/core_pattern > /proc/sys/kernel/core_pattern && echo written"
    )
    found = rig.shell(script, "--cap-add", "SYS_ADMIN")
    if Path("/sys/module/apparmor/parameters/enabled").exists():
        pytest.skip("AppArmor may forbid it here")
    assert found == "written\n"
    assert "written" not in rig.shell(script)


# --- keys, and processes of others -----------------------------------------------------------------------------------
KEYS = """
import ctypes, errno, json
libc = ctypes.CDLL(None, use_errno=True)
def call(*words):
    result = libc.syscall(*words)
    return errno.errorcode[ctypes.get_errno()] if result == -1 else result
SESSION = ctypes.c_long(-3)
found = call(250, 10, SESSION, b'user', b'attack', 0)
added = call(248, b'user', b'attack', b'secret', 6, SESSION)
print(json.dumps([call(250, 0, SESSION, 0), found, isinstance(added, int)]))
"""


def test_keys_of_one_session_are_not_anothers(rig: Rig) -> None:
    """Every container begins with a keyring of its own; seccomp, taken away here, keeps them from keys altogether."""
    first, second = (rig.python(KEYS, "--security-opt", "seccomp=unconfined") for _ in range(2))
    assert first[0] != second[0] and first[1:] == second[1:] == ["ENOKEY", True]


TRACE = CALL + "import json, sys\nprint(json.dumps([call(101, 16, int(pid), 0, 0) for pid in sys.argv[1:]]))"


def test_processes_of_others_cannot_be_traced(rig: Rig) -> None:
    """Not by the number they have on the host, nor by any in here: they are in nobody else's namespace."""
    with rig.held(IMAGE, "sleep", "1000") as victim:
        pids = [str(rig.pid(victim)), str(os.getpid()), str(rig.engine.helper("launcher"))]
        done = rig.run("--cap-add", "SYS_PTRACE", *PYTHON, IMAGE, PYTHON3, "-IS", "-c", TRACE, *pids)
        assert json.loads(done.stdout) == ["ESRCH"] * 3, done.stderr


def test_with_the_hosts_processes_in_sight_they_are_still_out_of_reach(rig: Rig) -> None:
    """--pid=host shows them; tracing one, or looking into it, takes more capabilities than it has itself."""
    pids = [str(os.getpid()), str(rig.engine.helper("launcher")), "1"]
    done = rig.run("--pid", "host", *PYTHON, IMAGE, PYTHON3, "-IS", "-c", TRACE, *pids)
    assert json.loads(done.stdout) == ["EPERM"] * 3, done.stderr
    script = "".join(f"ls /proc/{pid}/root/ /proc/{pid}/fd/ && echo seen\n" for pid in pids)
    assert "seen" not in rig.shell(script, "--pid", "host")
