"""Where each mount of a container comes from: its image, its writable layer, a volume, the host, the kernel.

The kernel says which part of which file system is mounted where; this host's own mounts say what that is called here.
Source: proc_pid_mountinfo(5); kernel, filesystems/overlayfs.rst (lowerdir+, upperdir in the mount's options).
"""

from __future__ import annotations

import os
import posixpath

from firkin.engine.engine import Engine
from firkin.engine.isolation_model import Layer, Mount
from firkin.errors import FirkinError
from firkin.linux import procfs
from firkin.linux.procfs import MountLine
from firkin.paths import Layout

_KERNELS = ("proc", "sysfs", "cgroup", "cgroup2", "devpts", "mqueue", "bpf", "securityfs", "debugfs", "tracefs")
_HIDDEN = ("/proc/", "/sys/")


def of(engine: Engine, pid: int) -> tuple[tuple[Layer, ...], tuple[Mount, ...]]:
    """(the directories under the root, top first; every mount, in the order of mounting)."""
    lines, host = procfs.mounts(pid), procfs.mounts("self")
    layers = _layers(engine, lines[0]) if lines and lines[0].kind == "overlay" else ()
    return layers, tuple(_mount(engine.layout, line, host) for line in lines)


def _mount(layout: Layout, line: MountLine, host: list[MountLine]) -> Mount:
    options = tuple(line.options.split(","))
    shown = tuple(word for word in options if word not in ("rw", "ro", "relatime"))
    propagation = " ".join(line.propagation) or "private"
    return Mount(line.target, line.kind, _origin(layout, line, host), "ro" in options, shown, propagation)


def _origin(layout: Layout, line: MountLine, host: list[MountLine]) -> str:
    if line.target == "/" and line.kind == "overlay":
        return "image and writable layer"
    if line.target.startswith(_HIDDEN) and (line.kind == "tmpfs" or line.root == "/null") and line.target != "/sys/fs/cgroup":
        return "mask"
    if line.kind in _KERNELS:
        return "kernel" if line.root == "/" or line.kind.startswith("cgroup") else f"kernel: {line.root} of it"
    path = _on_host(line, host)
    if not path:
        return "memory" if line.kind == "tmpfs" else f"{line.source}: {line.root}"
    return _named(layout, path)


def _on_host(line: MountLine, host: list[MountLine]) -> str:
    """The path on this host of what `line` shows; "" for a file system that is mounted nowhere here."""
    found = ""
    for own in host:
        if own.device == line.device and _is_below(line.root, own.root):
            rest = posixpath.relpath(line.root, own.root)
            found = found or posixpath.normpath(posixpath.join(own.target, rest))
    return found


def _is_below(path: str, above: str) -> bool:
    return path == above or path.startswith(above.rstrip("/") + "/")


def _named(layout: Layout, path: str) -> str:
    """What the engine calls a path of its own."""
    if _is_below(path, os.path.realpath(layout.volumes)):
        name, _, rest = posixpath.relpath(path, os.path.realpath(layout.volumes)).partition("/")
        return f"volume {name}" + (f": {rest.removeprefix('_data/')}" if rest not in ("", "_data") else "")
    if _is_below(path, os.path.realpath(layout.containers)):
        return f"engine: {posixpath.basename(path)}"
    return f"host {path}"


# --- the root's layers ---------------------------------------------------------------------------------------------
def _layers(engine: Engine, root: MountLine) -> tuple[Layer, ...]:
    found: list[Layer] = []
    for option in root.details.split(","):
        key, _, value = option.partition("=")
        if key == "upperdir":
            found.insert(0, Layer(value, "", "writable"))
        elif key in ("lowerdir+", "lowerdir"):
            found += [_layer(engine, path) for path in (value.split(":") if key == "lowerdir" else [value])]
    return tuple(found)


def _layer(engine: Engine, directory: str) -> Layer:
    """`LAYERS/CHAIN-ID/diff` is an image's; what else there is the engine has put there itself."""
    above, _, last = directory.rpartition("/")
    if last != "diff":
        return Layer(directory, "", "engine")
    try:
        return Layer(directory, engine.snapshots.layer("sha256:" + posixpath.basename(above)).diff_id, "image")
    except FirkinError:
        return Layer(directory, "", "image")
