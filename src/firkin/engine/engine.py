"""The engine as its verbs see it: the services they call and the table they change. No behaviour of its own."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass, field

from firkin.config import DaemonConfig
from firkin.engine.events import Events
from firkin.engine.table import Containers, StdinPipe
from firkin.engine.users import Users
from firkin.images.images import Images
from firkin.linux.cgroup import Cgroups
from firkin.linux.oom import OomWatch
from firkin.model import Exec
from firkin.network.networks import Networks
from firkin.paths import Layout
from firkin.runtime.client import Shepherds
from firkin.runtime.machine import Machine
from firkin.runtime.seccomp_cache import Filters
from firkin.storage.snapshots import Snapshots
from firkin.storage.volumes import Volumes


@dataclass
class ExecSession:
    """An exec created, perhaps running: its record and what it holds in this process. `console`, the terminal's master, is not
    what output is read from: that ends, and is closed, when the program lets go of its terminal, while input goes on."""

    record: Exec
    stdin: StdinPipe = field(default_factory=lambda: StdinPipe(None, None))
    console: int | None = None
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    unheard: asyncio.Task[None] | None = None  # reads on what nobody is attached to

    def close_console(self) -> None:
        if self.console is not None:
            os.close(self.console)
        self.console = None


@dataclass
class Engine:
    """Everything one daemon owns."""

    id: str
    config: DaemonConfig
    layout: Layout
    machine: Machine
    cgroups: Cgroups
    filters: Filters
    images: Images
    snapshots: Snapshots
    volumes: Volumes
    networks: Networks
    containers: Containers
    events: Events
    ooms: OomWatch
    users: Users = field(default_factory=Users)
    shepherds: Shepherds = field(init=False)  # made last, for it tells of exits at once
    execs: dict[str, ExecSession] = field(default_factory=dict)
    stopping: bool = False
