"""What an ELF file asks of the system before its first instruction: its loader and its shared libraries.

Files are only read, never run. Source: System V ABI, "Dynamic Linking"; ld.so(8) for the order of the search.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from elftools.common.exceptions import ELFError
from elftools.elf.dynamic import DynamicSegment
from elftools.elf.elffile import ELFFile
from elftools.elf.segments import InterpSegment

from firkin.errors import NotFound

_DEFAULT_DIRECTORIES = ("/lib", "/usr/lib", "/lib64", "/usr/lib64")
_LOADER_CONFIGURATION = "/etc/ld.so.conf"


@dataclass(frozen=True)
class Binary:
    """The dynamic section of one file, `$ORIGIN` filled in."""

    path: str
    machine: tuple[int, str]  # word size, e_machine: a library must match its user
    interpreter: str = ""
    needed: tuple[str, ...] = ()
    rpath: tuple[str, ...] = ()
    runpath: tuple[str, ...] = ()


def read_binary(path: str) -> Binary | None:
    """What the file at `path` says of itself; None if it is no ELF file."""
    with open(path, "rb") as file:
        if file.read(4) != b"\x7fELF":
            return None
        try:
            return _parse(path, ELFFile(file))
        except (ELFError, ValueError, UnicodeDecodeError):
            return None


def _parse(path: str, elf: ELFFile) -> Binary:
    interpreter = ""
    tags: dict[str, list[str]] = {"DT_NEEDED": [], "DT_RPATH": [], "DT_RUNPATH": []}
    for segment in elf.iter_segments():
        if isinstance(segment, InterpSegment):
            interpreter = segment.get_interp_name()
        elif isinstance(segment, DynamicSegment):
            for tag in segment.iter_tags():
                if tag.entry.d_tag in tags:
                    tags[tag.entry.d_tag].append(getattr(tag, tag.entry.d_tag.removeprefix("DT_").lower()))
    return Binary(
        path,
        (elf.elfclass, elf["e_machine"]),
        interpreter,
        tuple(tags["DT_NEEDED"]),
        _directories(path, tags["DT_RPATH"]),
        _directories(path, tags["DT_RUNPATH"]),
    )


def _directories(path: str, lists: list[str]) -> tuple[str, ...]:
    origin = os.path.dirname(os.path.realpath(path))
    names = [name for text in lists for name in text.split(":") if name]
    return tuple(name.replace("${ORIGIN}", origin).replace("$ORIGIN", origin) for name in names)


@dataclass
class Libraries:
    """Finds the libraries of programs, as ld.so would without LD_LIBRARY_PATH. `found` maps each path to its binary."""

    directories: tuple[str, ...] = ()
    found: dict[str, Binary] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.directories = self.directories or (*configured_directories(_LOADER_CONFIGURATION), *_DEFAULT_DIRECTORIES)

    def add(self, path: str) -> None:
        """Find the loader and all libraries, direct and indirect, of the ELF file `path`; raises `NotFound` for one that
        is nowhere. A file of another kind needs none."""
        binary = read_binary(path)
        if binary is not None:
            self._add(binary, ())

    def add_optional(self, name: str, user: str) -> None:
        """Find library `name` too, which `user` may load while it runs, if there is one."""
        binary = read_binary(user)
        try:
            if binary is not None:
                self._add(self._find(name, binary, ()), ())
        except NotFound:
            pass

    def _add(self, binary: Binary, inherited: tuple[str, ...]) -> None:
        if binary.path in self.found:
            return
        self.found[binary.path] = binary
        if binary.interpreter:
            self.add(binary.interpreter)
        rpath = () if binary.runpath else (*binary.rpath, *inherited)
        for name in binary.needed:
            self._add(self._find(name, binary, (*rpath, *binary.runpath)), rpath)

    def _find(self, name: str, user: Binary, first: tuple[str, ...]) -> Binary:
        if "/" in name:
            candidates: Iterable[str] = (name,)
        else:
            loader = (os.path.dirname(user.interpreter),) if user.interpreter else ()
            candidates = (os.path.join(directory, name) for directory in (*first, *self.directories, *loader))
        for path in candidates:
            library = self.found.get(path) or (read_binary(path) if os.path.isfile(path) else None)
            if library is not None and library.machine == user.machine:
                return library
        raise NotFound(f"find shared library {name} for {user.path}: it is in none of the loader's directories")


def configured_directories(path: str) -> list[str]:
    """The directories named by ld.so.conf(5) at `path`, `include` lines followed."""
    directories: list[str] = []
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            lines = [line.partition("#")[0].strip() for line in file]
    except OSError:
        return []
    for line in lines:
        word, _, rest = line.partition(" ")
        if word == "include":
            for included in sorted(Path(os.path.dirname(path)).glob(rest.strip().removeprefix(os.path.dirname(path) + "/"))):
                directories += configured_directories(str(included))
        elif line and word != "hwcap":
            directories.append(line)
    return directories
