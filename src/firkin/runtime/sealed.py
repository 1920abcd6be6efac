"""Become another program of the host's in such a way that nobody can write to its file through this process.

A child that has not reached its program yet is still the launcher's interpreter, and a container may get hold of that: its
program may be /proc/self/exe, or it may trace such a child from inside. A writable file would be the host's Python, rewritten
for all its users (CVE-2019-5736). So the launcher is executed from a read-only copy of the mount, attached nowhere. Whoever
was executed the ordinary way, because that takes half the time, looks where a program leads before becoming it.
Source: open_tree(2), mount_setattr(2), proc_pid_exe(5), memfd_create(2).
"""

from __future__ import annotations

import os

from firkin.linux import fs, mount

_MOST_INTERPRETERS = 5  # as the kernel has it, execve(2)
_LINE = 256
_AT_FDCWD = -100


def _found(path: str) -> tuple[int, int]:
    status = os.stat(path)
    return status.st_dev, status.st_ino


_OWN = _found("/proc/self/exe")
_EXPOSED = not os.statvfs("/proc/self/exe").f_flag & os.ST_RDONLY


def lends_own_program(path: bytes) -> bool:
    """Whether to execute `path` would be to execute this process's own, exposed program, itself or as a script's
    interpreter: by /proc/self/exe, that is, or a link to it. The same file by a mount of the container's is another matter."""
    for _ in range(_MOST_INTERPRETERS if _EXPOSED else 0):
        try:
            fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:  # execve will say what is wrong; who may not read it may not write to ours either
            return False
        try:
            status = os.fstat(fd)
            line = os.read(fd, _LINE) if fs.kind_of(fd) == fs.S_IFREG else b""
        finally:
            os.close(fd)
        if (status.st_dev, status.st_ino) == _OWN:
            return _is_behind_magic(path)
        words = line[2:].partition(b"\n")[0].split() if line.startswith(b"#!") else []
        if not words:
            return False
        path = words[0]
    return False


def _is_behind_magic(path: bytes) -> bool:
    try:
        os.close(fs.openat2(_AT_FDCWD, os.fsdecode(path), os.O_PATH, resolve=fs.RESOLVE_NO_MAGICLINKS))
    except OSError:
        return True
    return False


def execute(argv: list[str], environment: dict[str, str]) -> None:
    """As os.execve(argv[0], ...). Raises OSError."""
    os.execve(f"/proc/self/fd/{_program(argv[0])}", argv, environment)


def _program(path: str) -> int:
    """A descriptor of the program, which is not to be written to while somebody executes it, nor afterwards."""
    try:
        tree = mount.tree(path, recursive=False)
    except OSError:  # no right to copy mounts here
        return _copy(path)
    try:
        mount.set_attributes(tree, mount.MOUNT_ATTR_RDONLY | mount.MOUNT_ATTR_NOSUID, 0, mount.MS_PRIVATE, False)
    except OSError:  # Linux before 5.12
        os.close(tree)
        return _copy(path)
    return tree


def _copy(path: str) -> int:
    """Just as good, but 7 MB: a file in memory, which is nobody else's, and written to by nobody who executes it."""
    copy = os.memfd_create("python", os.MFD_CLOEXEC)
    with open(path, "rb") as program:
        while os.sendfile(copy, program.fileno(), None, 1 << 30):
            pass
    readonly = os.open(f"/proc/self/fd/{copy}", os.O_RDONLY | os.O_CLOEXEC)  # a file open for writing is not executed
    os.close(copy)
    return readonly
