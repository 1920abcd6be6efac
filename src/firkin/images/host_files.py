"""Everything of this machine that a program needs to run elsewhere: itself, its loader and libraries, its data.

The answer is a set of absolute paths; what is a script leads to its interpreter, what is a known program to the
directories it cannot work without.
"""

from __future__ import annotations

import fnmatch
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from firkin.errors import NotFound
from firkin.images.elf import Libraries

_TERMINALS = ("ansi", "dumb", "linux", "screen", "screen-256color", "tmux-256color", "vt100", "xterm", "xterm-256color")
_CERTIFICATES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")
_NAME_SERVICE = ("libnss_files.so.2", "libnss_dns.so.2", "libresolv.so.2")

# Data by the base name of a program or library in use; `{prefix}` is the installation's, `{name}` the base name itself.
_COMPANIONS: dict[str, tuple[str, ...]] = {
    "python3.[0-9]*": ("{prefix}/lib/{name}",),
    "perl": ("/usr/lib/*/perl-base", "/usr/lib/*/perl/5*", "/usr/share/perl/5*", "/etc/perl"),
    "nmap": ("{prefix}/share/nmap",),
    "git": ("{prefix}/lib/git-core", "{prefix}/share/git-core"),
    "libtinfo.so*": tuple(f"{top}/{name[0]}/{name}" for top in ("/lib/terminfo", "/usr/share/terminfo") for name in _TERMINALS),
    "libssl.so*": _CERTIFICATES,
    "libgnutls.so*": _CERTIFICATES,
    "libmagic.so*": ("/usr/share/misc/magic.mgc", "/usr/lib/file/magic.mgc"),
}
# Directories inside those that are there for developers only.
_NOT_NEEDED = ("test", "tests", "idlelib", "turtledemo", "ensurepip", "lib2to3", "config-*", "dist-packages", "site-packages")


class HostFiles:
    """Collects paths. `programs` are the resolved ones asked for, in order; `paths` all that is needed."""

    def __init__(self) -> None:
        self.programs: list[str] = []
        self.paths: set[str] = set()
        self._libraries = Libraries()

    def add_program(self, name: str) -> None:
        """A program by path, or by name along PATH; raises `NotFound`."""
        path = os.path.abspath(name) if "/" in name else shutil.which(name)
        if not path or not os.path.isfile(path):
            raise NotFound(f"find program {name}: no such file in PATH")
        self.programs.append(path)
        self._add_file(path)

    def _add_file(self, path: str) -> None:
        if path in self.paths:
            return
        self.paths.add(path)
        with open(path, "rb") as file:
            head = file.read(256)
        if head.startswith(b"#!"):
            self._add_interpreter(os.fsdecode(head[2:].partition(b"\n")[0]).split())
        elif head.startswith(b"\x7fELF"):
            self._add_binary(path)

    def _add_interpreter(self, words: list[str]) -> None:
        """The program behind `#!`, and the one that `env` would look up."""
        for word in words[:1]:
            self._add_file(word)
        if words and os.path.basename(words[0]) == "env":
            for word in words[1:]:
                if not word.startswith("-") and "=" not in word:
                    self.add_program(word)
                    self.programs.pop()
                    break

    def _add_binary(self, path: str) -> None:
        before = set(self._libraries.found)
        self._libraries.add(path)
        if any(os.path.basename(found) == "libc.so.6" for found in self._libraries.found):
            for name in _NAME_SERVICE:
                self._libraries.add_optional(name, path)
        for found in sorted(set(self._libraries.found) - before):
            self.paths.add(found)
            self._add_companions(os.path.realpath(found))

    def _add_companions(self, path: str) -> None:
        name = os.path.basename(path)
        prefix = os.path.dirname(os.path.dirname(path))
        for pattern, companions in _COMPANIONS.items():
            if fnmatch.fnmatchcase(name, pattern):
                for companion in companions:
                    self._add_data(companion.format(prefix=prefix, name=name))

    def _add_data(self, pattern: str) -> None:
        for top in sorted(Path("/").glob(pattern.lstrip("/"))):
            for path in walk(str(top)):
                self.paths.add(path)
                if path.endswith(".so") and os.path.isfile(path):
                    self._add_binary(path)


def walk(top: str) -> Iterator[str]:
    """`top` and all below it worth taking along, in a fixed order; symlinks are not followed."""
    yield top
    if os.path.isdir(top) and not os.path.islink(top):
        for name in sorted(os.listdir(top)):
            if not any(fnmatch.fnmatchcase(name, pattern) for pattern in _NOT_NEEDED):
                yield from walk(os.path.join(top, name))
