"""A laboratory: network and mount namespaces of its own, in which engines, registries and clients really run.

Nothing in it touches the host's interfaces, rules or mounts, and closing it ends every process it started.
"""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
FIRKIN = str(ROOT / "firkin")
# How much longer all takes here than on an ordinary machine; an emulated one says so itself (tests/vm/guest/run).
SLOWNESS = float(os.environ.get("FIRKIN_SLOWNESS", "1"))


class UnixConnection(http.client.HTTPConnection):
    """HTTP/1.1 over a unix socket."""

    def __init__(self, path: str, timeout: float = 60) -> None:
        super().__init__("localhost", timeout=timeout * SLOWNESS)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)

    def call(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """(status, decoded JSON or raw bytes)."""
        data = None if body is None else json.dumps(body)
        self.request(method, path, data, {"Content-Type": "application/json"} if data else {})
        reply = self.getresponse()
        raw = reply.read()
        return reply.status, json.loads(raw) if raw and "json" in reply.headers.get("Content-Type", "") else raw


class Lab:
    """The namespaces, held open by one process, and all that was started in them."""

    def __init__(self) -> None:
        self.dir = Path(tempfile.mkdtemp(prefix="firkin-lab-", dir="/var/tmp"))
        self._processes: list[subprocess.Popen[bytes]] = []
        self._holder = subprocess.Popen(
            ["unshare", "-nm", "--propagation", "private", "sh", "-c", "ip link set lo up; echo ready; exec sleep 100000"],
            stdout=subprocess.PIPE,
        )
        assert self._holder.stdout and self._holder.stdout.readline() == b"ready\n"

    @property
    def pid(self) -> int:
        """A process inside the namespaces."""
        return self._holder.pid

    def argv(self, argv: list[str]) -> list[str]:
        return ["nsenter", "-t", str(self.pid), "-n", "-m", f"--wd={os.getcwd()}", *argv]

    def run(self, *argv: str, check: bool = True, timeout: float = 60, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run a command to its end; a failure (unless `check` is off) shows what it printed."""
        options.setdefault("capture_output", "stdout" not in options)
        options.setdefault("text", True)
        if "input" not in options:
            options.setdefault("stdin", subprocess.DEVNULL)
        done = subprocess.run(self.argv(list(argv)), timeout=timeout * SLOWNESS, **options)
        assert not check or done.returncode == 0, f"{argv}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def start(self, *argv: str, log: str = "log", **options: Any) -> subprocess.Popen[bytes]:
        """Start a server; what it prints goes to a file of the laboratory."""
        out = open(self.dir / log, "ab")
        options.setdefault("stdin", subprocess.DEVNULL)
        process = subprocess.Popen(self.argv(list(argv)), stdout=out, stderr=out, start_new_session=True, **options)
        out.close()
        self._processes.append(process)
        return process

    def registry(self, port: int = 5000, extra: str = "") -> str:
        """A docker-registry on loopback with an empty store; returns its HOST:PORT once it answers."""
        config = self.dir / f"registry-{port}.yml"
        store = self.dir / f"registry-{port}"
        config.write_text(
            f"version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {store}}}, delete: {{enabled: true}}}}\n"
            f"http: {{addr: '127.0.0.1:{port}'}}\n{extra}"
        )
        self.start("docker-registry", "serve", str(config), log="registry.log")
        listens = f"0100007F:{port:04X} 00000000:0000 0A"
        wait_until(lambda: listens in Path(f"/proc/{self.pid}/net/tcp").read_text(), 10)
        return f"127.0.0.1:{port}"

    def close(self) -> None:
        for process in reversed(self._processes):
            if process.poll() is None:
                process.terminate()
        for process in self._processes:
            try:
                process.wait(20 * SLOWNESS)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        for pid in self._left():
            try:
                os.kill(pid, signal.SIGKILL)
                _thaw(pid)
            except (ProcessLookupError, FileNotFoundError):
                pass
        self._holder.kill()
        self._holder.wait()
        shutil.rmtree(self.dir, ignore_errors=True)

    def _left(self) -> list[int]:
        """Processes that still live in the laboratory's mount namespace, or name its directory."""
        here = os.readlink(f"/proc/{self.pid}/ns/mnt")
        found = []
        for name in os.listdir("/proc"):
            if not name.isdigit() or int(name) in (self.pid, os.getpid()):
                continue
            try:
                inside = os.readlink(f"/proc/{name}/ns/mnt") == here
                named = str(self.dir).encode() in Path(f"/proc/{name}/cmdline").read_bytes()
            except OSError:
                continue
            if inside or named:
                found.append(int(name))
        return found


def _thaw(pid: int) -> None:
    """A paused container whose engine died does not even end when it is killed."""
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, controllers, group = line.split(":", 2)
        if controllers == "freezer" and group != "/":
            Path(f"/sys/fs/cgroup/freezer{group}/freezer.state").write_text("THAWED")
        elif not controllers and group != "/":
            for root in ("/sys/fs/cgroup", "/sys/fs/cgroup/unified"):
                if (freeze := Path(f"{root}{group}/cgroup.freeze")).exists():
                    freeze.write_text("0")


class Engine:
    """A Firkin daemon in a laboratory, and clients for it."""

    def __init__(self, lab: Lab, name: str = "engine", *flags: str) -> None:
        self.lab = lab
        self.dir = lab.dir / name
        self.dir.mkdir(exist_ok=True)
        self.sock = str(self.dir / "engine.sock")
        self.flags = flags
        (self.dir / "client").mkdir(exist_ok=True)
        host = f"unix://{self.sock}"
        self.env = {**os.environ, "DOCKER_HOST": host, "FIRKIN_HOST": host, "DOCKER_CONFIG": str(self.dir / "client")}
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> Engine:
        self._execute()
        wait_until(self._answers, 60, self.log)
        return self

    def _execute(self) -> None:
        self.process = self.lab.start(
            FIRKIN, "daemon", "--data-root", str(self.dir / "data"), "--exec-root", str(self.dir / "exec"), "--host",
            f"unix://{self.sock}", *self.flags, log="engine.log",
        )  # fmt: skip

    def _answers(self) -> bool:
        assert self.process
        if self.process.poll() is not None:
            # Its own patience is for ordinary machines; on a slow one it is started again, as an init system does it.
            assert SLOWNESS > 1 and self.log().rstrip().endswith("they do not answer"), self.log()
            self._execute()
        try:
            return self.api().call("GET", "/_ping")[0] == 200
        except OSError:
            return False

    def log(self) -> str:
        return (self.lab.dir / "engine.log").read_text(errors="replace")[-5000:]

    def api(self) -> UnixConnection:
        return UnixConnection(self.sock)

    def docker(self, *argv: str, **options: Any) -> subprocess.CompletedProcess[str]:
        return self.lab.run("docker", *argv, env=self.env, **options)

    def firkin(self, *argv: str, **options: Any) -> subprocess.CompletedProcess[str]:
        return self.lab.run(FIRKIN, *argv, env=self.env, **options)

    def kill(self) -> None:
        """SIGKILL to the daemon alone."""
        assert self.process
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        """A clean stop, as an init system does it."""
        assert self.process
        self.process.terminate()
        assert self.process.wait(60 * SLOWNESS) == 0, self.log()

    def helper(self, name: str) -> int:
        """pid of the keeper or the launcher. The keeper's parent, and the launcher's spare child, were forked from them
        and carry the same command line."""
        found = self.helpers(name)
        family = [pid for pid in found if (parent_of(pid) in found) == (name == "keeper")]
        if not family:
            raise LookupError(f"no {name} runs")
        return family[0]

    def helpers(self, name: str) -> list[int]:
        root, needle = str(self.dir / "exec").encode(), f"firkin.runtime.{name} ".encode()
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if root in words and any(needle in word for word in words):
                found.append(int(pid))
        return found


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def wait_until(condition: Any, seconds: float = 10, explain: Any = lambda: "") -> None:
    """Poll until `condition()` holds; fails with `explain()` when it does not in time."""
    seconds *= SLOWNESS
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds} s: {explain()}"
        time.sleep(0.02)


def busybox_tar(directory: Path) -> Path:
    """A small root file system as a tar file: static busybox and links to it."""
    root = directory / "rootfs"
    for name in ("bin", "etc", "tmp", "proc", "sys", "dev", "root", "home"):
        (root / name).mkdir(parents=True, exist_ok=True)
    shutil.copy("/bin/busybox", root / "bin/busybox")
    for applet in subprocess.check_output(["/bin/busybox", "--list"], text=True).split():
        if applet != "busybox" and not (root / "bin" / applet).is_symlink():
            (root / "bin" / applet).symlink_to("busybox")
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/home:/bin/false\n")
    (root / "etc/group").write_text("root:x:0:\nwheel:x:10:root,nobody\nnogroup:x:65534:\n")
    archive = directory / "busybox.tar"
    subprocess.run(["tar", "-C", str(root), "-cf", str(archive), "."], check=True)
    return archive
