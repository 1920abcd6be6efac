"""The life of a container: every verb, on a running engine, with either command line."""

from __future__ import annotations

import json
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.e2e.conftest import IMAGE
from tests.lab import FIRKIN, SLOWNESS, Engine, wait_until


@pytest.fixture
def sleeper(client):
    """A running container that ends on SIGTERM."""
    client(
        "run",
        "-d",
        "--name",
        "sleeper",
        "--label",
        "who=me",
        IMAGE,
        "sh",
        "-c",
        "trap 'exit 3' TERM; while :; do sleep 0.05; done",
    )
    yield "sleeper"
    client("rm", "-fv", "sleeper", check=False)


def state(client, name: str) -> dict:
    return json.loads(client("inspect", name).stdout)[0]["State"]


def test_stop_gives_the_program_its_chance(client, sleeper: str) -> None:
    client("stop", sleeper)
    assert state(client, sleeper)["ExitCode"] == 3
    client("start", sleeper)
    assert state(client, sleeper)["Status"] == "running"


def test_stop_kills_who_does_not_listen(client) -> None:
    client("run", "-d", "--name", "deaf", IMAGE, "sh", "-c", "trap '' TERM; while :; do sleep 0.05; done")
    began = time.monotonic()
    client("stop", "-t", "1", "deaf")
    assert 1 <= time.monotonic() - began < 5 * SLOWNESS
    assert state(client, "deaf")["ExitCode"] == 137
    client("rm", "deaf")


def test_kill_sends_the_signal_named(client) -> None:
    client("run", "-d", "--name", "kk", IMAGE, "sh", "-c", "trap 'exit 9' USR1; echo ready; while :; do sleep 0.05; done")
    wait_until(lambda: client("logs", "kk").stdout == "ready\n")
    client("kill", "-s", "USR1", "kk")
    assert client("wait", "kk").stdout.strip() == "9"
    done = client("kill", "kk", check=False)
    assert done.returncode == 1 and "is not running" in done.stderr
    client("rm", "kk")


def test_pause_freezes(client, sleeper: str) -> None:
    client("pause", sleeper)
    assert state(client, sleeper)["Paused"] is True
    done = client("exec", sleeper, "true", check=False)
    assert done.returncode != 0 and "paused" in done.stderr
    client("unpause", sleeper)
    assert client("exec", sleeper, "echo", "awake").stdout == "awake\n"


def test_a_paused_container_is_killed_and_removed(client, sleeper: str) -> None:
    """A version 1 freezer lets go of nobody, not even for SIGKILL."""
    for verb in (["kill"], ["stop", "-t", "0"], ["rm", "-f"]):
        client("start", sleeper)
        client("pause", sleeper)
        client(*verb, sleeper)
        up = client("ps", "-q", "--filter", f"name={sleeper}", "--filter", "status=running", "--filter", "status=paused")
        assert up.stdout == ""


def test_restart_rename_and_ps(client, sleeper: str) -> None:
    first = state(client, sleeper)["Pid"]
    client("restart", "-t", "1", sleeper)
    assert state(client, sleeper)["Pid"] not in (0, first)
    client("rename", sleeper, "renamed")
    try:
        assert client("ps", "--format", "{{.Names}} {{.Image}}", "--filter", "label=who=me").stdout == f"renamed {IMAGE}\n"
        assert client("ps", "-q", "--filter", "name=nothing").stdout == ""
    finally:
        client("rename", "renamed", sleeper)


def test_a_container_with_rm_restarts_with_its_files(client) -> None:
    client("run", "-d", "--rm", "--name", "again", IMAGE, "sh", "-c", "trap exit TERM; while :; do sleep 0.05; done")
    client("exec", "again", "touch", "/mark")
    client("restart", "again")
    client("exec", "again", "test", "-e", "/mark")
    client("stop", "again")
    wait_until(lambda: client("inspect", "again", check=False).returncode == 1)


def test_links_are_variables_and_survive_a_renaming(client, sleeper: str) -> None:
    # A name that no container's id can contain, which stands in /etc/hosts, too.
    made = client(
        "run", "--name", "linked", "--link", f"{sleeper}:store", IMAGE, "sh", "-c", "echo $STORE_NAME; grep -c store /etc/hosts"
    )
    assert made.stdout == "/linked/store\n1\n"
    client("rename", sleeper, "another")
    assert json.loads(client("inspect", "linked").stdout)[0]["HostConfig"]["Links"] == ["/another:/linked/store"]
    client("rename", "another", sleeper)
    client("rm", "--link", "linked/store")
    assert client("start", "-a", "linked", check=False).stdout == "\n0\n"
    client("rm", "linked")
    assert "could not get container for nobody" in client("create", "--link", "nobody", IMAGE, "true", check=False).stderr


def test_a_wait_ends_with_every_exit(client) -> None:
    client("run", "-d", "--restart", "always", "--name", "often", IMAGE, "sh", "-c", "sleep 0.5; exit 3")
    assert client("wait", "often").stdout == "3\n"
    client("rm", "-f", "often")


def test_kill_returns_when_it_is_down(client) -> None:
    client("run", "-d", "--name", "victim", IMAGE, "sleep", "100")
    client("kill", "victim")
    assert (state(client, "victim")["Running"], state(client, "victim")["ExitCode"]) == (False, 137)
    client("rm", "victim")


def test_exec(client, sleeper: str) -> None:
    assert client("exec", sleeper, "echo", "hi").stdout == "hi\n"
    assert client("exec", "-i", sleeper, "cat", input="in\n").stdout == "in\n"
    assert client("exec", "-e", "X=y", "-w", "/tmp", "-u", "nobody", sleeper, "sh", "-c", "echo $X; pwd; id -u").stdout.split() == [
        "y", "/tmp", "65534"]  # fmt: skip
    assert client("exec", sleeper, "sh", "-c", "exit 5", check=False).returncode == 5
    assert client("exec", sleeper, "no-such-program", check=False).returncode == 127
    assert client("exec", sleeper, "/etc/passwd", check=False).returncode == 126
    done = client("exec", "nobody-here", "true", check=False)
    assert done.returncode == 1 and "No such container" in done.stderr


def test_an_exec_with_nobody_on_its_streams_still_ends(engine: Engine, sleeper: str) -> None:
    api = engine.api()
    made = api.call("POST", f"/containers/{sleeper}/exec", {"Cmd": ["sh", "-c", "echo unheard; exit 4"]})[1]
    assert api.call("POST", f"/exec/{made['Id']}/start", {"Detach": False}) == (200, b"")
    assert engine.api().call("GET", f"/exec/{made['Id']}/json")[1]["ExitCode"] == 4


def test_a_detached_exec_prints_what_it_likes(client, sleeper: str) -> None:
    """A terminal takes 4 KiB that nobody reads."""
    for flags in ("-d", "-dt", "-dit"):
        client("exec", flags, sleeper, "sh", "-c", f"seq 50000 && touch /printed{flags}")
        wait_until(lambda flags=flags: client("exec", sleeper, "test", "-e", f"/printed{flags}", check=False).returncode == 0)


@pytest.mark.parametrize("flags", [(), ("-i",), ("-t",)], ids=["plain", "input", "terminal"])
def test_an_exec_goes_on_when_its_client_is_gone(engine: Engine, client, sleeper: str, flags: tuple[str, ...]) -> None:
    script = "touch /begun; while ! test -e /go; do sleep 0.05; done; seq 50000 && cat && touch /ended"
    process = engine.lab.start("docker", "exec", *flags, sleeper, "sh", "-c", script, env=engine.env, stdin=subprocess.PIPE)

    def there(path: str) -> bool:
        return client("exec", sleeper, "test", "-e", path, check=False).returncode == 0

    wait_until(lambda: there("/begun"))
    process.kill()
    process.wait()
    client("exec", sleeper, "touch", "/go")
    if flags != ("-t",):
        wait_until(lambda: there("/ended"))
    else:  # no end of input there: it waits in `cat`
        wait_until(lambda: "cat" in client("top", sleeper).stdout)


def test_top_stats_and_port(client, sleeper: str) -> None:
    assert "sleep 0.05" in client("top", sleeper).stdout or "trap" in client("top", sleeper).stdout
    row = json.loads(client("stats", "--no-stream", "--format", "json", sleeper).stdout)
    assert row["Name"] == "sleeper" and int(row["PIDs"]) >= 1 and row["MemUsage"]


def test_rotated_logs_are_packed(client, engine: Engine) -> None:
    options = [word for option in ("compress=true", "max-size=20k", "max-file=20") for word in ("--log-opt", option)]
    script = "trap 'seq 8000 9000; exit' TERM; seq 3000; while :; do sleep 0.05; done"
    client("run", "-d", "--name", "packed", *options, IMAGE, "sh", "-c", script)
    directory = engine.dir / "data/containers" / json.loads(client("inspect", "packed").stdout)[0]["Id"]

    def files() -> list[str]:
        return sorted(path.name.rpartition("log")[2] for path in directory.glob("*-json.log*"))

    def all_packed() -> bool:
        rotated = [name for name in files() if name]
        return len(rotated) > 1 and all(name.endswith(".gz") for name in rotated)

    wait_until(all_packed, 20, files)
    engine.kill()
    client_gone = client("logs", "packed", check=False).returncode
    engine.start()
    assert client_gone != 0
    numbers = [str(number) for number in range(1, 3001)]
    assert client("logs", "packed").stdout.split() == numbers
    assert client("logs", "-n", "2900", "packed").stdout.split() == numbers[100:]
    following = subprocess.Popen(
        engine.lab.argv(["docker", "logs", "-f", "packed"]), env=engine.env, stdout=subprocess.PIPE, text=True
    )
    time.sleep(0.5)
    client("stop", "packed")
    assert following.communicate(timeout=20)[0].split() == numbers + [str(number) for number in range(8000, 9001)]
    wait_until(all_packed, 20, files)
    client("rm", "packed")
    assert not directory.exists()


def test_logs(client) -> None:
    client("run", "--name", "talk", IMAGE, "sh", "-c", "for i in 1 2 3; do echo $i; done; echo bad >&2")
    done = client("logs", "talk")
    assert (done.stdout, done.stderr) == ("1\n2\n3\n", "bad\n")
    assert client("logs", "-n", "2", "talk").stdout in ("3\n", "2\n3\n")
    stamped = client("logs", "-t", "talk").stdout.splitlines()[0]
    assert stamped.endswith("Z 1") and stamped[4] == "-"
    client("rm", "talk")


def test_logs_follow_to_the_end(client) -> None:
    client("run", "-d", "--name", "slow", IMAGE, "sh", "-c", "for i in 1 2 3 4 5; do echo $i; sleep 0.1; done")
    assert client("logs", "-f", "slow").stdout == "1\n2\n3\n4\n5\n"
    client("rm", "slow")


def test_logs_rotate(client, engine: Engine) -> None:
    lines = 'BEGIN { for (i = 1; i <= 5000; i++) printf "%0100d\\n", i }'
    client("run", "--name", "much", "--log-opt", "max-size=200k", "--log-opt", "max-file=3", IMAGE, "awk", lines)
    try:
        container = json.loads(client("inspect", "much").stdout)[0]
        files = sorted((engine.dir / "data/containers" / container["Id"]).glob("*-json.log*"))
        assert len(files) == 3 and all(file.stat().st_size <= 250_000 for file in files)
        tail = [int(line) for line in client("logs", "much").stdout.split()]
        assert tail == list(range(5001 - len(tail), 5001)) and 1000 < len(tail) < 5000
    finally:
        client("rm", "much")


def test_auto_remove_and_wait_together(client, engine: Engine) -> None:
    container = client("run", "-d", "--rm", IMAGE, "sh", "-c", f"sleep {0.5 * SLOWNESS}; exit 4").stdout.strip()
    assert client("wait", container).stdout.strip() == "4"
    wait_until(lambda: client("inspect", container, check=False).returncode == 1)


def test_restart_policy_counts(client) -> None:
    client("run", "-d", "--name", "again", "--restart", "on-failure:2", IMAGE, "sh", "-c", "exit 1")
    wait_until(lambda: json.loads(client("inspect", "again").stdout)[0]["RestartCount"] == 2, 15)
    wait_until(lambda: state(client, "again")["Status"] == "exited")
    client("rm", "again")


def test_remove_of_a_running_container_needs_force(client, sleeper: str) -> None:
    done = client("rm", sleeper, check=False)
    assert done.returncode == 1 and "container is running" in done.stderr
    client("rm", "-f", sleeper)
    assert client("ps", "-aq", "--filter", f"name={sleeper}").stdout == ""


def test_two_removes_at_once(engine: Engine) -> None:
    container = engine.docker("run", "-d", IMAGE, "sleep", "1000").stdout.strip()

    def remove(_: int) -> int:
        return engine.api().call("DELETE", f"/v1.40/containers/{container}?force=1")[0]

    with ThreadPoolExecutor(4) as pool:
        statuses = sorted(pool.map(remove, range(4)))
    assert statuses[0] == 204 and set(statuses) <= {204, 404, 409}
    assert container not in engine.docker("ps", "-aq", "--no-trunc").stdout


def test_names_conflict(client, sleeper: str) -> None:
    done = client("run", "--name", sleeper, IMAGE, "true", check=False)
    assert done.returncode == 125 and "already in use" in done.stderr


def test_update_changes_limits_of_a_running_container(client, sleeper: str) -> None:
    client("update", "--memory", "64m", "--memory-swap", "64m", "--pids-limit", "77", sleeper)
    script = "cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/pids/pids.max 2>/dev/null || " \
             "cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/pids.max"  # fmt: skip
    assert client("exec", sleeper, "sh", "-c", script).stdout.split() == [str(64 << 20), "77"]


def test_events_tell_the_whole_life(engine: Engine) -> None:
    since = str(time.time() - 0.001)
    engine.docker("run", "--rm", "--name", "seen", IMAGE, "true")
    out = engine.docker("events", "--since", since, "--until", str(time.time()), "--filter", "container=seen", "--format",
                        "{{.Action}}").stdout.split()  # fmt: skip
    assert out == ["create", "attach", "start", "die", "destroy"]


def test_health_checks(client) -> None:
    client("run", "-d", "--name", "ill", "--health-cmd", "test -e /ok", "--health-interval", "100ms", "--health-retries", "2",
           IMAGE, "sleep", "1000")  # fmt: skip
    try:
        wait_until(lambda: state(client, "ill")["Health"]["Status"] == "unhealthy")
        client("exec", "ill", "touch", "/ok")
        wait_until(lambda: state(client, "ill")["Health"]["Status"] == "healthy")
    finally:
        client("rm", "-f", "ill")


def test_a_client_that_vanishes_in_mid_attach_harms_nobody(engine: Engine) -> None:
    engine.docker("run", "-d", "--name", "busy", IMAGE, "sh", "-c", "while :; do echo tick; done")
    for command in ("docker", FIRKIN):
        viewer = subprocess.Popen(engine.lab.argv([command, "attach", "busy"]), env=engine.env, stdout=subprocess.PIPE)
        assert viewer.stdout and viewer.stdout.readline() == b"tick\n"
        viewer.kill()
        viewer.wait()
    before = engine.docker("logs", "-n", "1", "-t", "busy").stdout
    wait_until(lambda: engine.docker("logs", "-n", "1", "-t", "busy").stdout != before)
    engine.docker("rm", "-f", "busy")
