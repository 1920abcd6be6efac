"""What every command gets: the global options, its own, its arguments, and where to complain."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firkin.runtime.oci.failure import Log
    from firkin.runtime.oci.flags import Options


class Context:
    """`root` holds a directory for each container; `systemd`: cgroups are asked of systemd; `rootless`: what may not be done
    with cgroups is left out, if nobody asked for it."""

    def __init__(
        self, log: Log, root: str, systemd: bool, rootless: bool, criu: str, options: Options, arguments: list[str]
    ) -> None:
        self.log, self.root, self.systemd, self.rootless, self.criu = log, root, systemd, rootless, criu
        self.options, self.arguments = options, arguments

    @property
    def id(self) -> str:
        return self.arguments[0]
