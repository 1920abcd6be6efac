"""Images of this machine's programs: they run without the machine, and come out the same every time."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from firkin.errors import Invalid
from firkin.images.elf import Libraries, configured_directories, read_binary
from firkin.images.progress import ignore
from firkin.images.store import Image
from tests.images.rig import Rig


async def run(rig: Rig, image: Image, *command: str) -> str:
    """Run a command with nothing but the image's one layer for a root."""
    root = Path(rig.layers.directory(image.chain[0])) / "diff"
    process = await asyncio.create_subprocess_exec(
        *("unshare", "-m", "chroot", str(root), *command),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={"PATH": "/usr/sbin:/usr/bin:/bin"},
    )
    out, _ = await process.communicate()
    assert process.returncode == 0, out.decode()
    return out.decode()


async def test_the_embedded_image_is_made_when_asked_for(rig: Rig) -> None:
    image = await rig.images.find("firkin/tiny")
    assert image.tags == ["firkin/tiny:latest"]
    shell = image.config.config.cmd or ()
    assert await run(rig, image, *shell, "-c", "echo hello; ls / | head -1; id -u") == "hello\nbin\n0\n"
    again = await rig.images.pull("firkin/tiny:latest", watch=rig.watch)
    assert again.id == image.id


async def test_bash_and_python_run_without_the_machine(rig: Rig) -> None:
    image = await rig.images.from_host(["bash", "/usr/bin/python3"], "mine:v1", ignore)
    assert image.tags == ["mine:v1"]
    assert image.config.config.cmd == (shutil.which("bash"),)
    assert await run(rig, image, "bash", "-c", "echo $((6 * 7))") == "42\n"
    script = "import asyncio, ctypes, json, sqlite3, ssl; print(json.dumps(ssl.OPENSSL_VERSION.split()[0]))"
    assert await run(rig, image, "python3", "-c", script) == '"OpenSSL"\n'


async def test_a_script_brings_its_interpreter(rig: Rig, tmp_path: Path) -> None:
    script = tmp_path / "hello"
    script.write_text("#!/usr/bin/env bash\necho hello $0\n")
    script.chmod(0o755)
    image = await rig.images.from_host([str(script)], "script", ignore)
    assert await run(rig, image, str(script)) == f"hello {script}\n"


async def test_a_program_that_is_not_there_is_named(rig: Rig) -> None:
    with pytest.raises(Invalid, match="find program no-such-program: no such file in PATH"):
        await rig.images.from_host(["no-such-program"], "x", ignore)
    assert rig.left() == {}


def test_libraries_are_those_the_loader_finds() -> None:
    program = shutil.which("bash") or "/bin/bash"
    libraries = Libraries()
    libraries.add(program)
    ours = {os.path.realpath(path) for path in libraries.found} - {os.path.realpath(program)}
    listed = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout.split()
    assert ours == {os.path.realpath(word) for word in listed if word.startswith("/")}


def test_a_file_that_is_no_elf_needs_nothing(tmp_path: Path) -> None:
    for number, data in enumerate((b"", b"#!/bin/sh", b"\x7fELF", b"\x7fELF" + bytes(100), b"\x7fELF" + b"\xff" * 500)):
        path = tmp_path / str(number)
        path.write_bytes(data)
        assert read_binary(str(path)) is None


def test_the_loaders_configuration_is_followed(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d/a.conf").write_text("# comment\n/one\n")
    (tmp_path / "ld.so.conf").write_text(f"include {tmp_path}/d/*.conf\n/two # why\n")
    assert configured_directories(str(tmp_path / "ld.so.conf")) == ["/one", "/two"]
