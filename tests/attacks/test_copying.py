"""`docker cp`, `export`, `commit`: the engine reads and writes files of the container's while the container changes them, and
its helpers stand among libraries of the container's. CVE-2018-15664, CVE-2019-14271, CVE-2026-42306."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from firkin.linux import inotify
from tests.attacks.rig import IMAGE, PYTHON3, SECRET, Rig, swapping

_IN_OPEN, _IN_ISDIR = 0x20, 0x40000000


def archive(name: str, content: bytes) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        member = tarfile.TarInfo(name)
        member.size = len(content)
        tar.addfile(member, io.BytesIO(content))
    return made.getvalue()


def get(rig: Rig, container: str, path: str) -> tuple[int, bytes]:
    return rig.engine.api().call("GET", f"/containers/{container}/archive?path={quote(path)}")


def put(rig: Rig, container: str, path: str, data: bytes, **query: str) -> int:
    connection = rig.engine.api()
    words = "".join(f"&{key}={value}" for key, value in query.items())
    connection.request("PUT", f"/containers/{container}/archive?path={quote(path)}{words}", data)
    reply = connection.getresponse()
    reply.read()
    return reply.status


@pytest.fixture
def volume(rig: Rig, tmp_path: Path) -> Path:
    """In it `d`, a directory, and `l`, a link to the directory of the host's secret; the attacker exchanges them."""
    (tmp_path / "volume/d").mkdir(parents=True)
    (tmp_path / "volume/d/secret").write_text("inside\n")
    (tmp_path / "volume/l").symlink_to(rig.dir)
    return tmp_path / "volume"


def test_cp_out_while_directories_are_swapped(rig: Rig, volume: Path) -> None:
    with rig.held(f"-v{volume}:/v", IMAGE, "sleep", "1000") as container, swapping(volume / "d", volume / "l"):
        answers = [get(rig, container, "/v/d/secret") for _ in range(40)]
        assert {status for status, _ in answers} <= {200, 404, 400}
        assert not any(SECRET.encode() in body for _, body in answers)


def test_a_naive_cp_follows_the_link_out(rig: Rig, volume: Path) -> None:
    """Through the container's root as the host sees it, by a path: the link counts from the host's root."""
    with rig.held(f"-v{volume}:/v", IMAGE, "sleep", "1000") as container:
        assert Path(f"/proc/{rig.pid(container)}/root/v/l/secret").read_text() == SECRET


def test_cp_in_while_directories_are_swapped(rig: Rig, volume: Path) -> None:
    before = set(os.listdir(rig.dir))
    with rig.held(f"-v{volume}:/v", IMAGE, "sleep", "1000") as container, swapping(volume / "d", volume / "l"):
        statuses = {put(rig, container, "/v/d", archive("secret", b"overwritten")) for _ in range(30)}
        assert statuses <= {200, 404, 400}
    assert rig.secret.read_text() == SECRET and set(os.listdir(rig.dir)) == before


@pytest.mark.parametrize("path", ["/v/l/secret", "/v/../../v/l/secret", "/proc/1/root/../v/l/secret", "/proc/self/cwd/secret"])
def test_cp_by_way_of_links(rig: Rig, volume: Path, path: str) -> None:
    with rig.held(f"-v{volume}:/v", IMAGE, "sleep", "1000") as container:
        status, body = get(rig, container, path)
        assert status in (400, 404) and SECRET.encode() not in body


def test_cp_of_a_stopped_container_with_hostile_volumes(rig: Rig, volume: Path) -> None:
    """There the engine itself puts the volumes in their places: one of which the image turned into a link."""
    name = rig.engine.firkin("create", f"-v{volume}:/v", f"-v{volume}:/v/l/over", IMAGE, "true").stdout.strip()
    before = set(os.listdir(rig.dir))
    try:
        status, body = get(rig, name, "/v/l/secret")
        assert status in (400, 404) and SECRET.encode() not in body
        put(rig, name, "/v/l", archive("secret", b"overwritten"))  # lands in the container, where the link leads inside
    finally:
        rig.engine.firkin("rm", name)
    assert rig.secret.read_text() == SECRET and set(os.listdir(rig.dir)) == before


def test_cp_of_a_stopped_container_reaches_no_more_of_a_volume_than_it_has(rig: Rig) -> None:
    """It has a part of one (`volume-subpath`), which somebody else who has the whole can exchange for a link."""
    whole = ["--mount", "type=volume,source=shared,target=/v"]
    rig.shell("mkdir /v/part; echo inside > /v/part/file; echo others > /v/file", *whole)
    mount = "type=volume,source=shared,target=/v,volume-subpath=part"
    name = rig.engine.firkin("create", "--mount", mount, IMAGE, "true").stdout.strip()
    try:
        status, body = get(rig, name, "/v/.")
        assert status == 200 and b"inside" in body and b"others" not in body
        assert put(rig, name, "/v", archive("new", b"content")) == 200
        assert rig.shell("ls /v /v/part", *whole).split() == ["/v:", "file", "part", "/v/part:", "file", "new"]
        rig.shell(f"mv /v/part /v/kept; ln -s {rig.dir} /v/part", *whole)
        status, body = get(rig, name, "/v/secret")
        assert status in (400, 404) and SECRET.encode() not in body
    finally:
        rig.engine.firkin("rm", name)
        rig.engine.firkin("volume", "rm", "shared")


# --- libraries -----------------------------------------------------------------------------------------------------
LIBRARIES = (
    "x86_64-linux-gnu/libnss_files.so.2", "x86_64-linux-gnu/libnss_dns.so.2", "x86_64-linux-gnu/libgcc_s.so.1",
    "libnss_files.so.2", "libgcc_s.so.1", "locale/locale-archive", "python3.11/encodings/idna.py", "nsswitch.conf",
)  # fmt: skip
EVENT = struct.Struct("iIII")


@pytest.fixture
def libraries(tmp_path: Path) -> Path:
    """A volume for the container's /lib, /usr and /etc, with what a helper might load from there."""
    for name in LIBRARIES:
        path = tmp_path / "libraries" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"not a library")
    (tmp_path / "libraries/passwd").write_text("root:x:0:0::/:/bin/sh\nbob:x:1000:1000::/:/bin/sh\n")
    return tmp_path / "libraries"


class Watch:
    """Notes which files below a directory are opened."""

    def __init__(self, directory: Path) -> None:
        below = [directory, *(one for one in directory.rglob("*") if one.is_dir())]
        self.fds = [inotify.watch(str(path), _IN_OPEN) for path in below]

    def opened(self) -> set[str]:
        found = set()
        for fd in self.fds:
            try:
                data = os.read(fd, 1 << 16)
            except BlockingIOError:
                continue
            while data:
                _, mask, _, length = EVENT.unpack_from(data)
                if length and not mask & _IN_ISDIR:
                    found.add(data[EVENT.size : EVENT.size + length].rstrip(b"\0").decode())
                data = data[EVENT.size + length :]
        return found

    def close(self) -> None:
        for fd in self.fds:
            os.close(fd)


@pytest.fixture
def watch(libraries: Path) -> Iterator[Watch]:
    watch = Watch(libraries)
    yield watch
    watch.close()


def test_cp_loads_nothing_from_the_container(rig: Rig, libraries: Path, watch: Watch) -> None:
    """Users to look up, names in strange encodings, errors to explain: nothing of that needs a file from in there but
    the user's, and that is read as text."""
    volumes = [f"-v{libraries}:{path}" for path in ("/lib", "/lib64", "/usr/lib", "/etc")]
    with rig.held(*volumes, "--user", "bob", IMAGE, "sleep", "1000") as container:
        watch.opened()  # by the start
        assert put(rig, container, "/tmp", archive("näme-\udcff", b"x"), copyUIDGID="1") == 200
        assert get(rig, container, "/tmp")[0] == 200
        assert get(rig, container, "/tmp/\u2603")[0] == 404
        assert put(rig, container, "/tmp", b"no archive at all" * 100) == 400
        assert watch.opened() == {"passwd"}


def test_a_naive_helper_loads_them(rig: Rig, libraries: Path, watch: Watch) -> None:
    """A dynamic program in the container's mount namespace, as CVE-2019-14271's docker-tar was."""
    volumes = [f"-v{libraries}:{path}" for path in ("/lib", "/etc")]
    with rig.held(*volumes, IMAGE, "sleep", "1000") as container:
        code = "import ctypes, os, sys; libc = ctypes.CDLL(None); libc.setns(os.pidfd_open(int(sys.argv[1])), 0x20000)\n"
        argv = [PYTHON3, "-IS", "-c", code + "ctypes.CDLL('libnss_files.so.2')", str(rig.pid(container))]
        subprocess.run(argv, capture_output=True, timeout=20, check=False)
        assert "libnss_files.so.2" in watch.opened()
