"""Reload: settings that change while the engine runs, told as dockerd tells it.

What is not among them is as it was when the daemon started. A pull or push under way goes on as it began.
Source: moby `daemon/reload.go`.
"""

from __future__ import annotations

import json
import socket
from dataclasses import replace

from firkin.config import DaemonConfig
from firkin.engine.engine import Engine

_RELOADED = (
    "debug",
    "insecure_registries",
    "labels",
    "max_concurrent_downloads",
    "mirrors",
    "registry_mirrors",
    "shutdown_timeout",
)


def reload(engine: Engine, config: DaemonConfig) -> None:
    """Take from `config` what can be taken, and announce it."""
    engine.config = replace(engine.config, **{name: getattr(config, name) for name in _RELOADED})
    engine.images.reconfigure(engine.config)
    attributes = {name.replace("_", "-"): _text(getattr(engine.config, name)) for name in _RELOADED}
    engine.events.publish("daemon", "reload", engine.id, attributes | {"name": socket.gethostname()})


def _text(value: object) -> str:
    """As dockerd writes it: `true`, `3`, `["a=b"]`."""
    return json.dumps(value, separators=(",", ":"))
