"""What a container's configuration says once the daemon has had its say: every choice the client left open, made.

The record keeps the result, so `inspect` shows what holds and a later change of the daemon's configuration changes no
container. Source: moby `daemon/daemon_unix.go` (adaptContainerSettings), `daemon/container.go` (newContainer).
"""

from __future__ import annotations

import os
from dataclasses import replace

from firkin.engine.engine import Engine
from firkin.errors import Invalid
from firkin.ids import short_id
from firkin.model import ContainerConfig, HostConfig, LogConfig, Resources
from firkin.runtime import defaults, selinux
from firkin.runtime.spec import selinux_labels

RUNTIME = "firkin"
_OF_ANOTHER = "container:"


def with_defaults(engine: Engine, host: HostConfig) -> HostConfig:
    """Raises `NotFound` when a mode `container:X` names no container."""
    hidden = (None, None) if host.privileged else (engine.machine.masked_paths, defaults.READONLY_PATHS)
    return replace(
        host,
        network_mode=_mode(engine, "bridge" if host.network_mode in ("", "default") else host.network_mode),
        log_config=_log_config(engine, host.log_config),
        shm_size=host.shm_size or engine.config.default_shm_size,
        ipc_mode=_mode(engine, host.ipc_mode or "private"),
        pid_mode=_mode(engine, host.pid_mode),
        cgroupns_mode=host.cgroupns_mode or ("private" if engine.cgroups.unified else "host"),
        runtime=host.runtime or RUNTIME,
        security_opt=_security_opt(engine, host),
        masked_paths=hidden[0] if host.masked_paths is None else host.masked_paths,
        readonly_paths=hidden[1] if host.readonly_paths is None else host.readonly_paths,
        resources=_resources(engine, host.resources),
    )


def with_hostname(engine: Engine, config: ContainerConfig, host: HostConfig, container_id: str) -> ContainerConfig:
    """A container in another's network has the other's names, one in the host's network the host's."""
    if host.network_mode.startswith(_OF_ANOTHER):
        owner = engine.containers.joined(host.network_mode).config
        return replace(config, hostname=owner.hostname, domainname=owner.domainname)
    if config.hostname:
        return config
    return replace(config, hostname=os.uname().nodename if host.network_mode == "host" else short_id(container_id))


def _mode(engine: Engine, mode: str) -> str:
    """By id, for the other container may get another name."""
    return _OF_ANOTHER + engine.containers.joined(mode).id if mode.startswith(_OF_ANOTHER) else mode


def _log_config(engine: Engine, log: LogConfig) -> LogConfig:
    if log.type:
        return log
    return replace(log, type=engine.config.log_driver, config=log.config or dict(engine.config.log_opts))


def _security_opt(engine: Engine, host: HostConfig) -> tuple[str, ...]:
    """What shares processes or memory with the host cannot have an SELinux label of its own, with a container only the
    other's. Raises `Invalid` for two others with different ones."""
    if any(option.startswith("label") for option in host.security_opt):
        return host.security_opt
    if host.privileged or "host" in (host.ipc_mode, host.pid_mode):
        return (*host.security_opt, "label=disable")
    modes = [mode for mode in (host.ipc_mode, host.pid_mode) if mode.startswith(_OF_ANOTHER)]
    labels = {selinux_labels(engine.containers.joined(mode), engine.machine)[0] for mode in modes}
    if len(labels) > 1:
        raise Invalid("--ipc and --pid containers SELinux labels aren't the same")
    shared = [option for label in labels for option in selinux.options_of(label)] if engine.machine.selinux else []
    return (*host.security_opt, *(f"label={option}" for option in shared))


def _resources(engine: Engine, limits: Resources) -> Resources:
    """With a limit on memory, as much swap again."""
    return replace(
        limits,
        init=engine.config.init or None if limits.init is None else limits.init,
        memory_swap=limits.memory_swap or 2 * max(limits.memory, 0),
    )
