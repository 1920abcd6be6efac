"""Every path Firkin keeps on disk, in one place.

`data_root` holds what survives a reboot; `exec_root` (a tmpfs on most machines) holds what lives no longer than
the boot: sockets, the records of running processes and their exits.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

DEFAULT_DATA_ROOT = "/var/lib/firkin"
DEFAULT_EXEC_ROOT = "/run/firkin"
DEFAULT_HOST = "unix:///run/firkin/firkin.sock"


def text_of(path: str) -> str:
    """A text file of the machine's; "" where there is none, or none for us to read."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


@dataclass(frozen=True)
class Layout:
    """The two roots of one engine and all that lies under them. Every member is an absolute path."""

    data_root: str = DEFAULT_DATA_ROOT
    exec_root: str = DEFAULT_EXEC_ROOT

    # --- data root ---------------------------------------------------------------------------------------------
    @property
    def blobs(self) -> str:
        """Content store: `sha256/HEX`, each file exactly the bytes its name promises."""
        return os.path.join(self.data_root, "blobs")

    @property
    def ingest(self) -> str:
        """Blobs still being written; renamed into `blobs` once verified, resumable by name."""
        return os.path.join(self.data_root, "ingest")

    @property
    def layers(self) -> str:
        """Unpacked layers: `CHAIN-ID-HEX/diff`, immutable once named so."""
        return os.path.join(self.data_root, "layers")

    @property
    def images(self) -> str:
        """Image records, one JSON file each, and `references.json`."""
        return os.path.join(self.data_root, "images")

    @property
    def containers(self) -> str:
        return os.path.join(self.data_root, "containers")

    def container(self, container_id: str) -> str:
        """Record, log, hosts, hostname and resolv.conf of one container."""
        return os.path.join(self.containers, container_id)

    def container_log(self, container_id: str) -> str:
        """The json-file log; rotated siblings get `.1`, `.2`, ... appended."""
        return os.path.join(self.container(container_id), container_id + "-json.log")

    @property
    def snapshots(self) -> str:
        """Writable layers: `CONTAINER-ID/upper` and `CONTAINER-ID/work`."""
        return os.path.join(self.data_root, "snapshots")

    @property
    def volumes(self) -> str:
        """Named volumes: `NAME/_data` and `NAME/volume.json`."""
        return os.path.join(self.data_root, "volumes")

    @property
    def networks(self) -> str:
        return os.path.join(self.data_root, "networks")

    @property
    def caches(self) -> str:
        """What may be deleted at any time: compiled seccomp filters."""
        return os.path.join(self.data_root, "caches")

    # --- exec root ---------------------------------------------------------------------------------------------
    @property
    def launcher_socket(self) -> str:
        return os.path.join(self.exec_root, "launcher.sock")

    @property
    def keeper_socket(self) -> str:
        return os.path.join(self.exec_root, "keeper.sock")

    @property
    def running(self) -> str:
        """One file per running container, named by its id: written by the launcher before the daemon hears of it."""
        return os.path.join(self.exec_root, "running")

    @property
    def exited(self) -> str:
        """One file per reaped container: written by whoever reaped it, deleted once the daemon has recorded it."""
        return os.path.join(self.exec_root, "exited")

    @property
    def staging(self) -> str:
        """An empty directory on which every container, in a mount namespace of its own, mounts its new root."""
        return os.path.join(self.exec_root, "staging")

    @property
    def shared_memory(self) -> str:
        """`CONTAINER-ID/`: /dev/shm of a container that shares its IPC namespace."""
        return os.path.join(self.exec_root, "shm")

    @property
    def daemon_lock(self) -> str:
        """Held (flock) by the one daemon that owns these roots."""
        return os.path.join(self.exec_root, "daemon.lock")
