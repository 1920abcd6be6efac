"""Health checks: a probe run in the container again and again, and what it says of the container's health.

Invariant: one probe at a time; the next one's interval begins when nothing is left of it.
Source: Docker Engine API, HealthConfig; moby `daemon/health.go` for defaults and order.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

from firkin.engine.engine import Engine
from firkin.engine.probe import Probe
from firkin.engine.table import Entry
from firkin.model import Healthcheck, HealthResult

_INTERVAL, _TIMEOUT, _START_INTERVAL, _RETRIES = 30_000_000_000, 30_000_000_000, 5_000_000_000, 3
_KEPT = 5


def start(engine: Engine, entry: Entry) -> None:
    """Begin probing a container that has just started, if it has a check."""
    check = entry.record.config.healthcheck
    if check and check.test and check.test[0] != "NONE":
        engine.containers.save(entry, replace(entry.record, health="starting", health_failures=0))
        entry.health = asyncio.create_task(_probe_for_ever(engine, entry, check))


def stop(engine: Engine, entry: Entry) -> None:
    """The container is down: no more probes."""
    if entry.health:
        entry.health.cancel()
        give_up(engine, entry)
    entry.health = None


def give_up(engine: Engine, entry: Entry) -> None:
    """While it cannot be asked, as also when it is paused, it is not taken to be well. That is no event."""
    if entry.record.health:
        engine.containers.save(entry, replace(entry.record, health="unhealthy"))


async def _probe_for_ever(engine: Engine, entry: Entry, check: Healthcheck) -> None:
    began = time.time_ns()
    while True:
        starting = entry.record.health == "starting" and time.time_ns() - began < check.start_period
        interval = (check.start_interval or _START_INTERVAL) if starting else (check.interval or _INTERVAL)
        await asyncio.sleep(interval / 1e9)
        if entry.record.state.status != "running":
            continue
        probe = Probe(engine, entry, _command(entry, check))
        try:
            result = await probe.result((check.timeout or _TIMEOUT) / 1e9)
            _judge(engine, entry, check, result, result.start - began < check.start_period)
            await probe.end()
        finally:
            probe.abandon()


def _command(entry: Entry, check: Healthcheck) -> tuple[str, ...]:
    shell = entry.record.config.shell or ("/bin/sh", "-c")
    return tuple(check.test[1:]) if check.test[0] == "CMD" else (*shell, *check.test[1:])


def _judge(engine: Engine, entry: Entry, check: Healthcheck, result: HealthResult, starting: bool) -> None:
    """Fold one probe into the record; an event when the verdict changes."""
    before = entry.record.health
    if result.exit_code == 0:
        health, failures = "healthy", 0
    elif starting and before == "starting":
        health, failures = "starting", 0
    else:
        failures = entry.record.health_failures + 1
        health = "unhealthy" if failures >= (check.retries or _RETRIES) else before
    log = (*entry.record.health_log, result)[-_KEPT:]
    engine.containers.save(entry, replace(entry.record, health=health, health_failures=failures, health_log=log))
    if health != before:
        engine.events.container(f"health_status: {health}", entry.record)
