"""Volumes, copies and exports."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest
from tests.e2e.conftest import IMAGE


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
