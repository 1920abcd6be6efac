"""Plans obeyed by the real child on the real kernel: what a process inside finds, and what it cannot do."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.lab import SLOWNESS

RUNNER = Path(__file__).with_name("plan_runner.py")
APPLETS = "sh cat chmod echo env grep head hostname id ls mkdir mount ps pwd sleep sort stat stty touch tty umount unshare"

pytestmark = pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("busybox"), reason="needs root and busybox-static")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root file system of one static program."""
    root = tmp_path / "root"
    (root / "bin").mkdir(parents=True)
    (root / "etc").mkdir()
    shutil.copy(shutil.which("busybox") or "", root / "bin/busybox")
    for name in APPLETS.split():
        (root / "bin" / name).symlink_to("busybox")
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\nbob:x:1000:1000:Bob:/home/bob:/bin/sh\n")
    (root / "etc/group").write_text("root:x:0:\nbob:x:1000:\naudio:x:29:bob\nvideo:x:44:\n")
    return root


def run(root: Path, script: str | list[str], **request: Any) -> dict[str, Any]:
    argv = ["sh", "-c", script] if isinstance(script, str) else script
    wanted = json.dumps({"root": str(root), "argv": argv, **request})
    command = ["unshare", "-nm", "--propagation", "private", sys.executable, str(RUNNER), wanted]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, capture_output=True, text=True, timeout=60 * SLOWNESS, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def lines(root: Path, script: str, **request: Any) -> list[str]:
    result = run(root, script, **request)
    assert "failed" not in result, result["failed"]
    found: list[str] = result["out"].splitlines()
    return found


SELF_PORTRAIT = """exec 2>&1
grep -E 'Cap|NoNew|Seccomp:' /proc/self/status
ls -l /dev | grep -vE '^total|core|shm|mqueue|pts'
env | sort; hostname; pwd; ls -l /proc/self/fd | grep -cE ' [012] -> '
cat /proc/self/oom_score_adj /proc/sys/net/ipv4/ip_unprivileged_port_start
cat /proc/net/dev | grep -c :
sort -k5 /proc/self/mountinfo | while read id parent dev from to options rest; do echo $to $options; done | grep -v cgroup
ps -o pid,args | head -2
mkdir /sys/x; mkdir /proc/sys/x; unshare -U true; mount -t tmpfs x /mnt; echo hello
"""


@pytest.mark.reference
@pytest.mark.skipif(not shutil.which("runc"), reason="needs runc")
@pytest.mark.parametrize(
    "host", [{}, {"privileged": True}, {"cap_drop": ["ALL"], "readonly_rootfs": True, "oom_score_adj": 50}]
)
def test_a_process_finds_what_runc_would_have_given_it(root: Path, host: dict[str, Any]) -> None:
    ours = lines(root, SELF_PORTRAIT, host=host)
    theirs = lines(root, SELF_PORTRAIT, host=host, runc=True)
    assert without_dates(ours) == without_dates(theirs)


def without_dates(found: list[str]) -> list[str]:
    """Nodes were made at different times; runc's null device, with which it hides files, is on another file system."""
    kept = (line.split(" Nov ")[0] if line[:1] in "clb" else line for line in found)
    return [
        line for line in kept if not line.startswith(("/proc/interrupts ", "/proc/keys ", "/proc/timer_list ", "/proc/kcore "))
    ]


def test_the_user_is_the_images(root: Path) -> None:
    config = {"user": "bob", "working_dir": "/made/on/demand"}
    found = lines(
        root,
        "id; pwd; echo $HOME; grep -E 'CapEff|CapBnd' /proc/self/status",
        config=config,
        host={"group_add": ["video", "77"]},
    )
    assert found == [
        "uid=1000(bob) gid=1000(bob) groups=29(audio),44(video),77,1000(bob)",
        "/made/on/demand",
        "/home/bob",
        "CapEff:\t0000000000000000",
        "CapBnd:\t00000000a80425fb",
    ]


def test_limits_and_parameters(root: Path) -> None:
    host = {
        "resources": {"ulimits": [{"name": "nofile", "soft": 100, "hard": 200}, {"name": "core", "soft": -1, "hard": -1}]},
        "sysctls": {"net.ipv4.ip_forward": "1", "kernel.shm_rmid_forced": "1"},
        "security_opt": ["no-new-privileges"],
        "shm_size": 1 << 20,
    }
    script = """ulimit -n; ulimit -Hn; ulimit -c; cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/shm_rmid_forced
    grep -E 'NoNewPrivs|Seccomp:' /proc/self/status; stat -fc %b /dev/shm"""
    assert lines(root, script, host=host) == ["100", "200", "unlimited", "1", "1", "NoNewPrivs:\t1", "Seccomp:\t2", "256"]


def test_a_terminal(root: Path) -> None:
    found = lines(
        root,
        "tty; stty size; echo $TERM; stat -c %t:%T /dev/console; ps -o pid,tty | head -2",
        config={"tty": True},
        host={"console_size": [33, 77]},
    )
    assert found[:3] == ["/dev/pts/0", "33 77", "xterm"]
    assert found[-1].split() == ["1", "136,0"]


def test_host_files_behind_hidden_ones_cannot_be_changed(root: Path) -> None:
    """The null device over hidden files, and as standard input, is the host's own inode: chmod would reach it."""
    before = os.stat("/dev/null")
    found = lines(
        root, "for f in /proc/keys /proc/timer_list /proc/self/fd/0; do chmod 666 $f || touch $f || echo safe; done 2>/dev/null"
    )
    assert found == ["safe"] * 3
    after = os.stat("/dev/null")
    assert (after.st_ctime_ns, after.st_mode) == (before.st_ctime_ns, before.st_mode)


# --- mounts --------------------------------------------------------------------------------------------------------
def nested_volume(tmp_path: Path) -> tuple[str, dict[str, Any]]:
    """(shell commands that make it, its record): a directory with another mount below."""
    volume = tmp_path / "volume"
    below = volume / "below"
    below.mkdir(parents=True)
    return f"mount -t tmpfs x {below}", {"type": "bind", "source": str(volume), "destination": "/v", "read_write": False}


@pytest.mark.parametrize(
    ("request_", "top", "below"),
    [
        (None, "ro", "ro"),
        ({"read_only_non_recursive": True}, "ro", "rw"),
        ({"non_recursive": True}, "ro", "absent"),
    ],
)
def test_read_only_reaches_the_mounts_below(tmp_path: Path, root: Path, request_: Any, top: str, below: str) -> None:
    before, volume = nested_volume(tmp_path)
    if request_:
        volume["request"] = {"type": "bind", "target": "/v", "source": volume["source"], **request_}
    script = """touch /v/x 2>/dev/null && echo rw || echo ro
    grep -q ' /v/below ' /proc/self/mountinfo || { echo absent; exit; }
    touch /v/below/x 2>/dev/null && echo rw || echo ro"""
    assert lines(root, script, mounts=[volume], before=before) == [top, below]


@pytest.mark.parametrize(("propagation", "seen_inside", "seen_outside"), [("", 0, 0), ("rslave", 1, 0), ("rshared", 1, 1)])
def test_mounts_travel_as_the_propagation_says(
    tmp_path: Path, root: Path, propagation: str, seen_inside: int, seen_outside: int
) -> None:
    volume = tmp_path / "volume"
    for name in ("from-host", "from-inside"):
        (volume / name).mkdir(parents=True)
    before = f"mount -t tmpfs x {volume} && mkdir {volume}/from-host {volume}/from-inside && mount --make-shared {volume}"
    # The host mounts while the container runs, and the other way round; the exec stands for "later".
    result = run(
        root,
        ["sh", "-c", "mount -t tmpfs y /v/from-inside; sleep 5"],
        host={"privileged": True},
        mounts=[{"type": "bind", "source": str(volume), "destination": "/v", "propagation": propagation}],
        before=before,
        during=f"mount -t tmpfs z {volume}/from-host",
        exec=["sh", "-c", "grep -c /v/from-host /proc/self/mountinfo"],
        after=f"grep -c {volume}/from-inside /proc/self/mountinfo || true",
    )
    assert (int(result["exec_out"]), int(result["after"])) == (seen_inside, seen_outside)


def test_files_and_tmpfs(tmp_path: Path, root: Path) -> None:
    (tmp_path / "hosts").write_text("127.0.0.1 localhost\n")
    found = lines(
        root,
        "cat /etc/hosts; grep ' /t' /proc/self/mountinfo | grep -c 'nosuid,nodev,relatime.*size=1024k'; stat -c %a /t",
        files={"/etc/hosts": str(tmp_path / "hosts")},
        host={"tmpfs": {"/t": "exec,size=1m,mode=700"}},
    )
    assert found == ["127.0.0.1 localhost", "1", "700"]


def test_devices_are_made_and_nothing_of_the_hosts_dev_is_there(root: Path) -> None:
    host = {"resources": {"devices": [{"path_on_host": "/dev/loop-control", "path_in_container": "/dev/lc"}]}}
    assert lines(root, "stat -c '%F %t:%T' /dev/lc; ls /dev/loop-control 2>&1", host=host)[0] == "character special file a:ed"


# --- joining -------------------------------------------------------------------------------------------------------
def test_exec_joins_with_its_own_user_and_environment(root: Path) -> None:
    script = """id; pwd; echo $A-$HOME-$HOSTNAME; ps | grep -c 'sleep [9]'; ls /proc/self/fd
    grep -E 'CapInh|CapEff|Seccomp:' /proc/self/status"""
    result = run(
        root, ["sleep", "9"], exec=["sh", "-c", script], exec_request={"user": "bob", "env": ["A=1"], "working_dir": "/etc"}
    )
    assert result["exec_out"].splitlines() == [
        "uid=1000(bob) gid=1000(bob) groups=29(audio),1000(bob)",
        "/etc",
        "1-/home/bob-box",
        "1",
        *("0", "1", "2", "3"),  # 3 is ls's own
        "CapInh:\t0000000000000000",
        "CapEff:\t0000000000000000",
        "Seccomp:\t2",
    ]


def test_exec_with_a_terminal_and_all_privileges(root: Path) -> None:
    result = run(
        root,
        ["sleep", "9"],
        exec=["sh", "-c", "tty; grep CapEff /proc/self/status"],
        exec_request={"tty": True, "privileged": True},
    )
    terminal, capabilities = result["exec_out"].split("\r\n")[:2]
    assert terminal == "/dev/pts/0"
    own = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("CapPrm"))
    assert capabilities.split()[1] == own.split()[1]


# --- failures name the step ----------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("argv", "request_", "message"),
    [
        (["nosuch"], {}, 'execute nosuch: exec: "nosuch": executable file not found in $PATH'),
        (["/etc"], {}, 'execute /etc: exec: "/etc": is a directory'),
        (["id"], {"config": {"user": "eve"}}, "unable to find user eve: no matching entries in passwd file"),
        (["id"], {"config": {"working_dir": "/bin/sh"}}, "/bin/sh"),
        (["id"], {"mounts": [{"type": "bind", "source": "/nonexistent", "destination": "/v"}]}, "bind /nonexistent on /v"),
        (["id"], {"host": {"tmpfs": {"/t": "size=lots"}}}, "mount tmpfs on /t"),
        (["id"], {"host": {"sysctls": {"net.nosuch": "1"}}}, "set net.nosuch = 1"),
    ],
)
def test_a_failure_names_its_step(root: Path, argv: list[str], request_: dict[str, Any], message: str) -> None:
    assert message in run(root, argv, **request_)["failed"]
