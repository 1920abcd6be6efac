"""What a new daemon knows of containers an old one started: terminals, names, ports, limits, policies."""

from __future__ import annotations

import json
import os

import pytest
from tests.e2e.conftest import IMAGE
from tests.e2e.test_terminal import Terminal
from tests.lab import Engine, Lab, busybox_tar, wait_until


@pytest.fixture
def fresh(lab: Lab):
    engine = Engine(lab, "adoption", "--bridge", "fkadopt").start()
    engine.firkin("import", str(busybox_tar(lab.dir)), IMAGE)
    yield engine
    engine.docker("rm", "-f", *engine.docker("ps", "-aq").stdout.split(), check=False)
    engine.stop()


def test_everything_about_a_running_container_is_taken_over(fresh: Engine) -> None:
    fresh.docker("network", "create", "--subnet", "10.79.0.0/24", "net")
    serve = "mkdir /w; echo adopted > /w/index.html; exec httpd -f -p 80 -h /w"
    fresh.docker("run", "-d", "--name", "web", "--network", "net", "-p", "127.0.0.1:8125:80", IMAGE, "sh", "-c", serve)
    fresh.docker("run", "-dit", "--name", "term", IMAGE, "sh")
    fresh.docker("run", "-d", "--name", "frozen", IMAGE, "sleep", "1000")
    fresh.docker("pause", "frozen")
    before = {name: json.loads(fresh.docker("inspect", name).stdout)[0] for name in ("web", "term", "frozen")}
    fresh.kill()
    fresh.start()
    for name, was in before.items():
        now = json.loads(fresh.docker("inspect", name).stdout)[0]
        assert now["State"] == was["State"] and now["NetworkSettings"] == was["NetworkSettings"], name

    def page() -> str:
        return fresh.lab.run("curl", "-s", "-m", "2", "http://127.0.0.1:8125/", check=False).stdout

    wait_until(lambda: page() == "adopted\n")
    assert "10.79.0.2" in fresh.docker("run", "--rm", "--network", "net", IMAGE, "nslookup", "web").stdout
    assert "10.79.0.2" in fresh.docker("exec", "web", "nslookup", "web").stdout
    refused = fresh.docker("run", "--rm", "-p", "127.0.0.1:8125:80", IMAGE, "true", check=False)
    assert refused.returncode == 125 and "already" in refused.stderr
    terminal = Terminal(fresh, ["docker", "attach", "term"])
    terminal.type("echo still-$((40+2))\n")
    terminal.expect("still-42")
    terminal.close()
    fresh.docker("unpause", "frozen")
    fresh.docker("stop", "-t", "0", "frozen")
    fresh.docker("rm", "-f", "web")
    assert page() == ""


def test_shared_memory_is_taken_over(fresh: Engine) -> None:
    """Who joins after the crash finds what was there, within its limit; the end takes it away."""
    fresh.docker("run", "-d", "--name", "lends", "--ipc", "shareable", "--shm-size", "1m", IMAGE, "sleep", "1000")
    fresh.docker("exec", "lends", "sh", "-c", "echo before > /dev/shm/word")
    fresh.kill()
    fresh.start()
    script = "cat /dev/shm/word; df -k /dev/shm | tail -n 1 | awk '{ print $2 }'"
    assert fresh.docker("run", "--rm", "--ipc", "container:lends", IMAGE, "sh", "-c", script).stdout == "before\n1024\n"
    fresh.docker("rm", "-f", "lends")
    assert os.listdir(fresh.dir / "exec/shm") == []
    assert str(fresh.dir / "exec/shm") not in fresh.lab.run("cat", "/proc/mounts").stdout


def test_policies_after_a_crash(fresh: Engine) -> None:
    for policy in ("always", "unless-stopped", "no"):
        fresh.docker("run", "-d", "--name", policy, "--restart", policy, IMAGE, "sleep", "1000")
    fresh.docker("run", "-d", "--name", "stopped", "--restart", "unless-stopped", IMAGE, "sleep", "1000")
    fresh.docker("stop", "-t", "0", "stopped")
    fresh.stop()
    fresh.start()

    def running() -> set[str]:
        return set(fresh.docker("ps", "--format", "{{.Names}}").stdout.split())

    wait_until(lambda: running() == {"always", "unless-stopped"}, 10, running)
