"""Being told that files change: inotify.

The invariant: a descriptor made here never blocks and is close-on-exec. Source: inotify(7).
"""

from __future__ import annotations

import os

from firkin.linux.syscalls import call, cstring

IN_MODIFY = 0x2
IN_MOVED_TO = 0x80
IN_CREATE = 0x100


def watch(directory: str, mask: int) -> int:
    """A descriptor that becomes readable when something in `directory` happens that is in `mask` (IN_*)."""
    fd = call("inotify_init1", os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        call("inotify_add_watch", fd, cstring(directory), mask, what=directory)
    except OSError:
        os.close(fd)
        raise
    return fd
