"""Start a daemon in the background and wait until it answers.

The daemon gets a session of its own, no terminal, `/` as its directory, and a log file for its standard error. Two
clients may do this at once: the daemon's own lock lets one win, and both clients then talk to the winner.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time

from firkin import userdirs
from firkin.cli.client import Client
from firkin.cli.errors import Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firkin.cli.hosts import Host

_LOG = "/var/log/firkin.log"
_LOG_MODE = 0o640  # whatever the umask
PATIENCE = 60.0  # seconds until it must answer
LOST_RACE = 3.0  # seconds more when ours ended: another client's daemon may be coming up


def start(host: Host) -> None:
    """Start `firkin daemon` for the default host. Raises `Failure` with what it said last when it does not come up."""
    path = _log_file()
    print(f"Starting the Firkin daemon (its log: {path})", file=sys.stderr)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, _LOG_MODE), "ab") as log:
        begin = log.tell()
        daemon = subprocess.Popen(
            [*interpreter(), "daemon"], stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", start_new_session=True
        )
    deadline, ended = time.monotonic() + PATIENCE, False
    while not _answers(host):
        if not ended and daemon.poll() is not None:
            deadline, ended = time.monotonic() + LOST_RACE, True
        if time.monotonic() > deadline:
            raise Failure("The Firkin daemon did not come up:\n" + _tail(path, begin))
        time.sleep(0.02)


def interpreter() -> list[str]:
    """The command that runs this very client again."""
    return [sys.executable, "-ISE", "-X", "utf8", os.path.join(os.path.dirname(os.path.abspath(__file__)), "__main__.py")]


def _answers(host: Host) -> bool:
    try:
        Client(host.connect, {}).exchange("GET", "/_ping", {}).read()
    except Failure:
        return False
    return True


def _log_file() -> str:
    """Root's, or in a place of the user's own."""
    if os.geteuid() == 0:
        return _LOG
    path = userdirs.log_file(os.environ)
    os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
    return path


def _tail(path: str, begin: int) -> str:
    with open(path, encoding="utf-8", errors="replace") as log:
        log.seek(begin)
        return "".join(log.readlines()[-10:]).rstrip() or f"it said nothing; see {path}"
