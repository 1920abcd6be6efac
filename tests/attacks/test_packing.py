"""Files packed while they change: for `docker cp`, `export` and `commit` of a running container."""

from __future__ import annotations

import os
import signal
import tarfile
import time
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from firkin.linux import copy_up, inotify
from tests.attacks.rig import IMAGE, PYTHON, PYTHON3, Rig, swapping
from tests.attacks.test_copying import get
from tests.lab import wait_until

_IN_OPEN = 0x20
CHURN = """
mkdir -p /t/d/e; cd /t
(while :; do echo x > a; mv a b; rm b; mkdir -p c/d; rmdir c/d c; ln -s / c; rm c; done) &
(while :; do echo xxxxxxxxxxxxxxxxxxxxxxxxxxxxxx >> grows; done) &
while :; do head -c 100000 /dev/zero > shrinks; : > shrinks; done
"""


def test_what_changes_meanwhile_is_left_out_or_cut(rig: Rig) -> None:
    """A container's own doings must not spoil the copy of the rest."""
    with rig.held("--cpus", "0.7", IMAGE, "sh", "-c", CHURN) as container:
        time.sleep(0.2)
        for _ in range(15):
            status, body = get(rig, container, "/t")
            assert status == 200
            with tarfile.open(fileobj=BytesIO(body)) as tar:
                assert {"t", "t/d", "t/d/e"} <= set(tar.getnames())


@pytest.mark.parametrize("path", ["/t/queue", "/t/huge", "/t/memory", "/t"])
def test_a_file_that_never_ends(rig: Rig, path: str) -> None:
    """A queue nobody writes to, a device, a file of tebibytes: no copy waits for ever, and the first two are packed as what they are."""
    script = "mkdir /t; mkfifo /t/queue; mknod /t/memory c 1 5; truncate -s 8796093022208 /t/huge; sleep 1000"
    with rig.held(IMAGE, "sh", "-c", script) as container:
        time.sleep(0.2)
        connection = rig.engine.api()
        connection.request("GET", f"/containers/{container}/archive?path={path}")
        reply = connection.getresponse()
        assert reply.status in (200, 404) and len(reply.read(1 << 20)) <= 1 << 20
        connection.close()
        assert rig.alive()


# Gives its lease up when asked to, in its own time.
LEASE = """
import fcntl, os, signal, time
os.mkdir('/t')
file = os.open('/t/leased', os.O_RDWR | os.O_CREAT)
os.write(file, b'content')
def give_up(number, frame):
    time.sleep(1)
    fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_UNLCK)
signal.signal(signal.SIGIO, give_up)
fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
print('leased', flush=True)
while True: time.sleep(1000)
"""


def test_a_file_under_a_lease_is_waited_for(rig: Rig) -> None:
    """As any program that opens it waits; a container that is to be looked at must not get out of it so."""
    with rig.held(*PYTHON, IMAGE, PYTHON3, "-IS", "-c", LEASE) as container:
        wait_until(lambda: "leased" in rig.logs(container))
        status, body = get(rig, container, "/t")
        assert status == 200
        with tarfile.open(fileobj=BytesIO(body)) as tar:
            leased = tar.extractfile("t/leased")
            assert leased and leased.read() == b"content"


# As large as the file system lets it be, and in the middle of it four bytes.
GIANT = """
mkdir /t; truncate -s 4611686018427387904 /t/giant 2>/dev/null || truncate -s 8796093022208 /t/giant
printf word | dd of=/t/giant bs=1 seek=3000000000 conv=notrunc 2>/dev/null; echo made; sleep 1000
"""
LOOK = "stat -c '%s %b' /t/giant; dd if=/t/giant bs=1 skip=3000000000 count=4 2>/dev/null"


def test_a_giant_of_holes_is_copied_as_one(rig: Rig, tmp_path: Path) -> None:
    """Otherwise it would fill the host's disk, or the time until the end of days."""
    with rig.held(IMAGE, "sh", "-c", GIANT) as container:
        wait_until(lambda: "made" in rig.logs(container))
        size, blocks, word = rig.engine.firkin("exec", container, "sh", "-c", LOOK).stdout.split()
        assert int(size) >= 8 << 40 and int(blocks) < 100 and word == "word"
        assert "A /t/giant" in rig.engine.firkin("diff", container).stdout
        for archive in (get(rig, container, "/t/giant")[1], rig.engine.firkin("export", container, text=False).stdout):
            assert len(archive) < 64 << 20
            with tarfile.open(fileobj=BytesIO(archive)) as tar:
                giant = next(member for member in tar if member.name in ("giant", "t/giant"))
                assert giant.size == int(size)
                assert giant.sparse and sum(length for _, length in giant.sparse) < 1 << 20
        rig.engine.firkin("cp", f"{container}:/t/giant", str(tmp_path))
        assert (tmp_path / "giant").stat().st_size == int(size) and (tmp_path / "giant").stat().st_blocks < 100
        rig.engine.firkin("commit", container, "giant:1")
    try:
        for flags in ([], ["-vgiant:/t"]):  # with a volume that begins with what the image has there
            assert rig.shell(LOOK, *flags, image="giant:1").split() == [size, blocks, word]
    finally:
        rig.engine.firkin("volume", "rm", "giant")
        rig.engine.firkin("rmi", "giant:1")


def test_a_file_swapped_for_a_device_is_not_opened(rig: Rig, tmp_path: Path) -> None:
    """The engine's helpers are in no device cgroup: to open a node is to the host what its driver makes of it, which for a
    watchdog is a reboot. In their mount namespace no device can be opened at all."""
    volume = tmp_path / "volume"
    volume.mkdir()
    (volume / "file").write_text("plain")
    os.mknod(volume / "node", 0o20666, os.makedev(1, 3))
    watch = inotify.watch(str(volume / "node"), _IN_OPEN)
    try:
        with rig.held(f"-v{volume}:/v", IMAGE, "sleep", "1000") as container, swapping(volume / "file", volume / "node"):
            for _ in range(25):
                get(rig, container, "/v/file")
        with pytest.raises(BlockingIOError):
            os.read(watch, 4096)
        os.close(os.open(volume / "file", os.O_RDONLY))
        os.close(os.open(volume / "node", os.O_RDONLY))
        assert os.read(watch, 4096)  # one of them was the node: it would have been seen
    finally:
        os.close(watch)


@pytest.mark.parametrize("swapped", ["a queue", "a device", "a link", "a directory"])
def test_a_file_swapped_while_a_file_system_is_filled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, swapped: str) -> None:
    """A tmpfs that begins with what it covers (`tmpcopyup`): whoever shares the bundle's root exchanges a file as soon as it has
    been looked at. Whatever was there in the first place is copied; nothing is waited for, nothing else opened."""
    source, target, other = tmp_path / "source", tmp_path / "target", tmp_path / "other"
    for directory in (source, target):
        directory.mkdir()
    (source / "file").write_text("plain")
    make = {
        "a queue": lambda: os.mkfifo(other),
        "a device": lambda: os.mknod(other, 0o20666, os.makedev(10, 9999)),
        "a link": lambda: other.symlink_to("/etc/passwd"),
        "a directory": other.mkdir,
    }
    make[swapped]()
    for call in ("lstat", "fstat"):
        monkeypatch.setattr(copy_up.os, call, _swapping_once(getattr(os, call), source / "file", other))
    signal.signal(signal.SIGALRM, _too_long)
    signal.alarm(20)
    try:
        fds = [os.open(path, os.O_RDONLY | os.O_DIRECTORY) for path in (source, target, Path("/proc"))]
        copy_up.copy_tree(*fds)
    finally:
        signal.alarm(0)
        for fd in fds:
            os.close(fd)
    assert (target / "file").read_text() == "plain"
    assert (source / "file").is_fifo() == (swapped == "a queue") and other.read_text() == "plain"


def _swapping_once(call: Callable[..., os.stat_result], one: Path, other: Path) -> Callable[..., os.stat_result]:
    """`call`; the first time that it is of the file `one`, the two names are exchanged afterwards."""
    waiting, inode = [True], one.stat().st_ino

    def called(*arguments: Any, **options: Any) -> os.stat_result:
        status = call(*arguments, **options)
        if waiting and status.st_ino == inode:
            waiting.clear()
            for old, new in ((one, "aside"), (other, one), (one.parent.parent / "aside", other)):
                os.rename(old, one.parent.parent / new)
        return status

    return called


def _too_long(number: int, frame: object) -> None:
    raise TimeoutError
