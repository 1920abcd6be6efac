"""What the daemon makes of what keeper and launcher say, where the order is one that the real ones take only rarely."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from firkin.linux import sockets as socket
from firkin.paths import Layout
from firkin.runtime import wire
from firkin.runtime.background import only_pair
from firkin.runtime.client import Shepherds
from firkin.runtime.wire import listen


async def test_output_that_ends_just_after_it_is_listed(tmp_path: Path) -> None:
    """The answer and the announcement are read in one go, before whoever asked goes on from the answer."""
    layout = Layout(str(tmp_path / "data"), str(tmp_path / "run"))
    os.makedirs(layout.exec_root)
    lock, keeper, launcher = only_pair(layout.exec_root), listen(layout.keeper_socket), listen(layout.launcher_socket)
    answering = asyncio.create_task(_answer(keeper, launcher))
    shepherds = await Shepherds.connect(layout, lambda *ended: None)
    async with asyncio.timeout(5):
        await shepherds.drained("c1")
    shepherds.close()
    for peer in await answering:
        peer.close()
    for ours in (keeper, launcher):
        ours.close()
    os.close(lock)


async def _answer(*listening: socket.socket) -> list[socket.socket]:
    peers = []
    for one in listening:
        peer = await _accepted(one)
        wire.send(peer, ("hello",))
        peers.append(peer)
    while True:
        try:
            (kind, number), _ = wire.receive(peers[0])
            break
        except BlockingIOError:
            await asyncio.sleep(0)
    assert kind == "list"
    wire.send(peers[0], ("reply", number, {"c1": 7}))
    wire.send(peers[0], ("drained", "c1", 7))
    return peers


async def _accepted(listening: socket.socket) -> socket.socket:
    while True:
        try:
            peer, _ = listening.accept()
        except BlockingIOError:
            await asyncio.sleep(0)
            continue
        peer.setblocking(False)
        return peer
