"""Checkpoint and restore by way of CRIU's command line, where there is a CRIU.

What CRIU cannot find in its images again is named to it as external: mounts that came from outside, and namespaces that
were joined. Source: criu(8), runc libcontainer/criu_linux.go.
"""

from __future__ import annotations

import os

from firkin.errors import Internal, Unsupported
from firkin.runtime.oci import flags

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firkin.oci.runtime_config import Config
    from firkin.runtime.oci.context import Context
    from firkin.runtime.oci.flags import Options

COMMON = (
    ("image-path", flags.PATH, "", "directory of CRIU's images (default: checkpoint)"),
    ("work-path", flags.PATH, "", "directory of CRIU's log"),
    ("tcp-established", flags.SWITCH, "", "allow open tcp connections"),
    ("ext-unix-sk", flags.SWITCH, "", "allow external unix sockets"),
    ("shell-job", flags.SWITCH, "", "allow shell jobs"),
    ("file-locks", flags.SWITCH, "", "handle file locks"),
    ("manage-cgroups-mode", flags.TEXT, "", "cgroups mode: soft (default), full or strict"),
    ("auto-dedup", flags.SWITCH, "", "deduplicate memory images"),
)
_SWITCHES = ("tcp-established", "ext-unix-sk", "shell-job", "file-locks", "auto-dedup")
_NAMESPACES = {"network": "net", "pid": "pid", "ipc": "ipc", "uts": "uts"}


def common(options: Options) -> list[str]:
    words = ["--images-dir", images(options), "--manage-cgroups=" + options.text("manage-cgroups-mode", "soft")]
    if options.text("work-path"):
        words += ["--work-dir", options.text("work-path")]
    return [*words, *(f"--{flag}" for flag in _SWITCHES if options.on(flag))]


def images(options: Options) -> str:
    return options.text("image-path") or os.path.abspath("checkpoint")


def outside(config: Config, *, restoring: bool) -> list[str]:
    """Bind mounts and joined namespaces, by names that both sides use."""
    words = []
    for one in config.mounts:
        if one.type == "bind" or {"bind", "rbind"} & set(one.options):
            words += ["--external", f"mnt[{one.destination}]:{one.source if restoring else one.destination}"]
    for path in config.linux.masked_paths if not restoring else ():
        words += ["--external", f"mnt[{path}]:{path}"]
    for namespace in config.linux.namespaces:
        if namespace.path and namespace.type in _NAMESPACES:
            inode = os.stat(namespace.path).st_ino
            words += ["--external", f"{_NAMESPACES[namespace.type]}[{inode}]:{namespace.path}"]
    return words


def run(context: Context, words: list[str]) -> None:
    """Raises `Unsupported` without a CRIU that works here, `Internal` with its last words if it fails."""
    argv = [context.criu, *words]
    try:
        pid = os.posix_spawnp(context.criu, argv, os.environ)
    except OSError as error:
        reason = os.strerror(error.errno or 0).lower()
        raise Unsupported(f"{words[0]} needs CRIU: exec {context.criu}: {reason}; apt-get install criu") from None
    if code := os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]):
        raise Internal(f"criu {words[0]} failed: exit status {code}")
