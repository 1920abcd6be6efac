"""Connect and disconnect: a container's networks change while it runs, or before.

The networks service decides; for a running container its steps are carried out in the container's network namespace.
Source: Docker Engine API, `POST /networks/{id}/connect` and `/disconnect`.
"""

from __future__ import annotations

import os
from dataclasses import replace

from firkin.engine import failures
from firkin.engine.engine import Engine
from firkin.engine.joining import open_network
from firkin.engine.surroundings import write_files
from firkin.engine.table import Entry, Live
from firkin.errors import NotFound
from firkin.ids import new_id
from firkin.linux.process import CLONE_NEWNET
from firkin.model import EndpointRequest
from firkin.network import dns
from firkin.network.model import Attachment, Step
from firkin.runtime.client import SpawnFailed
from firkin.runtime.plan_joining import namespace_job

_NETNS = "netns"


async def connect(engine: Engine, network_ref: str, ref: str, request: EndpointRequest) -> None:
    """Add the container to the network; raises `Forbidden` when it is on it already."""
    network = engine.networks.find(network_ref)
    entry = engine.containers.find(ref)
    async with entry.lock:
        attachment = await engine.networks.connect(entry.record, network, request, _NETNS)
        try:
            await _carry_out(engine, entry, attachment)
        except BaseException:
            await engine.networks.disconnect(replace(entry.record, endpoints=attachment.endpoints), network)
            raise
        _remember(engine, entry, attachment)
    if entry.live:  # else its next start connects it
        engine.events.publish("network", "connect", network.id, _attributes(network.name, network.driver, entry.id))


async def disconnect(engine: Engine, network_ref: str, ref: str, force: bool = False) -> None:
    """Take it off again; `force` forgives a container that no longer exists."""
    network = engine.networks.find(network_ref)
    try:
        entry = engine.containers.find(ref)
    except NotFound:
        if force:
            return
        raise
    async with entry.lock:
        attachment = await engine.networks.disconnect(entry.record, network)
        await _carry_out(engine, entry, attachment)
        _remember(engine, entry, attachment)
    engine.events.publish("network", "disconnect", network.id, _attributes(network.name, network.driver, entry.id))


async def dns_sockets(engine: Engine, live: Live) -> list[int]:
    """New sockets for the embedded DNS server of a container whose old ones went with an earlier daemon."""
    return await run_in_network(engine, live, (), (dns.SOCKETS,))


async def run_in_network(engine: Engine, live: Live, parent: tuple[Step, ...], child: tuple[Step, ...]) -> list[int]:
    """Carry out steps in a running container's network namespace; returns the sockets they made. Raises `Conflict` when the
    container has ended."""
    netns = open_network(live)
    plan = namespace_job(new_id(), child, CLONE_NEWNET, parent)
    plan["fds"].append(_NETNS)
    try:
        spawned = await engine.shepherds.spawn(plan, {"pidfd": live.pidfd, _NETNS: netns})
    except SpawnFailed as error:
        raise failures.job_error(error, plan) from None
    finally:
        os.close(netns)
    os.close(spawned.pidfd)
    return spawned.sockets


async def _carry_out(engine: Engine, entry: Entry, attachment: Attachment) -> None:
    if entry.live and (attachment.parent_steps or attachment.child_steps):
        sockets = await run_in_network(engine, entry.live, attachment.parent_steps, attachment.child_steps)
        if attachment.resolves:
            await engine.networks.serve_names(entry.record, sockets)


def _remember(engine: Engine, entry: Entry, attachment: Attachment) -> None:
    engine.containers.save(entry, replace(entry.record, endpoints=attachment.endpoints, ports=attachment.ports))
    if entry.live:
        write_files(engine, entry.record)


def _attributes(name: str, driver: str, container_id: str) -> dict[str, str]:
    return {"name": name, "type": driver, "container": container_id}
