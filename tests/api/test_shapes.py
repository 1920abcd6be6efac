"""Every reply against Docker's own definition of it, and against what a real dockerd (20.10) sends."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from firkin.api import (
    shape_container,
    shape_disk,
    shape_event,
    shape_image,
    shape_network,
    shape_stats,
    shape_summary,
    shape_system,
    shape_volume,
)
from firkin.api.shape_exec import exec_inspect
from firkin.api.shape_path import go_file_mode
from firkin.api.versions import NEWEST, Dialect
from firkin.config import DaemonConfig
from firkin.engine.engine import Engine
from firkin.engine.system import DiskUsage, Info
from firkin.engine.table import Entry
from firkin.images.listing import HistoryEntry
from firkin.images.removal import Removed
from firkin.images.store import Image, ImageRecord
from firkin.model import Event, Exec, ExecRequest, State
from firkin.network.model import Network, Subnet
from firkin.oci.digest import Digest
from firkin.oci.image import parse_image_config
from firkin.oci.reference import parse_reference
from firkin.paths import Layout
from firkin.storage.volumes import Volume
from tests.api.samples import CREATED, IMAGE_ID, NETWORK_ID, NOW, RUNNING, SECOND, STATS
from tests.api.schema import check, check_reply

NOW_DIALECT = Dialect(NEWEST)
REAL = json.loads((Path(__file__).parent.parent / "data" / "dockerd-20.10.json").read_text())
BRIDGE = Network(
    NETWORK_ID,
    "front",
    NOW,
    subnets=(Subnet("10.1.0.0/16", "10.1.4.0/24", "10.1.0.1", {"printer": "10.1.0.2"}), Subnet("fd00::/64", "", "fd00::1")),
    labels={"a": "b"},
)


# Objects whose keys are data: names, ids, ports.
MAPS = {
    "Networks",
    "Containers",
    "Labels",
    "Tmpfs",
    "ExposedPorts",
    "Ports",
    "PortBindings",
    "Data",
    "Attributes",
    "stats",
    "networks",
}


def same_members(ours: Any, real: Any, path: str = "") -> list[str]:
    """Members of dockerd's reply that ours lacks or has with another type."""
    if isinstance(real, dict) and isinstance(ours, dict):
        if path.rpartition(".")[2] in MAPS:
            return same_members(list(ours.values()), list(real.values()), path)
        missing = [f"{path}.{key}: missing" for key in real.keys() - ours.keys()]
        return missing + [p for key in real.keys() & ours.keys() for p in same_members(ours[key], real[key], f"{path}.{key}")]
    ours = list(ours) if isinstance(ours, tuple) else ours
    if isinstance(real, list) and isinstance(ours, list):
        return same_members(ours[0], real[0], f"{path}[]") if real and ours else []
    if real is None or ours is None or type(ours) is type(real):
        return []
    return [f"{path}: {type(ours).__name__}, not {type(real).__name__}"]


@pytest.mark.parametrize("container", [RUNNING, CREATED], ids=["running", "created"])
@pytest.mark.parametrize("sizes", [None, (10, 1000)])
def test_inspect(container: Any, sizes: Any) -> None:
    check(shape_container.inspect(container, Layout(), NOW_DIALECT, [], sizes), "ContainerInspectResponse")


@pytest.mark.parametrize("name, container", [("inspect-running", RUNNING), ("inspect-created", CREATED)])
def test_inspect_has_what_dockerd_has(name: str, container: Any) -> None:
    ours = shape_container.inspect(container, Layout(), Dialect(41), [])
    real = REAL[name]
    for gone in ("KernelMemory", "KernelMemoryTCP"):  # left out when not set, since 23.0
        real["HostConfig"].pop(gone)
    for given in ("Runtime", "Tmpfs"):  # left out when not given; create fills the runtime in
        real["HostConfig"].pop(given, None)
    real["Config"].pop("ExposedPorts", None)
    assert same_members(ours, real) == []


def test_legacy_network_settings_end_with_1_51() -> None:
    old = shape_container.inspect(RUNNING, Layout(), Dialect(51), [])["NetworkSettings"]
    new = shape_container.inspect(RUNNING, Layout(), Dialect(52), [])["NetworkSettings"]
    assert old.keys() - new.keys() >= {"IPAddress", "Gateway", "Bridge", "HairpinMode"}
    check(new, "NetworkSettings")


def test_addresses_of_the_default_network_stand_at_the_top_in_old_versions() -> None:
    on_bridge = replace(RUNNING, endpoints={"bridge": RUNNING.endpoints["front"]})
    assert shape_container.inspect(on_bridge, Layout(), Dialect(44), [])["NetworkSettings"]["IPAddress"] == "10.1.0.9"


def test_published_ports() -> None:
    ports = shape_container.inspect(RUNNING, Layout(), NOW_DIALECT, [])["NetworkSettings"]["Ports"]
    assert ports == {
        "80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}, {"HostIp": "::", "HostPort": "8080"}],
        "53/udp": None,
        "9000/tcp": None,
    }


def test_summary() -> None:
    rows = [shape_summary.summary(c, "web:1", NOW + 65 * SECOND, (1, 2)) for c in (RUNNING, CREATED)]
    check_reply(rows, "get", "/containers/json")
    assert rows[0]["Status"] == "Up 59 seconds (healthy)"
    assert rows[0]["Command"] == "/bin/sh -c 'echo it\\'s \\'me\\''"
    assert [(p["PrivatePort"], p.get("PublicPort")) for p in rows[0]["Ports"]] == [
        (53, None),
        (80, 8080),
        (80, 8080),
        (9000, None),
    ]
    assert same_members(rows, REAL["list"]) == []


@pytest.mark.parametrize(
    "state, text",
    [
        (State("created"), "Created"),
        (State("exited", exit_code=137, finished_at=NOW), "Exited (137) About an hour ago"),
        (State("restarting", exit_code=1, finished_at=NOW + 3590 * SECOND), "Restarting (1) 10 seconds ago"),
        (State("paused", pid=1, started_at=NOW), "Up About an hour (Paused)"),
        (State("running", pid=1, started_at=NOW), "Up About an hour"),
        (State("removing"), "Removal In Progress"),
        (State("dead"), "Dead"),
    ],
)
def test_status_text(state: State, text: str) -> None:
    assert shape_summary.status(replace(RUNNING, state=state, health=""), NOW + 3600 * SECOND) == text


@pytest.mark.parametrize(
    "seconds, text",
    [
        (0, "Less than a second"),
        (1, "1 second"),
        (59, "59 seconds"),
        (60, "About a minute"),
        (120, "2 minutes"),
        (3600, "About an hour"),
        (5400, "2 hours"),
        (47 * 3600, "47 hours"),
        (48 * 3600, "2 days"),
        (14 * 86400, "2 weeks"),
        (60 * 86400, "2 months"),
        (730 * 86400, "2 years"),
    ],
)
def test_durations_are_dockers(seconds: int, text: str) -> None:
    """Expectations from go-units `duration_test.go`."""
    assert shape_summary.human_duration(seconds) == text


def test_stats() -> None:
    shown = shape_stats.stats(RUNNING.id, RUNNING.name, STATS, replace(STATS, time=NOW - SECOND), os_type=True)
    check(shown, "ContainerStatsResponse")
    assert same_members(shown, REAL["stats"] | {"memory_stats": shown["memory_stats"]}) == []
    check(
        shape_stats.stats(RUNNING.id, RUNNING.name, replace(STATS, memory_limit=0), None, os_type=True),
        "ContainerStatsResponse",
    )


def test_events() -> None:
    item = Event("container", "start", RUNNING.id, {"name": "web", "image": "web:1"}, NOW)
    check(shape_event.event(item, legacy=False), "EventMessage")
    assert shape_event.event(item, legacy=True) == shape_event.event(item, legacy=False) | {
        "status": "start",
        "id": RUNNING.id,
        "from": "web:1",
    }
    real = next(event for event in REAL["events"] if event["Type"] == "container")
    assert same_members(shape_event.event(item, legacy=True), real | {"Actor": {"ID": "", "Attributes": {}}}) == []


@pytest.mark.parametrize(
    "filters, fits",
    [
        ({}, True),
        ({"type": ["container"], "event": ["start", "die"]}, True),
        ({"type": ["image"]}, False),
        ({"container": ["web"]}, True),
        ({"container": [RUNNING.id[:12]]}, True),
        ({"container": ["db"]}, False),
        ({"image": ["web"]}, True),
        ({"image": ["web:1"]}, True),
        ({"image": ["web:2"]}, False),
        ({"label": ["tier=front"]}, True),
        ({"label": ["tier=back"]}, False),
        ({"volume": ["web"]}, False),
        ({"scope": ["local"]}, True),
    ],
)
def test_event_filters(filters: dict[str, list[str]], fits: bool) -> None:
    item = Event("container", "start", RUNNING.id, {"name": "web", "image": "web:1", "tier": "front"}, NOW)
    assert shape_event.wanted(filters)(item) is fits


def test_exec() -> None:
    session = Exec("ef" * 32, RUNNING.id, ExecRequest(("ls", "-l"), attach_stdout=True, user="root"), exit_code=3, pid=9)
    check_reply(exec_inspect(session), "get", "/exec/{id}/json")
    assert same_members(exec_inspect(session), REAL["exec"]) == []


def test_networks() -> None:
    host = Network("bb" * 32, "host", NOW, "host", predefined=True)
    check_reply([shape_network.summary(item, NOW_DIALECT) for item in (BRIDGE, host)], "get", "/networks")
    listed = [shape_network.summary(item, Dialect(41)) for item in (BRIDGE, host)]
    assert same_members(listed, REAL["networks"]) == []
    shown = shape_network.inspect(BRIDGE, [RUNNING], NOW_DIALECT)
    check(shown, "NetworkInspect")
    assert shown["Containers"][RUNNING.id]["IPv4Address"] == "10.1.0.9/16"
    assert shown["Status"]["IPAM"]["Subnets"]["10.1.0.0/16"]["IPsInUse"] == 5  # ends, gateway, printer, member
    assert same_members(shown, REAL["network-inspect"]) == []


IMAGE = Image(
    ImageRecord(Digest(IMAGE_ID), Digest("sha256:" + "11" * 32), 4096, last_tagged=NOW),
    parse_image_config(
        json.dumps(
            {
                "architecture": "amd64",
                "os": "linux",
                "created": "2024-01-02T03:04:05.6Z",
                "config": {"Env": ["A=1"], "Cmd": ["sh"], "ExposedPorts": {"80/tcp": {}}, "Labels": {"a": "b"}},
                "rootfs": {"type": "layers", "diff_ids": ["sha256:" + "22" * 32]},
                "history": [{"created": "2024-01-02T03:04:05Z", "created_by": "ADD"}],
            }
        ).encode()
    ),
    (),
    (parse_reference("web:1"), parse_reference("web@sha256:" + "33" * 32)),
)


def test_images() -> None:
    check(shape_image.inspect(IMAGE, NOW_DIALECT), "ImageInspect")
    check(shape_image.summary(IMAGE, IMAGE.references, 2, -1, NOW_DIALECT), "ImageSummary")
    check(shape_image.summary(IMAGE, (), 2, -1, NOW_DIALECT), "ImageSummary")
    entry = HistoryEntry("<missing>", NOW // SECOND, "ADD", (), 10, "")
    check_reply([shape_image.history(entry)], "get", "/images/{name}/history")
    removed = [
        shape_image.removed(Removed("untagged", "web:1", Digest(IMAGE_ID))),
        shape_image.removed(Removed("deleted", "x", Digest(""))),
    ]
    check_reply(removed, "delete", "/images/{name}")
    assert removed == [{"Untagged": "web:1"}, {"Deleted": "x"}]


def test_images_have_what_dockerd_has() -> None:
    old = Dialect(41)
    assert same_members(shape_image.inspect(IMAGE, old), REAL["image-inspect"]) == []
    assert same_members([shape_image.summary(IMAGE, IMAGE.references, 2, -1, old)], REAL["image-list"]) == []
    assert same_members([shape_image.history(HistoryEntry("x", 1, "ADD", (), 10, ""))], REAL["history"]) == []
    assert shape_image.summary(IMAGE, (), 0, -1, old)["RepoTags"] == ["<none>:<none>"]


def test_an_images_configuration_shrinks_with_the_versions() -> None:
    configs = [shape_image.run_config(IMAGE.config.config, Dialect(minor)) for minor in (49, 50, 52)]
    assert configs[0].keys() - configs[1].keys() >= {"Hostname", "Tty", "AttachStdin"}
    assert configs[1].keys() - configs[2].keys() == {"Entrypoint", "OnBuild", "User", "Volumes", "WorkingDir"}


def test_volumes() -> None:
    item = Volume("data", "/var/lib/firkin/volumes/data/_data", created=NOW)
    check(shape_volume.volume(item), "Volume")
    check(shape_volume.volume(item, 10, 1), "Volume")
    assert same_members(shape_volume.volume(item), REAL["volume"]) == []


def test_version_and_info() -> None:
    about = Info("id", "host", 3, 1, 0, 2, 1, "6.1", "Debian", "12", "x86_64", 2, 1 << 30, "1", frozenset(("cpu", "memory")))
    check(shape_system.version(about), "SystemVersion")
    check(shape_system.info(about, DaemonConfig(insecure_registries=("registry:5000",)), NOW_DIALECT), "SystemInfo")
    real = REAL["version"] | {"Components": REAL["version"]["Components"][:1]}
    ours = shape_system.version(about)
    assert same_members(ours | {"Experimental": False}, real) == []
    for gone in ("KernelMemory", "KernelMemoryTCP"):  # left out where the kernel has none, since 23.0
        REAL["info"].pop(gone)
    for gone in ("AllowNondistributableArtifactsCIDRs", "AllowNondistributableArtifactsHostnames"):  # until 1.48
        REAL["info"]["RegistryConfig"].pop(gone)
    REAL["info"]["Runtimes"] = {"firkin": {"path": "firkin"}}
    assert same_members(shape_system.info(about, DaemonConfig(), Dialect(41)), REAL["info"]) == []


class Everything:
    """As much of an engine as `system df` looks at."""

    containers = (Entry(RUNNING), Entry(CREATED))
    images = SimpleNamespace(list=lambda filters: [IMAGE], shared_sizes=lambda: {IMAGE.id: 1000})
    volumes = SimpleNamespace(list=lambda filters: [Volume("data", "/x", created=NOW), Volume("unused", "/y", created=NOW)])


def test_disk_usage() -> None:
    """Of the image's 4096 bytes, 1000 are another's too: 3096 would be freed, were it not in use."""
    usage = DiskUsage({RUNNING.id: 10, CREATED.id: 5}, {"data": 100, "unused": 50}, 4100)

    def shown(minor: int, verbose: bool = False) -> dict[str, Any]:
        return shape_disk.disk_usage(cast(Engine, Everything), usage, Dialect(minor), shape_disk.TYPES, verbose=verbose)

    assert same_members(shown(41), REAL["df"]) == []
    assert shown(53).keys() == {"ImageUsage", "ContainerUsage", "VolumeUsage", "BuildCacheUsage"}
    assert shown(53)["VolumeUsage"] == {"ActiveCount": 1, "TotalCount": 2, "Reclaimable": 50, "TotalSize": 150}
    assert shown(53)["ImageUsage"] == {"ActiveCount": 1, "TotalCount": 1, "Reclaimable": 4100 - 3096, "TotalSize": 4100}
    assert shown(41)["LayersSize"] == 4100
    assert shown(52).keys() > shown(53).keys() and shown(52, True).keys() == shown(53, True).keys()
    check_reply(shown(NEWEST), "get", "/system/df")
    items = shown(NEWEST, True)["ContainerUsage"]["Items"]
    check_reply(items, "get", "/containers/json")


def test_file_modes_are_gos() -> None:
    """Source: Go `io/fs`, constants of FileMode."""
    assert go_file_mode(0o100644) == 0o644
    assert go_file_mode(0o041777) == (1 << 31) | (1 << 20) | 0o777
    assert go_file_mode(0o120777) == (1 << 27) | 0o777
    assert go_file_mode(0o104755) == (1 << 23) | 0o755
    assert go_file_mode(0o020666) == (1 << 26) | (1 << 21) | 0o666
