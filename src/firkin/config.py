"""The daemon's configuration: dockerd's names and meanings, from a JSON file and the command line.

Source: dockerd(8), "Daemon configuration file". The command line wins; a key given in both places is refused, as
dockerd refuses it, unless it is a list.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from firkin import userdirs
from firkin.errors import Invalid
from firkin.paths import DEFAULT_DATA_ROOT, DEFAULT_EXEC_ROOT, DEFAULT_HOST


@dataclass(frozen=True)
class DaemonConfig:
    """One engine's settings. Field names are the configuration file's keys with `-` as `_`."""

    data_root: str = DEFAULT_DATA_ROOT
    exec_root: str = DEFAULT_EXEC_ROOT
    hosts: tuple[str, ...] = (DEFAULT_HOST,)
    pidfile: str = ""
    debug: bool = False
    group: str = "docker"
    bridge: str = ""
    bip: str = ""
    ip: str = "0.0.0.0"
    ip_forward: bool = True
    icc: bool = True
    mtu: int = 1500
    dns: tuple[str, ...] = ()
    dns_opts: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    default_address_pools: tuple[dict[str, Any], ...] = ()
    insecure_registries: tuple[str, ...] = ()
    registry_mirrors: tuple[str, ...] = ()
    mirrors: dict[str, tuple[str, ...]] = field(default_factory=dict)  # registry -> mirrors, beyond Docker Hub
    max_concurrent_downloads: int = 3
    max_unpacked_bytes: int = 64 << 30  # a layer that inflates beyond this is refused
    log_driver: str = "json-file"
    log_opts: dict[str, str] = field(default_factory=dict)
    default_shm_size: int = 64 << 20
    default_ulimits: dict[str, dict[str, Any]] = field(default_factory=dict)
    cgroup_parent: str = "/firkin"
    init: bool = False
    userns_remap: str = ""
    labels: tuple[str, ...] = ()
    shutdown_timeout: int = 15
    tls: bool = False
    tlsverify: bool = False
    tlscacert: str = ""
    tlscert: str = ""
    tlskey: str = ""
    rootless: bool = False  # no setting: whether this is an ordinary user's engine, in namespaces of his own


DEFAULTS = DaemonConfig()
_TYPES = {f.name: f for f in fields(DaemonConfig) if f.name != "rootless"}


def _from_file(path: str) -> dict[str, Any]:
    try:
        with open(path, encoding="utf-8") as file:
            raw = json.load(file)
    except FileNotFoundError:
        raise Invalid(f"read configuration file {path}: no such file or directory") from None
    except ValueError as error:
        raise Invalid(f"read configuration file {path}: {error}") from None
    if not isinstance(raw, dict):
        raise Invalid(f"read configuration file {path}: want a JSON object")
    return {_known(key, path): _shaped(key, value) for key, value in raw.items()}


def _known(key: str, path: str) -> str:
    name = key.replace("-", "_")
    if name not in _TYPES:
        raise Invalid(f"read configuration file {path}: unknown key {key!r}")
    return name


def _shaped(key: str, value: Any) -> Any:
    """`value` as the field wants it: lists become tuples, anything of another type is refused by name."""
    default = getattr(DaemonConfig(), key.replace("-", "_"))
    if isinstance(default, tuple):
        if not isinstance(value, list):
            raise Invalid(f"configuration key {key!r}: want a list")
        return tuple(value)
    if type(value) is not type(default):
        raise Invalid(f"configuration key {key!r}: want {type(default).__name__}")
    return value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="firkin daemon", description="Run the engine in the foreground.", allow_abbrev=False)
    parser.add_argument("--config-file", metavar="FILE", help="JSON file with any of these settings")
    parser.add_argument("--data-root", metavar="DIR", help=f"what survives a reboot (default {DEFAULT_DATA_ROOT})")
    parser.add_argument("--exec-root", metavar="DIR", help=f"sockets and running state (default {DEFAULT_EXEC_ROOT})")
    parser.add_argument("--host", "-H", action="append", dest="hosts", metavar="URL", help="unix://PATH or tcp://IP:PORT")
    parser.add_argument("--pidfile", "-p", metavar="FILE")
    parser.add_argument("--debug", "-D", action="store_true", default=None)
    parser.add_argument("--group", "-G", help="group that may use the unix socket")
    parser.add_argument("--bridge", "-b", metavar="NAME", help="Linux bridge of the default network, or `none`")
    parser.add_argument("--bip", metavar="CIDR", help="address of that bridge")
    parser.add_argument("--mtu", type=int)
    parser.add_argument("--dns", action="append", metavar="IP")
    parser.add_argument("--insecure-registry", action="append", dest="insecure_registries", metavar="HOST")
    parser.add_argument("--registry-mirror", action="append", dest="registry_mirrors", metavar="URL")
    parser.add_argument("--log-driver")
    parser.add_argument("--log-opt", action="append", dest="log_opts", metavar="KEY=VALUE")
    parser.add_argument("--cgroup-parent", metavar="PATH")
    parser.add_argument("--init", action="store_true", default=None, help="run an init in every container")
    parser.add_argument("--userns-remap", metavar="USER", help="run containers as USER[:GROUP]'s subordinate ids, or `auto`")
    parser.add_argument("--label", action="append", dest="labels")
    parser.add_argument("--shutdown-timeout", type=int, metavar="SECONDS")
    parser.add_argument("--tlsverify", action="store_true", default=None)
    for name in ("tlscacert", "tlscert", "tlskey"):
        parser.add_argument("--" + name, metavar="FILE")
    return parser


def rootless(environ: Mapping[str, str], uid: int) -> DaemonConfig:
    """What holds for an ordinary user's engine where nothing else is said."""
    host = userdirs.host(environ, uid)
    return DaemonConfig(userdirs.data_root(environ), userdirs.exec_root(environ, uid), (host,), group="", rootless=True)


def load(argv: list[str], defaults: DaemonConfig = DEFAULTS, default_file: str = "") -> DaemonConfig:
    """The configuration that `firkin daemon ARGV` asks for; raises `Invalid` (bad usage exits with 2 by itself). A file that
    is not named is read if it is there."""
    given = {name: value for name, value in vars(_parser().parse_args(argv)).items() if value is not None}
    path = given.pop("config_file", None) or (default_file if default_file and os.path.exists(default_file) else None)
    filed = _from_file(path) if path else {}
    for name, value in given.items():
        if isinstance(value, list):
            given[name] = _pairs(value) if name == "log_opts" else (*filed.pop(name, ()), *value)
        elif name in filed:
            raise Invalid(f"{name.replace('_', '-')} is set both on the command line and in {path}")
    config = replace(defaults, **filed, **given)
    if any(host.startswith("tcp://") for host in config.hosts) and not config.tlsverify:
        raise Invalid("listen on tcp://: want --tlsverify with --tlscacert, --tlscert and --tlskey")
    return config


def _pairs(options: list[str]) -> dict[str, str]:
    return {key: value for key, _, value in (option.partition("=") for option in options)}
