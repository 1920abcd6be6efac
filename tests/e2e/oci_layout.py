"""Write an OCI image layout of one gzip layer: oci_layout.py TAR DIRECTORY."""

from __future__ import annotations

import gzip
import hashlib
import json
import sys
from pathlib import Path


def main(tar: str, directory: str) -> None:
    blobs = Path(directory) / "blobs/sha256"
    blobs.mkdir(parents=True)

    def blob(media_type: str, data: bytes) -> dict[str, object]:
        digest = hashlib.sha256(data).hexdigest()
        (blobs / digest).write_bytes(data)
        return {"mediaType": f"application/vnd.oci.image.{media_type}", "digest": f"sha256:{digest}", "size": len(data)}

    raw = Path(tar).read_bytes()
    layer = blob("layer.v1.tar+gzip", gzip.compress(raw, 1, mtime=0))
    config = {
        "architecture": "amd64", "os": "linux", "config": {"Cmd": ["bash"]},
        "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(raw).hexdigest()]},
    }  # fmt: skip
    manifest = {
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": blob("config.v1+json", json.dumps(config).encode()), "layers": [layer],
    }  # fmt: skip
    entry = {
        **blob("manifest.v1+json", json.dumps(manifest).encode()),
        "annotations": {"org.opencontainers.image.ref.name": "latest"},
    }
    (Path(directory) / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    (Path(directory) / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
