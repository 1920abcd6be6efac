"""An engine on the lane's machine, and short words for what its tests do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab import Engine, Lab, busybox_tar

IMAGE = "busybox:test"
GROUPS = Path("/sys/fs/cgroup")


class Box:
    """Containers of one engine over its API."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._made: list[str] = []

    def call(self, method: str, path: str, body: Any = None, status: int = 0) -> Any:
        got, answer = self.engine.api().call(method, path, body)
        assert got == status if status else got < 300, (method, path, got, answer)
        return answer

    def create(self, script: str, host: dict[str, Any] | None = None, **config: Any) -> str:
        body = {"Image": IMAGE, "Cmd": ["sh", "-c", script], "HostConfig": host or {}, **config}
        self._made.append(self.call("POST", "/containers/create", body)["Id"])
        return self._made[-1]

    def start(self, script: str = "sleep 1000", host: dict[str, Any] | None = None, **config: Any) -> str:
        container = self.create(script, host, **config)
        self.call("POST", f"/containers/{container}/start")
        return container

    def run(self, script: str, host: dict[str, Any] | None = None, **config: Any) -> tuple[int, str]:
        """(exit code, output)."""
        container = self.start(script, host, Tty=False, **config)
        code = self.call("POST", f"/containers/{container}/wait")["StatusCode"]
        return code, self.output(container)

    def output(self, container: str) -> str:
        raw = self.call("GET", f"/containers/{container}/logs?stdout=1&stderr=1")
        text = b""
        while raw:  # frames: kind, three zeros, length
            size = int.from_bytes(raw[4:8], "big")
            text, raw = text + raw[8 : 8 + size], raw[8 + size :]
        return text.decode()

    def exec(self, container: str, *argv: str) -> int:
        made = self.call("POST", f"/containers/{container}/exec", {"Cmd": argv, "AttachStdout": True})["Id"]
        self.call("POST", f"/exec/{made}/start", {"Detach": False})
        return int(self.call("GET", f"/exec/{made}/json")["ExitCode"])

    def inspect(self, container: str) -> Any:
        return self.call("GET", f"/containers/{container}/json")

    def group(self, container: str) -> Path:
        """Its cgroup, as the kernel tells it of the first process."""
        pid = self.inspect(container)["State"]["Pid"]
        line = Path(f"/proc/{pid}/cgroup").read_text().strip()
        assert line.startswith("0::/"), line
        return GROUPS / line[4:]

    def clean(self) -> None:
        for container in self._made:
            self.engine.api().call("DELETE", f"/containers/{container}?force=1&v=1")


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    lab = Lab()
    engine = Engine(lab).start()
    engine.firkin("import", str(busybox_tar(lab.dir)), IMAGE)
    yield engine
    lab.close()


@pytest.fixture
def box(engine: Engine) -> Iterator[Box]:
    box = Box(engine)
    yield box
    box.clean()
