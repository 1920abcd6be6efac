"""Steps of a plan that the launcher carries out for a child whose root is not the machine's: what takes real privileges.

More of `steps_parent`. What is made here, mounts attached nowhere, is handed to the child with its release.
Source: user_namespaces(7), mount_setattr(2), open_tree(2), getrlimit(2).
"""

from __future__ import annotations

import os

from firkin.linux import fs, mount, overlay_idmapped, process
from firkin.runtime import hook

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firkin.runtime.steps_parent import Parent


def uid_map(parent: Parent, text: str) -> None:
    fs.write_file(f"/proc/{parent.pid}/uid_map", text)


def gid_map(parent: Parent, text: str) -> None:
    fs.write_file(f"/proc/{parent.pid}/gid_map", text)


def mapping_tool(parent: Parent, program: str, text: str) -> None:
    """Have newuidmap(1) or newgidmap(1) write a map that subuid(5) or subgid(5) allows."""
    hook.run(program, [program, str(parent.pid), *text.split()], [], 0, "")


def setgroups(parent: Parent, text: str) -> None:
    """ "allow" or "deny"."""
    fs.write_file(f"/proc/{parent.pid}/setgroups", text)


def oom_score_adj(parent: Parent, score: int) -> None:
    """For a child in a user namespace, which may not do it itself. Lowering it may be forbidden here too."""
    try:
        fs.write_file(f"/proc/{parent.pid}/oom_score_adj", str(score))
    except PermissionError:
        pass


def rlimit_ceiling(parent: Parent, resource: int, hard: int) -> None:
    """Raise the most that the child may later set its limit to; its step "rlimit" does the rest. May be forbidden."""
    process.raise_hard_limit(parent.pid, resource, hard)


def tree(parent: Parent, name: str, source: str, recursive: bool, maps: list[str], deep: bool) -> None:
    """A copy of the mount at `source` (or of the detached one handed over as "fd:NAME"), which passes no mounts on to the
    host. `maps`: none, or the text of a user and of a group map for its owners, both "" for the child's own; `deep`:
    mounts below are mapped too. ENOSYS before Linux 5.12, which could not keep the host's mounts apart from it."""
    handed = source.startswith("fd:")
    fd = os.dup(parent.handed[source[3:]]) if handed else mount.tree(source, recursive)
    parent.made[name] = fd
    mount.set_attributes(fd, 0, 0, mount.MS_SLAVE, True)
    if maps:
        try:
            mount.idmap(fd, parent.users(*maps), deep)
        except OSError as error:
            raise OSError(error.errno, error.strerror, f"idmapped mount of {source}") from None


def idmapped_overlay(
    parent: Parent,
    name: str,
    lowers: list[str],
    upper: str,
    work: str,
    options: list[str],
) -> None:
    layers = overlay_idmapped.Layers(lowers, upper, work)
    parent.made[name] = overlay_idmapped.detached(layers, parent.users("", ""), parent.root(), options, parent.pid)


def device_directory(
    parent: Parent, name: str, attributes: int, options: list[str], nodes: list[tuple[str, int, int, int, int, int]]
) -> None:
    """A tmpfs of the child's root, with device `nodes` (path in it, mode with type, major, minor, owner, group), which in a
    user namespace nobody can make, nor open on a file system of its own."""
    uid, gid = parent.root()
    root = parent.made[name] = mount.filesystem("tmpfs", "tmpfs", attributes, [*options, f"uid={uid}", f"gid={gid}"])
    umask = os.umask(0)
    try:
        for path, mode, major, minor, *owner in nodes:
            _make_node(root, path, mode, os.makedev(major, minor), *owner)
    finally:
        os.umask(umask)


def _make_node(root: int, path: str, mode: int, number: int, uid: int, gid: int) -> None:
    directory = -1
    if "/" in path:
        directory = fs.make_in_root(root, path.rpartition("/")[0], "dir")
    try:
        where = root if directory < 0 else directory
        os.mknod(path.rpartition("/")[2], mode, number, dir_fd=where)
        os.chown(path.rpartition("/")[2], uid, gid, dir_fd=where, follow_symlinks=False)
    finally:
        if directory >= 0:
            os.close(directory)


STEPS = {
    "uid-map": uid_map,
    "gid-map": gid_map,
    "mapping-tool": mapping_tool,
    "setgroups": setgroups,
    "oom-score-adj": oom_score_adj,
    "rlimit-ceiling": rlimit_ceiling,
    "tree": tree,
    "idmapped-overlay": idmapped_overlay,
    "device-directory": device_directory,
}
