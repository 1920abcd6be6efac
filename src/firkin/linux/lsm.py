"""Labels of the kernel's security modules for the program that the calling process executes next.

A label is written to one of the process's own files in a /proc that is known to be the kernel's, and takes effect at
the next execve(2), whatever namespaces and users lie between. Source: proc_pid_attr(5), apparmor(7), selinux(8).
"""

from __future__ import annotations

import errno
import os

from firkin.linux import fs

_APPARMOR_ENABLED = "/sys/module/apparmor/parameters/enabled"
_SELINUX_MOUNT = "/sys/fs/selinux"
_SELINUX_MAGIC = 0xF97CFF8C
_RESOLVE = fs.RESOLVE_BENEATH | fs.RESOLVE_NO_MAGICLINKS | fs.RESOLVE_NO_XDEV


def apparmor_enabled() -> bool:
    try:
        fd = os.open(_APPARMOR_ENABLED, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return os.read(fd, 1) == b"Y"
    finally:
        os.close(fd)


def selinux_enabled() -> bool:
    """A kernel that has the module but no policy loaded has not mounted its file system."""
    try:
        fd = os.open(_SELINUX_MOUNT, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return fs.filesystem_type(fd) == _SELINUX_MAGIC
    finally:
        os.close(fd)


def set_apparmor_profile(proc: int, profile: str) -> None:
    """`proc` is /proc, open. ENOENT: no such profile is loaded."""
    text = "exec " + profile
    try:
        _write(proc, "self/attr/apparmor/exec", text)
    except FileNotFoundError as error:
        if error.filename != "self/attr/apparmor/exec":
            raise
        _write(proc, "self/attr/exec", text)  # before Linux 5.8 there was room for one module only


def set_selinux_label(proc: int, label: str) -> None:
    _write(proc, "self/attr/exec", label)


def _write(proc: int, path: str, text: str) -> None:
    fd = fs.openat2(proc, path, os.O_WRONLY, resolve=_RESOLVE)
    try:
        os.write(fd, text.encode())
    except OSError as error:
        raise OSError(error.errno, error.strerror or os.strerror(error.errno or errno.EINVAL), text) from None
    finally:
        os.close(fd)
