"""Namespaces, sysctls and hidden paths: which parts of the kernel a container sees.

Source: moby daemon/oci_linux.go (WithNamespaces, WithCommonOptions), runc libcontainer/configs/validate (sysctls).
"""

from __future__ import annotations

from collections.abc import Iterator

from firkin.errors import Invalid
from firkin.linux import process
from firkin.model import Container, HostConfig, IdMaps
from firkin.oci.runtime_linux import IDMapping, Namespace
from firkin.runtime import defaults, id_maps
from firkin.runtime.machine import Machine
from firkin.runtime.sandbox import Sandbox

_IPC_WORDS = "msgmax msgmnb msgmni sem shmall shmmax shmmni shm_rmid_forced"
_IPC_SYSCTLS = frozenset("kernel." + name for name in _IPC_WORDS.split())
_MODES = {
    "pid": ("", "private", "host"),
    "uts": ("", "private", "host"),
    "ipc": ("", "none", "private", "shareable", "host"),
    "cgroup": ("private", "host"),
}


def namespaces(host: HostConfig, machine: Machine, sandbox: Sandbox, own_users: bool = False) -> tuple[Namespace, ...]:
    """Those to make or, as `sandbox` knows where they are, to join; one that is absent is the host's."""
    modes: tuple[tuple[str, str], ...] = (
        ("mount", "private"),
        ("network", host.network_mode),
        ("uts", host.uts_mode),
        ("pid", host.pid_mode),
        ("ipc", host.ipc_mode),
        ("cgroup", cgroup_mode(host, machine)),
        ("user", "private" if own_users else "host"),
    )
    for kind, mode in modes:
        _check_mode(kind, mode, sandbox)
    return tuple(Namespace(kind, sandbox.namespaces.get(kind, "")) for kind, mode in modes if mode != "host")


def mappings(ranges: tuple[tuple[int, int, int], ...]) -> tuple[IDMapping, ...]:
    return tuple(IDMapping(inside, outside, count) for inside, outside, count in ranges)


def _check_mode(kind: str, mode: str, sandbox: Sandbox) -> None:
    if mode.startswith("container:") and kind in ("network", "pid", "ipc"):
        if kind not in sandbox.namespaces:
            raise Invalid(f"join {kind} namespace of {mode.partition(':')[2]}: the container is not running")
    elif kind in _MODES and mode not in _MODES[kind]:
        raise Invalid(f"invalid {kind} mode: {mode}")


def cgroup_mode(host: HostConfig, machine: Machine) -> str:
    """Docker's default: a namespace of its own where there is only cgroup v2, the host's elsewhere."""
    return host.cgroupns_mode or ("private" if machine.unified_cgroups else "host")


def not_to_be_joined(host: HostConfig, machine: Machine) -> int:
    """Of a container's namespaces those (CLONE_NEW*) that a new process of it is in already, and could not enter: the
    machine's own, which root of a user namespace has no right to."""
    modes = (
        (process.CLONE_NEWUTS, host.uts_mode),
        (process.CLONE_NEWIPC, host.ipc_mode),
        (process.CLONE_NEWPID, host.pid_mode),
        (process.CLONE_NEWCGROUP, cgroup_mode(host, machine)),
    )
    return sum(kind for kind, mode in modes if mode == "host") if machine.user_namespace else 0


def sysctls(container: Container, machine: Machine) -> dict[str, str]:
    """Kernel parameters to set, Docker's network defaults included, keyed by dotted name."""
    host = container.host
    own_network = host.network_mode != "host" and not host.network_mode.startswith("container:")
    for name in host.sysctls:
        _check_sysctl(name, host)
    return {**_default_sysctls(machine, container.id_maps), **host.sysctls} if own_network else dict(host.sysctls)


def _default_sysctls(machine: Machine, maps: IdMaps | None) -> dict[str, str]:
    """The groups that may ping must all be mapped."""
    if maps is None or defaults.PING_GROUPS not in machine.sysctls:
        return machine.sysctls
    return {**machine.sysctls, defaults.PING_GROUPS: f"0 {id_maps.last_in_a_row(maps.groups)}"}


def _check_sysctl(name: str, host: HostConfig) -> None:
    """Only parameters that belong to a namespace of the container's own: all others would change the host."""
    dotted = name.replace("/", ".")
    if dotted.startswith("net."):
        shared, kind = host.network_mode, "network"
    elif dotted in _IPC_SYSCTLS or dotted.startswith("fs.mqueue."):
        shared, kind = host.ipc_mode, "ipc"
    else:
        raise Invalid(f"sysctl '{name}' is not allowed: it belongs to no namespace")
    if shared == "host" or shared.startswith("container:"):
        raise Invalid(f"sysctl '{name}' is not allowed: the container has no {kind} namespace of its own")


def hidden_paths(host: HostConfig, machine: Machine) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(masked, read-only). An empty list given by the user means none; --privileged does too."""
    if host.privileged:
        return host.masked_paths or (), host.readonly_paths or ()
    masked = machine.masked_paths if host.masked_paths is None else host.masked_paths
    return masked, defaults.READONLY_PATHS if host.readonly_paths is None else host.readonly_paths


def root_propagation(propagations: Iterator[str]) -> str:
    """What the container's root must be for volumes of these propagations to work; "" for the default."""
    kinds = {propagation.removeprefix("r") for propagation in propagations}
    return "shared" if "shared" in kinds else "rslave" if "slave" in kinds else ""
