"""The compiled system call filter of a container, from a cache beside the containers' directories."""

from __future__ import annotations

from firkin.runtime.oci import late

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firkin.oci.runtime_linux import Seccomp

CACHE = ".seccomp"  # no container's id begins with a dot followed by this


def program(root: str, seccomp: Seccomp | None) -> bytes:
    """b"" for none. What compiles and caches is read only where there is something to do."""
    if seccomp is None:
        return b""
    found: bytes = late.module("seccomp_cache").Filters(f"{root}/{CACHE}").program(seccomp)
    return found
