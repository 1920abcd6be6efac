"""System: what this engine is, what the machine offers, and what all of it takes on disk."""

from __future__ import annotations

import asyncio
import functools
import os
import platform
from collections import Counter
from dataclasses import dataclass

from firkin import __version__
from firkin.engine import warnings
from firkin.engine.engine import Engine
from firkin.model import Container


@dataclass(frozen=True)
class Info:
    """What `docker info` shows of this engine and its machine; memory in bytes."""

    id: str
    name: str
    containers: int
    running: int
    paused: int
    stopped: int
    images: int
    kernel: str
    operating_system: str
    os_version: str
    architecture: str
    processors: int
    memory: int
    cgroup_version: str
    controllers: frozenset[str]
    version: str = __version__
    rootless: bool = False
    remapped: bool = False
    cgroups: bool = True
    apparmor: bool = False  # in the kernel
    apparmor_profile: str = ""  # the default one, if it is loaded
    limits_swap: bool = True
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class DiskUsage:
    """Bytes by container id (its writable layer) and by volume name, and of all images' layers together."""

    containers: dict[str, int]
    volumes: dict[str, int]
    layers: int


_CONTROLLERS = ("cpu", "cpuacct", "cpuset", "memory", "blkio", "io", "pids", "devices", "freezer", "hugetlb")


@functools.cache
def _operating_system() -> tuple[str, str]:
    """(pretty name, version id) of /etc/os-release (os-release(5))."""
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        return "Linux", ""
    return release.get("PRETTY_NAME", "Linux"), release.get("VERSION_ID", "")


def info(engine: Engine) -> Info:
    states = Counter(entry.record.state.status for entry in engine.containers)
    name, version = _operating_system()
    running, paused = states["running"] + states["restarting"], states["paused"]
    return Info(
        id=engine.id,
        name=os.uname().nodename,
        containers=states.total(),
        running=running,
        paused=paused,
        stopped=states.total() - running - paused,
        images=len(engine.images.list({})),
        kernel=os.uname().release,
        operating_system=name,
        os_version=version,
        architecture=os.uname().machine,
        processors=os.cpu_count() or 1,
        memory=os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
        cgroup_version="2" if engine.cgroups.unified else "1",
        controllers=frozenset(c for c in _CONTROLLERS if engine.cgroups.version(c)),
        rootless=engine.config.rootless,
        remapped=engine.users.remap,
        cgroups=engine.machine.cgroups,
        apparmor=engine.machine.apparmor,
        apparmor_profile=engine.machine.apparmor_profile,
        limits_swap=warnings.limits_swap(engine.cgroups),
        warnings=tuple(warnings.of_machine(engine)),
    )


async def disk_usage(engine: Engine) -> DiskUsage:
    """Measures; takes as long as reading every directory takes."""
    records: list[Container] = [entry.record for entry in engine.containers]
    containers = {r.id: await asyncio.to_thread(engine.snapshots.size, r.id) for r in records}
    volumes = {v.name: await asyncio.to_thread(engine.volumes.size, v.name) for v in engine.volumes.list({})}
    return DiskUsage(containers, volumes, engine.images.layers_size())
