"""The catalogue of networks: every record, found by name, id or id prefix, and the choice of a new one's subnets.

Invariant: a record is on disk before anyone is told of it. `bridge`, `host` and `none` always exist (the first not with
`--bridge none`). Nothing here touches the kernel. Source: moby `daemon/network.go`, `libnetwork/network.go` (messages).
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace

from firkin.errors import Conflict, Forbidden, Invalid, NotFound, Unsupported
from firkin.ids import new_id
from firkin.network import ipam
from firkin.network.model import BRIDGE_NAME, MTU, Network, NetworkRequest, Subnet
from firkin.storage.files import sweep_unfinished
from firkin.storage.records import read_record, write_record

PREDEFINED = ("bridge", "host", "none")
# Narrower than the kernel's: the name becomes part of firewall rules, where a quote ends it and a star means many.
_INTERFACE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,14}")


class Catalogue:
    """All networks of one engine; `directory` holds one JSON file each, named by id."""

    def __init__(self, directory: str, pools: ipam.Pools = ipam.DEFAULT_POOLS) -> None:
        self._directory = directory
        self._pools = pools
        self._networks: dict[str, Network] = {}

    def __iter__(self) -> Iterator[Network]:
        return iter(list(self._networks.values()))

    def load(self) -> None:
        os.makedirs(self._directory, mode=0o711, exist_ok=True)
        sweep_unfinished(self._directory)
        for name in os.listdir(self._directory):
            if name.endswith(".json"):
                network = read_record(os.path.join(self._directory, name), Network)
                self._networks[network.id] = network

    def find(self, ref: str) -> Network:
        """By full id, name (`default` is `bridge`), or unambiguous id prefix."""
        network = self._networks.get(ref) or self.named("bridge" if ref == "default" else ref)
        if network:
            return network
        matches = [network for network in self if ref and network.id.startswith(ref)]
        if len(matches) > 1:
            raise Invalid(f"network {ref} is ambiguous ({len(matches)} matches found based on ID prefix)")
        if not matches:
            raise NotFound(f"network {ref} not found")
        return matches[0]

    def named(self, name: str) -> Network | None:
        return next((network for network in self if network.name == name), None)

    def predefine(self, name: str, bridge: Network | None = None) -> Network:
        """The predefined network `name`, keeping its id from one start of the daemon to the next."""
        old = self.named(name)
        wanted = bridge or Network("", name, 0, "host" if name == "host" else "null", predefined=True)
        network = replace(wanted, id=old.id if old else new_id(), created=old.created if old else time.time_ns())
        if network != old:
            self.save(network)
        return network

    def plan(self, request: NetworkRequest, host_routes: Iterable[str]) -> Network:
        """The network `request` asks for, as it will be; nothing is saved yet."""
        self._check(request)
        network_id = new_id()
        return Network(
            network_id,
            request.name,
            time.time_ns(),
            internal=request.internal,
            attachable=request.attachable,
            enable_ipv6=request.enable_ipv6,
            ipam_options=request.ipam_options,
            subnets=self._subnets(request, list(host_routes)),
            options=request.options,
            labels=request.labels,
            own_subnet=any(subnet.subnet for subnet in request.subnets),
        )

    def save(self, network: Network) -> None:
        write_record(self._path(network), network)
        self._networks[network.id] = network

    def drop(self, network: Network) -> None:
        self._networks.pop(network.id, None)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._path(network))

    def subnets(self) -> list[str]:
        return [subnet.subnet for network in self for subnet in network.subnets]

    def choose_subnet(self, host_routes: Iterable[str]) -> str:
        """A free one of IPv4 from the default pools."""
        return ipam.choose_subnet([*self.subnets(), *host_routes], self._pools)

    def _path(self, network: Network) -> str:
        return os.path.join(self._directory, network.id + ".json")

    def _check(self, request: NetworkRequest) -> None:
        if request.name in (*PREDEFINED, "default"):
            raise Forbidden(f"operation is not permitted on predefined {request.name} network")
        if not request.name.strip():
            raise Invalid("network name cannot be empty")
        if self.named(request.name):
            raise Conflict(f"network with name {request.name} already exists")
        if request.driver in ("host", "null"):
            raise Forbidden(f'only one instance of "{request.driver}" network is allowed')
        if request.driver not in ("", "bridge", "default"):
            raise NotFound(f'plugin "{request.driver}" not found')
        if request.ipam_driver not in ("", "default"):
            raise NotFound(f'plugin "{request.ipam_driver}" not found')
        if request.ingress or request.config_only or request.config_from or request.scope not in ("", "local"):
            raise Unsupported(f"create network {request.name}: swarm and config-only networks are not supported")
        self._check_options(request.options)

    def _check_options(self, options: dict[str, str]) -> None:
        bridge = options.get(BRIDGE_NAME, "")
        if bridge and not _INTERFACE.fullmatch(bridge):
            raise Invalid(f"invalid bridge name {bridge!r}")
        if bridge and any(network.bridge == bridge for network in self if network.driver == "bridge"):
            raise Forbidden(f"bridge name {bridge} is in use by another network")
        mtu = options.get(MTU, "") or "0"
        if not mtu.isdecimal() or int(mtu) > 65535:
            raise Invalid(f"invalid value for {MTU}: {mtu}")

    def _subnets(self, request: NetworkRequest, host_routes: list[str]) -> tuple[Subnet, ...]:
        """The request's subnets, checked against each other and those of other networks; chosen where it names none."""
        taken = self.subnets()
        chosen: list[Subnet] = []
        for subnet in request.subnets:
            if not subnet.subnet:
                subnet = replace(subnet, subnet=ipam.choose_subnet([*taken, *host_routes], self._pools))
            complete = ipam.complete(subnet)
            ipam.check_free(complete.subnet, taken)
            taken.append(complete.subnet)
            chosen.append(complete)
        if all(subnet.is_ipv6 for subnet in chosen):
            chosen.insert(0, ipam.complete(Subnet(ipam.choose_subnet([*taken, *host_routes], self._pools))))
        if request.enable_ipv6 and not any(subnet.is_ipv6 for subnet in chosen):
            chosen.append(ipam.complete(Subnet(ipam.choose_subnet([*taken, *host_routes], self._pools, version=6))))
        return tuple(chosen)


def select(networks: Iterable[Network], filters: dict[str, list[str]], in_use: set[str]) -> list[Network]:
    """Those that match every key of `filters` (`docker network ls`); `in_use` are the ids with active endpoints."""
    return [network for network in networks if all(_matches(network, key, values, in_use) for key, values in filters.items())]


def _matches(network: Network, key: str, values: list[str], in_use: set[str]) -> bool:
    match key:
        case "name":
            return any(value in network.name for value in values)
        case "id":
            return any(network.id.startswith(value) for value in values)
        case "driver":
            return network.driver in values
        case "scope":
            return "local" in values
        case "type":
            return ("builtin" if network.predefined else "custom") in values
        case "dangling":
            dangling = not network.predefined and network.id not in in_use
            return any(dangling == (value.lower() in ("true", "1")) for value in values)
        case "label":
            return all(_has_label(network, value) for value in values)
        case "label!":
            return not any(_has_label(network, value) for value in values)
        case _:
            raise Invalid(f"invalid filter '{key}'")


def _has_label(network: Network, wanted: str) -> bool:
    key, equals, value = wanted.partition("=")
    return network.labels.get(key) == value if equals else key in network.labels
