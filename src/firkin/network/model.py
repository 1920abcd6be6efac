"""The networks' own nouns: a network as asked for, as stored, and what a container gets from one.

Values only, as in `model`, whose `Endpoint` is the other half of it. Source: Docker Engine API, `Network`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from firkin.model import Endpoint, PortBinding

Driver = Literal["bridge", "host", "null"]
Protocol = Literal["tcp", "udp", "sctp"]
PROTOCOLS = get_args(Protocol)
Step = tuple[Any, ...]
"""One step of a plan; `runtime.plan` has the vocabulary."""

# Options of the bridge driver, as dockerd names them.
BRIDGE_NAME = "com.docker.network.bridge.name"
ENABLE_ICC = "com.docker.network.bridge.enable_icc"
ENABLE_MASQUERADE = "com.docker.network.bridge.enable_ip_masquerade"
HOST_BINDING = "com.docker.network.bridge.host_binding_ipv4"
MTU = "com.docker.network.driver.mtu"


@dataclass(frozen=True)
class Subnet:
    """One entry of `IPAM.Config`; addresses as text, `subnet` and `ip_range` in CIDR form."""

    subnet: str = ""
    ip_range: str = ""
    gateway: str = ""
    auxiliary: dict[str, str] = field(default_factory=dict)  # name -> address never given to a container

    @property
    def is_ipv6(self) -> bool:
        return ":" in self.subnet


@dataclass(frozen=True)
class NetworkRequest:
    """`POST /networks/create` as a value."""

    name: str
    driver: str = ""  # "" is bridge
    internal: bool = False
    attachable: bool = False
    enable_ipv6: bool = False
    ipam_driver: str = ""
    ipam_options: dict[str, str] = field(default_factory=dict)
    subnets: tuple[Subnet, ...] = ()
    options: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    scope: str = ""
    ingress: bool = False
    config_only: bool = False
    config_from: str = ""


@dataclass(frozen=True)
class Network:
    """The record of one network. `subnets` are in effect: chosen where the request left them open."""

    id: str
    name: str
    created: int  # ns
    driver: Driver = "bridge"
    internal: bool = False
    attachable: bool = False
    enable_ipv6: bool = False
    ipam_options: dict[str, str] = field(default_factory=dict)
    subnets: tuple[Subnet, ...] = ()
    options: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    predefined: bool = False  # bridge, host and none: cannot be removed, resolve no names
    own_subnet: bool = False  # the subnet was asked for, so addresses may be, too
    bridge_is_ours: bool = True  # False for a bridge that was there before, and stays

    @property
    def bridge(self) -> str:
        """Name of its Linux bridge."""
        return self.options.get(BRIDGE_NAME) or "br-" + self.id[:12]

    @property
    def mtu(self) -> int:
        """Of its interfaces; 0 for the kernel's default."""
        return int(self.options.get(MTU) or 0)

    @property
    def icc(self) -> bool:
        """Whether its containers reach each other."""
        return self.options.get(ENABLE_ICC, "true").lower() in ("true", "1")

    @property
    def masquerade(self) -> bool:
        return not self.internal and self.options.get(ENABLE_MASQUERADE, "true").lower() in ("true", "1")

    @property
    def resolves_names(self) -> bool:
        """Whether its containers find each other through the embedded DNS server."""
        return self.driver == "bridge" and not self.predefined


@dataclass(frozen=True)
class Forward:
    """One published port: what arrives at `host_ip`:`host_port` goes to `ip`:`port`."""

    protocol: Protocol
    host_ip: str
    host_port: int
    ip: str
    port: int

    @property
    def crosses(self) -> bool:
        """Whether it leads from one address family to the other, which no rule can do."""
        return (":" in self.host_ip) != (":" in self.ip)


@dataclass(frozen=True)
class Attachment:
    """What one start, or one `network connect`, got: all that the container's record and its plan need to know."""

    endpoints: dict[str, Endpoint]  # by network name
    ports: dict[str, tuple[PortBinding, ...]]
    parent_steps: tuple[Step, ...] = ()
    child_steps: tuple[Step, ...] = ()
    resolves: bool = False  # the steps end with the embedded DNS server's sockets: hand them to `Networks.serve_names`
