"""What is outside of a checkpoint, and called by names that both sides know: bind mounts, masks, devices, views of cgroups,
joined namespaces, and the files that standard streams lead to.

The invariant: a name means one thing. CRIU keeps `mnt[NAME]:VALUE` as one string and looks for how it begins, so a
destination with "]:" in it would answer for another; such a one is refused.
Source: criu.org/External_bind_mounts, /External_files, /Inheriting_FDs_on_restore; runc libcontainer/criu_linux.go.
"""

from __future__ import annotations

import os
import posixpath

from firkin.errors import Invalid
from firkin.linux import fs, null
from firkin.oci import json_text
from firkin.runtime import plan_files
from firkin.runtime.oci.record import read

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from firkin.oci.runtime_config import Config
    from firkin.runtime.oci.record import Record

STREAMS = "descriptors.json"  # beside CRIU's images, as runc has it: what 0, 1 and 2 were
_NULL = "/dev/null"
_BY_KEY = {"network": ("net", "extRootNetNS"), "pid": ("pid", "extRootPidNS")}  # namespaces that CRIU finds by a key
_BY_FILE = {"ipc": "ipc", "uts": "uts", "user": "user"}  # and those that it joins
FILE = "file["
_INHERITABLE = ("pipe:[", FILE)


def refuse_ambiguous(config: Config) -> None:
    """Raises `Invalid` for a path that CRIU would take for something else."""
    named = [(f"mounts[{index}].destination", one.destination) for index, one in enumerate(config.mounts)]
    named += [(f"linux.maskedPaths[{index}]", path) for index, path in enumerate(config.linux.masked_paths)]
    named += [(f"linux.devices[{index}].path", one.path) for index, one in enumerate(config.linux.devices)]
    for field, path in named:
        _refuse(field, path)


def _refuse(field: str, path: str) -> None:
    if "]:" in path or any(ord(letter) < ord(" ") for letter in path):
        raise Invalid(f"{field}: {path!r} cannot be named to CRIU")


def to_dump(config: Config, record: Record) -> list[dict[str, str]]:
    """Mounts of the running container that are not to be in the images: where they are -> what they are called there."""
    root = os.open(f"/proc/{record.pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        found = [(_place(root, name), name) for name, _ in _own(config, record)]
        found += [(_place(root, path, file=True), _NULL) for path in config.linux.masked_paths]
    finally:
        os.close(root)
    for place, name in found:
        _refuse(f"mounts: {name}, by links of the image", place)
    return [{"key": place, "val": name} for place, name in found if place]


def to_restore(config: Config, record: Record) -> list[dict[str, str]]:
    """What they are called -> where their like is on this host."""
    return [{"key": name, "val": source} for name, source in (*_own(config, record), (_NULL, _NULL))]


def _own(config: Config, record: Record) -> Iterator[tuple[str, str]]:
    """(name, source on the host), without masks."""
    for one in config.mounts:
        if plan_files.is_bind(one):
            yield plan_files.destination(one), os.path.realpath(one.source)  # CRIU does not follow it
        elif one.type == "cgroup" and record.cgroup_v1:
            for directory in map(posixpath.dirname, record.cgroups.join_files(record.cgroup_path)):
                yield f"{plan_files.destination(one)}/{plan_files.hierarchy(directory, record.cgroup_path)}", directory
    yield from ((one.path, one.path) for one in config.linux.devices)


def _place(root: int, path: str, *, file: bool = False) -> str:
    """Where it really is in the container, links resolved; "" for what is not there. `file`: nor if it is a directory, which
    is hidden behind a file system that CRIU can make again."""
    try:
        found = fs.in_root(root, path)
    except OSError:
        return ""
    try:
        return "" if file and fs.kind_of(found) == fs.S_IFDIR else os.readlink(f"/proc/self/fd/{found}")
    finally:
        os.close(found)


def namespaces_to_dump(config: Config, pid: int) -> list[str]:
    """Those that were joined and are to be joined again, by the number they have now."""
    kinds = [_BY_KEY[one.type] for one in config.linux.namespaces if one.path and one.type in _BY_KEY]
    return [f"{kind}[{os.stat(f'/proc/{pid}/ns/{kind}').st_ino}]:{key}" for kind, key in kinds]


def namespaces_to_join(config: Config) -> list[dict[str, str]]:
    wanted = [one for one in config.linux.namespaces if one.path and one.type in _BY_FILE]
    return [{"ns": _BY_FILE[one.type], "ns_file": one.path} for one in wanted]


def keyed_namespaces(config: Config) -> dict[str, str]:
    """Key -> path, for the others."""
    return {_BY_KEY[one.type][1]: one.path for one in config.linux.namespaces if one.path and one.type in _BY_KEY}


def streams_of(pid: int) -> list[str]:
    """What its 0, 1 and 2 are, in CRIU's words: a pipe, the host's null device, or nothing that could be another later. (Of
    a file, CRIU would demand that the other is as long as this was.)"""
    own = {line.split(b" ", 1)[0] for line in read(f"/proc/{pid}/mountinfo").splitlines()}
    return [_stream(pid, fd, own) for fd in range(3)]


def _stream(pid: int, fd: int, own: set[bytes]) -> str:
    try:
        link = os.readlink(f"/proc/{pid}/fd/{fd}")
    except FileNotFoundError:
        return ""
    node = os.stat(f"/proc/{pid}/fd/{fd}")
    lines = dict(line.split(b":", 1) for line in read(f"/proc/{pid}/fdinfo/{fd}").splitlines() if b":" in line)
    mount_id = lines[b"mnt_id"].strip()
    if mount_id in own or node.st_rdev != null.NUMBER:
        return link
    return f"{FILE}{int(mount_id):x}:{node.st_ino:x}]"


def read_streams(images: str) -> list[tuple[int, str]]:
    """(descriptor, what it was) for those that are to be others now. The file is as trustworthy as its directory."""
    path = f"{images}/{STREAMS}"
    try:
        names = json_text.loads(read(path))
    except FileNotFoundError:
        names = []
    except Invalid as error:
        raise Invalid(f"{path}: {error.message}") from None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise Invalid(f"{path}: want a list of strings")
    return [(fd, name) for fd, name in enumerate(names[:3]) if name.startswith(_INHERITABLE)]
