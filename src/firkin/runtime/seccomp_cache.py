"""Finished seccomp programs, kept in memory and on disk: compiling one takes 10 to 20 ms.

Invariant: a program is named by everything it depends on (the resolved filter, libseccomp's version, this code's), so
that it is never stale, and appears under its name whole.
"""

from __future__ import annotations

import os

from firkin.oci import json_text
from firkin.oci.runtime_linux import Seccomp
from firkin.runtime.seccomp_compile import compile_filter
from firkin.runtime.seccomp_library import version

try:  # `hashlib` brings OpenSSL along
    from _sha2 import sha256  # type: ignore[import-not-found]
except ImportError:  # Python 3.11
    from _sha256 import sha256  # type: ignore[import-not-found]

_FORMAT = b"1"  # raised whenever compile_filter makes another program of the same input
_MOST_IN_MEMORY = 64  # of about 10 KB


class Filters:
    """Compiled programs, cached in `directory` (made when first written to; it may be emptied at any time)."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._programs: dict[Seccomp, bytes] = {}

    def program(self, seccomp: Seccomp) -> bytes:
        """What seccomp(2) installs for `seccomp`. A program asked for before costs a dictionary lookup."""
        program = self._programs.get(seccomp)
        if program is None:
            if len(self._programs) >= _MOST_IN_MEMORY:
                self._programs.clear()
            program = self._programs[seccomp] = self._load_or_compile(seccomp)
        return program

    def _load_or_compile(self, seccomp: Seccomp) -> bytes:
        path = os.path.join(self._directory, f"seccomp-{_digest(seccomp)}.bpf")
        try:
            with open(path, "rb") as file:
                return file.read()
        except FileNotFoundError:
            program = compile_filter(seccomp)
            self._store(path, program)
            return program

    def _store(self, path: str, program: bytes) -> None:
        os.makedirs(self._directory, mode=0o700, exist_ok=True)
        temporary = f"{path}.{os.getpid()}.tmp"
        with open(temporary, "wb") as file:
            file.write(program)
        os.rename(temporary, path)


def _digest(seccomp: Seccomp) -> str:
    content = (_FORMAT, version().encode(), json_text.dumps(seccomp.to_dict()).encode())
    digest: str = sha256(b"\0".join(content)).hexdigest()
    return digest
