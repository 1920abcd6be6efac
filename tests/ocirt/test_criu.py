"""Checkpoint and restore with a real CRIU, where one works on this kernel. What both runtimes are for is asked of runc too."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.ocirt.conftest import Bundle, Runtime, cgroups_called
from tests.ocirt.test_terminal import listening, read_until, receive_console

Wait = Callable[..., None]
# CRIU, and runc with it, have no use for what streams of a test's own lead to.
SILENT = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
COUNT = "n=0; while :; do n=$((n+1)); echo $n > /dev/shm/new; mv /dev/shm/new /dev/shm/count; sleep 0.05; done"
SERVE = "nc -l -p 7000 -e cat & while ! nc 127.0.0.1 7000 < /queue; do sleep 0.1; done > /got"


@pytest.fixture(scope="module")
def works() -> None:
    """A CRIU that works, or a skip that says what is missing."""
    if not shutil.which("criu"):
        pytest.skip("criu is not installed")
    done = subprocess.run(["criu", "check"], capture_output=True, text=True, timeout=60)
    if done.returncode:
        pytest.skip(f"this criu does not work on this kernel: {done.stderr.strip()[-200:]}")


class Box:
    """A runtime's container "box" (or `name`), and the directory of its checkpoints."""

    def __init__(self, runtime: Runtime, bundle: Bundle, place: Path, name: str) -> None:
        self.runtime, self.bundle, self.place, self.name = runtime, bundle, place, name
        self._logs = 0

    def __call__(self, *words: str, check: int | None = 0, **options: Any) -> str:
        """What the runtime logged."""
        self._logs += 1
        log = self.place / f"log-{self._logs}"
        options = {**SILENT, "timeout": 120, **options}
        done = subprocess.run(self.runtime.argv("--log", str(log), *words), **options)
        said = log.read_text() if log.exists() else ""
        assert check is None or done.returncode == check, f"{words}: exit {done.returncode}\n{said}"
        return said

    def start(self, script: str, *flags: str) -> Box:
        self.bundle.sh(script).write()
        self("run", "--detach", "--bundle", str(self.bundle.path), *flags, self.name)
        return self

    def checkpoint(self, *flags: str, images: str = "images", check: int = 0) -> str:
        return self("checkpoint", "--image-path", str(self.place / images), *flags, self.name, check=check)

    def restore(
        self, *flags: str, images: str = "images", name: str = "", detach: bool = True, check: int = 0, **options: Any
    ) -> str:
        self.bundle.write()
        bundle = ("--bundle", str(self.bundle.path), *(["--detach"] if detach else []))
        return self(
            "restore", *bundle, "--image-path", str(self.place / images), *flags, name or self.name, check=check, **options
        )

    def sh(self, script: str, name: str = "", check: int | None = 0) -> str:
        return self.runtime.call("exec", name or self.name, "sh", "-c", script, check=check).stdout

    def count(self, name: str = "") -> int:
        return int(self.sh("cat /dev/shm/count || echo 0", name))

    def state(self) -> dict[str, Any]:
        return self.runtime.state(self.name)

    def nothing_is_left(self) -> None:
        assert self.runtime.ids() == [] and cgroups_called(self.name) == []
        assert not (self.runtime.root / self.name).exists()


@pytest.fixture
def place(tmp_path: Path) -> Path:
    directory = tmp_path / "checkpoints"
    directory.mkdir()
    return directory


@pytest.fixture
def box(works: None, runtime: Runtime, bundle: Bundle, place: Path, monkeypatch: pytest.MonkeyPatch) -> Box:
    if runtime.name == "runc" and not shutil.which("ip6tables-restore"):  # which it has CRIU use in any case
        several = shutil.which("xtables-nft-multi")
        if not several:
            pytest.skip("ip6tables-restore is not installed")
        for name in ("iptables-restore", "ip6tables-restore"):
            (place / name).symlink_to(several)
        monkeypatch.setenv("PATH", str(place), prepend=":")
    return Box(runtime, bundle, place, f"criu-{os.getpid()}")


@pytest.fixture
def ours(works: None, oci: Runtime, bundle: Bundle, place: Path) -> Box:
    """Where runc does something else, or less."""
    return Box(oci, bundle, place, f"criu-{os.getpid()}")


@pytest.fixture
def writable(rootfs: Path, bundle: Bundle) -> Path:
    bundle.config["root"]["readonly"] = False
    return rootfs


def lives(pid: int) -> bool:
    """As more than a zombie that nobody has asked for yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def lacks(feature: str) -> bool:
    return subprocess.run(["criu", "check", "--feature", feature], capture_output=True, timeout=60).returncode != 0


def may_use_more() -> bool:
    """Whether there is CAP_SYS_RESOURCE (24, capabilities(7))."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("CapEff:"))
    return bool(int(line.split()[1], 16) >> 24 & 1)


def with_flock(bundle: Bundle) -> str:
    """A command that locks the file that is its 9: the host's, for busybox has none."""
    for directory in ("/usr", "/lib", "/lib64"):
        if Path(directory).exists():
            mount = {"destination": directory, "type": "bind", "source": os.path.realpath(directory), "options": ["bind", "ro"]}
            bundle.config["mounts"].append(mount)
    return "exec 9>/lock; /usr/bin/flock -n 9"


# --- there and back ------------------------------------------------------------------------------------------------
def test_a_container_goes_on_where_it_was(box: Box, wait_for: Wait) -> None:
    box.start(COUNT)
    wait_for(lambda: box.count() > 3)
    before, pid = box.count(), box.state()["pid"]
    box.checkpoint()
    box.nothing_is_left()
    assert not lives(pid)
    box.restore("--pid-file", str(box.place / "pid"))
    first = box.count()
    assert first >= before
    wait_for(lambda: box.count() > first)
    state = box.state()
    assert state["status"] == "running" and state["pid"] == int((box.place / "pid").read_text())


def test_a_restored_container_obeys(box: Box, wait_for: Wait) -> None:
    box.start(COUNT)
    wait_for(lambda: box.count() > 1)
    box.checkpoint()
    box.restore()
    pid = box.state()["pid"]
    groups = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    assert any(line.endswith("/" + box.name) for line in groups)
    assert "lo" in box.sh("ip link") and box.sh("hostname") == "box\n"
    if box.runtime.name != "runc":  # whose 1.1 leaves a process that is added with the host's clocks
        assert box.sh("readlink /proc/self/ns/time") == box.sh("readlink /proc/1/ns/time")
    box("pause", box.name)
    assert box.state()["status"] == "paused"
    box("resume", box.name)
    count = box.count()
    wait_for(lambda: box.count() > count)
    box("kill", box.name, "KILL")
    box.runtime.await_status("stopped", box.name)
    box("delete", box.name)
    box.nothing_is_left()


def test_left_running(box: Box, wait_for: Wait) -> None:
    box.start(COUNT)
    wait_for(lambda: box.count() > 3)
    pid = box.state()["pid"]
    box.checkpoint("--leave-running")
    before = box.count()
    wait_for(lambda: box.count() > before)
    assert box.state()["pid"] == pid and box.state()["status"] == "running"
    wait_for(lambda: box.count() > before + 10)
    box("delete", "--force", box.name)
    box.restore()
    assert box.count() < before + 10  # what was written down, not what came after


def test_what_is_left_out_only_if_it_is_there(ours: Box) -> None:
    ours.start("sleep 1000")
    ours.checkpoint("--tcp-skip-in-flight", "--link-remap", "--auto-dedup", "--ext-unix-sk", "--shell-job")
    ours.restore("--auto-dedup", "--ext-unix-sk", "--shell-job", "--no-pivot", "--no-subreaper")
    assert ours.state()["status"] == "running"


def test_restored_twice(box: Box, wait_for: Wait) -> None:
    """At the same time, each with a group, a process and a memory of its own."""
    box.start(COUNT)
    wait_for(lambda: box.count() > 3)
    box.checkpoint()
    other = box.name + "-other"
    box.restore()
    box.restore(name=other)
    box("pause", box.name)
    wait_for(lambda: box.count(other) > 20)
    assert cgroups_called(other) and cgroups_called(box.name)
    box("resume", box.name)
    box("kill", other, "KILL")
    count = box.count()
    wait_for(lambda: box.count() > count)


def test_a_paused_container(ours: Box, wait_for: Wait) -> None:
    ours.start(COUNT)
    wait_for(lambda: ours.count() > 3)
    ours("pause", ours.name)
    ours.checkpoint("--leave-running")
    assert ours.state()["status"] == "paused"
    ours("resume", ours.name)
    count = ours.count()
    wait_for(lambda: ours.count() > count)


def test_first_memory_then_the_rest(box: Box, wait_for: Wait) -> None:
    box.start("x=$(head -c 300000 /dev/zero | tr '\\0' y); while :; do echo ${#x} > /dev/shm/length; sleep 0.1; done")
    wait_for(lambda: box.sh("cat /dev/shm/length", check=None) == "300000\n")
    if lacks("mem_dirty_track"):
        assert "this kernel" in box.checkpoint("--pre-dump", images="first", check=1) or box.runtime.name == "runc"
        assert box.state()["status"] == "running"
        pytest.skip("this kernel does not tell which memory has changed (CONFIG_MEM_SOFT_DIRTY)")
    box.checkpoint("--pre-dump", images="first")
    assert box.state()["status"] == "running"
    box.checkpoint("--parent-path", "../first", images="second")
    box.nothing_is_left()

    def pages(images: str) -> int:
        return sum(file.stat().st_size for file in (box.place / images).glob("pages-*.img"))

    assert 0 < pages("second") < pages("first") and (box.place / "second/parent").exists()
    box.restore(images="second")
    box.sh("rm /dev/shm/length")
    wait_for(lambda: box.sh("cat /dev/shm/length", check=None) == "300000\n")


@pytest.mark.parametrize("parent", ["/nowhere", "../nowhere"])
def test_a_parent_that_is_none(box: Box, parent: str) -> None:
    box.start("sleep 1000")
    assert "parent-path" in box.checkpoint("--parent-path", parent, check=1)
    assert box.state()["status"] == "running"


# --- what is outside -----------------------------------------------------------------------------------------------
def test_bind_mounts_are_what_the_new_host_has(box: Box, place: Path, writable: Path, wait_for: Wait) -> None:
    for side in ("old", "new"):
        (place / side).mkdir()
        (place / side / "name").write_text(side)
    mounts = box.bundle.config["mounts"]
    mounts.append({"destination": "/mnt/a", "type": "bind", "source": str(place / "old"), "options": ["rbind"]})
    mounts.append({"destination": "/etc/one", "type": "bind", "source": str(place / "old/name"), "options": ["bind", "ro"]})
    box.start("while :; do cat /mnt/a/name /etc/one > /dev/shm/names; sleep 0.1; done")
    wait_for(lambda: box.sh("cat /dev/shm/names", check=None) == "oldold")
    box.checkpoint()
    for one in mounts[-2:]:
        one["source"] = one["source"].replace("/old", "/new")
    (writable / "mnt/a").rmdir()  # as in a root that was unpacked elsewhere
    box.restore()
    wait_for(lambda: box.sh("cat /dev/shm/names", check=None) == "newnew")
    assert box.sh("echo x > /etc/one", check=1) == ""


def test_a_socket_for_notices_is_a_mount_as_any_other(box: Box, place: Path, wait_for: Wait) -> None:
    """Where the command has $NOTIFY_SOCKET both times. Whoever restores is not told once more that it is ready."""
    env = {**os.environ, "NOTIFY_SOCKET": str(place / "systemd.sock")}
    box.bundle.sh(COUNT).write()
    box("create", "--bundle", str(box.bundle.path), box.name, env=env)
    box("start", box.name)
    wait_for(lambda: box.count() > 1)
    box.checkpoint()
    box.restore(env=env)
    wait_for(lambda: box.count() > 1)
    assert "/run/notify " in box.sh("cat /proc/self/mountinfo")
    box("delete", "--force", box.name)
    box.nothing_is_left()


def test_a_bind_mount_behind_a_link(box: Box, place: Path, writable: Path) -> None:
    (writable / "real").mkdir()
    (writable / "link").symlink_to("/real")
    (place / "there").write_text("")
    (place / "source").symlink_to(".")
    source = place if box.runtime.name == "runc" else place / "source"  # which 1.1 does not restore
    mount = {"destination": "/link", "type": "bind", "source": str(source), "options": ["rbind"]}
    box.bundle.config["mounts"].append(mount)
    box.start("sleep 1000")
    box.checkpoint()
    box.restore()
    assert "there" in box.sh("ls /real")


def test_what_was_hidden_and_read_only_still_is(ours: Box) -> None:
    def look() -> list[tuple[str, str, str]]:
        lines = [line.split() for line in ours.sh("cat /proc/self/mountinfo").splitlines()]
        return sorted((line[4], line[5], line[line.index("-") + 1]) for line in lines)

    ours.start("sleep 1000")
    before = look()
    assert sum(options.startswith("ro") for _, options, _ in before) > 5
    ours.checkpoint()
    ours.restore()
    after = look()
    assert (set(before) - set(after), set(after) - set(before), len(after)) == (set(), set(), len(before))


def test_a_view_of_its_groups(box: Box) -> None:
    mount = {
        "destination": "/sys/fs/cgroup",
        "type": "cgroup",
        "source": "cgroup",
        "options": ["nosuid", "noexec", "nodev", "ro"],
    }
    box.bundle.config["mounts"].append(mount)
    box.bundle.config["linux"]["namespaces"].append({"type": "cgroup"})
    box.bundle.config["linux"]["resources"]["pids"] = {"limit": 40}
    limit = "cat /sys/fs/cgroup/pids/pids.max 2>/dev/null || cat /sys/fs/cgroup/pids.max"
    box.start("sleep 1000")
    assert box.sh(limit) == "40\n"
    box.checkpoint()
    box.restore()
    assert box.sh(limit) == "40\n"
    assert box.sh("cat /proc/1/cgroup | head -n1").strip().endswith(":/")


def test_a_joined_network(box: Box) -> None:
    """It is not restored but joined again."""
    with subprocess.Popen(["unshare", "-n", "sleep", "1000"]) as holder:
        try:
            there = f"/proc/{holder.pid}/ns/net"
            while os.readlink(there) == os.readlink("/proc/self/ns/net"):
                pass
            box.bundle.config["linux"]["namespaces"][1]["path"] = there
            box.start("sleep 1000")
            box.checkpoint()
            box.restore()
            assert box.sh("readlink /proc/1/ns/net").strip() == os.readlink(there)
        finally:
            holder.kill()


def test_streams_are_those_of_who_restores(box: Box) -> None:
    (given, give), (take, taken) = os.pipe(), os.pipe()
    box.bundle.sh("while read x; do echo got $x; done; exit 7").write()
    box("run", "-d", "-b", str(box.bundle.path), box.name, stdin=given, stdout=taken, stderr=taken)
    box.checkpoint()
    for fd in (given, give, taken):
        os.close(fd)
    with os.fdopen(take, "rb") as rest:
        assert rest.read() == b""  # nobody holds the other end any more
    done = subprocess.run(
        box.runtime.argv("restore", "-b", str(box.bundle.path), "--image-path", str(box.place / "images"), box.name),
        input="word\n", capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (7, "got word\n"), done.stderr
    box.nothing_is_left()


def checkpointed_with_a_terminal(box: Box, script: str) -> None:
    box.bundle.config["process"]["terminal"] = True
    with listening(box.place / "first") as listener:
        box.start(script, "--console-socket", str(box.place / "first"))
        master = receive_console(listener)
    box.checkpoint()
    os.close(master)


def test_a_terminal(box: Box, place: Path) -> None:
    checkpointed_with_a_terminal(box, "while read x; do echo got $x; done")
    with listening(place / "second") as listener:
        box.restore("--console-socket", str(place / "second"))
        master = receive_console(listener)
        os.write(master, b"word\n")
        assert b"got word" in read_until(master, b"got word")
        os.close(master)


def test_a_terminal_in_the_foreground(box: Box, place: Path) -> None:
    """The command's own takes the part of the one there was."""
    checkpointed_with_a_terminal(box, "read x; echo got $x; exit 5")
    restore = box.runtime.argv("restore", "-b", str(box.bundle.path), "--image-path", str(place / "images"), box.name)
    master, own = os.openpty()
    with subprocess.Popen(restore, stdin=own, stdout=own, stderr=own) as process:
        os.close(own)
        os.write(master, b"word\n")
        assert b"got word" in read_until(master, b"got word")
        assert process.wait(120) == 5
    os.close(master)
    box.nothing_is_left()


def test_a_terminal_that_nobody_takes(box: Box, place: Path) -> None:
    checkpointed_with_a_terminal(box, "sleep 1000")
    said = box.restore("--console-socket", str(place / "nobody"), check=1)
    assert "nobody" in said or box.runtime.name == "runc"
    box.nothing_is_left()


# --- what is allowed -----------------------------------------------------------------------------------------------
def test_connections(box: Box, writable: Path, wait_for: Wait) -> None:
    """Refused unless they are asked for; then both ends of one within the container are as they were."""
    os.mkfifo(writable / "queue")
    box.start(f"exec 3<>/queue; {SERVE}")

    def tell(word: str) -> None:
        box.sh(f"echo {word} > /queue")
        wait_for(lambda: word in (writable / "got").read_text())

    wait_for(lambda: (writable / "got").exists())
    tell("before")
    box.checkpoint(check=1)
    assert box.state()["status"] == "running"
    tell("refused")
    box.checkpoint("--tcp-established")
    if box.runtime.name != "runc":  # whose 1.1 does not set the loopback interface up again
        box.restore("--tcp-established")
        tell("after")


def test_file_locks(box: Box, writable: Path, wait_for: Wait) -> None:
    held = with_flock(box.bundle)
    box.start(f"{held} && touch /dev/shm/held; sleep 1000")
    wait_for(lambda: box.sh("ls /dev/shm") == "held\n")
    box.sh(held, check=1)
    box.checkpoint(check=1)
    box.checkpoint("--file-locks")
    box.restore("--file-locks")
    box.sh(held, check=1)


def test_limits_hold(box: Box, wait_for: Wait) -> None:
    box.bundle.config["linux"]["resources"] |= {"pids": {"limit": 40}, "memory": {"limit": 64 << 20}}
    box.start(COUNT)
    wait_for(lambda: box.count() > 1)
    box.checkpoint()
    box.restore()
    limits = [
        file.read_text().strip()
        for group in cgroups_called(box.name)
        for name in ("pids.max", "memory.max", "memory.limit_in_bytes")
        if (file := group / name).exists()
    ]
    assert sorted(limits) == ["40", str(64 << 20)]
    bomb = "for n in $(seq 50); do sleep 9 & done"
    assert "fork" in box.runtime.call("exec", box.name, "sh", "-c", bomb, check=None).stderr
    groups = "".join(sorted(Path(f"/proc/{box.state()['pid']}/cgroup").read_text().splitlines()))
    assert groups.count("/" + box.name) >= (1 if (Path("/sys/fs/cgroup/cgroup.controllers")).exists() else 2)


def test_a_page_server(ours: Box, place: Path, wait_for: Wait) -> None:
    """In a network of its own, where nothing else listens."""
    ours.start(COUNT)
    wait_for(lambda: ours.count() > 3)
    before = ours.count()
    (place / "images").mkdir()
    command = " ".join(
        ours.runtime.argv("checkpoint", "--image-path", str(place / "images"), "--page-server", "127.0.0.1:7001", ours.name)
    )
    done = subprocess.run(
        ["unshare", "-n", "sh", "-c",
         "ip link set lo up; criu page-server --images-dir $0/images --address 127.0.0.1 --port 7001 --daemon -o $0/server.log "
         f"--status-fd 9 9>$0/ready; {command}", str(place)],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    wait_for(lambda: list((place / "images").glob("pages-*.img")))
    ours.restore()
    assert ours.count() >= before


def test_memory_that_comes_when_it_is_used(box: Box, place: Path, wait_for: Wait) -> None:
    """From the old container, which ends when all has been fetched. Also in a network where nothing else listens."""
    if lacks("uffd-noncoop"):
        pytest.skip("this kernel does not tell which memory is wanted (userfaultfd)")
    if not may_use_more():
        pytest.skip("CRIU may not make its pipes as large as it needs them (CAP_SYS_RESOURCE)")
    box.start(COUNT)
    wait_for(lambda: box.count() > 3)
    (place / "images").mkdir()
    before, other = box.count(), box.name + "-other"
    there, ready = place / "images", place / "ready"
    box.bundle.write()
    dump = box.runtime.argv(
        *("--log", str(place / "log-dump"), "checkpoint", "--image-path", str(there), "--work-path", str(place / "work")),
        *("--lazy-pages", "--page-server", "127.0.0.1:7002", "--status-fd", "9", box.name),
    )
    restore = box.runtime.argv(
        *(
            "--log",
            str(place / "log-restore"),
            "restore",
            "--detach",
            "--bundle",
            str(box.bundle.path),
            "--image-path",
            str(there),
        ),
        *("--lazy-pages", other),
    )
    script = f"""
        ip link set lo up; mkfifo {ready}
        timeout 60 {" ".join(dump)} 9> {ready} & dumping=$!
        head -c 1 {ready} | od -An -c
        timeout 60 criu lazy-pages --page-server --address 127.0.0.1 --port 7002 --images-dir {there} -o {place}/lazy.log & fetching=$!
        until [ -S {there}/lazy-pages.socket ]; do sleep 0.1; done
        timeout 60 {" ".join(restore)}; code=$?
        wait $dumping && wait $fetching && exit $code"""
    done = subprocess.run(["unshare", "-n", "sh", "-c", script], **SILENT | {"stdout": subprocess.PIPE}, text=True, timeout=120)
    said = "".join(file.read_text() for file in place.glob("log-*"))
    assert (done.returncode, done.stdout.split()) == (0, ["\\0"]), said
    assert box.runtime.ids() == [other]
    assert box.count(other) >= before


@pytest.mark.parametrize(
    "flags",
    [
        ("--manage-cgroups-mode", "some"),
        ("--empty-ns", "ipc"),
        ("--page-server", "nowhere"),
        ("--page-server", "127.0.0.1:70000"),
    ],
)
def test_flags_that_mean_nothing(ours: Box, flags: tuple[str, str]) -> None:
    ours.start("sleep 1000")
    assert f"{flags[0]} {flags[1]}" in ours.checkpoint(*flags, check=1)
    assert ours.state()["status"] == "running"


@pytest.mark.parametrize("mode", ["soft", "full", "ignore"])
def test_groups_are_its_own_in_every_mode(ours: Box, mode: str) -> None:
    ours.start("sleep 1000")
    ours.checkpoint("--manage-cgroups-mode", mode)
    ours.restore("--manage-cgroups-mode", mode)
    pid = str(ours.state()["pid"])
    groups = cgroups_called(ours.name)
    assert groups and all(pid in (group / "cgroup.procs").read_text().split() for group in groups)


# --- hooks ---------------------------------------------------------------------------------------------------------
def hook(place: Path, kind: str, body: str) -> dict[str, Any]:
    path = place / f"hook-{kind}"
    path.write_text(f"#!/bin/busybox sh\n{body}\n")
    path.chmod(0o755)
    return {"path": str(path), "env": ["PATH=/bin:/usr/bin"]}


def test_hooks_run_as_for_a_new_container(box: Box, place: Path, wait_for: Wait) -> None:
    box.start("sleep 1000")
    box.checkpoint()
    kinds = ("prestart", "createRuntime", "poststart", "poststop")
    look = f"cat > {place}/$0.state; readlink /proc/self/ns/mnt > {place}/$0.mnt; echo $0 >> {place}/order"
    box.bundle.config["hooks"] = {kind: [hook(place, kind, look.replace("$0", kind))] for kind in kinds}
    box.restore()
    order = (place / "order").read_text().split()
    assert order == list(kinds[: 2 if box.runtime.name == "runc" else 3])
    state = json.loads((place / "createRuntime.state").read_text())
    assert (state["pid"], state["id"]) == (box.state()["pid"], box.name)
    assert (place / "createRuntime.mnt").read_text().strip() == os.readlink("/proc/self/ns/mnt")
    box("delete", "--force", box.name)
    assert (place / "order").read_text().split()[-1] == "poststop"


def test_a_hook_that_fails_leaves_nothing(box: Box, place: Path) -> None:
    box.start("sleep 1000")
    box.checkpoint()
    box.bundle.config["hooks"] = {"createRuntime": [hook(place, "createRuntime", f"cat > {place}/state; echo no; exit 3")]}
    said = box.restore(check=1)
    assert "hook" in said
    pid = json.loads((place / "state").read_text())["pid"]
    assert not lives(pid)
    box.nothing_is_left()
    box.bundle.config["hooks"] = {}
    box.restore()  # and harmed nothing
    assert box.state()["status"] == "running"


# --- what goes wrong -----------------------------------------------------------------------------------------------
def broken_pages(images: Path) -> None:
    next(images.glob("core-*.img")).write_bytes(b"no image")


def no_inventory(images: Path) -> None:
    (images / "inventory.img").unlink()


def no_directory(images: Path) -> None:
    shutil.rmtree(images)


@pytest.mark.parametrize("harm", [broken_pages, no_inventory, no_directory])
def test_broken_images(box: Box, place: Path, harm: Callable[[Path], None]) -> None:
    box.start("sleep 1000")
    box.checkpoint()
    harm(place / "images")
    said = box.restore(check=1)
    assert str(place / "images") in said or box.runtime.name == "runc"
    box.nothing_is_left()


def test_criu_says_why(ours: Box, place: Path, writable: Path, wait_for: Wait) -> None:
    ours.start(f"{with_flock(ours.bundle)} && touch /dev/shm/held; sleep 1000")
    wait_for(lambda: ours.sh("ls /dev/shm") == "held\n")
    said = ours.checkpoint("--work-path", str(place / "work"), check=1)
    assert "criu dump failed: " in said and "file lock" in said and str(place / "work/dump.log") in said
    assert ours.state()["status"] == "running"


def test_criu_killed_midway_leaves_nothing(ours: Box, place: Path) -> None:
    """A hook ends its sibling, which is CRIU."""
    ours.start("sleep 1000")
    ours.checkpoint()
    body = (
        f"cat > {place}/state; own=$(sed 's/.*\"pid\":\\([0-9]*\\).*/\\1/' {place}/state); "
        "for one in $(cat /proc/$PPID/task/$PPID/children); do [ $one = $$ ] || [ $one = $own ] || kill -9 $one; done"
    )
    ours.bundle.config["hooks"] = {"createRuntime": [hook(place, "createRuntime", body)]}
    assert "criu restore failed" in ours.restore(check=1)
    assert not lives(json.loads((place / "state").read_text())["pid"])
    ours.nothing_is_left()


@pytest.mark.parametrize("name", ["../box", "a/b", "..", ""])
def test_an_id_is_no_path(box: Box, name: str) -> None:
    box.start("sleep 1000")
    box.checkpoint("--leave-running")
    box("checkpoint", "--image-path", str(box.place / "more"), name, check=1)
    box.restore(name=name, check=1) if name else box("restore", "", check=1)
    assert box.runtime.ids() == [box.name]


@pytest.mark.parametrize("path", ["/a]:/etc", "/a\nb"])
def test_a_destination_that_would_answer_for_another(ours: Box, place: Path, writable: Path, path: str) -> None:
    mount = {"destination": path, "type": "bind", "source": str(place), "options": ["rbind"]}
    mounts = ours.bundle.config["mounts"]
    ours.start("sleep 1000")
    ours.checkpoint()
    mounts.append(mount)
    said = ours.restore(check=1)
    assert f"mounts[{len(mounts) - 1}].destination" in said
    ours.nothing_is_left()
    ours.start("sleep 1000")
    assert f"mounts[{len(mounts) - 1}].destination" in ours.checkpoint(images="more", check=1)


def test_a_link_of_the_image_to_such_a_destination(ours: Box, place: Path, writable: Path) -> None:
    (writable / "a]:").mkdir()
    (writable / "link").symlink_to("/a]:")
    mount = {"destination": "/link", "type": "bind", "source": str(place), "options": ["rbind"]}
    ours.bundle.config["mounts"].append(mount)
    ours.start("sleep 1000")
    assert "mounts: /link" in ours.checkpoint(check=1)
    assert ours.state()["status"] == "running"


def test_links_where_criu_would_write(ours: Box, place: Path) -> None:
    """A directory of images may come from anywhere."""
    ours.start("sleep 1000")
    ours.checkpoint()
    victim = place / "victim"
    victim.write_text("precious")
    for name in ("restore.log", "stats-restore"):
        (place / "images" / name).unlink(missing_ok=True)
        (place / "images" / name).symlink_to(victim)
    ours.restore()
    assert victim.read_text() == "precious" and not (place / "images/restore.log").is_symlink()


@pytest.mark.parametrize("content", ["{}", "[1]", "no json", '["pipe:[1]", "file[1:1]", "extRootNetNS", "pipe:[2]"]'])
def test_a_file_of_streams_that_is_none(ours: Box, place: Path, content: str) -> None:
    ours.start("sleep 1000")
    ours.checkpoint()
    (place / "images/descriptors.json").write_text(content)
    said = ours.restore(check=1)
    assert "descriptors.json" in said or "criu restore failed" in said
    ours.nothing_is_left()


def test_without_criu_the_error_says_what_to_install(oci: Runtime, bundle: Bundle, place: Path) -> None:
    oci.run(bundle.sh("sleep 1000"), "-d")
    nowhere = ("--criu", "/nowhere/criu")
    images = ("--image-path", str(place))
    assert "apt-get install criu" in oci.call(*nowhere, "checkpoint", *images, "box", check=1).stderr
    assert oci.state()["status"] == "running"
    restore = (*nowhere, "restore", "-d", *images, "-b", str(bundle.path), "other")
    assert "apt-get install criu" in oci.call(*restore, check=1).stderr
    assert oci.ids() == ["box"] and cgroups_called("other") == []


def test_only_what_runs_has_a_state_to_write(runtime: Runtime, bundle: Bundle, place: Path) -> None:
    runtime.run(bundle, "-d")
    runtime.await_status("stopped")
    runtime.call("checkpoint", "--image-path", str(place), "box", check=1)
    runtime.create(bundle.sh("sleep 1000"), name="waiting")
    runtime.call("checkpoint", "--image-path", str(place), "waiting", check=1)
    assert runtime.state("waiting")["status"] == "created"
