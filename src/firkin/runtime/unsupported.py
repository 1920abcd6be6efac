"""What an OCI configuration may ask for and this engine does not do yet. Dropping it silently would weaken the container
or surprise its owner, so it is refused.
"""

from __future__ import annotations

from firkin.errors import Unsupported
from firkin.oci.runtime_config import Config


def refuse(config: Config) -> None:
    """Raises `Unsupported` naming the first field that a plan has no steps for."""
    linux, first = config.linux, config.process
    for field, given in (
        ("hooks", config.hooks),
        ("linux.timeOffsets", linux.time_offsets),
        ("linux.netDevices", linux.net_devices),
        ("linux.intelRdt", linux.intel_rdt),
        ("linux.memoryPolicy", linux.memory_policy),
        ("linux.mountLabel", linux.mount_label),
        ("linux.namespaces: time", any(one.type == "time" for one in linux.namespaces)),
        ("process.scheduler", first and first.scheduler),
        ("process.ioPriority", first and first.io_priority),
        ("process.apparmorProfile", first and first.apparmor_profile),
        ("process.selinuxLabel", first and first.selinux_label),
        ("mounts: uidMappings", any(one.uid_mappings or one.gid_mappings for one in config.mounts)),
    ):
        if given:
            raise Unsupported(f"plan container: {field} is not implemented")
