"""From `linux.resources` to the control files of what flows: block devices, huge pages, RDMA, network. Part of
`cgroup_settings`: (control file, value) pairs in order. Pure.

Source: runtime-spec config-linux.md "Block IO", "Huge page limits", "RDMA", "Network"; kernel cgroup-v1/*.rst, cgroup-v2.rst.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from firkin.oci.runtime_resources import BlockIO, HugepageLimit, Network, Rdma, ThrottleDevice


def _throttles(limits: BlockIO) -> Iterator[tuple[str, str, ThrottleDevice]]:
    """(version 1 file, version 2 key, device)."""
    for name, key, devices in (
        ("read_bps_device", "rbps", limits.throttle_read_bps_device),
        ("write_bps_device", "wbps", limits.throttle_write_bps_device),
        ("read_iops_device", "riops", limits.throttle_read_iops_device),
        ("write_iops_device", "wiops", limits.throttle_write_iops_device),
    ):
        for device in devices:
            yield "blkio.throttle." + name, key, device


def blkio(limits: BlockIO) -> list[tuple[str, str]]:
    # One of the two names, by the kernel's age; the other is not there and gets skipped.
    files = [(name, str(limits.weight)) for name in ("blkio.weight", "blkio.bfq.weight") if limits.weight]
    files += [("blkio.leaf_weight", str(limits.leaf_weight))] if limits.leaf_weight else []
    for device in limits.weight_device:
        number = f"{device.major}:{device.minor}"
        for name in ("blkio.weight_device", "blkio.bfq.weight_device"):
            files += [(name, f"{number} {device.weight}")] if device.weight else []
        files += [("blkio.leaf_weight_device", f"{number} {device.leaf_weight}")] if device.leaf_weight else []
    return files + [(name, f"{d.major}:{d.minor} {d.rate}") for name, _, d in _throttles(limits)]


def io(limits: BlockIO) -> list[tuple[str, str]]:
    # By scheduler: bfq has a file, and a scale, of its own. One of them is not there and gets skipped.
    weights = [("default", limits.weight), *((f"{one.major}:{one.minor}", one.weight) for one in limits.weight_device)]
    files = []
    for number, weight in weights:
        if weight:
            files.append(("io.bfq.weight", f"{number} {weight}"))
            files.append(("io.weight", f"{number} {1 + (weight - 10) * 9999 // 990}"))  # 10..1000 onto 1..10000
    return files + [("io.max", f"{d.major}:{d.minor} {key}={d.rate}") for _, key, d in _throttles(limits)]


def hugepages(limits: Iterable[HugepageLimit], version: int) -> list[tuple[str, str]]:
    """Of reservations, where the kernel (5.7) counts them, and of use; the name of the former is skipped elsewhere."""
    suffix = "limit_in_bytes" if version == 1 else "max"
    kinds = ("", "rsvd.")
    return [(f"hugetlb.{one.page_size}.{kind}{suffix}", str(one.limit)) for one in limits for kind in kinds]


def rdma(limits: dict[str, Rdma]) -> list[tuple[str, str]]:
    files = []
    for device, limit in limits.items():
        bounds = (("hca_handle", limit.hca_handles), ("hca_object", limit.hca_objects))
        files.append(("rdma.max", " ".join([device, *(f"{word}={bound}" for word, bound in bounds if bound is not None)])))
    return files


def network(network: Network, version: Callable[[str], int]) -> list[tuple[str, str, str]]:
    """Version 1 only."""
    found: list[tuple[str, str, str]] = []
    if network.class_id is not None and version("net_cls") == 1:
        found.append(("net_cls", "net_cls.classid", str(network.class_id)))
    if version("net_prio") == 1:
        found += [("net_prio", "net_prio.ifpriomap", f"{one.name} {one.priority}") for one in network.priorities]
    return found
