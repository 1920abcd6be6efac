"""`run`, from either command line to the kernel and back."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from tests.e2e.conftest import IMAGE
from tests.lab import Engine, wait_until


def test_prints_and_exits(client) -> None:
    assert client("run", "--rm", IMAGE, "echo", "hello").stdout == "hello\n"


@pytest.mark.parametrize(("argv", "code"), [
    (["true"], 0),
    (["sh", "-c", "exit 7"], 7),
    (["sh", "-c", "sh -c 'kill -9 $$'; exit $?"], 137),
    (["no-such-program"], 127),
    (["/no/such/program"], 127),
    (["/etc/passwd"], 126),
    (["/etc"], 126),
])  # fmt: skip
def test_exit_codes(client, argv: list[str], code: int) -> None:
    assert client("run", "--rm", IMAGE, *argv, check=False).returncode == code


def test_an_unknown_flag_image_or_bad_reference_is_125(client) -> None:
    for argv in (["--no-such-flag", IMAGE, "true"], ["--pull", "never", "nosuchimage", "true"], ["UPPER", "true"]):
        done = client("run", *argv, check=False)
        assert done.returncode == 125 and done.stderr, argv


def test_stdin_reaches_the_process_and_its_end_too(client) -> None:
    text = "".join(f"line {n}\n" for n in range(20000))
    assert client("run", "--rm", "-i", IMAGE, "cat", input=text).stdout == text


def test_streams_stay_apart(client) -> None:
    done = client("run", "--rm", IMAGE, "sh", "-c", "echo out; echo err >&2")
    assert (done.stdout, done.stderr) == ("out\n", "err\n")


def test_large_output_arrives_whole(client) -> None:
    done = client("run", "--rm", IMAGE, "seq", "200000")
    assert done.stdout == "".join(f"{n}\n" for n in range(1, 200001))


def test_environment_directory_user_and_hostname(client) -> None:
    script = "pwd; id -u; id -g; hostname; echo $A $B $HOME $PATH"
    done = client("run", "--rm", "-e", "A=1", "-e", "B=two words", "-w", "/made/here", "-u", "nobody", "-h", "box",
                  IMAGE, "sh", "-c", script)  # fmt: skip
    assert done.stdout.splitlines() == [
        "/made/here", "65534", "65534", "box", "1 two words /home /usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    ]  # fmt: skip


def test_supplementary_groups_come_from_the_image(client) -> None:
    assert client("run", "--rm", "-u", "nobody", IMAGE, "id", "-G").stdout.split() == ["65534", "10"]
    assert client("run", "--rm", "--group-add", "wheel", "-u", "5:6", IMAGE, "id", "-G").stdout.split() == ["6", "10"]
    done = client("run", "--rm", "-u", "stranger", IMAGE, "true", check=False)
    assert done.returncode == 125 and "unable to find user stranger" in done.stderr


def test_namespaces_are_the_containers_own(client) -> None:
    out = client("run", "--rm", IMAGE, "sh", "-c", "for n in mnt uts ipc pid net; do readlink /proc/self/ns/$n; done; echo $$")
    *inside, pid = out.stdout.split()
    assert pid == "1"
    assert not set(inside) & {os.readlink(f"/proc/self/ns/{kind}") for kind in ("mnt", "uts", "ipc", "pid", "net")}


def test_host_modes_share(client, engine: Engine) -> None:
    out = client("run", "--rm", "--pid", "host", "--ipc", "host", "--uts", "host", "--network", "host", IMAGE,
                 "sh", "-c", "for n in pid ipc uts net; do readlink /proc/self/ns/$n; done").stdout.split()  # fmt: skip
    assert out == [os.readlink(f"/proc/{engine.lab.pid}/ns/{kind}") for kind in ("pid", "ipc", "uts", "net")]


def test_container_modes_join(client) -> None:
    client("run", "-d", "--name", "owner", "--ipc", "shareable", IMAGE, "sleep", "1000")
    try:
        script = "for n in pid ipc net; do readlink /proc/1/ns/$n; done"
        own = client("exec", "owner", "sh", "-c", script).stdout
        joined = client("run", "--rm", "--pid", "container:owner", "--ipc", "container:owner", "--network", "container:owner",
                        IMAGE, "sh", "-c", script.replace("/1/", "/self/")).stdout  # fmt: skip
        assert joined == own
    finally:
        client("rm", "-f", "owner")


def test_shared_memory_is_lent_with_its_limit(client) -> None:
    """To one who joins, and by him to another. What he has he keeps when the lender ends."""
    client("run", "-d", "--name", "lender", "--ipc", "shareable", "--shm-size", "1m", IMAGE, "sleep", "1000")
    client("run", "-d", "--name", "borrower", "--ipc", "container:lender", IMAGE, "sleep", "1000")
    try:
        script = (
            "dd if=/dev/zero of=/dev/shm/x bs=1k count=2000 2>&1; stat -c '%a %u %s' /dev/shm /dev/shm/x; grep shm /proc/mounts"
        )
        said = client("run", "--rm", "--ipc", "container:borrower", IMAGE, "sh", "-c", script).stdout
        assert "No space left" in said and "1777 0 60\n644 0 1048576\n" in said
        assert "shm /dev/shm tmpfs rw,nosuid,nodev,noexec,relatime,size=1024k" in said
        client("rm", "-f", "lender")
        assert client("exec", "borrower", "stat", "-c", "%s", "/dev/shm/x").stdout == "1048576\n"
    finally:
        client("rm", "-f", "lender", "borrower", check=False)


def test_out_of_memory_is_told_when_it_happens(client) -> None:
    """A child is killed, the first process lives; it is no news at the end."""
    script = "trap 'exit 3' TERM; tail /dev/zero; while :; do sleep 0.05; done"
    hogs = client("run", "-d", "-m", "32m", "--memory-swap", "32m", IMAGE, "sh", "-c", script).stdout.strip()
    try:
        wait_until(lambda: actions(client, hogs) == ["create", "start", "oom"], 30)
        state = json.loads(client("inspect", hogs).stdout)[0]["State"]
        assert state["Status"] == "running" and state["OOMKilled"] is True
        client("stop", hogs)
        state = json.loads(client("inspect", hogs).stdout)[0]["State"]
        assert state["OOMKilled"] is True and state["ExitCode"] == 3
        wait_until(lambda: actions(client, hogs)[3:] == ["kill", "die", "stop"], 30)
    finally:
        client("rm", "-f", hogs)


def actions(client, container: str) -> list[str]:
    """What its events say happened to it, up to this second's beginning."""
    words = ("--since", "1", "--until", "0s", "--filter", f"container={container}", "--format", "{{.Action}}")
    return client("events", *words).stdout.split()


def test_a_memory_limit_is_enforced_and_told(client) -> None:
    client("run", "--name", "hog", "-m", "32m", IMAGE, "sh", "-c", "tail /dev/zero", check=False)
    state = json.loads(client("inspect", "hog").stdout)[0]["State"]
    client("rm", "hog")
    assert state["OOMKilled"] is True and state["ExitCode"] == 137


def test_limits_are_there_before_the_first_instruction(client) -> None:
    script = "cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/pids/pids.max 2>/dev/null || " \
             "cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/pids.max"  # fmt: skip
    assert client("run", "--rm", "-m", "64m", "--pids-limit", "55", IMAGE, "sh", "-c", script).stdout.split() == [
        "67108864",
        "55",
    ]


def test_default_capabilities_seccomp_and_no_new_privileges(client) -> None:
    status = dict(
        line.split(":\t") for line in client("run", "--rm", "--security-opt", "no-new-privileges", IMAGE, "cat",
                                             "/proc/self/status").stdout.splitlines() if ":\t" in line
    )  # fmt: skip
    assert status["CapEff"] == status["CapBnd"] == "00000000a80425fb"
    assert status["Seccomp"] == "2" and status["NoNewPrivs"] == "1"


def test_capabilities_can_be_added_and_dropped(client) -> None:
    def effective(*flags: str) -> int:
        out = client("run", "--rm", *flags, IMAGE, "grep", "CapEff", "/proc/self/status").stdout
        return int(out.split()[1], 16)

    assert effective("--cap-drop", "ALL") == 0
    assert effective("--cap-drop", "ALL", "--cap-add", "NET_ADMIN") == 1 << 12
    ours = int(Path("/proc/self/status").read_text().split("CapEff:")[1].split()[0], 16)
    assert effective("--privileged") == ours


def test_masked_and_readonly_paths(client) -> None:
    out = client("run", "--rm", IMAGE, "sh", "-c",
                 "cat /proc/keys /proc/timer_list /proc/interrupts 2>/dev/null | wc -c; echo x > /proc/sys/kernel/hostname || echo ro")  # fmt: skip
    assert out.stdout.split() == ["0", "ro"]


def test_readonly_root_tmpfs_and_shm(client) -> None:
    script = "touch /x 2>/dev/null || echo ro; touch /scratch/x && echo rw; df -k /dev/shm | tail -1 | awk '{print $2}'"
    out = client("run", "--rm", "--read-only", "--tmpfs", "/scratch:size=1m", "--shm-size", "8m", IMAGE, "sh", "-c", script)
    assert out.stdout.split() == ["ro", "rw", "8192"]


def test_rlimits_sysctls_and_oom_score(client) -> None:
    out = client("run", "--rm", "--ulimit", "nofile=100:200", "--sysctl", "net.ipv4.ip_forward=1", "--oom-score-adj", "300",
                 IMAGE, "sh", "-c", "ulimit -Sn; ulimit -Hn; cat /proc/sys/net/ipv4/ip_forward /proc/self/oom_score_adj")  # fmt: skip
    assert out.stdout.split() == ["100", "200", "1", "300"]


def test_devices(client) -> None:
    assert client("run", "--rm", "--device", "/dev/loop-control:/dev/lc:r", IMAGE, "sh", "-c",
                  "(: < /dev/lc) && echo read; (: > /dev/lc) || echo denied").stdout.split() == ["read", "denied"]  # fmt: skip
    denied = client(
        "run", "--rm", "--cap-add", "MKNOD", IMAGE, "sh", "-c", "mknod /d b 8 0 && head -c1 /d || echo denied", check=False
    )
    assert "denied" in denied.stdout


def test_binds(client, tmp_path: Path) -> None:
    (tmp_path / "in").write_text("from the host")
    out = client("run", "--rm", "-v", f"{tmp_path}:/mnt/data", IMAGE, "sh", "-c", "cat /mnt/data/in; echo back > /mnt/data/out")
    assert out.stdout == "from the host" and (tmp_path / "out").read_text() == "back\n"
    done = client("run", "--rm", "-v", f"{tmp_path}:/mnt:ro", IMAGE, "touch", "/mnt/x", check=False)
    assert done.returncode == 1 and "Read-only" in done.stderr
    missing = client("run", "--rm", "--mount", "type=bind,src=/no/such/dir,dst=/x", IMAGE, "true", check=False)
    assert missing.returncode == 125 and "bind source path does not exist" in missing.stderr


def test_an_init_reaps(client) -> None:
    out = client("run", "--rm", "--init", IMAGE, "sh", "-c", "cat /proc/1/comm; (sleep 0.1 &) ; sleep 0.4; ps | grep -c '[d]efunct'",
                 check=False)  # fmt: skip
    lines = out.stdout.split()
    assert lines[0] in ("docker-init", "tini", "tini-static", "catatonit") and lines[-1] == "0"


def test_125_layers(client, engine: Engine, tmp_path: Path) -> None:
    """No limit from the mount option page: an image of 125 layers, each with a file of its own."""
    out = subprocess.run(["python3", str(Path(__file__).parent / "many_layers.py"), str(tmp_path / "deep.tar"), "125"],
                         capture_output=True, text=True, check=True)  # fmt: skip
    client("load", "-i", str(tmp_path / "deep.tar"))
    try:
        assert client("run", "--rm", "deep:latest", "sh", "-c", "ls /layers | wc -l").stdout.strip() == "125", out
    finally:
        client("rmi", "-f", "deep:latest")


def test_run_leaves_nothing(client, engine: Engine) -> None:
    def traces() -> list[object]:
        return [
            sorted(os.listdir(engine.dir / "data/containers")),
            sorted(os.listdir(engine.dir / "data/snapshots")),
            sorted(link["ifname"] for link in json.loads(engine.lab.run("ip", "-j", "link").stdout)),
            engine.lab.run("cat", "/proc/mounts").stdout,
            sorted(os.listdir(engine.dir / "exec/running")) + sorted(os.listdir(engine.dir / "exec/exited")),
        ]

    before = traces()
    client("run", "--rm", "-p", "127.0.0.1:8099:80", "-v", "/data", IMAGE, "true")
    client("run", "--rm", IMAGE, "no-such-program", check=False)
    client("run", "--rm", "-v", "/x", "-u", "stranger", IMAGE, "true", check=False)
    wait_until(lambda: traces() == before, 10, lambda: f"{before}\n{traces()}")


def test_plan_prints_the_steps_and_runs_nothing(engine: Engine) -> None:
    out = engine.firkin("run", "--plan", IMAGE, "touch", "/tmp/x").stdout
    assert engine.firkin("ps", "-aq").stdout == ""
    for words in ("overlay", "/proc", "make the new root the root", "system call filter", "touch"):
        assert words in out, out
