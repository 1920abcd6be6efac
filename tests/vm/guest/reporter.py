"""A pytest plug-in: each test's outcome as one line of JSON on a serial port of the machine, as soon as it is known."""

from __future__ import annotations

import json
import os
import tty

import pytest

_PORT = os.environ.get("FIRKIN_VM_PORT", "/dev/ttyS1")
_LONGEST = 20_000


class Reporter:
    def __init__(self) -> None:
        self._port = os.open(_PORT, os.O_WRONLY | os.O_NOCTTY)
        tty.setraw(self._port)

    def _say(self, **line: object) -> None:
        data = (json.dumps(line) + "\n").encode()
        while data:
            data = data[os.write(self._port, data) :]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" or report.outcome != "passed":
            text = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longreprtext
            self._say(test=report.nodeid, outcome=report.outcome, seconds=round(report.duration, 2), text=text[-_LONGEST:])

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self._say(test=report.nodeid, outcome="failed", seconds=0, text=report.longreprtext[-_LONGEST:])

    def pytest_sessionfinish(self, exitstatus: int) -> None:
        self._say(end=int(exitstatus))


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Reporter())
