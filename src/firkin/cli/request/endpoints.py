"""`--network` and what belongs to one connection: addresses, aliases, MAC address; and `--add-host`.

The short form of `--network` is a name; the long one `name=NET,alias=A,ip=1.2.3.4,...`. The first network is the
container's network mode and takes the addresses and aliases given by flags of their own.
"""

from __future__ import annotations

from firkin.cli.errors import Failure, FlagError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from firkin.cli.flags import Options

_BUILT_IN = ("", "default", "bridge", "none", "host")


def apply(body: dict[str, Any], options: Options) -> None:
    if options["add-host"]:
        body["HostConfig"]["ExtraHosts"] = [_extra_host(text) for text in options["add-host"]]
    networks = [_network(text) for text in options["network"]] or [("default", {})]
    name, first = networks[0]
    first.update(_from_flags(options))
    body["HostConfig"]["NetworkMode"] = name
    if "mac-address" in options:
        body["MacAddress"] = options["mac-address"]  # where versions before 1.44 look for it
    endpoints = {name: endpoint for name, endpoint in networks if endpoint or not _is_mode(name)}
    if len({name for name, _ in networks}) < len(networks):
        raise Failure(f'network "{name}" is specified multiple times')
    if len(networks) > 1 and any(_is_mode(name) and name not in ("bridge", "default") for name, _ in networks):
        raise Failure("conflicting options: cannot attach both user-defined and non-user-defined network-modes")
    if endpoints:
        body["NetworkingConfig"] = {"EndpointsConfig": endpoints}


def _is_mode(name: str) -> bool:
    return name in _BUILT_IN or name.startswith("container:")


def _from_flags(options: Options) -> dict[str, Any]:
    endpoint: dict[str, Any] = {}
    addresses = {
        "IPv4Address": options["ip"],
        "IPv6Address": options["ip6"],
        "LinkLocalIPs": options["link-local-ip"],
    }
    if any(addresses.values()):
        endpoint["IPAMConfig"] = {key: value for key, value in addresses.items() if value}
    if options["network-alias"]:
        endpoint["Aliases"] = options["network-alias"]
    if options["link"]:
        endpoint["Links"] = options["link"]
    if "mac-address" in options:
        endpoint["MacAddress"] = options["mac-address"]
    return endpoint


def _network(text: str) -> tuple[str, dict[str, Any]]:
    """(name, endpoint settings) of one `--network`."""
    if "=" not in text:
        return text, {}
    name = ""
    endpoint: dict[str, Any] = {}
    for field in text.split(","):
        key, given, value = field.partition("=")
        if not given:
            raise Failure(f"invalid field {field}")
        if key == "name":
            name = value
        else:
            _setting(endpoint, key, value)
    if not name:
        raise FlagError(f'invalid argument "{text}" for "--network" flag: network name/id is not specified')
    return name, endpoint


def _setting(endpoint: dict[str, Any], key: str, value: str) -> None:
    if key == "alias":
        endpoint.setdefault("Aliases", []).append(value)
    elif key in ("ip", "ip6"):
        endpoint.setdefault("IPAMConfig", {})["IPv4Address" if key == "ip" else "IPv6Address"] = value
    elif key == "link-local-ip":
        endpoint.setdefault("IPAMConfig", {}).setdefault("LinkLocalIPs", []).append(value)
    elif key == "mac-address":
        endpoint["MacAddress"] = value
    elif key == "driver-opt":
        name, _, setting = value.partition("=")
        endpoint.setdefault("DriverOpts", {})[name] = setting
    elif key == "gw-priority" and value.lstrip("-").isdecimal():
        endpoint["GwPriority"] = int(value)
    else:
        raise Failure(f"invalid field key {key}")


def _extra_host(text: str) -> str:
    """`name:ip` or `name=ip`, sent as `name:ip`."""
    name, given, address = text.partition("=" if "=" in text else ":")
    if not given or not name:
        raise FlagError(f'invalid argument "{text}" for "--add-host" flag: bad format for add-host: "{text}"')
    return f"{name}:{address.strip('[]')}"
