"""`firkin network create`, `ls`, `rm`, `connect` and `disconnect`."""

from __future__ import annotations

from firkin.cli.command import Command
from firkin.cli.commands.common import TABLE_FORMAT, filters, for_each
from firkin.cli.flags import Flag
from firkin.cli.format import listing
from firkin.cli.format.networks import COLUMNS, FIELDS
from firkin.cli.format.order import natural
from firkin.cli.names import short_id
from firkin.cli.request.addresses import ipam
from firkin.cli.request.body import pairs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from firkin.cli.command import Context
    from firkin.cli.errors import DaemonError
    from firkin.cli.flags import Options

CREATE_FLAGS = (
    Flag("attachable", "", "bool", "Enable manual container attachment"),
    Flag("aux-address", "", "map", "Auxiliary IPv4 or IPv6 addresses used by Network driver", default="map[]"),
    Flag("config-from", "", "string", "The network from which to copy the configuration"),
    Flag("config-only", "", "bool", "Create a configuration only network"),
    Flag("driver", "d", "string", "Driver to manage the Network", default="bridge"),
    Flag("gateway", "", "strings", "IPv4 or IPv6 Gateway for the master subnet"),
    Flag("ingress", "", "bool", "Create swarm routing-mesh network"),
    Flag("internal", "", "bool", "Restrict external access to the network"),
    Flag("ip-range", "", "strings", "Allocate container ip from a sub-range"),
    Flag("ipam-driver", "", "string", "IP Address Management Driver", default="default"),
    Flag("ipam-opt", "", "map", "Set IPAM driver specific options", default="map[]"),
    Flag("ipv4", "", "bool", "Enable or disable IPv4 address assignment", default="true"),
    Flag("ipv6", "", "bool", "Enable or disable IPv6 address assignment"),
    Flag("label", "", "list", "Set metadata on a network"),
    Flag("opt", "o", "map", "Set driver specific options", default="map[]"),
    Flag("scope", "", "string", "Control the network's scope"),
    Flag("subnet", "", "strings", "Subnet in CIDR format that represents a network segment"),
)
LIST_FLAGS = (
    Flag("filter", "f", "filter", 'Provide filter values (e.g. "driver=bridge")'),
    TABLE_FORMAT,
    Flag("no-trunc", "", "bool", "Do not truncate the output"),
    Flag("quiet", "q", "bool", "Only display network IDs"),
)
CONNECT_FLAGS = (
    Flag("alias", "", "strings", "Add network-scoped alias for the container"),
    Flag("driver-opt", "", "strings", "driver options for the network"),
    Flag("gw-priority", "", "int", "Highest gw-priority provides the default gateway. Accepts positive and negative values."),
    Flag("ip", "", "string", 'IPv4 address (e.g., "172.30.100.104")'),
    Flag("ip6", "", "string", 'IPv6 address (e.g., "2001:db8::33")'),
    Flag("link", "", "list", "Add link to another container"),
    Flag("link-local-ip", "", "strings", "Add a link-local address for the container"),
)


def create(context: Context, options: Options, arguments: list[str]) -> int:
    body: dict[str, Any] = {
        "Name": arguments[0],
        "CheckDuplicate": True,
        "Driver": options["driver"] or "bridge",
        "Scope": options["scope"],
        "Internal": options["internal"],
        "Attachable": options["attachable"],
        "Ingress": options["ingress"],
        "ConfigOnly": options["config-only"],
        "Options": dict(pairs(options["opt"])),
        "Labels": dict(pairs(options["label"])),
        "IPAM": ipam(options),
    }
    if options["config-from"]:
        body["ConfigFrom"] = {"Network": options["config-from"]}
    for flag, key in (("ipv4", "EnableIPv4"), ("ipv6", "EnableIPv6")):
        if flag in options:
            body[key] = options[flag]
    print(context.client.post("/networks/create", body)["Id"])
    return 0


def ls(context: Context, options: Options, arguments: list[str]) -> int:
    found = context.client.get("/networks", filters=filters(options["filter"]))
    found.sort(key=lambda network: natural(network["Name"]))
    trunc = not options["no-trunc"]
    form = options["format"] or ("" if options["quiet"] else context.settings.format("networks"))
    if options["quiet"] and not form:
        listing.quiet(short_id(network["Id"]) if trunc else network["Id"] for network in found)
        return 0
    listing.show(FIELDS, found, COLUMNS, form, trunc)
    return 0


def rm(context: Context, options: Options, names: list[str]) -> int:
    def forgive(error: DaemonError) -> bool:
        return options["force"] and error.status == 404

    return for_each(context.client, names, "DELETE", "/networks/{}", {}, forgive=forgive)


def connect(context: Context, options: Options, arguments: list[str]) -> int:
    network, container = arguments
    addresses = {"IPv4Address": options["ip"], "IPv6Address": options["ip6"], "LinkLocalIPs": options["link-local-ip"]}
    endpoint: dict[str, Any] = {
        "IPAMConfig": {key: value for key, value in addresses.items() if value},
        "Aliases": options["alias"],
        "Links": options["link"],
        "DriverOpts": dict(pairs(options["driver-opt"])),
    }
    if "gw-priority" in options:
        endpoint["GwPriority"] = options["gw-priority"]
    context.client.post(f"/networks/{network}/connect", {"Container": container, "EndpointConfig": endpoint})
    return 0


def disconnect(context: Context, options: Options, arguments: list[str]) -> int:
    network, container = arguments
    context.client.post(f"/networks/{network}/disconnect", {"Container": container, "Force": options["force"]})
    return 0


COMMANDS = {
    "network create": Command(create, "[OPTIONS] NETWORK", CREATE_FLAGS, least=1, most=1),
    "network ls": Command(ls, "[OPTIONS]", LIST_FLAGS),
    "network rm": Command(
        rm,
        "NETWORK [NETWORK...]",
        (Flag("force", "f", "bool", "Do not error if the network does not exist"),),
        least=1,
        most=None,
    ),
    "network connect": Command(connect, "[OPTIONS] NETWORK CONTAINER", CONNECT_FLAGS, least=2, most=2),
    "network disconnect": Command(
        disconnect,
        "[OPTIONS] NETWORK CONTAINER",
        (Flag("force", "f", "bool", "Force the container to disconnect from a network"),),
        least=2,
        most=2,
    ),
}
