"""What a container's class of cache and memory bandwidth is, and has used, in the shape of runc's `events` ("intel_rdt").

Source: runc types/events.go; kernel filesystems/resctrl.rst.
"""

from __future__ import annotations

import os

from firkin.linux import resctrl

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firkin.oci.runtime_config import Config
    from firkin.runtime.oci.record import Record

_CACHE, _BANDWIDTH, _MONITOR = "L3", "MB", "L3_MON"
_CACHE_NUMBERS = ("min_cbm_bits", "num_closids")
_BANDWIDTH_NUMBERS = ("bandwidth_gran", "delay_linear", "min_bandwidth", "num_closids")
_TRAFFIC = ("mbm_total_bytes", "mbm_local_bytes")
_OCCUPANCY = "llc_occupancy"


def figures(config: Config, record: Record) -> dict[str, object]:
    """Empty for a container that is in no class of its own or by name. OSError if its class is not to be found."""
    wanted = config.linux.intel_rdt
    if not wanted and not record.cache_class:
        return {}
    root = resctrl.mount_point()
    directory = resctrl.directory(root, (wanted.clos_id if wanted else "") or record.id)
    found: dict[str, object] = {}
    schemata = _read(f"{directory}/schemata").splitlines()
    whole = _read(f"{root}/schemata").splitlines()
    if os.path.isdir(info := f"{root}/info/{_CACHE}"):
        mask = {"cbm_mask": _read(f"{info}/cbm_mask")}
        found["l3_cache_info"] = {**mask, **_numbers(info, _CACHE_NUMBERS)}
        found |= _schemas("l3_cache_schema", _CACHE, whole, schemata)
    if os.path.isdir(info := f"{root}/info/{_BANDWIDTH}"):
        found["mem_bw_info"] = _numbers(info, _BANDWIDTH_NUMBERS)
        found |= _schemas("mem_bw_schema", _BANDWIDTH, whole, schemata)
    found["schemata"] = schemata
    monitored = f"{directory}/mon_groups/{record.id}" if wanted and wanted.enable_monitoring else directory
    return found | _monitored(root, monitored)


def _schemas(key: str, resource: str, whole: list[str], own: list[str]) -> dict[str, str]:
    """Of the machine, and of the class; as with runc, of several with the name in them the last."""
    lines = {f"{key}_root": whole, key: own}
    return {one: line.strip() for one, texts in lines.items() for line in texts if resource in line}


def _monitored(root: str, directory: str) -> dict[str, object]:
    """What was counted, by the cache: in the order of their names."""
    if not os.path.isdir(f"{root}/info/{_MONITOR}"):
        return {}
    counted = _read(f"{root}/info/{_MONITOR}/mon_features").split()
    data = f"{directory}/mon_data"
    places = [f"{data}/{name}" for name in sorted(os.listdir(data)) if name.startswith("mon_L3_")]
    found: dict[str, object] = {}
    if any(name in counted for name in _TRAFFIC):
        found["mbm_stats"] = [
            {name: _number(f"{place}/{name}") if name in counted else 0 for name in _TRAFFIC} for place in places
        ]
    if _OCCUPANCY in counted:
        found["cmt_stats"] = [{_OCCUPANCY: _number(f"{place}/{_OCCUPANCY}")} for place in places]
    return found


def _numbers(directory: str, names: tuple[str, ...]) -> dict[str, int]:
    """Those that are not zero."""
    return {name: number for name in names if (number := _number(f"{directory}/{name}"))}


def _number(path: str) -> int:
    """0 where the hardware has none to give ("Unavailable")."""
    text = _read(path)
    return int(text) if text.isdecimal() else 0


def _read(path: str) -> str:
    with open(path, encoding="ascii") as file:
        return file.read().strip()
