"""What /proc says of one process: its namespaces, ids, mounts, groups, limits and descriptors, as plain values.

Invariant: nothing here follows a path of the process's own; every file is one the kernel writes. All raise OSError when the
process is gone (a zombie has no mounts and no namespaces any more); whoever holds a pidfd asks that afterwards, because a
pid may have been given to another process meanwhile.
Source: proc_pid_status(5), proc_pid_mountinfo(5), proc_pid_ns(5), proc_pid_limits(5), user_namespaces(7), cgroups(7).
"""

from __future__ import annotations

import os
import select

NAMESPACES = ("cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts")
_LARGEST = 16 << 20  # bytes of one file; a container may make 100,000 mounts


class MountLine:
    """One line of mountinfo. `root` is what part of the file system it shows; `options` are the mount's own, `details`
    those of the file system; `propagation` has words such as "shared:5"."""

    __slots__ = ("details", "device", "kind", "number", "options", "parent", "propagation", "root", "source", "target")

    def __init__(self, line: str) -> None:
        own, _, rest = line.partition(" - ")
        number, parent, self.device, root, target, self.options, *self.propagation = own.split(" ")
        self.kind, source, self.details = rest.split(" ", 2)
        self.number, self.parent = int(number), int(parent)
        self.root, self.target, self.source = _unescaped(root), _unescaped(target), _unescaped(source)


def read(pid: int | str, name: str) -> str:
    """The file /proc/PID/NAME."""
    fd = os.open(f"/proc/{pid}/{name}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        parts, size = [], 0
        while (part := os.read(fd, 1 << 16)) and size < _LARGEST:
            parts.append(part)
            size += len(part)
        return b"".join(parts).decode("utf-8", "backslashreplace")
    finally:
        os.close(fd)


def has_ended(pidfd: int) -> bool:
    """Whether the process is dead, reaped or not: then what was read of its pid may be another's."""
    waiting = select.poll()
    waiting.register(pidfd, select.POLLIN)
    return bool(waiting.poll(0))


def namespaces(pid: int | str) -> dict[str, int]:
    """Kind to the number that identifies it; a kind that this kernel lacks is left out."""
    found = {}
    for kind in NAMESPACES:
        try:
            found[kind] = int(os.readlink(f"/proc/{pid}/ns/{kind}").partition("[")[2].rstrip("]"))
        except FileNotFoundError:
            os.stat(f"/proc/{pid}/ns/mnt")  # gone altogether, then
    return found


def status(pid: int | str) -> dict[str, str]:
    """The lines of status: "CapEff" -> "00000000a80425fb"."""
    lines = (line.partition(":") for line in read(pid, "status").splitlines())
    return {key: value.strip() for key, _, value in lines}


def id_map(pid: int | str, name: str) -> list[tuple[int, int, int]]:
    """(first id inside, first outside, how many) of "uid_map" or "gid_map", outside being this process's namespace."""
    rows = (line.split() for line in read(pid, name).splitlines())
    return [(int(row[0]), int(row[1]), int(row[2])) for row in rows]


def mounts(pid: int | str) -> list[MountLine]:
    """What the process sees mounted, in the order of mounting."""
    return [MountLine(line) for line in read(pid, "mountinfo").split("\n") if line]


def groups(pid: int | str) -> dict[str, str]:
    """Controller ("" for version 2) to the path of its group."""
    found = {}
    for line in read(pid, "cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        found.update(dict.fromkeys(controllers.split(","), path))
    return found


def limits(pid: int | str) -> list[tuple[str, str, str]]:
    """(name, soft, hard) as the kernel words them: ("Max open files", "1024", "unlimited")."""
    rows = (line for line in read(pid, "limits").splitlines()[1:])
    return [(row[:26].strip(), *row[26:].split()[:2]) for row in rows]  # type: ignore[misc]


def descriptors(pid: int | str) -> list[tuple[int, str]]:
    """(number, what it leads to) of each open file."""
    found = []
    for name in sorted(os.listdir(f"/proc/{pid}/fd"), key=int):
        try:
            found.append((int(name), os.readlink(f"/proc/{pid}/fd/{name}")))
        except FileNotFoundError:
            continue  # closed meanwhile
    return found


def label(pid: int | str) -> str:
    """Of the security module in charge: AppArmor's profile and mode, or SELinux's context; "" where there is none."""
    for name in ("attr/apparmor/current", "attr/current"):
        try:
            return read(pid, name).rstrip("\0\n")
        except OSError:
            continue
    return ""


def _unescaped(text: str) -> str:
    """With \\NNN taken for the character of that octal number."""
    first, *rest = text.split("\\")
    return first + "".join(chr(int(part[:3], 8)) + part[3:] if part[:3].isdigit() else "\\" + part for part in rest)
