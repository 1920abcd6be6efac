"""What separates one container from this host, as values: the answer of `isolation`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Namespace:
    """`id` is the kernel's number for it; `own` says that the engine is not in it, too."""

    kind: str
    id: int
    host_id: int
    own: bool


@dataclass(frozen=True)
class IdRange:
    inside: int
    outside: int
    length: int


@dataclass(frozen=True)
class Users:
    uid: int
    gid: int
    groups: tuple[int, ...]
    uid_map: tuple[IdRange, ...]
    gid_map: tuple[IdRange, ...]


@dataclass(frozen=True)
class Seccomp:
    """`mode` is "disabled", "strict" or "filter"; `filters` counts the programs in force. `program` is the digest of the
    one the engine installs for this container, "" for none, and `refused` and `by_arguments` follow from it: the calls
    it refuses always, and with some arguments. `verified`: mode and count are what that one program makes them."""

    mode: str
    filters: int
    verified: bool
    profile: str
    program: str = ""
    refused: tuple[str, ...] = ()
    by_arguments: tuple[str, ...] = ()


@dataclass(frozen=True)
class Security:
    """`capabilities` are the five sets by name; `label` is the security module's, "" where there is none."""

    capabilities: dict[str, tuple[str, ...]]
    no_new_privileges: bool
    seccomp: Seccomp
    label: str


@dataclass(frozen=True)
class Mount:
    """`origin` says what it is of ours or the host's: "image and writable layer", "volume data", "host /srv", "mask"."""

    target: str
    type: str
    origin: str
    read_only: bool
    options: tuple[str, ...]
    propagation: str


@dataclass(frozen=True)
class Layer:
    """A directory under the root; `diff_id` is the image layer in it, "" for the engine's own."""

    directory: str
    diff_id: str
    role: str  # "writable", "engine" or "image"


@dataclass(frozen=True)
class Limit:
    """`limit` and `used` as the kernel writes them, `limit` "max" for none, "" for what it does not tell."""

    name: str
    limit: str
    used: str


@dataclass(frozen=True)
class Group:
    """`paths` by controller, "" being version 2. `devices` are the rules in force, None where the kernel does not show them."""

    paths: dict[str, str]
    limits: tuple[Limit, ...]
    devices: tuple[str, ...] | None


@dataclass(frozen=True)
class Interface:
    """One link of the container's, and where on this host its other end is; `bridge` "" for none."""

    name: str
    mac: str
    up: bool
    addresses: tuple[str, ...]
    host_interface: str = ""
    bridge: str = ""


@dataclass(frozen=True)
class Network:
    """`rules` are those of the engine's tables that concern the interfaces' bridges or addresses: (table, chain, rule)."""

    interfaces: tuple[Interface, ...] = ()
    published: tuple[str, ...] = ()
    rules: tuple[tuple[str, str, str], ...] = ()
    note: str = ""


@dataclass(frozen=True)
class ResourceLimit:
    name: str
    soft: str
    hard: str


@dataclass(frozen=True)
class Descriptor:
    number: int
    target: str


@dataclass(frozen=True)
class Process:
    oom_score_adj: int
    oom_score: int
    limits: tuple[ResourceLimit, ...]
    descriptors: tuple[Descriptor, ...]


@dataclass(frozen=True)
class Isolation:
    id: str
    name: str
    pid: int
    namespaces: tuple[Namespace, ...]
    users: Users
    security: Security
    layers: tuple[Layer, ...]
    mounts: tuple[Mount, ...]
    group: Group
    network: Network
    process: Process
