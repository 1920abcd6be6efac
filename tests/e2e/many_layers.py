"""Write a docker-archive of an image with many layers: many_layers.py FILE COUNT."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import sys
import tarfile


def layer(names: dict[str, bytes | str]) -> bytes:
    """A tar of files (bytes) and symbolic links (str)."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, content in names.items():
            entry = tarfile.TarInfo(name)
            entry.mode = 0o755
            if isinstance(content, str):
                entry.type, entry.linkname = tarfile.SYMTYPE, content
                tar.addfile(entry)
            else:
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))
    return out.getvalue()


def main(path: str, count: int) -> None:
    applets = subprocess.check_output(["/bin/busybox", "--list"], text=True).split()
    with open("/bin/busybox", "rb") as file:
        base = {"bin/busybox": file.read(), "layers/1": b"1"}
    layers = [layer({**base, **{f"bin/{name}": "busybox" for name in applets if name != "busybox"}})]
    layers += [layer({f"layers/{n}": str(n).encode()}) for n in range(2, count + 1)]
    digests = [hashlib.sha256(data).hexdigest() for data in layers]
    config = json.dumps({
        "architecture": "amd64", "os": "linux", "config": {"Cmd": ["sh"], "Env": ["PATH=/bin"]},
        "rootfs": {"type": "layers", "diff_ids": ["sha256:" + digest for digest in digests]},
    }).encode()  # fmt: skip
    name = hashlib.sha256(config).hexdigest() + ".json"
    manifest = [{"Config": name, "RepoTags": ["deep:latest"], "Layers": [f"{digest}/layer.tar" for digest in digests]}]
    files = {name: config, "manifest.json": json.dumps(manifest).encode()}
    files.update({f"{digest}/layer.tar": data for digest, data in zip(digests, layers, strict=True)})
    with open(path, "wb") as file:
        file.write(layer(files))  # type: ignore[arg-type]


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
