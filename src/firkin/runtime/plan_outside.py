"""Steps for the launcher that concern the whole host: interfaces that move into the container, classes of cache.

Part of `plan`. Source: runtime-spec config-linux.md "Network Devices", "IntelRdt".
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from firkin.oci.runtime_linux import IntelRdt, Linux
    from firkin.runtime.plan_terms import Step


def steps(linux: Linux, container_id: str) -> Iterator[Step]:
    joined = any(one.type == "network" and one.path for one in linux.namespaces)
    for name, device in linux.net_devices.items():
        yield "net-device", name, device.name or name, "ns-network" if joined else ""
    if linux.intel_rdt:
        yield _cache_class(linux.intel_rdt, container_id)


def cache_groups_made(wanted: IntelRdt | None, container_id: str) -> list[str]:
    """Groups below the mount of resctrl that go when the container goes: its own class, its own monitoring group."""
    if wanted is None:
        return []
    class_ = wanted.clos_id or container_id
    own = [] if wanted.clos_id else [class_]
    return [*own, *([f"{class_.strip('/')}/mon_groups/{container_id}"] if wanted.enable_monitoring else [])]


def _cache_class(wanted: IntelRdt, container_id: str) -> Step:
    """A class that is named, but not described, must be there."""
    schemata = [*filter(None, (wanted.l3_cache_schema, wanted.mem_bw_schema)), *wanted.schemata]
    make = not wanted.clos_id or bool(schemata)
    monitor = container_id if wanted.enable_monitoring else ""
    return "resctrl", wanted.clos_id or container_id, schemata, make, monitor
