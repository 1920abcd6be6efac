"""`firkin system df`."""

from __future__ import annotations

from firkin.cli.command import Command
from firkin.cli.commands.common import TABLE_FORMAT
from firkin.cli.flags import Flag
from firkin.cli.format import containers, images, listing, units, volumes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from firkin.cli.command import Context
    from firkin.cli.flags import Options

    Found = dict[str, Any]

FLAGS = (TABLE_FORMAT, Flag("verbose", "v", "bool", "Show detailed information on space usage"))
FIELDS: dict[str, tuple[str, Any]] = {
    "Active": ("ACTIVE", lambda item, trunc: str(item["active"])),
    "Reclaimable": ("RECLAIMABLE", lambda item, trunc: _share(item)),
    "Size": ("SIZE", lambda item, trunc: units.size(item["size"])),
    "TotalCount": ("TOTAL", lambda item, trunc: str(item["total"])),
    "Type": ("TYPE", lambda item, trunc: item["type"]),
}
SUMS = {
    "Images": "ImageUsage",
    "Containers": "ContainerUsage",
    "Local Volumes": "VolumeUsage",
    "Build Cache": "BuildCacheUsage",
}
RUNNING = ("running", "paused", "restarting")


def _share(item: Found) -> str:
    text = units.size(item["reclaimable"])
    show_share = item["size"] > 0 and item["type"] != "Build Cache"
    return f"{text} ({item['reclaimable'] * 100 // item['size']}%)" if show_share else text


def df(context: Context, options: Options, arguments: list[str]) -> int:
    found = context.client.get("/system/df", verbose=options["verbose"])
    if options["verbose"]:
        _details(found)
        return 0
    if "ImageUsage" in found:  # API 1.52 and newer add up by themselves
        rows = [_summed(title, found.get(key) or {}) for title, key in SUMS.items()]
    else:
        rows = [_images(found), _containers(found), _volumes(found), _builds(found)]
    listing.show(FIELDS, rows, ("Type", "TotalCount", "Active", "Size", "Reclaimable"), options["format"])
    return 0


def _summed(kind: str, usage: Found) -> Found:
    keys = ("TotalCount", "ActiveCount", "TotalSize", "Reclaimable")
    return _row(kind, *(usage.get(key, 0) for key in keys))


def _items(found: Found, old: str, new: str) -> list[Found]:
    """The objects themselves, from the old form of the answer or the new one."""
    return found.get(old) or (found.get(new) or {}).get("Items") or []


def _images(found: Found) -> Found:
    """Layers are shared: what removing the unused images frees is the total less what the used ones hold."""
    all_images, total = found.get("Images") or [], found.get("LayersSize") or 0
    used = [image for image in all_images if image["Containers"] > 0]
    held = sum(image["Size"] - max(image["SharedSize"], 0) for image in used if image["Size"] != -1)
    return _row("Images", len(all_images), len(used), total, total - held)


def _containers(found: Found) -> Found:
    rows = found.get("Containers") or []
    idle = [each for each in rows if each["State"] not in RUNNING]
    return _row("Containers", len(rows), len(rows) - len(idle), _sum(rows), _sum(idle))


def _sum(rows: list[Found]) -> int:
    return sum(each.get("SizeRw", 0) for each in rows)


def _volumes(found: Found) -> Found:
    usage = [volume.get("UsageData") or {"Size": 0, "RefCount": 0} for volume in found.get("Volumes") or []]
    sizes = [each["Size"] for each in usage if each["Size"] > 0]
    unused = [each["Size"] for each in usage if each["Size"] > 0 and not each["RefCount"]]
    return _row("Local Volumes", len(usage), sum(each["RefCount"] > 0 for each in usage), sum(sizes), sum(unused))


def _builds(found: Found) -> Found:
    rows = found.get("BuildCache") or []
    free = sum(each["Size"] for each in rows if not each["InUse"] and not each.get("Shared"))
    return _row("Build Cache", len(rows), sum(each["InUse"] for each in rows), found.get("BuilderSize") or 0, free)


def _row(kind: str, total: int, active: int, size: int, reclaimable: int) -> Found:
    return {"type": kind, "total": total, "active": active, "size": size, "reclaimable": reclaimable}


def _details(found: Found) -> None:
    print("Images space usage:\n")
    shown = [next(iter(images.rows([image], False, False))) for image in _items(found, "Images", "ImageUsage")]
    listing.show(images.FIELDS, shown, (*images.COLUMNS, "SharedSize", "UniqueSize", "Containers"))
    print("\nContainers space usage:\n")
    rows = [{**each, "SizeRootFs": 0} for each in _items(found, "Containers", "ContainerUsage")]
    listing.show(containers.FIELDS, rows, ("ID", "Image", "Command", "LocalVolumes", "Size", "RunningFor", "Status", "Names"))
    print("\nLocal Volumes space usage:\n")
    listing.show(volumes.FIELDS, _items(found, "Volumes", "VolumeUsage"), ("Name", "Links", "Size"))
    print(f"\nBuild cache usage: {units.size(found.get('BuilderSize') or 0)}\n")
    titles = ("CACHE ID", "CACHE TYPE", "SIZE", "CREATED", "LAST USED", "USAGE", "SHARED")
    listing.show({title: (title, str) for title in titles}, [], titles)


COMMANDS = {"system df": Command(df, "[OPTIONS]", FLAGS)}
