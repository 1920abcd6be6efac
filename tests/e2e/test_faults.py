"""What is lost when something is killed: nothing."""

from __future__ import annotations

import json
import os
import signal
import time

import pytest
from tests.e2e.conftest import IMAGE
from tests.lab import Engine, Lab, busybox_tar, wait_until

# Numbered lines as fast as a shell can, forty thousand of them, then an exit code of its own.
TALK = "i=0; while [ $i -lt 40000 ]; do i=$((i+1)); echo $i; done; exit 17"
ALL = [str(n) for n in range(1, 40001)]


@pytest.fixture
def fresh(lab: Lab):
    engine = Engine(lab, f"faults-{time.monotonic_ns()}", "--bridge", "fk" + str(time.monotonic_ns())[-8:]).start()
    engine.firkin("import", str(busybox_tar(lab.dir)), IMAGE)
    yield engine
    engine.docker("rm", "-f", *engine.docker("ps", "-aq").stdout.split(), check=False)
    engine.stop()


def status(engine: Engine, name: str) -> dict:
    return json.loads(engine.docker("inspect", name).stdout)[0]["State"]


def test_killing_the_daemon_loses_nothing(fresh: Engine) -> None:
    fresh.docker("run", "-d", "--name", "talker", "-p", "127.0.0.1:8123:80", IMAGE, "sh", "-c", TALK)
    fresh.docker("run", "-d", "--name", "stays", IMAGE, "sleep", "1000")
    before = status(fresh, "stays")
    fresh.kill()
    time.sleep(0.5)
    fresh.start()
    assert status(fresh, "stays")["Pid"] == before["Pid"] and status(fresh, "stays")["Running"]
    assert fresh.docker("wait", "talker", timeout=60).stdout.strip() == "17"
    assert fresh.docker("logs", "talker").stdout.split() == ALL
    assert fresh.docker("exec", "stays", "echo", "alive").stdout == "alive\n"
    fresh.docker("rm", "-f", "stays")


def test_an_exit_while_no_daemon_runs_is_told_afterwards(fresh: Engine) -> None:
    fresh.docker("run", "-d", "--name", "brief", IMAGE, "sh", "-c", "sleep 0.5; echo last words; exit 9")
    fresh.kill()
    time.sleep(1.2)
    fresh.start()
    wait_until(lambda: status(fresh, "brief")["Status"] == "exited")
    assert status(fresh, "brief")["ExitCode"] == 9
    assert fresh.docker("logs", "brief").stdout == "last words\n"


@pytest.mark.parametrize("victim", ["keeper", "launcher"])
@pytest.mark.parametrize("daemon_too", [False, True])
def test_killing_a_helper_loses_nothing(fresh: Engine, victim: str, daemon_too: bool) -> None:
    fresh.docker("run", "-d", "--name", "talker", IMAGE, "sh", "-c", TALK)
    fresh.docker("run", "-d", "--name", "stays", IMAGE, "sleep", "1000")
    time.sleep(0.1)
    if daemon_too:
        fresh.kill()
    os.kill(fresh.helper(victim), signal.SIGKILL)
    time.sleep(0.3)
    if daemon_too:
        fresh.start()
    assert fresh.docker("wait", "talker", timeout=60).stdout.strip() == "17"
    assert fresh.docker("logs", "talker").stdout.split() == ALL
    assert fresh.docker("run", "--rm", IMAGE, "echo", "new").stdout == "new\n"
    fresh.docker("stop", "-t", "0", "stays")
    assert status(fresh, "stays")["ExitCode"] == 137


def test_a_reboot_comes_up_clean(fresh: Engine) -> None:
    """Everything that lives no longer than the boot is gone: processes, exec root, interfaces."""
    fresh.docker("run", "-d", "--name", "was", IMAGE, "sleep", "1000")
    fresh.docker("run", "-d", "--name", "always", "--restart", "always", IMAGE, "sleep", "1000")
    pids = [status(fresh, name)["Pid"] for name in ("was", "always")]
    fresh.kill()
    for helper in ("launcher", "keeper"):  # frozen first, so that neither replaces the other
        os.kill(fresh.helper(helper), signal.SIGSTOP)
    for pid in [*pids, fresh.helper("launcher"), fresh.helper("keeper")]:
        os.kill(pid, signal.SIGKILL)
    fresh.lab.run("rm", "-rf", str(fresh.dir / "exec"))
    fresh.start()
    assert status(fresh, "was")["Status"] == "exited"
    wait_until(lambda: status(fresh, "always")["Running"])
    fresh.docker("start", "was")
    assert status(fresh, "was")["Running"]


def test_a_clean_stop_ends_containers_and_rules(lab: Lab) -> None:
    engine = Engine(lab, "clean", "--bridge", "fkclean").start()
    engine.firkin("import", str(busybox_tar(lab.dir)), IMAGE)
    engine.docker("run", "-d", "-p", "8124:80", IMAGE, "sleep", "1000")
    assert len(tables_about(lab, "fkclean")) == 2
    engine.stop()
    assert tables_about(lab, "fkclean") == {"firkin_forwarding"}  # as long as the host forwards (decision 22)
    wait_until(lambda: not engine.helpers("keeper") and not engine.helpers("launcher"))


def tables_about(lab: Lab, bridge: str) -> set[str]:
    tables = [line.split()[1:] for line in lab.run("nft", "list", "tables").stdout.splitlines()]
    return {name for family, name in tables if f'"{bridge}"' in lab.run("nft", "list", "table", family, name).stdout}
