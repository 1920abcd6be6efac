"""Images as `docker save` writes them, with a configuration or a file tree that means harm."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

from tests.attacks.rig import Rig, add_link


def tar_of(members: Iterable[tuple[tarfile.TarInfo, bytes]], links: dict[str, str] | None = None) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        for member, content in members:
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        for name, target in (links or {}).items():
            add_link(tar, name, target)
    return made.getvalue()


def file(name: str, content: bytes = b"", **fields: Any) -> tuple[tarfile.TarInfo, bytes]:
    member = tarfile.TarInfo(name)
    member.mode = 0o755
    for field, value in fields.items():
        setattr(member, field, value)
    return member, content


def layer(*members: tuple[tarfile.TarInfo, bytes], links: dict[str, str] | None = None) -> bytes:
    """Busybox, and what else is wanted."""
    with open("/bin/busybox", "rb") as busybox:
        program = file("bin/busybox", busybox.read())
    names = ("sh", "cat", "echo", "id", "ls", "stat", "true", "sleep", "env", "pwd", "wc", "head", "readlink")
    return tar_of([program, *members], {**{f"bin/{name}": "busybox" for name in names}, **(links or {})})


def archive(config: dict[str, Any], content: bytes, tag: str = "hostile:1", **manifest: Any) -> bytes:
    """`config` is the image's "config"; `manifest` replaces members of manifest.json's entry."""
    diff = "sha256:" + hashlib.sha256(content).hexdigest()
    document = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Cmd": ["sh"], "Env": ["PATH=/bin"], **config},
        "rootfs": {"type": "layers", "diff_ids": [diff]},
    }
    entry = {"Config": "config.json", "RepoTags": [tag], "Layers": ["layer.tar"], **manifest}
    documents = {"config.json": document, "manifest.json": [entry]}
    return tar_of([*(file(name, json.dumps(text).encode()) for name, text in documents.items()), file("layer.tar", content)])


def load(rig: Rig, data: bytes) -> str:
    """What the engine says to it; "" if it took it."""
    connection = rig.engine.api()
    connection.request("POST", "/images/load", data, {"Content-Type": "application/x-tar"})
    reply = connection.getresponse()
    said = reply.read().decode()
    if reply.status != 200:
        assert reply.status in (400, 404, 409), said
        return str(json.loads(said)["message"])
    return "".join(json.loads(line).get("error", "") for line in said.splitlines())


def run(rig: Rig, image: str = "hostile:1", **body: Any) -> tuple[str, str]:
    """(what the engine refused, what the container printed), one of them empty; nothing is left."""
    call = rig.engine.api().call
    status, made = call("POST", "/containers/create", {"Image": image, **body})
    if status != 201:
        assert status in (400, 404, 409), made
        return made["message"], ""
    name = made["Id"]
    try:
        status, answer = rig.engine.api().call("POST", f"/containers/{name}/start")
        if status != 204:
            assert status in (400, 404, 409) or "unable to start container process" in answer["message"], (status, answer)
            return answer["message"], ""
        rig.engine.api().call("POST", f"/containers/{name}/wait")
        return "", rig.logs(name)
    finally:
        rig.engine.api().call("DELETE", f"/containers/{quote(name)}?force=1&v=1")
