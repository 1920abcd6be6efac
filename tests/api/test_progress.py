"""A transfer's progress as the stream that `docker pull` reads."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from firkin.api import progress
from firkin.api.call import Call
from firkin.errors import NotFound, Unavailable
from firkin.images.progress import Progress, Watcher
from tests.api.rig import Client, serve
from tests.api.schema import check

state: dict[str, bool] = {}


async def good(watch: Watcher) -> str:
    watch(Progress("latest", "Pulling from library/web"))
    for current in range(0, 1000, 10):
        watch(Progress("aa", "Downloading", current, 1000))
    watch(Progress("aa", "Downloading", 1000, 1000))
    watch(Progress("aa", "Pull complete"))
    return "sha256:00"


async def fail_early(watch: Watcher) -> None:
    raise NotFound("no such repository")


async def fail_late(watch: Watcher) -> None:
    watch(Progress("latest", "Pulling from library/web"))
    await asyncio.sleep(0)
    raise Unavailable("connection reset")


async def never_end(watch: Watcher) -> None:
    watch(Progress("latest", "Pulling from library/web"))
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        state["cancelled"] = True
        raise


WORK = {"good": good, "early": fail_early, "late": fail_late, "never": never_end}


async def pull(call: Call) -> web.StreamResponse:
    return await progress.serve(call, WORK[call.text("fromImage")], lambda result: [{"aux": {"ID": result}}])


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    state.clear()
    serving = await serve(tmp_path / "api.sock", [("POST", "/images/create", pull)])
    client = await Client.connect(tmp_path / "api.sock")
    yield client
    await client.close()
    await serving.close(0.1)


async def lines(client: Client) -> list[dict[str, Any]]:
    """The chunks of a 200 answer, each of them one line of JSON."""
    status, headers = await client.head()
    assert (status, headers["content-type"]) == (200, "application/json")
    found = []
    while size := int(await client.reader.readline(), 16):
        found.append(json.loads(await client.reader.readexactly(size)))
        await client.reader.readexactly(2)
    return found


async def test_progress_is_shaped_thinned_out_and_complete(client: Client) -> None:
    await client.send("POST", "/images/create?fromImage=good")
    found = await lines(client)
    assert found[0] == {"status": "Pulling from library/web", "progressDetail": {}, "id": "latest"}
    assert found[-3] == {"status": "Downloading", "progressDetail": {"current": 1000, "total": 1000}, "id": "aa"}
    assert found[-2:] == [{"status": "Pull complete", "progressDetail": {}, "id": "aa"}, {"aux": {"ID": "sha256:00"}}]
    assert len(found) < 10  # of a hundred reports within a moment
    for item in found[:-1]:
        check(item, "CreateImageInfo")


async def test_old_clients_get_a_bar(client: Client) -> None:
    await client.send("POST", "/v1.41/images/create?fromImage=good")
    done = [item for item in await lines(client) if item.get("progressDetail", {}).get("current") == 1000]
    assert done[0]["progress"] == "[==================================================]       1kB/1kB"


async def test_a_failure_before_the_first_line_is_an_error_response(client: Client) -> None:
    status, _, body = await client.ask("POST", "/images/create?fromImage=early")
    assert (status, json.loads(body)) == (404, {"message": "no such repository"})


async def test_a_failure_after_it_is_the_last_line(client: Client) -> None:
    await client.send("POST", "/images/create?fromImage=late")
    assert (await lines(client))[-1] == {"errorDetail": {"message": "connection reset"}, "error": "connection reset"}


async def test_a_client_that_leaves_cancels_the_transfer(client: Client, tmp_path: Path) -> None:
    other = await Client.connect(tmp_path / "api.sock")
    await other.send("POST", "/images/create?fromImage=never")
    await other.head()
    other.writer.transport.abort()
    for _ in range(100):
        await asyncio.sleep(0.01)
        if state:
            break
    assert state == {"cancelled": True}
