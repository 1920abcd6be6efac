"""Who calls: root, an ordinary user, or root of a user namespace, in a user's name perhaps. Every command asks, so it is apart
from what a container is made with.

Source: runc rootless_linux.go.
"""

from __future__ import annotations

import os

from firkin.errors import Invalid
from firkin.linux import process

_TRUE, _FALSE = ("1", "t", "true"), ("0", "f", "false")


def is_ordinary() -> bool:
    return os.geteuid() != 0


def rootless(word: str) -> bool:
    """What `--rootless` means: "auto" is true for whoever is not the machine's root."""
    if word == "auto":
        return is_ordinary() or process.in_user_namespace()
    if word.lower() not in (*_TRUE, *_FALSE):
        raise Invalid(f'invalid value "{word}" for --rootless: want true, false or auto')
    return word.lower() in _TRUE


def runtime_directory() -> str:
    """$XDG_RUNTIME_DIR for whom it is an ordinary user's, else "". podman calls as root of a namespace, in its user's name."""
    directory = os.environ.get("XDG_RUNTIME_DIR", "")
    if directory and (is_ordinary() or (process.in_user_namespace() and os.environ.get("USER") != "root")):
        return directory
    return ""
