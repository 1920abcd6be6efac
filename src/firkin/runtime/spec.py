"""From Docker's words to OCI's: every choice about a container that is made before it starts, and nothing else.

`build_config` is pure. Its inputs are the container's record, the facts about this machine, and what was prepared for
this start; whatever is not said in them is Docker's default. `plan` turns the result into kernel steps.

Source: moby daemon/oci_linux.go (createSpec), container/container_unix.go (CreateDaemonEnvironment).
"""

from __future__ import annotations

import signal
from collections.abc import Iterable

from firkin.errors import Invalid, Unavailable
from firkin.model import Container, ContainerConfig, ExecRequest, Ulimit
from firkin.oci.runtime_config import OCI_VERSION, Config, ConsoleSize, Process, Rlimit, Root
from firkin.oci.runtime_linux import Linux, Seccomp
from firkin.runtime import apparmor, defaults, devices, seccomp_profile, selinux, spec_linux, spec_mounts
from firkin.runtime.machine import INIT_PACKAGE, Machine
from firkin.runtime.plan_process import RLIMIT_NUMBERS
from firkin.runtime.sandbox import Sandbox
from firkin.runtime.spec_resources import resources
from firkin.runtime.spec_security import bounding_set, capability_sets, security_options

RLIMITS = frozenset(name.removeprefix("RLIMIT_").lower() for name in RLIMIT_NUMBERS)


def build_config(
    container: Container, machine: Machine, sandbox: Sandbox, host_devices: devices.HostDevices = devices.DEFAULT
) -> Config:
    """The OCI configuration of `container`. Raises `Invalid` for what Docker refuses, `Unavailable` for a missing init.

    The user stays `container.config.user`, and extra groups `host.group_add`: they are names in the container's own
    /etc/passwd and /etc/group, which only the started child may read.
    """
    host = container.host
    bounding = bounding_set(host, machine.capabilities)
    mounts = spec_mounts.mounts(container, machine, sandbox)
    masked, readonly = spec_linux.hidden_paths(host, machine)
    own_uts, maps = host.uts_mode != "host", container.id_maps
    return Config(
        oci_version=OCI_VERSION,
        root=Root(sandbox.rootfs, host.readonly_rootfs),
        process=_process(container, machine, sandbox, bounding),
        mounts=mounts,
        hostname=container.config.hostname if own_uts else "",
        domainname=container.config.domainname if own_uts else "",
        annotations=host.annotations,
        linux=Linux(
            namespaces=spec_linux.namespaces(host, machine, sandbox, maps is not None),
            uid_mappings=spec_linux.mappings(maps.users) if maps else (),
            gid_mappings=spec_linux.mappings(maps.groups) if maps else (),
            devices=host_devices.nodes,
            cgroups_path=sandbox.cgroup,
            resources=resources(host.resources, host_devices.rules, host_devices.block_io),
            rootfs_propagation=spec_linux.root_propagation(point.propagation for point in container.mounts),
            seccomp=seccomp_of(container, machine),
            sysctl=spec_linux.sysctls(container, machine),
            masked_paths=masked,
            readonly_paths=readonly,
            mount_label=selinux_labels(container, machine)[1],
        ),
    )


def build_exec(container: Container, request: ExecRequest, machine: Machine, sandbox: Sandbox) -> Process:
    """The process that `docker exec` adds to a running container. Its user is `request.user` or else the container's."""
    host = container.host
    bounding = machine.capabilities if request.privileged else bounding_set(host, machine.capabilities)
    env = merge_environment(_base_environment(container.config, request.tty, sandbox.environment), request.env)
    return Process(
        cwd=request.working_dir or container.config.working_dir or "/",
        args=request.cmd,
        env=env,
        terminal=request.tty,
        console_size=_console_size(request.console_size),
        capabilities=capability_sets(bounding, request.user or container.config.user),
        rlimits=rlimits(host.resources.ulimits, machine.ulimits),
        no_new_privileges=security_options(host.security_opt).no_new_privileges,
        apparmor_profile=apparmor.profile_of(host, machine),
        selinux_label=selinux_labels(container, machine)[0],
        oom_score_adj=host.oom_score_adj,
    )


def _process(container: Container, machine: Machine, sandbox: Sandbox, bounding: tuple[str, ...]) -> Process:
    config, host = container.config, container.host
    return Process(
        cwd=config.working_dir or "/",
        args=_arguments(container, machine),
        env=_base_environment(config, config.tty, sandbox.environment),
        terminal=config.tty,
        console_size=_console_size(host.console_size) if config.tty else None,
        capabilities=capability_sets(bounding, config.user),
        rlimits=rlimits(host.resources.ulimits, machine.ulimits),
        no_new_privileges=security_options(host.security_opt).no_new_privileges,
        apparmor_profile=apparmor.profile_of(host, machine),
        selinux_label=selinux_labels(container, machine)[0],
        oom_score_adj=host.oom_score_adj,
    )


def _arguments(container: Container, machine: Machine) -> tuple[str, ...]:
    command = (container.path, *container.args)
    if not spec_mounts.wants_init(container, machine):
        return command
    if not machine.init:
        raise Unavailable(f"start an init process in the container: no init program found; apt-get install {INIT_PACKAGE}")
    return (defaults.INIT_INSIDE, "--", *command)


def _base_environment(config: ContainerConfig, tty: bool, links: tuple[str, ...]) -> tuple[str, ...]:
    """Docker's order: its own variables, links', then the image's and the user's, which replace in place. HOME is added by
    the child, who knows the user."""
    own = [defaults.PATH, "HOSTNAME=" + config.hostname]
    if tty:
        own.append("TERM=xterm")
    return merge_environment((*own, *links), config.env)


def merge_environment(base: Iterable[str], changes: Iterable[str]) -> tuple[str, ...]:
    """`base` with each "KEY=value" of `changes` in the old one's place or at the end; a bare "KEY" removes it."""
    merged = {entry.partition("=")[0]: entry for entry in base}
    for entry in changes:
        key, assigned, _ = entry.partition("=")
        if assigned:
            merged[key] = entry
        else:
            merged.pop(key, None)
    return tuple(merged.values())


def rlimits(wanted: tuple[Ulimit, ...], by_default: tuple[Ulimit, ...]) -> tuple[Rlimit, ...]:
    """`--ulimit` values over the daemon's defaults."""
    chosen = {limit.name: limit for limit in (*by_default, *wanted)}
    for limit in chosen.values():
        if limit.name not in RLIMITS:
            raise Invalid(f"invalid ulimit type: {limit.name}")
        if limit.hard != -1 and (limit.soft > limit.hard or limit.soft == -1):
            raise Invalid(f"ulimit soft limit must be less than or equal to hard limit: {limit.soft} > {limit.hard}")
    return tuple(Rlimit("RLIMIT_" + one.name.upper(), one.soft % (1 << 64), one.hard % (1 << 64)) for one in chosen.values())


def _console_size(size: tuple[int, int]) -> ConsoleSize | None:
    return ConsoleSize(*size) if any(size) else None


def seccomp_of(container: Container, machine: Machine) -> Seccomp | None:
    """The filter for the container's processes. None is unconfined, which is --privileged's default too."""
    host = container.host
    wanted = security_options(host.security_opt).seccomp
    if wanted == "unconfined" or (host.privileged and not wanted):
        return None
    return seccomp_profile.resolve(wanted, bounding_set(host, machine.capabilities))


def selinux_labels(container: Container, machine: Machine) -> tuple[str, str]:
    """(of processes, of files); "" where SELinux is off, and for --privileged."""
    if machine.selinux is None or container.host.privileged:
        return "", ""
    return selinux.labels(security_options(container.host.security_opt).labels, machine.selinux, container.id)


def stop_signal(text: str, default: int = signal.SIGTERM) -> int:
    """The number of "SIGTERM", "term", "15" or "RTMIN+3"; `default` for ""."""
    if not text:
        return default
    number = int(text) if text.isdecimal() and len(text) < 4 else _signal_number(text.upper().removeprefix("SIG"))
    if not 0 < number <= signal.SIGRTMAX:
        raise Invalid(f"invalid signal: {text}")
    return number


def _signal_number(name: str) -> int:
    """0 if there is none. Real-time signals are counted from either end: RTMIN+3, RTMAX-1."""
    base, offset = (name[:5], name[5:]) if name.startswith(("RTMIN", "RTMAX")) else (name, "")
    number = int(signal.Signals.__members__.get("SIG" + base, 0))
    if offset and not (offset[0] in "+-" and offset[1:].isdecimal() and len(offset) < 4):
        return 0
    return number + int(offset or 0)
