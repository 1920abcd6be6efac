"""Isolation: what separates a running container from this host, read back from the kernel, not from our records.

Records say only what the kernel has no words for: which image layer a directory is, what a volume is called, which seccomp
program was installed (its text can be had from the kernel only by stopping the process). No namespace is entered.
Invariant: all of it is of one process; if that ended meanwhile, there is no answer.
"""

from __future__ import annotations

import asyncio
import hashlib

from firkin.engine import isolation_group, isolation_mounts, isolation_network
from firkin.engine.engine import Engine
from firkin.engine.isolation_model import (
    Descriptor,
    IdRange,
    Isolation,
    Namespace,
    Process,
    ResourceLimit,
    Seccomp,
    Security,
    Users,
)
from firkin.engine.table import Live
from firkin.errors import Conflict, Internal, reason
from firkin.linux import procfs
from firkin.model import Container
from firkin.runtime import capability_names, seccomp_verdicts
from firkin.runtime.spec import seccomp_of
from firkin.runtime.spec_security import security_options

_SETS = {"bounding": "CapBnd", "effective": "CapEff", "permitted": "CapPrm", "inheritable": "CapInh", "ambient": "CapAmb"}
_MODES = {"0": "disabled", "1": "strict", "2": "filter"}


async def isolation(engine: Engine, ref: str) -> Isolation:
    """Of a container that runs or is paused; raises `NotFound`, or `Conflict` when it does not run (any more)."""
    entry = engine.containers.find(ref)
    record, live = entry.record, entry.live
    if live is None:
        raise Conflict(f"container {ref} is not running")
    try:
        rules = await engine.networks.rules()
        found = await asyncio.to_thread(_read, engine, record, live, rules)
    except OSError as error:
        if procfs.has_ended(live.pidfd):
            raise Conflict(f"container {ref} has ended") from None
        raise Internal(f"read isolation of {ref}: {error.filename or ''}: {reason(error)}") from error
    if entry.live is not live or procfs.has_ended(live.pidfd):
        raise Conflict(f"container {ref} has ended")
    return found


def _read(engine: Engine, record: Container, live: Live, rules: dict[str, str]) -> Isolation:
    """Everything, in a thread: some of these files take the kernel a millisecond."""
    pid, namespaces = live.pid, _namespaces(live.pid)
    status = procfs.status(pid)
    layers, mounts = isolation_mounts.of(engine, pid)
    own_network = any(one.kind == "net" and one.own for one in namespaces)
    return Isolation(
        id=record.id,
        name=record.name,
        pid=pid,
        namespaces=namespaces,
        users=_users(pid, status),
        security=_security(engine, record, pid, status),
        layers=layers,
        mounts=mounts,
        group=isolation_group.of(pid, record.id),
        network=isolation_network.of(pid, rules) if own_network else isolation_network.SHARED,
        process=_process(pid),
    )


def _namespaces(pid: int) -> tuple[Namespace, ...]:
    ours, theirs = procfs.namespaces("self"), procfs.namespaces(pid)
    return tuple(Namespace(kind, number, ours.get(kind, 0), number != ours.get(kind)) for kind, number in theirs.items())


def _users(pid: int, status: dict[str, str]) -> Users:
    return Users(
        uid=int(status["Uid"].split()[1]),
        gid=int(status["Gid"].split()[1]),
        groups=tuple(map(int, status["Groups"].split())),
        uid_map=tuple(IdRange(*one) for one in procfs.id_map(pid, "uid_map")),
        gid_map=tuple(IdRange(*one) for one in procfs.id_map(pid, "gid_map")),
    )


def _security(engine: Engine, record: Container, pid: int, status: dict[str, str]) -> Security:
    return Security(
        capabilities={name: capability_names.names(int(status[key], 16)) for name, key in _SETS.items()},
        no_new_privileges=status["NoNewPrivs"] == "1",
        seccomp=_seccomp(engine, record, status),
        label=procfs.label(pid),
    )


def _seccomp(engine: Engine, record: Container, status: dict[str, str]) -> Seccomp:
    """Mode and count are the kernel's. Filters are inherited and can only be added to, so where there is one at all the
    first is the engine's; a second one is the program's own."""
    mode = _MODES.get(status["Seccomp"], status["Seccomp"])
    count = int(status.get("Seccomp_filters", "1" if mode == "filter" else "0"))
    wanted = security_options(record.host.security_opt).seccomp
    installed = seccomp_of(record, engine.machine)
    if installed is None:
        return Seccomp(mode, count, mode == "disabled", "unconfined")
    if mode != "filter":
        return Seccomp(mode, count, False, "none of the engine's")
    program = engine.filters.program(installed)
    refused, by_arguments = seccomp_verdicts.verdicts(program)
    digest = "sha256:" + hashlib.sha256(program).hexdigest()
    profile = "custom" if wanted else "default"
    return Seccomp(mode, count, mode == "filter" and count == 1, profile, digest, refused, by_arguments)


def _process(pid: int) -> Process:
    return Process(
        oom_score_adj=int(procfs.read(pid, "oom_score_adj")),
        oom_score=int(procfs.read(pid, "oom_score")),
        limits=tuple(ResourceLimit(*one) for one in procfs.limits(pid)),
        descriptors=tuple(Descriptor(*one) for one in procfs.descriptors(pid)),
    )
