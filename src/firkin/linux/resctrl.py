"""Classes of service of the processors' shared caches and memory bandwidth (Intel RDT, AMD QoS), through resctrl.

A class is a directory with a `schemata` file (what it may use) and a `tasks` file (who is in it); monitoring groups are
directories below its `mon_groups`. Source: kernel filesystems/resctrl.rst; runtime-spec config-linux.md "IntelRdt".
"""

from __future__ import annotations

import errno
import os

from firkin.linux import fs

_DEFAULT_CLASS = "/"  # the root of the file system, as the specification names it


def mount_point() -> str:
    """Where resctrl is mounted; OSError ENODEV if it is not."""
    fd = os.open("/proc/self/mountinfo", os.O_RDONLY | os.O_CLOEXEC)
    with open(fd, encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            before, _, after = line.partition(" - ")
            if after.startswith("resctrl "):
                return before.split(" ")[4]
    raise OSError(errno.ENODEV, os.strerror(errno.ENODEV), "resctrl is not mounted, or this processor has none")


def directory(root: str, class_: str) -> str:
    """Of a class."""
    return root if class_ == _DEFAULT_CLASS else f"{root}/{class_}"


def join(root: str, class_: str, schemata: list[str], make: bool, monitor: str, pid: int) -> None:
    """Put process `pid` into `class_`, whose limits are the lines `schemata`.

    `make`: the class is made if it is not there; one that is there must have these limits already (EEXIST). `monitor`: a
    monitoring group of that name is made in it ("" for none). What was made is removed again if a later part fails."""
    place = directory(root, class_)
    made = _make_class(place, schemata, make)
    group = f"{place}/mon_groups/{monitor}" if monitor else ""
    try:
        if made:
            _write_schemata(place, schemata)
        fs.write_file(place + "/tasks", str(pid))
        if group:
            os.mkdir(group, 0o755)
            fs.write_file(group + "/tasks", str(pid))
    except OSError:
        remove(root, class_ if made else "", f"{class_}/mon_groups/{monitor}" if group else "")
        raise


def change(root: str, class_: str, schemata: list[str]) -> None:
    """Other limits for a class that is there, and for all that are in it."""
    _write_schemata(directory(root, class_), schemata)


def remove(root: str, *groups: str) -> None:
    """Remove groups that were made, "" being none; one that is gone already is fine."""
    for group in reversed([group for group in groups if group]):
        try:
            os.rmdir(f"{root}/{group}")
        except FileNotFoundError:
            pass


def _make_class(directory: str, schemata: list[str], make: bool) -> bool:
    """Whether it was made."""
    if os.path.isdir(directory):
        present = _lines(directory + "/schemata") if schemata else set()
        for line in schemata:
            if _normal(line) not in present:
                raise OSError(errno.EEXIST, os.strerror(errno.EEXIST), f"{directory}/schemata has not {line}")
        return False
    if not make:
        raise OSError(errno.ENOENT, os.strerror(errno.ENOENT), directory)
    os.mkdir(directory, 0o755)
    return True


def _write_schemata(directory: str, schemata: list[str]) -> None:
    for line in schemata:
        fs.write_file(directory + "/schemata", line + "\n")


def _lines(path: str) -> set[str]:
    with open(path, encoding="ascii") as file:
        return {_normal(line) for line in file}


def _normal(line: str) -> str:
    """The kernel pads names and masks: `    L3:0=00f;1=0ff`."""
    resource, _, parts = line.strip().partition(":")
    pairs = (part.strip().partition("=") for part in parts.split(";"))
    masks = [f"{number}={value.lstrip('0') or '0'}" for number, _, value in pairs]
    return resource + ":" + ";".join(masks)
