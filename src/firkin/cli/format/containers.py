"""The fields of a container in `ps` and `system df`: docker's names, headings and texts."""

from __future__ import annotations

from firkin.cli import jsontext, names
from firkin.cli.format import units
from firkin.cli.format.listing import ARGUMENT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Item = dict[str, Any]

COLUMNS = ("ID", "Image", "Command", "RunningFor", "Status", "Ports", "Names")


def ellipsis(text: str, width: int) -> str:
    """At most `width` characters, the last one `…` where something was cut."""
    return text if len(text) <= width else text[: width - 1] + "…"


def _image(item: Item, trunc: bool) -> str:
    image = str(item["Image"])
    if not trunc or not image:
        return image or "<no image>"
    if names.short_id(image) == names.short_id(item.get("ImageID", "")):
        return names.short_id(image)
    registry, path, tag, _ = names.split(image)
    return names.familiar(registry, path) + (":" + tag if tag else "")


def _names(item: Item, trunc: bool) -> str:
    """Its own name; untruncated also those that other containers' links gave it."""
    own = [name.removeprefix("/") for name in item["Names"]]
    return next((name for name in own if "/" not in name), "") if trunc else ",".join(own)


def _size(item: Item, trunc: bool) -> str:
    text = units.size(item.get("SizeRw", 0), 3)
    root = item.get("SizeRootFs", 0)
    return f"{text} (virtual {units.size(root, 3)})" if root > 0 else text


def _mounts(item: Item, trunc: bool) -> str:
    found = [mount.get("Name") or mount["Source"] for mount in item.get("Mounts") or ()]
    return ",".join(ellipsis(name, 15) if trunc else name for name in found)


def labels(item: Item, trunc: bool) -> str:
    """`key=value` pairs, sorted, comma-separated."""
    return ",".join(sorted(f"{key}={value}" for key, value in (item.get("Labels") or {}).items()))


def label(item: Item, trunc: bool, name: str) -> str:
    """One label's value."""
    return str((item.get("Labels") or {}).get(name, ""))


def _platform(item: Item, trunc: bool) -> str | None:
    """`linux/amd64`, where the daemon tells (API 1.48 and newer)."""
    found = (item.get("ImageManifestDescriptor") or {}).get("platform")
    return "/".join(found[key] for key in ("os", "architecture", "variant") if found.get(key)) if found else None


def _ports(item: Item, trunc: bool) -> str:
    return ports(item.get("Ports") or [])


def ports(found: list[Item]) -> str:
    """`0.0.0.0:80->80/tcp, 8000-8010/tcp`: neighbours with equal numbers on both sides are joined into ranges."""
    order = sorted(found, key=lambda port: (port["PrivatePort"], port.get("IP", ""), port.get("PublicPort", 0), port["Type"]))
    groups: dict[str, list[int]] = {}
    done, mappings = [], []
    for port in order:
        number, address, public = port["PrivatePort"], port.get("IP", ""), port.get("PublicPort", 0)
        if address and public != number:
            mappings.append(f"{join_address(address, str(public))}->{number}/{port['Type']}")
            continue
        key = f"{address}/{port['Type']}"
        if key in groups and number == groups[key][1] + 1:
            groups[key][1] = number
            continue
        if key in groups:
            done.append(_group(key, *groups[key]))
        groups[key] = [number, number]
    return ", ".join([*done, *(_group(key, *ends) for key, ends in groups.items()), *mappings])


def _group(key: str, first: int, last: int) -> str:
    address, _, protocol = key.rpartition("/")
    numbers = str(first) if first == last else f"{first}-{last}"
    return (f"{join_address(address, numbers)}->{numbers}" if address else numbers) + "/" + protocol


def join_address(address: str, port: str) -> str:
    """`1.2.3.4:80`, `[::1]:80`."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


FIELDS: dict[str, tuple[str, Any]] = {
    "Command": ("COMMAND", lambda item, trunc: jsontext.dumps(ellipsis(item["Command"], 20) if trunc else item["Command"])),
    "CreatedAt": ("CREATED AT", lambda item, trunc: units.timestamp(item["Created"])),
    "ID": ("CONTAINER ID", lambda item, trunc: names.short_id(item["Id"]) if trunc else item["Id"]),
    "Image": ("IMAGE", _image),
    "Label": (ARGUMENT, label),
    "Labels": ("LABELS", labels),
    "LocalVolumes": (
        "LOCAL VOLUMES",
        lambda item, trunc: str(sum(mount.get("Driver") == "local" for mount in item.get("Mounts") or ())),
    ),
    "Mounts": ("MOUNTS", _mounts),
    "Names": ("NAMES", _names),
    "Networks": ("NETWORKS", lambda item, trunc: ",".join((item.get("NetworkSettings") or {}).get("Networks") or ())),
    "Platform": ("PLATFORM", _platform),
    "Ports": ("PORTS", _ports),
    "RunningFor": ("CREATED", lambda item, trunc: units.ago(item["Created"])),
    "Size": ("SIZE", _size),
    "State": ("STATE", lambda item, trunc: item["State"]),
    "Status": ("STATUS", lambda item, trunc: item["Status"]),
}
