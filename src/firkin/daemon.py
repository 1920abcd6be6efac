"""The composition root: the one file that knows every class, puts them together, and takes them apart again.

Order on the way up: lock the roots, meet the shepherds, open the stores, bring the network up, adopt what runs, and
only then listen. On the way down: stop listening, stop containers, take the rules away, let the shepherds go.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import gc
import logging
import os
import signal
import ssl
import sys
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

from firkin import config as configuration
from firkin import userdirs
from firkin.api.hosts import serve
from firkin.api.tls import server_context
from firkin.config import DaemonConfig
from firkin.engine import adopt, exits, old_logs, oom, reload, shutdown, userns_remap
from firkin.engine.engine import Engine
from firkin.engine.events import Events
from firkin.engine.states import is_up
from firkin.engine.table import Containers
from firkin.errors import Conflict, FirkinError, Invalid, Unavailable
from firkin.ids import new_id
from firkin.images.images import Images
from firkin.images.removal import Use
from firkin.linux import process
from firkin.linux.cgroup import Cgroups
from firkin.linux.oom import OomWatch
from firkin.model import Ulimit
from firkin.network.networks import Networks
from firkin.paths import Layout
from firkin.rootless.enter import enter
from firkin.rootless.ports import HostPorts
from firkin.runtime import apparmor, machine
from firkin.runtime.client import Shepherds
from firkin.runtime.seccomp_cache import Filters
from firkin.storage.content import ContentStore
from firkin.storage.layers import Layers, Limits
from firkin.storage.snapshots import Snapshots
from firkin.storage.volumes import Volumes

log = logging.getLogger("firkin")


@contextlib.contextmanager
def _sole_owner(layout: Layout) -> Iterator[None]:
    """Make the roots and hold their lock; raises `Conflict` when another daemon does."""
    for root, mode in ((layout.data_root, 0o710), (layout.exec_root, 0o711)):
        os.makedirs(root, mode=mode, exist_ok=True)
    lock = os.open(layout.daemon_lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise Conflict(f"start the daemon: another one uses {layout.exec_root}") from None
    try:
        yield
    finally:
        os.close(lock)


def _engine_id(layout: Layout) -> str:
    """The same for as long as the data root lives."""
    path = os.path.join(layout.data_root, "engine-id")
    try:
        with open(path, encoding="ascii") as file:
            return file.read().strip()
    except FileNotFoundError:
        engine_id = new_id()
        with open(path, "w", encoding="ascii") as file:
            file.write(engine_id + "\n")
        return engine_id


async def _compose(config: DaemonConfig, layout: Layout, ports: HostPorts | None) -> Engine:
    """Every service, made from the ones below it."""
    cgroups, containers, events = Cgroups.detect(), Containers(layout), Events()
    content = ContentStore(layout)
    layers = Layers(layout, content, Limits(ratio=0, floor=config.max_unpacked_bytes))
    snapshots = Snapshots(layout, layers)
    engine_id = _engine_id(layout)
    networks = await Networks.open(layout, config, engine_id, ports)
    engine = Engine(
        id=engine_id,
        config=config,
        layout=layout,
        machine=machine.detect(
            unified_cgroups=cgroups.unified,
            cgroups=cgroups.any,
            init_by_default=config.init,
            ulimits=_ulimits(config),
            apparmor_profile=await _apparmor_profile(config),
        ),
        cgroups=cgroups,
        filters=Filters(layout.caches),
        images=Images(
            layout,
            config,
            content,
            layers,
            uses=lambda image_id: [Use(record.id, is_up(record)) for record in containers.users_of_image(image_id)],
            layers_in_use=snapshots.in_use,
            publish=lambda action, actor, attributes: events.publish("image", action, actor, attributes),
        ),
        snapshots=snapshots,
        volumes=Volumes(layout, containers.users_of_volume),
        networks=networks,
        containers=containers,
        events=events,
        ooms=OomWatch(cgroups),
        users=userns_remap.users(config.userns_remap),
    )
    os.makedirs(layout.staging, exist_ok=True)
    engine.shepherds = await Shepherds.connect(layout, lambda *exit: _background(exits.on_exit(engine, *exit)))
    return engine


async def _apparmor_profile(config: DaemonConfig) -> str:
    """The default profile's name; "" if there is to be none. That it cannot be loaded where the kernel would enforce it is
    said here, and to whoever asks for `info`."""
    if config.rootless or not machine.has_apparmor():
        return ""
    try:
        return await apparmor.load()
    except Unavailable as error:
        log.warning("%s: containers will run without it", error.message)
        return ""


_tasks: set[asyncio.Task[None]] = set()


def _background(work: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine to its end; what goes wrong in it is logged here, at the edge."""
    task = asyncio.create_task(work)
    _tasks.add(task)
    task.add_done_callback(_finished)


def _finished(task: asyncio.Task[None]) -> None:
    _tasks.discard(task)
    if not task.cancelled() and task.exception():
        log.error("background work failed", exc_info=task.exception())


async def run(config: DaemonConfig, again: Callable[[], DaemonConfig]) -> None:
    """Be the engine until SIGTERM or SIGINT. What `again` returns is the configuration of now, for SIGHUP."""
    layout = Layout(os.path.abspath(config.data_root), os.path.abspath(config.exec_root))
    with _sole_owner(layout):
        ports = HostPorts(layout.exec_root) if config.rootless else None
        engine = await _compose(config, layout, ports)
        oom.attend(engine)
        await adopt.adopt(engine)
        await engine.networks.settle()
        await engine.images.sweep()
        serving = await serve(engine, list(config.hosts), group=config.group, tls=_tls(config))
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, _reload, engine, again)
        adopt.start_policies(engine)
        _background(old_logs.attend(engine))
        _freeze_heap()
        log.info("listening on %s", ", ".join(config.hosts))
        await _until_told_to_stop()
        await serving.close()
        await shutdown.stop_all(engine)
        await engine.networks.close()
        if await engine.shepherds.shutdown() and ports:
            ports.finish()


def _ulimits(config: DaemonConfig) -> tuple[Ulimit, ...]:
    """`default-ulimits`: {"nofile": {"Name": "nofile", "Soft": 1024, "Hard": 4096}}."""
    try:
        return tuple(Ulimit(name, int(limit["Soft"]), int(limit["Hard"])) for name, limit in config.default_ulimits.items())
    except (KeyError, TypeError, ValueError):
        raise Invalid("default-ulimits: want objects with Soft and Hard") from None


def _tls(config: DaemonConfig) -> ssl.SSLContext | None:
    return server_context(config.tlscacert, config.tlscert, config.tlskey) if config.tlsverify else None


def _reload(engine: Engine, again: Callable[[], DaemonConfig]) -> None:
    try:
        reload.reload(engine, again())
    except FirkinError as error:
        log.error("reload the configuration: %s", error.message)
        return
    _set_log_level(engine.config)
    log.info("the configuration is reloaded")


def _set_log_level(config: DaemonConfig) -> None:
    logging.getLogger().setLevel(logging.DEBUG if config.debug else logging.INFO)


def _freeze_heap() -> None:
    """All that exists now lives as long as the daemon: keep the collector away from it, and let it run seldom."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 50, 50)


async def _until_told_to_stop() -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()


@contextlib.contextmanager
def _pidfile(path: str) -> Iterator[None]:
    if not path:
        yield
        return
    with open(path, "w", encoding="ascii") as file:
        file.write(str(os.getpid()))
    try:
        yield
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)


def _configuration(argv: list[str]) -> DaemonConfig:
    """An ordinary user's has other defaults, and a file of its own, on both sides of the way into his namespaces."""
    outside = os.environ.get(userdirs.MARK, "") if process.in_user_namespace() else ""
    if os.geteuid() == 0 and not outside:
        return configuration.load(argv)
    uid = int(outside or os.getuid())
    return configuration.load(argv, configuration.rootless(os.environ, uid), userdirs.config_file(os.environ))


def main(argv: list[str], again: list[str]) -> int:
    """`firkin daemon`: returns the exit code. `again` is the command that gets here, for going on in other namespaces."""
    os.umask(0o022)
    try:
        config = _configuration(argv)
        if config.rootless and os.geteuid():
            enter(os.path.abspath(config.exec_root), again)
        logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s")
        _set_log_level(config)
        with _pidfile(config.pidfile):
            asyncio.run(run(config, lambda: _configuration(argv)))
    except FirkinError as error:
        print(f"firkin daemon: {error.message}", file=sys.stderr)
        return 1
    return 0
