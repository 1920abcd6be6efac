"""Update: other limits, or another restart policy, for a container as it runs.

Source: Docker Engine API, `POST /containers/{id}/update`; a limit that is not given stays as it is.
"""

from __future__ import annotations

import contextlib
from dataclasses import fields, replace

from firkin.engine import cgroup_conf, warnings
from firkin.engine.engine import Engine
from firkin.engine.validate import check_resources, check_restart
from firkin.errors import Conflict, Invalid
from firkin.model import Container, HostConfig, Resources, RestartPolicy
from firkin.runtime.cgroup_settings import cgroup_settings
from firkin.runtime.spec_resources import resources

_NOTHING = Resources()
_SWAP_TOO_SMALL = "Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time"


async def update(engine: Engine, ref: str, changes: Resources, policy: RestartPolicy | None = None) -> list[str]:
    """Apply and remember; returns warnings. Raises `Invalid` for bad limits, `Conflict` in a removal."""
    entry = engine.containers.find(ref)
    async with entry.lock:
        if entry.record.state.status in ("removing", "dead"):
            raise Conflict(f"cannot update container {entry.id}: container is marked for removal and cannot be updated")
        limits = _merged(entry.record.host.resources, changes)
        if changes.memory and not changes.memory_swap and 0 < limits.memory_swap < limits.memory:
            raise Conflict(f"Cannot update container {entry.id}: {_SWAP_TOO_SMALL}")
        check_resources(limits)
        cgroup_conf.check(engine.cgroups, changes.cgroup_conf)
        policy = _checked(entry.record.host, policy)
        if entry.live:
            _change(engine, entry.record, entry.live.cgroup, limits)
        host = replace(entry.record.host, resources=limits, restart_policy=policy)
        engine.containers.save(entry, replace(entry.record, host=host))
    engine.events.container("update", entry.record)
    return list(warnings.of_limits(engine.cgroups, changes))


def _change(engine: Engine, record: Container, cgroup: str, limits: Resources) -> None:
    """All of it or, as far as the kernel lets us go back, nothing."""
    try:
        _apply(engine, cgroup, limits)
    except (OSError, Invalid) as error:
        with contextlib.suppress(OSError, Invalid):
            _apply(engine, cgroup, record.host.resources)
        if isinstance(error, Invalid):
            raise
        otherwise = f"cannot update container {record.id}: write {error.filename}"
        raise cgroup_conf.refused(limits.cgroup_conf, error, otherwise) from error


def _apply(engine: Engine, cgroup: str, limits: Resources) -> None:
    present = engine.cgroups.read(cgroup, "memory", "memory.memsw.limit_in_bytes").strip()
    settings = cgroup_settings(resources(limits, (), None), engine.cgroups.version, int(present or -1))
    cgroup_conf.check_there(limits.cgroup_conf, engine.cgroups.apply(cgroup, settings))


def _checked(host: HostConfig, policy: RestartPolicy | None) -> RestartPolicy:
    """The policy from now on."""
    if policy is None:
        return host.restart_policy
    check_restart(policy)
    if host.auto_remove and policy.name not in ("", "no"):
        raise Invalid("Restart policy cannot be updated because AutoRemove is enabled for the container")
    return policy


def _merged(present: Resources, changes: Resources) -> Resources:
    given = {f.name: getattr(changes, f.name) for f in fields(Resources)}
    given["cgroup_conf"] = {**present.cgroup_conf, **changes.cgroup_conf}
    return replace(present, **{name: value for name, value in given.items() if value != getattr(_NOTHING, name)})
