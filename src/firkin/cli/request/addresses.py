"""The address flags of `network create`: which range, gateway and reserved addresses belong to which subnet."""

from __future__ import annotations

import ipaddress

from firkin.cli.errors import Failure
from firkin.cli.request.body import pairs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from firkin.cli.flags import Options


def ipam(options: Options) -> dict[str, Any]:
    """The API's `IPAM`: one entry of `Config` for each `--subnet`."""
    entries: list[dict[str, Any]] = [{"Subnet": subnet} for subnet in options["subnet"]]
    if not entries and (options["ip-range"] or options["gateway"]):
        raise Failure("every ip-range or gateway must have a corresponding subnet")
    for text in options["ip-range"]:
        _entry(entries, text, "range")["IPRange"] = text
    for text in options["gateway"]:
        _entry(entries, text, "gateway")["Gateway"] = text
    for name, text in pairs(options["aux-address"]):
        _entry(entries, text, "aux-address").setdefault("AuxiliaryAddresses", {})[name] = text
    return {"Driver": options["ipam-driver"] or "default", "Options": dict(pairs(options["ipam-opt"])), "Config": entries}


def _entry(entries: list[dict[str, Any]], text: str, what: str) -> dict[str, Any]:
    """The entry whose subnet holds the address or range `text`."""
    try:
        wanted = ipaddress.ip_interface(text).ip
        for entry in entries:
            if wanted in ipaddress.ip_network(entry["Subnet"], strict=False):
                return entry
    except ValueError as error:
        raise Failure(f"invalid {what}: {error}") from None
    raise Failure(f"no matching subnet for {what} {text}")
