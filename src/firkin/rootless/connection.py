"""The helper that connects the user's network namespace with the network outside, run from there: see `helpers`.

Its pid is written down, so that whoever takes our place finds it alive.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time

from firkin.errors import Unavailable
from firkin.rootless import helpers

_PATIENCE = 20  # seconds until it must be ready


class Connection:
    """`pid` of the helper, 0 if there is none, and `since` when (by the monotonic clock) it runs."""

    def __init__(self, exec_root: str) -> None:
        self._pidfile = os.path.join(exec_root, "network.pid")
        self.pid = self._written()
        self.since = 0.0

    def start(self, porter: int) -> None:
        """The first of the programs that works, for the network namespace of the process `porter`. Raises `Unavailable`
        with what they said."""
        complaints = []
        self.since = time.monotonic()
        for name in filter(shutil.which, helpers.PROGRAMS):
            complaint = self._pasta(porter) if name == "pasta" else self._slirp4netns(porter)
            if not complaint:
                return
            complaints.append(f"{name}: {complaint}")
        packages = " or ".join(helpers.PACKAGES.values())
        raise Unavailable("connect the network: " + ("; ".join(complaints) or f"apt-get install {packages}"))

    def stop(self) -> None:
        if self.pid:
            os.kill(self.pid, signal.SIGTERM)
        try:
            os.unlink(self._pidfile)
        except FileNotFoundError:
            pass

    def _pasta(self, porter: int) -> str:
        """What it complains of; "" when it runs. It is our child, for we are its subreaper."""
        argv = helpers.pasta(porter, self._pidfile)
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
        done = subprocess.run(argv, **pipes, text=True, timeout=_PATIENCE, check=False)  # type: ignore[call-overload]
        if done.returncode:
            lines = [line for line in done.stderr.splitlines() if "syslog" not in line]
            return lines[-1] if lines else f"exit code {done.returncode}"
        self.pid = self._written()
        return ""

    def _slirp4netns(self, porter: int) -> str:
        read, write = os.pipe()
        argv = helpers.slirp4netns(porter, write)
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, pass_fds=(write,))
        os.close(write)
        ready = os.read(read, 1)
        os.close(read)
        if not ready:
            return f"exit code {process.wait()} (see rootless.log)"
        self.pid = process.pid
        with open(self._pidfile, "w", encoding="ascii") as file:
            file.write(str(self.pid))
        return ""

    def _written(self) -> int:
        """0 if there is none, or it is another program's by now."""
        try:
            with open(self._pidfile, encoding="ascii") as file:
                pid = int(file.read())
            with open(f"/proc/{pid}/comm", encoding="utf-8") as comm:
                return pid if comm.read().startswith(("pasta", "passt", "slirp4netns")) else 0
        except (OSError, ValueError):
            return 0
