"""Volumes, copies and exports."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.conftest import IMAGE
from tests.lab import Engine, wait_until


def test_a_named_volume_keeps_and_is_filled_once(client) -> None:
    client("volume", "create", "keep")
    try:
        assert client(
            "run", "--rm", "-v", "keep:/etc", IMAGE, "sh", "-c", "echo more > /etc/more; cat /etc/group"
        ).stdout.startswith("root:")
        assert client("run", "--rm", "-v", "keep:/x:ro", IMAGE, "cat", "/x/more").stdout == "more\n"
        assert client("volume", "ls", "-q").stdout == "keep\n"
        user = client("create", "-v", "keep:/x", IMAGE, "true").stdout.strip()
        done = client("volume", "rm", "keep", check=False)
        assert done.returncode == 1 and "volume is in use" in done.stderr
        client("rm", user)
    finally:
        client("volume", "rm", "keep")


def test_anonymous_volumes_go_with_rm_v(client) -> None:
    client("run", "--name", "anon", "-v", "/data", IMAGE, "touch", "/data/x")
    assert len(client("volume", "ls", "-q").stdout.split()) == 1
    client("rm", "-v", "anon")
    assert client("volume", "ls", "-q").stdout == ""


@pytest.mark.parametrize("running", [True, False])
def test_cp_both_ways(client, tmp_path: Path, running: bool) -> None:
    name = "box"
    client("run", "-d", "--name", name, "-v", "/vol", IMAGE, "sleep", "1000")
    if not running:
        client("stop", "-t", "0", name)
    try:
        (tmp_path / "tree/sub").mkdir(parents=True)
        (tmp_path / "tree/sub/file").write_text("content")
        (tmp_path / "tree/link").symlink_to("sub/file")
        os.chmod(tmp_path / "tree/sub/file", 0o751)
        client("cp", str(tmp_path / "tree"), f"{name}:/root")
        client("cp", str(tmp_path / "tree/sub/file"), f"{name}:/vol/renamed")
        client("cp", f"{name}:/root/tree", str(tmp_path / "back"))
        back = tmp_path / "back"
        assert (back / "sub/file").read_text() == "content" and (back / "sub/file").stat().st_mode & 0o777 == 0o751
        assert os.readlink(back / "link") == "sub/file"
        client("cp", f"{name}:/vol/renamed", str(tmp_path / "volume-file"))
        assert (tmp_path / "volume-file").read_text() == "content"
        archive = client("cp", f"{name}:/etc/passwd", "-", text=False).stdout
        assert tarfile.open(fileobj=io.BytesIO(archive)).getnames() == ["passwd"]
        missing = client("cp", f"{name}:/no/such", str(tmp_path), check=False)
        assert missing.returncode == 1 and "Could not find the file" in missing.stderr
    finally:
        client("rm", "-fv", name)


def test_cp_never_follows_a_link_out_of_the_container(client, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("the host's")
    client("run", "-d", "--name", "sly", IMAGE, "sh", "-c", f"ln -s {tmp_path}/secret /leak; ln -s / /out; exec sleep 1000")
    try:
        done = client("cp", "-L", "sly:/leak", str(tmp_path / "got"), check=False)
        assert done.returncode != 0 and not (tmp_path / "got").exists()
        (tmp_path / "planted").write_text("x")
        client("cp", str(tmp_path / "planted"), "sly:/out/tmp/planted-by-test", check=False)
        assert not Path("/tmp/planted-by-test").exists()
    finally:
        client("rm", "-f", "sly")


def test_export_is_the_whole_root(client, tmp_path: Path) -> None:
    client("run", "--name", "whole", IMAGE, "sh", "-c", "echo x > /mine; rm /etc/group")
    client("export", "-o", str(tmp_path / "root.tar"), "whole")
    client("rm", "whole")
    names = tarfile.open(tmp_path / "root.tar").getnames()
    assert {"mine", "bin/busybox"} <= set(names) and "etc/group" not in names


def test_a_part_of_a_volume(client, tmp_path: Path) -> None:
    client("volume", "create", "parts")
    try:
        client("run", "--rm", "-v", "parts:/v", IMAGE, "sh", "-c", "mkdir /v/sub; echo inner > /v/sub/file; ln -s / /v/out")
        mount = "type=volume,src=parts,dst=/x,volume-subpath="
        assert client("run", "--rm", "--mount", mount + "sub", IMAGE, "cat", "/x/file").stdout == "inner\n"
        assert client("run", "--rm", "--mount", mount + "out", IMAGE, "ls", "/x").stdout.split() == ["out", "sub"]
        assert client("run", "--rm", "--mount", mount + "none", IMAGE, "true", check=False).returncode == 127
    finally:
        client("volume", "rm", "parts")


@pytest.fixture
def mounting(engine: Engine, tmp_path: Path) -> Iterator[str]:
    """A container that has ended, with volumes that are mounts: /bound of a directory of the host's, /fresh a tmpfs."""
    (tmp_path / "file").write_text("content")
    bound = ("type=none", "o=bind", f"device={tmp_path}")
    for name, options in (("bound", bound), ("fresh", ("type=tmpfs", "device=tmpfs", "o=size=1m"))):
        engine.firkin("volume", "create", *(word for option in options for word in ("-o", option)), name)
    engine.firkin("run", "--name", "mounting", "-v", "bound:/bound", "-v", "fresh:/fresh", IMAGE, "touch", "/fresh/old")
    yield "mounting"
    engine.firkin("rm", "-f", "mounting")
    engine.firkin("volume", "rm", "-f", "bound", "fresh")
    assert mounted(engine) == []


def mounted(engine: Engine) -> list[str]:
    table = engine.lab.run("cat", "/proc/mounts").stdout.splitlines()
    return [line.split()[1] for line in table if f"{engine.dir}/data/volumes" in line]


def test_cp_of_a_stopped_container_has_volumes_that_are_mounts(client, engine: Engine, mounting: str, tmp_path: Path) -> None:
    copied = tmp_path / "copied"
    client("cp", f"{mounting}:/bound/file", str(copied))
    assert copied.read_text() == "content"
    client("cp", str(copied), f"{mounting}:/bound/back")
    assert (tmp_path / "back").read_text() == "content"
    client("cp", str(copied), f"{mounting}:/fresh/new")  # which is gone with its mount, as with Docker
    assert client("cp", f"{mounting}:/fresh/new", str(copied), check=False).returncode == 1
    assert mounted(engine) == []


def test_cp_says_what_cannot_be_mounted(client, engine: Engine) -> None:
    client("volume", "create", "-o", "type=tmpfs", "-o", "device=tmpfs", "first")
    client("volume", "create", "-o", "type=ext4", "-o", "device=/dev/nowhere", "none")
    client("create", "--name", "halved", "-v", "first:/a", "-v", "none:/n", IMAGE, "true")
    try:
        for argv in (("cp", "halved:/etc/passwd", "-"), ("start", "halved")):
            done = client(*argv, check=False)
            assert done.returncode == 1 and "mount" in done.stderr and "no such file or directory" in done.stderr
            assert mounted(engine) == []
    finally:
        client("rm", "halved")
        client("volume", "rm", "first", "none")


def test_a_daemon_killed_during_a_copy_leaves_no_mount(engine: Engine, mounting: str, tmp_path: Path) -> None:
    connection = engine.api()
    connection.putrequest("PUT", f"/containers/{mounting}/archive?path=/bound")
    connection.putheader("Transfer-Encoding", "chunked")
    connection.endheaders()
    connection.send(b"200\r\n" + bytes(512) + b"\r\n")
    wait_until(lambda: len(mounted(engine)) == 2)
    # Without the container nothing refers to what is mounted, and what is mounted is not to be removed with the volume.
    engine.firkin("rm", mounting)
    assert "volume is in use" in engine.firkin("volume", "rm", "bound", check=False).stderr
    engine.kill()
    assert len(mounted(engine)) == 2
    engine.start()
    assert mounted(engine) == []
    engine.firkin("volume", "rm", "bound", "fresh")
    assert (tmp_path / "file").read_text() == "content"
