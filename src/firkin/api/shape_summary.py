"""A container as a row of `docker ps`: Docker's `ContainerSummary`."""

from __future__ import annotations

from typing import Any

from firkin.api.shape_container import mount_point
from firkin.api.shape_network_settings import endpoint_settings, port_summaries
from firkin.model import Container

_UNITS = ((24 * 14, 24, "days"), (24 * 60, 24 * 7, "weeks"), (24 * 730, 24 * 30, "months"))  # below, of (hours), called


def summary(container: Container, image: str, now: int, sizes: tuple[int, int] | None = None) -> dict[str, Any]:
    """`image` is what the image is called now (its id once another image has taken its tag); `now` in ns."""
    networks = {name: endpoint_settings(endpoint) for name, endpoint in container.endpoints.items()}
    document: dict[str, Any] = {
        "Id": container.id,
        "Names": ["/" + container.name],
        "Image": image,
        "ImageID": container.image_id,
        "Command": command(container),
        "Created": container.created // 1_000_000_000,
        "Ports": port_summaries(container) if container.state.pid else [],
        "Labels": container.config.labels,
        "State": container.state.status,
        "Status": status(container, now),
        "HostConfig": {"NetworkMode": container.host.network_mode or "default"},
        "NetworkSettings": {"Networks": networks},
        "Mounts": [mount_point(mount) for mount in container.mounts],
        "Health": {"Status": container.health or "none", "FailingStreak": container.health_failures},
    }
    if container.host.annotations:
        document["HostConfig"]["Annotations"] = container.host.annotations
    if sizes:
        document |= {"SizeRw": sizes[0], "SizeRootFs": sizes[1]}
    return document


def command(container: Container) -> str:
    """The command line, arguments with spaces or quotes in single quotes."""
    quoted = ["'" + a.replace("'", "\\'") + "'" if " " in a or "'" in a else a for a in container.args]
    return " ".join((container.path, *quoted))


def status(container: Container, now: int) -> str:
    """`Up 5 minutes (healthy)`, `Exited (1) 2 hours ago`, `Created`."""
    state = container.state
    if state.status == "created":
        return "Created"
    if state.status == "dead":
        return "Dead"
    if state.status == "removing":
        return "Removal In Progress"
    ended = human_duration((now - state.finished_at) // 1_000_000_000)
    if state.status == "restarting":
        return f"Restarting ({state.exit_code}) {ended} ago"
    if state.status == "exited":
        return f"Exited ({state.exit_code}) {ended} ago"
    up = "Up " + human_duration((now - state.started_at) // 1_000_000_000)
    if state.status == "paused":
        return up + " (Paused)"
    if container.health == "starting":
        return up + " (health: starting)"
    return f"{up} ({container.health})" if container.health else up


def human_duration(seconds: int) -> str:
    """An age in words, as Docker's `units.HumanDuration`."""
    if seconds < 1:
        return "Less than a second"
    if seconds < 60:
        return "1 second" if seconds == 1 else f"{seconds} seconds"
    if seconds < 3600:
        return "About a minute" if seconds < 120 else f"{seconds // 60} minutes"
    hours = (seconds + 1800) // 3600
    if hours < 48:
        return "About an hour" if hours == 1 else f"{hours} hours"
    for limit, unit, word in _UNITS:
        if hours < limit:
            return f"{hours // unit} {word}"
    return f"{seconds // (365 * 86400)} years"
