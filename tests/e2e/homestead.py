"""An ordinary user with an engine of his own, in a laboratory: a machine, somebody elsewhere on its network, and alice.

What a user is, is in /etc: the laboratory has a copy of its own. So has it of /dev/net/tun, open to everybody as udev makes it.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.lab import FIRKIN, ROOT, Lab, UnixConnection, busybox_tar, wait_until

UID = 47001
SUB, COUNT = 4700100, 65536
HERE, THERE = "10.66.0.1", "10.66.0.2"  # the machine, and somebody elsewhere
IMAGE = "busybox:test"
PROGRAMS = {
    "newuidmap": "uidmap",
    "newgidmap": "uidmap",
    "pasta": "passt",
    "slirp4netns": "slirp4netns",
    "setpriv": "util-linux",
}

_MACHINE = """set -e
mount --bind {etc} /etc
printf 'alice:x:{uid}:{uid}::{home}:/bin/sh\\n' >> /etc/passwd
printf 'alice:x:{uid}:\\n' >> /etc/group
echo alice:{sub}:{count} > /etc/subuid
echo alice:{sub}:{count} > /etc/subgid
rm -f /etc/resolv.conf; echo nameserver 127.0.0.53 > /etc/resolv.conf
mount -t tmpfs -o nosuid,nodev,mode=700,uid={uid},gid={uid} runtime {runtime}
mknod -m 666 {tun} c 10 200
mount --bind {tun} /dev/net/tun
ip link add here type veth peer name there
ip address add {here}/24 dev here
ip link set here up
ip link set there netns {elsewhere}
ip route add default via {there}
"""


class Homestead:
    """`lab` is the machine; `away(...)` runs a command elsewhere on its network; `alice(...)` one as the user."""

    def __init__(self) -> None:
        self.lab = lab = Lab()
        self.home, self.runtime = lab.dir / "home", lab.dir / "runtime"
        lab.dir.chmod(0o711)
        for directory in (self.home, self.runtime):
            directory.mkdir(mode=0o700)
            os.chown(directory, UID, UID)
        self.elsewhere = subprocess.Popen(["unshare", "-n", "sleep", "100000"])
        wait_until(lambda: os.readlink(f"/proc/{self.elsewhere.pid}/ns/net") != os.readlink("/proc/self/ns/net"))
        shutil.copytree("/etc", lab.dir / "etc", symlinks=True, ignore_dangling_symlinks=True)
        tun = lab.dir / "tun"
        lab.run("sh", "-c", _MACHINE.format(
            etc=lab.dir / "etc", uid=UID, sub=SUB, count=COUNT, home=self.home, tun=tun, runtime=self.runtime, here=HERE, there=THERE,
            elsewhere=self.elsewhere.pid,
        ))  # fmt: skip
        for command in (f"ip address add {THERE}/24 dev there", "ip link set there up", "ip link set lo up"):
            self.away(*command.split())
        self.env = {
            "HOME": str(self.home),
            "XDG_RUNTIME_DIR": str(self.runtime),
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "DOCKER_CONFIG": str(self.home / "client"),
        }
        self.exec_root = self.runtime / "firkin"
        self.sock = self.exec_root / "firkin.sock"
        self.seen = Path(f"/proc/{lab.pid}/root{self.exec_root}")  # from outside the laboratory
        self.process: subprocess.Popen[bytes] | None = None

    # --- commands --------------------------------------------------------------------------------------------------
    def away(self, *argv: str, check: bool = True, **options: Any) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            ["nsenter", "-t", str(self.elsewhere.pid), "-n", *argv], capture_output=True, text=True, timeout=60, **options
        )
        assert not check or done.returncode == 0, f"{argv}: {done.stderr}"
        return done

    def alice(self, *argv: str, env: dict[str, str] | None = None, **options: Any) -> subprocess.CompletedProcess[str]:
        return self.lab.run(*as_alice(argv), env={**self.env, **(env or {})}, **options)

    def firkin(self, *argv: str, **options: Any) -> subprocess.CompletedProcess[str]:
        return self.alice(FIRKIN, *argv, **options)

    def docker(self, *argv: str, **options: Any) -> subprocess.CompletedProcess[str]:
        return self.alice("docker", "-H", f"unix://{self.sock}", *argv, **options)

    def fetch(self, address: str, port: int, *, away: bool = False) -> str:
        """What a TCP server says to one who only connects; "" if nothing."""
        argv = ["python3", "-c", FETCH, address, str(port)]
        return (self.away(*argv, check=False) if away else self.lab.run(*argv, check=False)).stdout

    # --- the daemon ------------------------------------------------------------------------------------------------
    def start(self, *flags: str, before: tuple[str, ...] = ()) -> Homestead:
        self.process = self.lab.start(*before, *as_alice((FIRKIN, "daemon", *flags)), env=self.env, log="engine.log")
        wait_until(self._answers, 60, self.log)
        return self

    def _answers(self) -> bool:
        assert self.process and self.process.poll() is None, self.log()
        try:
            return UnixConnection(str(self.seen / "firkin.sock")).call("GET", "/_ping")[0] == 200
        except OSError:
            return False

    def kill(self) -> None:
        assert self.process
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        assert self.process
        self.process.terminate()
        assert self.process.wait(60) == 0, self.log()

    def log(self) -> str:
        texts = [self.lab.dir / "engine.log", self.seen / "rootless.log"]
        return "\n".join(path.read_text(errors="replace")[-3000:] for path in texts if path.exists())

    def processes(self) -> dict[int, str]:
        """Command lines of all that run as alice or as one of her subordinate ids, by pid."""
        found = {}
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                owner = os.stat(f"/proc/{pid}").st_uid
                status = Path(f"/proc/{pid}/status").read_text()
                line = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            uids = next(row for row in status.splitlines() if row.startswith("Uid:")).split()[1:]
            if any(map(is_alices, (owner, *map(int, uids)))) and "State:\tZ" not in status:
                found[int(pid)] = line
        return found

    def outside(self) -> int:
        """pid of the process that stays outside the namespaces."""
        return next(pid for pid, inside in self._own() if not inside)

    def porter(self) -> int:
        """pid of the one within."""
        return next(pid for pid, inside in self._own() if inside)

    def helper(self) -> int:
        return int((self.seen / "network.pid").read_text())

    def _own(self) -> list[tuple[int, bool]]:
        here = os.readlink("/proc/self/ns/user")
        found = [pid for pid, line in self.processes().items() if "firkin.rootless.outside" in line]
        return [(pid, os.readlink(f"/proc/{pid}/ns/user") != here) for pid in found]

    def close(self) -> None:
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
        for _ in range(3):  # one may start another while it is looked for
            for pid in self.processes():
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
        self.elsewhere.kill()
        self.elsewhere.wait()
        self.lab.close()


FETCH = """import socket, sys
s = socket.create_connection((sys.argv[1], int(sys.argv[2])), 3)
s.settimeout(3); sys.stdout.write(s.recv(999).decode())"""


def as_alice(argv: tuple[str, ...]) -> list[str]:
    return ["setpriv", "--reuid", str(UID), "--regid", str(UID), "--clear-groups", "--inh-caps=-all", *argv]


def is_alices(uid: int) -> bool:
    return uid == UID or SUB <= uid < SUB + COUNT


def homestead() -> Iterator[Homestead]:
    """One, if this machine has the programs for it."""
    for program, package in PROGRAMS.items():
        if not shutil.which(program):
            pytest.skip(f"no {program} on this machine (apt-get install {package})")
    made = Homestead()
    try:
        if (
            made.alice("test", "-x", FIRKIN, check=False).returncode
            or made.alice("test", "-r", str(ROOT / "src"), check=False).returncode
        ):
            pytest.skip(f"an ordinary user cannot read {ROOT}")
        if refused := made.alice("unshare", "-Urn", "true", check=False).stderr:
            pytest.skip(f"an ordinary user may not make namespaces here: {refused.strip()}")
        yield made
    finally:
        made.close()


def with_image(made: Homestead) -> Homestead:
    """The image `busybox:test` in alice's engine."""
    archive = made.home / "busybox.tar"
    if not archive.exists():
        shutil.copy(busybox_tar(made.lab.dir), archive)
        os.chown(archive, UID, UID)
    made.firkin("import", str(archive), IMAGE)
    return made


def inspected(made: Homestead, name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(made.firkin("inspect", name).stdout)[0]
    return document
