"""The fields of a volume in `volume ls` and `system df`."""

from __future__ import annotations

from firkin.cli.format import units
from firkin.cli.format.containers import label, labels
from firkin.cli.format.listing import ARGUMENT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def _usage(item: dict[str, Any], key: str) -> int:
    return int((item.get("UsageData") or {}).get(key, -1))


FIELDS: dict[str, tuple[str, Any]] = {
    "Availability": ("AVAILABILITY", lambda item, trunc: "N/A"),
    "Driver": ("DRIVER", lambda item, trunc: item["Driver"]),
    "Group": ("GROUP", lambda item, trunc: "N/A"),
    "Label": (ARGUMENT, label),
    "Labels": ("LABELS", labels),
    "Links": ("LINKS", lambda item, trunc: "N/A" if _usage(item, "RefCount") < 0 else str(_usage(item, "RefCount"))),
    "Mountpoint": ("MOUNTPOINT", lambda item, trunc: item["Mountpoint"]),
    "Name": ("VOLUME NAME", lambda item, trunc: item["Name"]),
    "Scope": ("SCOPE", lambda item, trunc: item["Scope"]),
    "Size": ("SIZE", lambda item, trunc: "N/A" if _usage(item, "Size") < 0 else units.size(_usage(item, "Size"))),
    "Status": ("STATUS", lambda item, trunc: "N/A"),
}
