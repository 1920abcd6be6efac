"""Archives exchanged with the real dockerd, both ways."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from tests.images.rig import Rig, tar_of
from tests.images.test_archives import chunks, saved

pytestmark = [
    pytest.mark.reference,
    pytest.mark.skipif(not shutil.which("dockerd") or not shutil.which("docker"), reason="no dockerd on this machine"),
]
Docker = Callable[..., Awaitable[str]]


@pytest.fixture
async def docker(tmp_path: Path) -> AsyncIterator[Docker]:
    """A dockerd of our own, and its client."""
    socket, log = tmp_path / "docker.sock", open(tmp_path / "log", "wb")
    daemon = await asyncio.create_subprocess_exec(
        *("unshare", "-m", "--propagation", "private", "sh", "-c"),
        'umount /sys/fs/cgroup/unified 2>/dev/null; exec dockerd --data-root "$0/data" --exec-root "$0/exec" -H "unix://$0/docker.sock" '
        '--pidfile "$0/pid" --storage-driver vfs --iptables=false --bridge=none',
        str(tmp_path),
        stdout=log,
        stderr=log,
    )

    async def docker(*arguments: str) -> str:
        client = await asyncio.create_subprocess_exec(
            *("docker", *arguments),
            env={"PATH": os.environ["PATH"], "DOCKER_HOST": f"unix://{socket}", "HOME": str(tmp_path)},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        out, _ = await client.communicate()
        assert client.returncode == 0, out.decode()
        return out.decode().strip()

    try:
        for _ in range(200):
            if socket.exists():
                break
            await asyncio.sleep(0.1)
        assert socket.exists(), (tmp_path / "log").read_text()
        yield docker
    finally:
        daemon.terminate()
        await daemon.wait()
        log.close()


async def test_dockers_archives_load_here_and_ours_there(rig: Rig, docker: Docker, tmp_path: Path) -> None:
    (tmp_path / "root.tar").write_bytes(tar_of({"bin/": None, "bin/sh": b"#!", "etc": None, "etc/motd": b"hello"}))
    theirs = await docker("import", "--change", "CMD sh", str(tmp_path / "root.tar"), "theirs:v1")
    await docker("save", "-o", str(tmp_path / "theirs.tar"), "theirs:v1")
    assert await rig.images.load(chunks((tmp_path / "theirs.tar").read_bytes())) == ["Loaded image: theirs:v1"]
    image = rig.images.resolve("theirs:v1")
    assert image.id == theirs
    assert rig.files(image.chain[0]) == {"bin", "bin/sh", "etc", "etc/motd"}
    ours = await rig.images.import_(chunks(tar_of({"file": b"ours"})), "ours:v1")
    (tmp_path / "ours.tar").write_bytes(await saved(rig, "ours:v1", "theirs:v1"))
    assert "Loaded image: ours:v1" in await docker("load", "-i", str(tmp_path / "ours.tar"))
    assert await docker("image", "inspect", "--format={{.Id}}", "ours:v1") == ours
