"""What `checkpoint` and `restore` both take, and where CRIU works. Source: criu(8), criu.org/RPC, runc checkpoint.go."""

from __future__ import annotations

import os
import shutil

from firkin.errors import Invalid
from firkin.linux.process import CLONE_NEWNET
from firkin.runtime.oci import criu_wire, flags

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from firkin.oci.runtime_config import Config
    from firkin.runtime.oci.flags import Options

COMMON = (
    ("image-path", flags.PATH, "", "directory of CRIU's images (default: checkpoint)"),
    ("work-path", flags.PATH, "", "directory of CRIU's log (default: that of the images)"),
    ("tcp-established", flags.SWITCH, "", "allow open tcp connections"),
    ("ext-unix-sk", flags.SWITCH, "", "allow external unix sockets"),
    ("shell-job", flags.SWITCH, "", "allow shell jobs"),
    ("lazy-pages", flags.SWITCH, "", "bring memory over when it is used, by userfaultfd"),
    ("file-locks", flags.SWITCH, "", "handle file locks"),
    ("manage-cgroups-mode", flags.TEXT, "", "cgroups mode: soft (default), full, strict or ignore"),
    ("empty-ns", flags.LIST, "", "make a namespace without what was in it; network, which always is"),
    ("auto-dedup", flags.SWITCH, "", "deduplicate memory images"),
)
_SWITCHES = ("tcp-established", "ext-unix-sk", "shell-job", "lazy-pages", "file-locks", "auto-dedup")
_MODES = {"ignore": 0, "soft": 3, "full": 4, "strict": 5}  # enum criu_cg_mode
_BY_NFTABLES = 2  # enum criu_network_lock_method: how connections are kept from going on; by default, iptables
VERBS = {criu_wire.DUMP: "dump", criu_wire.PRE_DUMP: "pre-dump", criu_wire.RESTORE: "restore"}
_DEBUG = 4
# An administrator's word about all containers, or one's own about this one; it overrules what is said here.
_SETTINGS, _SETTINGS_OF_ONE = "/etc/criu/runc.conf", "org.criu.config"


class Work:
    """The directories of a run: `images`, and `place`, where its log goes. To be made before a bundle is entered: they are
    relative to where the command was called."""

    def __init__(self, options: Options, verb: int) -> None:
        self.images = options.text("image-path") or os.path.abspath("checkpoint")
        self.place = options.text("work-path") or self.images
        self.log = VERBS[verb].removeprefix("pre-") + ".log"
        if options.text("work-path"):
            os.makedirs(self.place, 0o700, exist_ok=True)

    def clear(self) -> None:
        """Files that CRIU would open by name, and follow if they were links."""
        for name in (self.log, "stats-" + self.log.removesuffix(".log")):
            try:
                os.unlink(f"{self.place}/{name}")
            except FileNotFoundError:
                pass


def common(options: Options, config: Config) -> dict[str, Any]:
    """Options of both directions."""
    mode = options.text("manage-cgroups-mode") or "soft"
    if mode not in _MODES:
        raise Invalid(f"--manage-cgroups-mode {mode}: want soft, full, strict or ignore")
    for kind in options.texts("empty-ns"):
        if kind != "network":
            raise Invalid(f'--empty-ns {kind}: namespace "{kind}" is not supported')
    settings = config.annotations.get(_SETTINGS_OF_ONE, _SETTINGS)
    return {
        **{name.replace("-", "_"): True for name in _SWITCHES if options.on(name)},
        "manage_cgroups_mode": _MODES[mode],
        "empty_ns": CLONE_NEWNET,  # interfaces are whose who made them
        "orphan_pts_master": True,
        "notify_scripts": True,
        "log_level": _DEBUG,
        "network_lock": None if shutil.which("ip6tables-restore") else _BY_NFTABLES,
        "config_file": settings or None,
    }
