"""What the tests of images work with: an images service, real registries, images as OCI layouts, skopeo."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import io
import json
import os
import subprocess
import tarfile
from pathlib import Path
from typing import Any

from firkin.config import DaemonConfig
from firkin.images.images import Images
from firkin.images.progress import Progress
from firkin.images.removal import Use
from firkin.images.retry import Retry
from firkin.oci.digest import Digest
from firkin.paths import Layout
from firkin.storage.content import ContentStore
from firkin.storage.layers import Layers

HASTY = Retry(attempts=4, first=0.02, longest=0.1, longest_asked=1.0, connect=2.0, stall=0.5)


class Rig:
    """An images service whose containers are what a test says they are."""

    def __init__(self, root: Path, **settings: Any) -> None:
        self.layout = Layout(str(root / "data"), str(root / "run"))
        self.settings = settings
        self.users: dict[Digest, list[Use]] = {}
        self.in_use: set[str] = set()
        self.events: list[tuple[str, str, dict[str, str]]] = []
        self.seen: list[Progress] = []
        self.open()

    def open(self) -> None:
        """As a daemon does at its start."""
        self.content = ContentStore(self.layout)
        self.layers = Layers(self.layout, self.content)
        self.images = Images(
            self.layout,
            DaemonConfig(**self.settings),
            self.content,
            self.layers,
            uses=lambda image_id: self.users.get(image_id, []),
            layers_in_use=lambda: self.in_use,
            publish=lambda *event: self.events.append(event),
            retry=HASTY,
        )

    async def restart(self) -> None:
        """A new daemon over the same data, once the old one's removals are done."""
        for _ in range(200):
            if not any(name.startswith("removing-") for name in os.listdir(self.layout.layers)):
                break
            await asyncio.sleep(0.01)
        self.open()

    def watch(self, progress: Progress) -> None:
        self.seen.append(progress)

    def statuses(self, identifier: str = "") -> list[str]:
        return [progress.status for progress in self.seen if progress.id.startswith(identifier)]

    def files(self, chain: str) -> set[str]:
        """Paths in an unpacked layer."""
        top = Path(self.layers.directory(chain)) / "diff"
        return {str(path.relative_to(top)) for path in top.rglob("*")}

    def left(self) -> dict[str, list[str]]:
        """What is on disk of blobs, layers, image records and unfinished downloads."""
        found = {
            "blobs": os.listdir(os.path.join(self.layout.blobs, "sha256")),
            "layers": [n for n in os.listdir(self.layout.layers) if not n.startswith("removing-")],
            "images": [n for n in os.listdir(self.layout.images) if n != "references.json"],
            "ingest": os.listdir(self.layout.ingest),
        }
        return {kind: names for kind, names in found.items() if names}

    def check_tidy(self) -> None:
        """Every blob and layer belongs to an image, and no scratch file is there beside resumable downloads."""
        needed: set[str] = set()
        for image in self.images.list({}, show_all=True):
            needed.update((image.id, image.manifest_digest, *image.chain, *(blob.digest for blob in image.layers)))
        digits = {name.removeprefix("sha256:") for name in needed | self.in_use}
        left = self.left()
        assert set(left.get("blobs", [])) <= digits
        assert set(left.get("layers", [])) <= digits
        assert all(len(name) == 64 for name in left.get("ingest", []))


def tar_of(files: dict[str, bytes | str | None]) -> bytes:
    """A tar stream: bytes are files, text symlinks, None directories."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, value in files.items():
            member = tarfile.TarInfo(name)
            if value is None:
                member.type, member.mode = tarfile.DIRTYPE, 0o755
                tar.addfile(member)
            elif isinstance(value, str):
                member.type, member.linkname = tarfile.SYMTYPE, value
                tar.addfile(member)
            else:
                member.size = len(value)
                tar.addfile(member, io.BytesIO(value))
    return out.getvalue()


def sha256(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


class Sample:
    """An image as documents and blobs, to be served or written as an OCI layout by a test."""

    def __init__(self, *layers: bytes, packing: str = "+gzip", **config: Any) -> None:
        self.blobs: dict[str, bytes] = {}
        self.layers = [self._add("application/vnd.oci.image.layer.v1.tar" + packing, _pack(data, packing)) for data in layers]
        self.config = json.dumps(
            {"architecture": "amd64", "os": "linux", "config": {"Cmd": ["sh"]}}
            | config
            | {"rootfs": {"type": "layers", "diff_ids": [sha256(data) for data in layers]}}
        ).encode()
        self.manifest = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "config": self._add("application/vnd.oci.image.config.v1+json", self.config),
                "layers": self.layers,
            }
        ).encode()

    @property
    def id(self) -> str:
        return sha256(self.config)

    def _add(self, media_type: str, data: bytes) -> dict[str, Any]:
        self.blobs[sha256(data)] = data
        return {"mediaType": media_type, "digest": sha256(data), "size": len(data)}

    def write(self, directory: Path, tag: str = "latest") -> Path:
        """As an OCI image layout that skopeo can copy from."""
        (directory / "blobs/sha256").mkdir(parents=True)
        entry = self._add("application/vnd.oci.image.manifest.v1+json", self.manifest)
        for digest, data in self.blobs.items():
            (directory / "blobs/sha256" / digest.removeprefix("sha256:")).write_bytes(data)
        entry["annotations"] = {"org.opencontainers.image.ref.name": tag}
        (directory / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
        (directory / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
        return directory


def _pack(data: bytes, packing: str) -> bytes:
    if packing == "+gzip":
        return gzip.compress(data, 1, mtime=0)
    if packing == "+zstd":
        import zstandard

        return zstandard.compress(data)
    return data


class Registry:
    """Debian's docker-registry on 127.0.0.1."""

    def __init__(self, directory: Path, port: int, extra: str = "") -> None:
        self.directory, self.port, self.extra = directory, port, extra
        self.host = f"127.0.0.1:{port}"

    async def __aenter__(self) -> Registry:
        self.directory.mkdir(parents=True, exist_ok=True)
        config = self.directory / "config.yml"
        config.write_text(
            f"version: 0.1\nlog: {{level: error}}\nstorage:\n  filesystem: {{rootdirectory: {self.directory}/data}}\n"
            f"  delete: {{enabled: true}}\nhttp:\n  addr: {self.host}\n{self.extra}"
        )
        log = open(self.directory / "log", "wb")
        self.process = await asyncio.create_subprocess_exec("docker-registry", "serve", str(config), stdout=log, stderr=log)
        log.close()
        for _ in range(200):
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                writer.close()
                return self
            except OSError:
                await asyncio.sleep(0.02)
        raise AssertionError((self.directory / "log").read_text())

    async def __aexit__(self, *_: object) -> None:
        self.process.terminate()
        await self.process.wait()


async def skopeo(*arguments: str) -> str:
    """Run skopeo; its output."""
    process = await asyncio.create_subprocess_exec(
        "skopeo", "--insecure-policy", *arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    out, error = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 0, error.decode()
    return out.decode()
