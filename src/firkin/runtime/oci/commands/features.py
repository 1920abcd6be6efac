"""`firkin-oci features`: what this runtime understands, for callers that would rather ask than try.

Source: runtime-spec features.md, features-linux.md.
"""

from __future__ import annotations

from firkin import __version__
from firkin.oci.runtime_config import OCI_VERSION
from firkin.runtime import capability_names, mount_options, plan, seccomp_library
from firkin.runtime.oci import show, unit_annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firkin.runtime.oci.context import Context

ARGUMENTS, WORDS, FLAGS = (0, 0), "", ()
_HOOKS = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")
_ALL = (1 << 64) - 1


def main(context: Context) -> int:
    show.json(features())
    return 0


def features() -> dict[str, object]:
    return {
        "ociVersionMin": "1.0.0",
        "ociVersionMax": OCI_VERSION,
        "hooks": list(_HOOKS),
        "mountOptions": sorted(mount_options.WORDS),
        "linux": {
            "namespaces": sorted(plan.NAMESPACES),
            "capabilities": list(capability_names.names(_ALL)),
            "cgroup": {"v1": True, "v2": True, "systemd": True, "systemdUser": True, "rdma": True},
            "seccomp": {
                "enabled": True,
                "actions": sorted(seccomp_library.ACTIONS),
                "operators": sorted(seccomp_library.OPERATORS),
                "archs": sorted(seccomp_library.ARCHITECTURES),
                "knownFlags": sorted(seccomp_library.FLAGS),
                "supportedFlags": sorted(seccomp_library.FLAGS),
            },
            "apparmor": {"enabled": True},
            "selinux": {"enabled": True},
            "intelRdt": {"enabled": True},
            "mountExtensions": {"idmap": {"enabled": True}},
            "netDevices": {"enabled": True},
        },
        "potentiallyUnsafeConfigAnnotations": [unit_annotations.PREFIX],
        "annotations": {"io.firkin.version": __version__},
    }
