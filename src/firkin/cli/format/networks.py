"""The fields of a network in `network ls`."""

from __future__ import annotations

from firkin.cli.format import units
from firkin.cli.format.containers import label, labels
from firkin.cli.format.listing import ARGUMENT
from firkin.cli.names import short_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

COLUMNS = ("ID", "Name", "Driver", "Scope")


def _truth(key: str) -> Any:
    return lambda item, trunc: "true" if item.get(key) else "false"


FIELDS: dict[str, tuple[str, Any]] = {
    "CreatedAt": ("CREATED AT", lambda item, trunc: units.go_time(item["Created"])),
    "Driver": ("DRIVER", lambda item, trunc: item["Driver"]),
    "ID": ("NETWORK ID", lambda item, trunc: short_id(item["Id"]) if trunc else item["Id"]),
    "IPv4": ("IPV4", _truth("EnableIPv4")),
    "IPv6": ("IPV6", _truth("EnableIPv6")),
    "Internal": ("INTERNAL", _truth("Internal")),
    "Label": (ARGUMENT, label),
    "Labels": ("LABELS", labels),
    "Name": ("NAME", lambda item, trunc: item["Name"]),
    "Scope": ("SCOPE", lambda item, trunc: item["Scope"]),
}
