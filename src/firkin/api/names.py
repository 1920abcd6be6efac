"""How the engine's names are written in Docker's JSON: the exceptions to `snake_case` -> `CamelCase`.

Reading needs only where a member lies, since letter case does not matter (Go ignores it too); writing needs the exact
spelling, and which members are left out or null when they are empty.
"""

from __future__ import annotations

from firkin import model
from firkin.network.model import NetworkRequest, Subnet

SPELLING = {
    "blkio_device_read_iops": "BlkioDeviceReadIOps",
    "blkio_device_write_iops": "BlkioDeviceWriteIOps",
    "container_id_file": "ContainerIDFile",
    "ipv4_address": "IPv4Address",
    "ipv6_address": "IPv6Address",
    "kernel_memory_tcp": "KernelMemoryTCP",
    "link_local_ips": "LinkLocalIPs",
    "uts_mode": "UTSMode",
}

# Where a field lies when that is not simply its own name; () means that its members stand among those of the whole.
PLACES: dict[type, dict[str, tuple[str, ...]]] = {
    model.CreateRequest: {
        "config": (),
        "host": ("HostConfig",),
        "endpoints": ("NetworkingConfig", "EndpointsConfig"),
    },
    model.HostConfig: {"resources": ()},
    model.MountRequest: {
        "propagation": ("BindOptions", "Propagation"),
        "non_recursive": ("BindOptions", "NonRecursive"),
        "create_mountpoint": ("BindOptions", "CreateMountpoint"),
        "idmap": ("BindOptions", "IDMap"),
        "read_only_non_recursive": ("BindOptions", "ReadOnlyNonRecursive"),
        "read_only_force_recursive": ("BindOptions", "ReadOnlyForceRecursive"),
        "no_copy": ("VolumeOptions", "NoCopy"),
        "labels": ("VolumeOptions", "Labels"),
        "driver": ("VolumeOptions", "DriverConfig", "Name"),
        "driver_options": ("VolumeOptions", "DriverConfig", "Options"),
        "subpath": ("VolumeOptions", "Subpath"),
        "tmpfs_size": ("TmpfsOptions", "SizeBytes"),
        "tmpfs_mode": ("TmpfsOptions", "Mode"),
        "tmpfs_options": ("TmpfsOptions", "Options"),
    },
    NetworkRequest: {
        "ipam_driver": ("IPAM", "Driver"),
        "ipam_options": ("IPAM", "Options"),
        "subnets": ("IPAM", "Config"),
        "config_from": ("ConfigFrom", "Network"),
    },
    Subnet: {"auxiliary": ("AuxiliaryAddresses",)},
    model.EndpointRequest: {
        "ipv4_address": ("IPAMConfig", "IPv4Address"),
        "ipv6_address": ("IPAMConfig", "IPv6Address"),
        "link_local_ips": ("IPAMConfig", "LinkLocalIPs"),
    },
}

# Fields that JSON writes as an object with empty members.
SETS = {(model.ContainerConfig, "exposed_ports"), (model.ContainerConfig, "volumes")}

# Fields for which one string may stand for a list of one (Go `strslice.StrSlice`).
STRING_OR_LIST = {(model.ContainerConfig, "cmd"), (model.ContainerConfig, "entrypoint"), (model.ExecRequest, "cmd")}


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Fields that are absent when empty.
OMITTED: dict[type, frozenset[str]] = {
    model.ContainerConfig: _words(
        "exposed_ports healthcheck args_escaped network_disabled mac_address on_build stop_signal stop_timeout shell"
    ),
    model.Healthcheck: _words("test interval timeout retries start_period start_interval"),
    model.HostConfig: _words("mounts annotations storage_opt tmpfs sysctls runtime"),
    model.Resources: _words("init kernel_memory_tcp cgroup_conf"),
    model.MountRequest: _words(
        "source read_only consistency propagation non_recursive create_mountpoint idmap read_only_non_recursive "
        "read_only_force_recursive no_copy labels driver driver_options subpath tmpfs_size tmpfs_mode tmpfs_options"
    ),
}

# Fields that are null when empty.
NULLED: dict[type, frozenset[str]] = {
    model.ContainerConfig: _words("env cmd volumes entrypoint"),
    model.HostConfig: _words("binds volumes_from cap_add cap_drop extra_hosts group_add links security_opt"),
    model.Resources: _words("device_cgroup_rules device_requests"),
    model.EndpointRequest: _words("links aliases driver_opts"),
}

# Fields whose default is not what an absent member means to Docker.
FALSE_WHEN_ABSENT = {(model.ContainerConfig, "attach_stdout"), (model.ContainerConfig, "attach_stderr")}


def spell(attribute: str) -> str:
    """`cpu_shares` -> `CpuShares`."""
    return SPELLING.get(attribute) or "".join(word.capitalize() for word in attribute.split("_"))


def place(cls: type, attribute: str) -> tuple[str, ...]:
    """The names that lead from the object of a `cls` to the member for `attribute`; () when it is flattened into it."""
    return PLACES.get(cls, {}).get(attribute, (spell(attribute),))
