"""Host devices a container asks for: their numbers, and the cgroup rules that let it use them.

The only part of a configuration that must look at the host's /dev; kept apart so that `build_config` stays pure.
Source: moby daemon/pkg/oci/devices_linux.go, containerd pkg/oci (HostDevices); Linux admin-guide/cgroup-v1/devices.rst.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator

import msgspec

from firkin.errors import Invalid, reason
from firkin.model import DeviceMapping, HostConfig, ThrottleDevice
from firkin.oci import runtime_resources as limits
from firkin.oci.runtime_linux import Device
from firkin.runtime import defaults

_CGROUP_RULE = re.compile(r"([acb]) ([0-9]+|\*):([0-9]+|\*) ([rwm]{1,3})")
_ALL = limits.DeviceRule(True, access="rwm")

# Parts of the host's /dev that are file systems of their own, or another manager's; a container gets its own.
_NOT_DEVICES = frozenset(("pts", "shm", "fd", "mqueue", ".lxc", ".lxd-mounts", ".udev"))


class HostDevices(msgspec.Struct, frozen=True):
    """`nodes` to make inside, cgroup `rules` in order (the last match decides), `block_io` limits by device number."""

    nodes: tuple[Device, ...] = ()
    rules: tuple[limits.DeviceRule, ...] = defaults.DEVICE_RULES
    block_io: limits.BlockIO | None = None


DEFAULT = HostDevices()


def resolve(host: HostConfig) -> HostDevices:
    """What `host` asks of this machine's devices; raises `Invalid` naming one that is missing or no device."""
    wanted = host.resources
    if wanted.device_requests:
        raise Invalid(f"could not select device driver {wanted.device_requests[0].get('Driver', '')!r}: no such driver")
    if host.privileged:
        extra = [node for mapping in wanted.devices if mapping.path_in_container for node in _mapped(mapping)]
        by_path = {node.path: node for node in (*_nodes_below("/dev", "/dev"), *extra)}
        return HostDevices(tuple(by_path.values()), (_ALL,), _block_io(host))
    nodes: list[Device] = []
    rules = list(defaults.DEVICE_RULES)
    for mapping in wanted.devices:
        for node in _mapped(mapping):
            nodes.append(node)
            rules.append(limits.DeviceRule(True, node.type, node.major, node.minor, mapping.cgroup_permissions or "rwm"))
    rules.extend(map(parse_rule, wanted.device_cgroup_rules))
    return HostDevices(tuple(nodes), tuple(rules), _block_io(host))


def parse_rule(text: str) -> limits.DeviceRule:
    """One `--device-cgroup-rule`, e.g. "c 13:* rmw"; "a" alone allows everything."""
    match = _CGROUP_RULE.fullmatch("a *:* rwm" if text == "a" else text)
    if match is None:
        raise Invalid(f"invalid device cgroup rule format: '{text}'")
    kind, major, minor, access = match.groups()
    return limits.DeviceRule(True, kind, _number(major), _number(minor), access)


def _number(text: str) -> int | None:
    return None if text == "*" else int(text)


def _mapped(mapping: DeviceMapping) -> list[Device]:
    """The node(s) of one `--device`: a device, or every device below a directory."""
    source = _resolved(mapping.path_on_host)
    inside = mapping.path_in_container or mapping.path_on_host
    try:
        status = os.stat(source)
    except OSError as error:
        raise Invalid(f'error gathering device information while adding custom device "{source}": {reason(error)}')
    if stat.S_ISDIR(status.st_mode):
        nodes = list(_nodes_below(source, inside))
    else:
        nodes = [node for node in (_node(inside, status),) if node]
    if not nodes:
        raise Invalid(f'error gathering device information while adding custom device "{source}": not a device node')
    return nodes


def _resolved(path: str) -> str:
    """`path` itself, or where its link leads if that is under /dev (as links in /dev/disk do) and nowhere else."""
    target = os.path.realpath(path)
    return target if target.startswith("/dev/") else os.path.normpath(path)


def _nodes_below(directory: str, inside: str) -> Iterator[Device]:
    with os.scandir(directory) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            path = f"{inside}/{entry.name}"
            if entry.is_dir(follow_symlinks=False):
                if entry.name not in _NOT_DEVICES:
                    yield from _nodes_below(entry.path, path)
            elif entry.name != "console" and (node := _node(path, entry.stat(follow_symlinks=False))):
                yield node


def _node(path: str, status: os.stat_result) -> Device | None:
    kind = "b" if stat.S_ISBLK(status.st_mode) else "c" if stat.S_ISCHR(status.st_mode) else ""
    if not kind:
        return None
    number = os.major(status.st_rdev), os.minor(status.st_rdev)
    return Device(path, kind, *number, stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid)


def _block_io(host: HostConfig) -> limits.BlockIO | None:
    wanted = host.resources
    block_io = limits.BlockIO(
        weight=wanted.blkio_weight or None,
        weight_device=tuple(limits.WeightDevice(*_block_number(d.path), d.weight) for d in wanted.blkio_weight_device),
        throttle_read_bps_device=_throttles(wanted.blkio_device_read_bps),
        throttle_write_bps_device=_throttles(wanted.blkio_device_write_bps),
        throttle_read_iops_device=_throttles(wanted.blkio_device_read_iops),
        throttle_write_iops_device=_throttles(wanted.blkio_device_write_iops),
    )
    return block_io if block_io != limits.BlockIO() else None


def _throttles(devices: tuple[ThrottleDevice, ...]) -> tuple[limits.ThrottleDevice, ...]:
    return tuple(limits.ThrottleDevice(*_block_number(device.path), device.rate) for device in devices)


def _block_number(path: str) -> tuple[int, int]:
    try:
        status = os.stat(path)
    except OSError as error:
        raise Invalid(f"limit block device {path}: {reason(error)}")
    return os.major(status.st_rdev), os.minor(status.st_rdev)
