"""The engine and its machine: Docker's `SystemVersion` and `SystemInfo`."""

from __future__ import annotations

import platform
import time
from typing import Any

from firkin.api.shape_container import DRIVER
from firkin.api.times import rfc3339
from firkin.api.versions import NEWEST, OLDEST, Dialect
from firkin.config import DaemonConfig
from firkin.engine.system import Info

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_INDEX = "https://index.docker.io/v1/"


def version(info: Info) -> dict[str, Any]:
    about = {
        "ApiVersion": f"1.{NEWEST}",
        "MinAPIVersion": f"1.{OLDEST}",
        "GitCommit": "",
        "GoVersion": "",
        "Os": "linux",
        "Arch": _ARCHITECTURES.get(info.architecture, info.architecture),
        "KernelVersion": info.kernel,
        "Experimental": False,
        "BuildTime": "",
    }
    details = {key: str(value).lower() if isinstance(value, bool) else value for key, value in about.items()}
    python = {"Name": "python", "Version": platform.python_version(), "Details": {}}
    engine = {"Name": "Engine", "Version": info.version, "Details": details}
    return {"Platform": {"Name": "Firkin"}, "Components": [engine, python], "Version": info.version, **about}


def info(info: Info, config: DaemonConfig, dialect: Dialect) -> dict[str, Any]:
    document = {**_counts(info), **_machine(info), **_settings(config), **_features(info), **_NEVER}
    document["Warnings"] = list(info.warnings) or None
    if dialect.has_bridge_nf_fields:
        document |= {"BridgeNfIptables": False, "BridgeNfIp6tables": False}
    if dialect.has_expected_commits:
        for helper in ("ContainerdCommit", "RuncCommit", "InitCommit"):
            document[helper] = {"ID": "", "Expected": ""}
    return document


def _counts(info: Info) -> dict[str, Any]:
    return {
        "ID": info.id,
        "Containers": info.containers,
        "ContainersRunning": info.running,
        "ContainersPaused": info.paused,
        "ContainersStopped": info.stopped,
        "Images": info.images,
    }


def _machine(info: Info) -> dict[str, Any]:
    return {
        "Name": info.name,
        "KernelVersion": info.kernel,
        "OperatingSystem": info.operating_system,
        "OSVersion": info.os_version,
        "OSType": "linux",
        "Architecture": info.architecture,
        "NCPU": info.processors,
        "MemTotal": info.memory,
        "SystemTime": rfc3339(time.time_ns()),
        "NFd": 0,
        "NGoroutines": 0,
        "NEventsListener": 0,
    }


def _settings(config: DaemonConfig) -> dict[str, Any]:
    insecure = {host: {"Name": host, "Mirrors": [], "Secure": False, "Official": False} for host in config.insecure_registries}
    hub = {"Name": "docker.io", "Mirrors": list(config.registry_mirrors), "Secure": True, "Official": True}
    return {
        "DockerRootDir": config.data_root,
        "Debug": config.debug,
        "LoggingDriver": config.log_driver,
        "Labels": list(config.labels),
        "HttpProxy": "",
        "HttpsProxy": "",
        "NoProxy": "",
        "LiveRestoreEnabled": True,
        "IPv4Forwarding": config.ip_forward,
        "IndexServerAddress": _INDEX,
        "RegistryConfig": {
            "InsecureRegistryCIDRs": ["::1/128", "127.0.0.0/8"],
            "IndexConfigs": {"docker.io": hub, **insecure},
            "Mirrors": list(config.registry_mirrors) or None,
        },
        "DefaultAddressPools": [
            {"Base": pool.get("base", ""), "Size": pool.get("size", 0)} for pool in config.default_address_pools
        ],
    }


def _features(info: Info) -> dict[str, Any]:
    """What this machine's cgroup controllers allow, and how this engine does things."""
    has = info.controllers.__contains__
    return {
        "Driver": DRIVER,
        "DriverStatus": [["Supports d_type", "true"], ["Native Overlay Diff", "true"]],
        "Plugins": {
            "Volume": ["local"],
            "Network": ["bridge", "host", "null"],
            "Authorization": None,
            "Log": ["json-file", "local", "none"],
        },
        "MemoryLimit": has("memory"),
        "SwapLimit": info.limits_swap,
        "CpuCfsPeriod": has("cpu"),
        "CpuCfsQuota": has("cpu"),
        "CPUShares": has("cpu"),
        "CPUSet": has("cpuset"),
        "PidsLimit": has("pids"),
        "OomKillDisable": has("memory") and info.cgroup_version == "1",
        "CgroupDriver": "cgroupfs" if info.cgroups else "none",
        "CgroupVersion": info.cgroup_version,
        "ServerVersion": info.version,
        "ExperimentalBuild": False,
        "Runtimes": {"firkin": {"path": "firkin"}},
        "DefaultRuntime": "firkin",
        "InitBinary": "",
        "ContainerdCommit": {"ID": ""},
        "RuncCommit": {"ID": ""},
        "InitCommit": {"ID": ""},
        "SecurityOptions": [
            *(["name=apparmor"] if info.apparmor_profile else []),
            "name=seccomp,profile=builtin",
            *(["name=userns"] if info.remapped else []),
            *(["name=rootless"] if info.rootless else []),
            *(["name=cgroupns"] if info.cgroup_version == "2" else []),
        ],
        "FirewallBackend": {"Driver": "nftables"},
    }


_NEVER: dict[str, Any] = {
    "Swarm": {
        "NodeID": "",
        "NodeAddr": "",
        "LocalNodeState": "inactive",
        "ControlAvailable": False,
        "Error": "",
        "RemoteManagers": None,
    },
    "Isolation": "",
    "GenericResources": None,
    "CDISpecDirs": [],
    "DiscoveredDevices": None,
    "Warnings": None,
}
