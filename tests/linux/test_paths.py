"""`linux.fs`: a hostile root keeps nothing from being made in it, and lets nothing out."""

from __future__ import annotations

import ctypes
import errno
import os
import threading
from pathlib import Path

import pytest

from firkin.linux import fs


@pytest.fixture
def root(tmp_path: Path):
    (tmp_path / "root/a/b").mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/file").write_text("outside")
    fd = os.open(tmp_path / "root", os.O_PATH)
    yield fd
    os.close(fd)


def links(tmp_path: Path, **targets: str) -> None:
    for name, target in targets.items():
        (tmp_path / "root" / name).symlink_to(target)


def path_of(fd: int) -> str:
    path = os.readlink(f"/proc/self/fd/{fd}")
    os.close(fd)
    return path


@pytest.mark.parametrize("path", ["/a/b", "a/b", "../../a/b", "/a/../../../a/b", "up/a/b", "absolute/b"])
def test_paths_resolve_inside(root: int, tmp_path: Path, path: str) -> None:
    links(tmp_path, up="../../../..", absolute="/a")
    assert path_of(fs.in_root(root, path)) == f"{tmp_path}/root/a/b"


def test_magic_links_are_refused(root: int, tmp_path: Path) -> None:
    proc = os.open("/proc", os.O_PATH)
    with pytest.raises(OSError) as caught:
        fs.in_root(proc, "self/root/etc")
    os.close(proc)
    assert caught.value.errno == errno.ELOOP


@pytest.mark.parametrize(
    ("path", "made"),
    [
        ("/new/deep/er", "new/deep/er"),
        ("a/x/../y", "a/y"),
        ("../../../new", "new"),
        ("dangling/x", "run/x"),
        ("far/x", "no/such/x"),
        ("chain/x", "run/x"),
        ("a/up/z", "z"),
    ],
)
def test_what_is_missing_is_made_inside(root: int, tmp_path: Path, path: str, made: str) -> None:
    links(tmp_path, dangling="/run", far="../../../../no/such", chain="dangling")
    (tmp_path / "root/a/up").symlink_to("../..")
    assert path_of(fs.make_in_root(root, path, "dir")) == f"{tmp_path}/root/{made}"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["outside", "root"]


def test_files_are_made_empty_and_kept_if_there(root: int, tmp_path: Path) -> None:
    assert path_of(fs.make_in_root(root, "/etc/hosts", "file")) == f"{tmp_path}/root/etc/hosts"
    assert (tmp_path / "root/etc/hosts").stat().st_mode == 0o100644
    (tmp_path / "root/etc/hosts").write_text("kept")
    os.close(fs.make_in_root(root, "/etc/hosts", "file"))
    assert (tmp_path / "root/etc/hosts").read_text() == "kept"


def test_a_ring_of_links_ends(root: int, tmp_path: Path) -> None:
    links(tmp_path, ping="pong", pong="ping")
    for operation in (lambda: fs.in_root(root, "ping/x"), lambda: fs.make_in_root(root, "ping/x", "dir")):
        with pytest.raises(OSError) as caught:
            operation()
        assert caught.value.errno == errno.ELOOP


def test_a_file_in_the_way_is_an_error(root: int, tmp_path: Path) -> None:
    (tmp_path / "root/file").touch()
    with pytest.raises(NotADirectoryError):
        fs.make_in_root(root, "file/x", "dir")


def test_making_directories_while_somebody_swaps_them(root: int, tmp_path: Path) -> None:
    """The classic race: a directory becomes a link out of the root between check and use."""
    stop = threading.Event()

    real, trap = bytes(tmp_path / "root/a"), bytes(tmp_path / "root/trap")
    os.symlink(tmp_path / "outside", trap)

    def swap() -> None:
        while not stop.is_set():
            ctypes.CDLL(None).renameat2(-100, real, -100, trap, 2)  # AT_FDCWD, RENAME_EXCHANGE

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        for number in range(300):
            try:
                os.close(fs.make_in_root(root, f"a/d{number}/e", "dir"))
            except OSError as error:
                assert error.errno in (errno.ENOENT, errno.EAGAIN, errno.ELOOP)
    finally:
        stop.set()
        thread.join()
    assert [entry.name for entry in (tmp_path / "outside").iterdir()] == ["file"]
    assert any(path.name.startswith("d") for path in tmp_path.rglob("*"))


def test_file_systems_and_kinds() -> None:
    proc, null = os.open("/proc", os.O_PATH), os.open("/dev/null", os.O_PATH)
    assert fs.filesystem_type(proc) == fs.PROC_SUPER_MAGIC
    assert (fs.kind_of(proc), fs.kind_of(null)) == (fs.S_IFDIR, fs.S_IFCHR)
    os.close(proc)
    os.close(null)
