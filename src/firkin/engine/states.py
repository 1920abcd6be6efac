"""States x verbs, in one table: may this verb act on a container that is now so?

Each cell is what dockerd answers: OK to go on, or the error to raise. A state not listed for a verb is OK.
"""

from __future__ import annotations

from firkin.errors import Conflict, FirkinError, NotModified
from firkin.model import Container

_UP = ("running", "paused", "restarting")
_DOWN = ("created", "exited", "dead", "removing")

# verb -> status -> (error kind, text); {name}, {id} and {status} are filled in.
_REFUSALS: dict[str, dict[str, tuple[type[FirkinError], str]]] = {
    "start": {
        "running": (NotModified, "container {id} is already running"),
        "paused": (Conflict, "cannot start a paused container, try unpause instead"),
        "restarting": (NotModified, "container {id} is already restarting"),
        "removing": (Conflict, "container is marked for removal and cannot be started"),
        "dead": (Conflict, "container is marked for removal and cannot be started"),
    },
    "stop": dict.fromkeys(_DOWN, (NotModified, "container {id} is not running")),
    "kill": dict.fromkeys(_DOWN, (Conflict, "cannot kill container: {ref}: container {id} is not running")),
    "pause": {
        **dict.fromkeys(_DOWN, (Conflict, "container {id} is not running")),
        "paused": (Conflict, "container {id} is already paused"),
        "restarting": (Conflict, "container {id} is restarting, wait until the container is running"),
    },
    "unpause": dict.fromkeys((*_DOWN, "running", "restarting"), (Conflict, "container {id} is not paused")),
    "exec": {
        **dict.fromkeys(_DOWN, (Conflict, "container {id} is not running")),
        "paused": (Conflict, "container {ref} is paused, unpause the container before exec"),
        "restarting": (Conflict, "container {ref} is restarting, wait until the container is running"),
    },
    "attach": {
        "paused": (Conflict, "container {ref} is paused, unpause the container before attach"),
        "restarting": (Conflict, "container {ref} is restarting, wait until the container is running"),
    },
    "top": {
        **dict.fromkeys(_DOWN, (Conflict, "container {id} is not running")),
        "restarting": (Conflict, "container {id} is restarting, wait until the container is running"),
    },
    "resize": dict.fromkeys(_DOWN, (Conflict, "container {id} is not running")),
    "remove": {
        "running": (
            Conflict,
            'cannot remove container "{name}": container is running: stop the container before removing or force remove',
        ),
        "paused": (
            Conflict,
            'cannot remove container "{name}": container is paused and must be unpaused first',
        ),
        "restarting": (
            Conflict,
            'cannot remove container "{name}": container is restarting: stop the container before removing or force remove',
        ),
    },
}


def require(verb: str, container: Container, ref: str = "") -> None:
    """Raise what dockerd would answer when `verb` meets this container's state; otherwise return."""
    refusal = _REFUSALS[verb].get(container.state.status)
    if refusal:
        kind, text = refusal
        raise kind(
            text.format(id=container.id, name="/" + container.name, ref=ref or container.id, status=container.state.status)
        )


def is_up(container: Container) -> bool:
    """Whether it has, or is about to have again, a process."""
    return container.state.status in _UP
