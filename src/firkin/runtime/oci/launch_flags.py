"""Flags that `create` and `run` share."""

from __future__ import annotations

from firkin.runtime.oci import flags

COMMON = (
    ("bundle", flags.PATH, "b", "path to the root of the bundle directory, defaults to the current directory"),
    ("console-socket", flags.TEXT, "", "unix socket that gets the master of the container's terminal"),
    ("pidfd-socket", flags.TEXT, "", "unix socket that gets a pidfd of the container's first process"),
    ("pid-file", flags.PATH, "", "file to write the process id to"),
    ("no-pivot", flags.SWITCH, "", "do not use pivot_root, which a ramdisk as root does not allow"),
    ("no-new-keyring", flags.SWITCH, "", "let the container have the caller's session keyring"),
    ("preserve-fds", flags.NUMBER, "", "pass N more file descriptors to the container (stdio + $LISTEN_FDS + N in total)"),
)
