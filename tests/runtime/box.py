"""A container in miniature for tests: busybox as its whole image, and a plan like Docker's, started by `spawn`."""

from __future__ import annotations

import os
import select
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from firkin.linux import mount as m
from firkin.linux import process as p
from firkin.linux.netlink import Netlink
from firkin.runtime.spawn import Outcome, Spawned, spawn

NAMESPACES = p.CLONE_NEWNS | p.CLONE_NEWUTS | p.CLONE_NEWIPC | p.CLONE_NEWPID | p.CLONE_NEWNET
NO_EXEC = m.MOUNT_ATTR_NOSUID | m.MOUNT_ATTR_NODEV | m.MOUNT_ATTR_NOEXEC
DOCKER_CAPABILITIES = 0xA80425FB
APPLETS = (
    "sh true cat ls id mount ps stty tty readlink hostname env touch sleep stat ip nc head grep "
    "chmod mkdir cut uniq wc uname ping"
)


def layer(directory: Path) -> Path:
    """A directory with busybox and links to it."""
    (directory / "bin").mkdir(parents=True)
    shutil.copy("/bin/busybox", directory / "bin/busybox")
    for applet in APPLETS.split():
        (directory / "bin" / applet).symlink_to("busybox")
    return directory


@dataclass
class Result:
    output: str
    status: int  # exit code, or minus the signal
    failure: tuple[int, int, str] | None
    outcome: Outcome


@dataclass
class Box:
    """`layers` top first; the steps of a plan can be had one by one, to leave out or to add to."""

    base: Path
    layers: list[Path] = field(default_factory=list)
    clone: int = NAMESPACES
    pidns: str = ""
    parent: list[tuple[Any, ...]] = field(default_factory=list)

    def __post_init__(self) -> None:
        for name in ("staging", "upper", "work"):
            (self.base / name).mkdir(parents=True)
        self.image = layer(self.base / "image")
        self.layers = [*self.layers, self.image]

    def root(self) -> list[tuple[Any, ...]]:
        return [
            ("root-propagation", m.MS_REC | m.MS_SLAVE),
            (
                "overlay",
                f"{self.base}/staging",
                [str(one) for one in self.layers],
                f"{self.base}/upper",
                f"{self.base}/work",
                [],
            ),
        ]

    def mounts(self) -> list[tuple[Any, ...]]:
        return [
            ("mount", "proc", "proc", "/proc", NO_EXEC, [], "dir"),
            ("mount", "tmpfs", "tmpfs", "/dev", m.MOUNT_ATTR_NOSUID, ["mode=755", "size=65536k"], "dir"),
            ("mount", "devpts", "devpts", "/dev/pts", 10, ["newinstance", "ptmxmode=0666", "mode=0620", "gid=5"], "dir"),
            ("mknod", "/dev/null", 0o20666, 1, 3, 0, 0),
            ("symlink", "/proc/self/fd", "/dev/fd"),
        ]

    def into(self) -> list[tuple[Any, ...]]:
        return [("pivot", 0), ("setsid",), ("stdio", "null", "out", "out")]

    def become(self, *command: str, user: str = "", env: tuple[str, ...] = ("PATH=/bin",)) -> list[tuple[Any, ...]]:
        caps = DOCKER_CAPABILITIES
        return [
            ("user", user, [], True),
            ("cwd", "/", False),
            ("close-fds",),
            ("identity", caps, caps, caps, 0, 0),
            ("exec", list(command), list(env)),
        ]

    def shell(self, script: str, *inside: tuple[Any, ...], user: str = "") -> Result:
        """Run `script` after a usual start, with the steps `inside` put in before pivot_root."""
        return self.run([*self.root(), *self.mounts(), *inside, *self.into(), *self.become("sh", "-c", script, user=user)])

    def plan(self, child: list[tuple[Any, ...]]) -> dict[str, object]:
        return {"id": "box", "clone": self.clone, "pidns": self.pidns, "parent": self.parent, "child": child}

    def run(self, child: list[tuple[Any, ...]], **handed: int) -> Result:
        """Until its end; "out" is a pipe whose content is the result's `output`."""
        reading, writing = os.pipe()
        with Netlink() as netlink:
            spawned = spawn(self.plan(child), {"out": writing, **handed}, netlink)
        os.close(writing)
        outcome = wait_started(spawned)
        with open(reading, encoding="utf-8", errors="replace") as stream:
            output = stream.read()
        return Result(output, reap(spawned), outcome.failure, outcome)

    def start(self, child: list[tuple[Any, ...]], **handed: int) -> tuple[Spawned, Outcome]:
        """Without waiting for its end."""
        with Netlink() as netlink:
            spawned = spawn(self.plan(child), handed, netlink)
        return spawned, wait_started(spawned)


def wait_started(spawned: Spawned) -> Outcome:
    outcome = Outcome()
    while not outcome.read(spawned.status):
        assert select.select([spawned.status], [], [], 10)[0], "the child neither started nor failed"
        bury_former(spawned, outcome)
    bury_former(spawned, outcome)
    return outcome


def bury_former(spawned: Spawned, outcome: Outcome) -> None:
    """If the child has become another process, wait for the first one's end."""
    former = spawned.pid
    if spawned.follow(outcome):
        os.waitpid(former, 0)


def reap(spawned: Spawned) -> int:
    _, status = os.waitpid(spawned.pid, 0)
    os.close(spawned.pidfd)
    spawned.status.close()
    return os.waitstatus_to_exitcode(status)
