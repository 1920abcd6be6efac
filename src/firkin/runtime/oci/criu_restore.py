"""A container again from CRIU's images: what is made for CRIU before it begins, and what is done each time it stops to ask.

The invariant: the record with the process's id is on disk before the process goes on where it was. Hooks, groups and what
the command was called from are untouched by the mounts that CRIU needs: those are in a mount namespace aside.
Source: criu(8), criu.org/Action_scripts, runc libcontainer/criu_linux.go.
"""

from __future__ import annotations

import os
from contextlib import contextmanager

from firkin.errors import Internal, Invalid
from firkin.linux import fs, mount, netdevice, null, process
from firkin.linux.cgroup import Cgroups
from firkin.runtime import plan_files
from firkin.runtime.oci import criu_outside, hooks
from firkin.runtime.oci.criu import FIRST_HANDED
from firkin.runtime.oci.hold import Hold
from firkin.runtime.oci.record import CREATING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from firkin.oci.runtime_config import Config
    from firkin.runtime.oci.groups import Place
    from firkin.runtime.oci.record import Directory, Record
    from firkin.runtime.oci.streams import Streams

_SIGKILL = 9


@contextmanager
def _elsewhere(enter: Callable[[], None]) -> Iterator[None]:
    """In the mount namespace that `enter` leads to, and back."""
    here = os.open(".", os.O_PATH | os.O_CLOEXEC)
    before = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    try:
        enter()
        yield
    finally:
        process.setns(before, process.CLONE_NEWNS)  # which leads to that one's root
        os.fchdir(here)
        os.close(before)
        os.close(here)


@contextmanager
def aside() -> Iterator[None]:
    """In a mount namespace of its own, whose mounts end with it and with whoever was started in it."""
    with _elsewhere(lambda: process.unshare(process.CLONE_NEWNS)):
        mount.mount(None, "/", None, mount.MS_SLAVE | mount.MS_REC)
        yield


@contextmanager
def occupied(place: Place) -> Iterator[None]:
    """With a process of ours in the group that is a unit of systemd's: that begins with one and ends with its last, and CRIU
    wants it to be there before there is anybody to be in it. If this command is killed, that process ends too."""
    if not place.unit:
        yield
        return
    hold = Hold()
    pid = os.fork()
    if not pid:
        hold.wait()
        os._exit(0)
    try:
        place.admit(pid)
        yield
    finally:
        os.kill(pid, _SIGKILL)  # not by a word: as long as it stays, whoever stops the unit waits for it
        os.waitpid(pid, 0)
        hold.close()


def mount_for_criu(rootfs: str) -> None:
    """The root, which it wants to be a mount, and the null device as masks have it: what is bound from here keeps the seal,
    while CRIU gives mounts from outside their former flags only now and then."""
    mount.mount(rootfs, rootfs, None, mount.MS_BIND | mount.MS_REC)
    node = null.open_node()
    sealed = mount.tree(node, recursive=False)
    mount.attach_with(sealed, node, [(null.SEALED, 0, 0, False)])
    os.close(sealed)
    os.close(node)


def make_mount_points(config: Config, rootfs: str) -> None:
    """Those that a fresh root lacks, also inside of what is bound into it: to be called in a namespace aside."""
    root = os.open(rootfs, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    made: list[str] = []  # where CRIU brings the file system and what is in it
    for one in config.mounts:
        target = plan_files.destination(one)
        if target.startswith(tuple(f"{other}/" for other in made)):
            continue
        if not plan_files.is_bind(one):
            made.append(target)
            os.close(fs.make_in_root(root, target, "dir"))
            continue
        tree = mount.tree(os.path.abspath(one.source), recursive=True)
        place = fs.make_in_root(root, target, "dir" if fs.kind_of(tree) == fs.S_IFDIR else "file")
        mount.attach(tree, place)
        os.close(tree)
        os.close(place)
    os.close(root)


def options(config: Config, record: Record, images: str, streams: list[int]) -> tuple[dict[str, Any], list[int]]:
    """CRIU's, and the descriptors they speak of, which it is to be handed. `streams`: what 0, 1 and 2 are to be now, -1 being
    the null device; as copies, for it closes what it has passed on, and its own 0 may be a terminal it needs."""
    criu_outside.refuse_ambiguous(config)
    handed: dict[str, int] = {}
    for fd, name in criu_outside.read_streams(images):
        if name not in handed:
            number = streams[fd]
            handed[name] = os.dup(number) if number >= 0 else os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for key, path in criu_outside.keyed_namespaces(config).items():
        handed[key] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    inherited = [{"key": key, "fd": number} for number, key in enumerate(handed, FIRST_HANDED)]
    return {
        "root": record.rootfs,
        "rst_sibling": True,  # this command's child, as any container's first process is
        "evasive_devices": True,
        "ext_mnt": criu_outside.to_restore(config, record),
        "inherit_fd": inherited,
        "join_ns": criu_outside.namespaces_to_join(config),
        "cg_root": _groups(record),
    }, list(handed.values())


def _groups(record: Record) -> list[dict[str, str]]:
    """Where the group is in each hierarchy, for CRIU to put processes there and not where they were. A unit's path is from
    where the hierarchy is mounted."""
    v1, v2, _ = Cgroups.detect().roots
    found = [
        {"ctrl": controller, "path": root.removeprefix(root if record.unit else v1.get(controller, "")) + record.cgroup_path}
        for controller, root in record.cgroup_v1.items()
    ]
    if record.cgroup_v2 and record.cgroups.unified:
        found.append({"ctrl": "", "path": record.cgroup_v2.removeprefix(v2) + record.cgroup_path})
    return found


class Restored:
    """What is known of the process while CRIU is at it: `record`, and `console`, the master of its terminal."""

    def __init__(self, directory: Directory, record: Record, config: Config, streams: Streams) -> None:
        self._directory, self.record, self._config, self._streams = directory, record, config, streams
        self.console: int | None = None

    def told(self, reached: str, pid: int, descriptors: list[int]) -> None:
        if reached == "setup-namespaces":  # no process but the first yet
            self._enter_groups(pid)
            self._set_up_network(pid)
            self._run_hooks(pid)
        elif reached == "orphan-pts-master":
            self._take_terminal(descriptors)
        elif reached == "post-restore":  # all are there, none goes on yet
            self._seal_root(pid)
            self._keep(pid)

    def _enter_groups(self, pid: int) -> None:
        """Not CRIU itself: what it uses is not the container's to be limited."""
        for file in self.record.cgroups.join_files(self.record.cgroup_path):
            fs.write_file(file, str(pid))

    def _set_up_network(self, pid: int) -> None:
        """As a new container has it; connections to itself are restored after this."""
        if not any(one.type == "network" and not one.path for one in self._config.linux.namespaces):
            return
        namespace = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        with netdevice.inside(namespace) as there:
            there.set_up("lo")
        os.close(namespace)

    def _run_hooks(self, pid: int) -> None:
        if wanted := self._config.hooks:
            record = self.record.replace(pid=pid)
            hooks.run("prestart", wanted.prestart, record, CREATING)
            hooks.run("createRuntime", wanted.create_runtime, record, CREATING)

    def _take_terminal(self, descriptors: list[int]) -> None:
        if not self._config.process or not self._config.process.terminal or not descriptors:
            raise Invalid("process.terminal: what was checkpointed has a terminal, and this configuration has none")
        if self._streams.console_socket:
            self._streams.send_console(descriptors[0])
        else:
            self.console = descriptors[0]

    def _seal_root(self, pid: int) -> None:
        """Read-only, where it is to be: CRIU 3.17 brings it back writable."""
        if not self._config.root or not self._config.root.readonly:
            return
        root = os.open(f"/proc/{pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        namespace = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        with _elsewhere(lambda: process.setns(namespace, process.CLONE_NEWNS)):
            mount.change(root, (mount.MOUNT_ATTR_RDONLY, 0, 0, False))
        os.close(namespace)
        os.close(root)

    def _keep(self, pid: int) -> None:
        if not pid:
            raise Internal("criu restore failed: it does not say which process it has restored")
        clocks = os.stat(f"/proc/{pid}/ns/time").st_ino != os.stat("/proc/self/ns/time").st_ino
        self.record = self.record.replace(pid=pid, start_time=process.start_time(pid), own_clocks=clocks)
        self._directory.save(self.record)
