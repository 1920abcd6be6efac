"""Whatever fails or vanishes, and whenever: no mount, interface, group, rule, record, port or descriptor stays."""

from __future__ import annotations

import json
import os
import random
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.e2e.conftest import IMAGE
from tests.e2e.served import Served
from tests.e2e.traces import CGROUPS, cgroups, names, remove_cgroups, same_again, traces
from tests.images.rig import Sample, tar_of
from tests.lab import FIRKIN, Engine, Lab, busybox_tar, wait_until

PARENT = f"/firkin-traces-{os.getpid()}"  # a cgroup parent of these tests' own: other engines may run beside them
KEPT = ("holder", "down", "talker")
LISTEN = "import socket, time; s = socket.create_server(('0.0.0.0', 8201)); print(flush=True); time.sleep(1000)"


@pytest.fixture(scope="module", autouse=True)
def parents() -> Iterator[None]:
    """Removed last of all, when the laboratory is closed."""
    yield
    for suffix in ("", "-k", "-p"):
        remove_cgroups(PARENT + suffix)


@pytest.fixture(scope="module")
def engine(lab: Lab) -> Iterator[Engine]:
    """One that has made already what the first containers make for all later ones."""
    engine = Engine(lab, "traces", "--cgroup-parent", PARENT).start()
    engine.firkin("import", str(busybox_tar(lab.dir)), IMAGE)
    engine.docker("network", "create", "--subnet", "10.77.0.0/30", "tiny")  # room for one
    engine.docker("run", "--rm", "-i", "-v", "/x", "-p", "8200:80", "--network", "tiny", IMAGE, "true")
    engine.docker("run", "--rm", "--ipc", "shareable", IMAGE, "true")
    yield engine
    engine.docker("rm", "-fv", *engine.docker("ps", "-aq").stdout.split(), check=False)
    engine.stop()


@pytest.fixture(scope="module")
def others(engine: Engine, lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What stands in the way: a port of a container's, a port of a process's, a container down; and files to name."""
    engine.docker("run", "-d", "--name", "holder", "-p", "8200:80", IMAGE, "sleep", "1000")
    engine.docker("create", "--name", "down", IMAGE, "true")
    listener = subprocess.Popen(lab.argv(["python3", "-c", LISTEN]), stdout=subprocess.PIPE)
    lab._processes.append(listener)
    assert listener.stdout and listener.stdout.readline()
    files = tmp_path_factory.mktemp("files")
    (files / "file").write_text("#!/bin/sh\n")
    (files / "broken.json").write_text('{"defaultAction": "SCMP_ACT_NOPE", "syscalls": []}')
    (files / "unknown.json").write_text('{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": "all of them"}')
    return files


# What to ask for, the exit code `docker run` has, and words of the message.
FAILURES: dict[str, tuple[list[str], int, str]] = {
    "no such command": ([IMAGE, "no-such-program"], 127, "executable file not found in $PATH"),
    "no such path": ([IMAGE, "/no/such/program"], 127, "no such file or directory"),
    "not executable": (["-v", "FILES/file:/file", IMAGE, "/etc/passwd"], 126, "permission denied"),
    "a directory as command": ([IMAGE, "/etc"], 126, "is a directory"),
    "an interpreter that is missing": (["-v", "FILES/noshell:/noshell", IMAGE, "/noshell"], 127, "no such file or directory"),
    "no such user": (["-u", "stranger", IMAGE, "true"], 125, "unable to find user stranger"),
    "no such group": (["--group-add", "strangers", IMAGE, "true"], 125, "unable to find group strangers"),
    "bind source missing": (["--mount", "type=bind,src=/no/such,dst=/x", IMAGE, "true"], 125, "bind source path does not exist"),
    "a file bound over a directory": (["-v", "FILES/file:/etc", IMAGE, "true"], 125, "not a directory"),
    "a working directory that is a file": (["-w", "/etc/passwd", IMAGE, "true"], 125, "not a directory"),
    "no such sysctl": (["--sysctl", "net.ipv4.no_such=1", IMAGE, "true"], 127, "no_such"),
    "a sysctl of the host's": (["--sysctl", "kernel.hostname=x", IMAGE, "true"], 125, "kernel.hostname"),
    "a port another container has": (["-p", "8200:80", IMAGE, "true"], 125, "port is already allocated"),
    "a port another process has": (["-p", "8202:80", "-p", "8201:80", IMAGE, "true"], 125, "address already in use"),
    "no such device": (["--device", "/dev/no-such", IMAGE, "true"], 127, "/dev/no-such"),
    "an unknown action in the seccomp profile": (["--security-opt", "seccomp=FILES/broken.json", IMAGE, "true"], 125, "seccomp"),
    "no seccomp profile at all": (["--security-opt", "seccomp=FILES/unknown.json", IMAGE, "true"], 125, "seccomp"),
    "no such processor": (["--cpuset-cpus", "4000", IMAGE, "true"], 125, "4000"),
    "a network of a container that is down": (["--network", "container:down", IMAGE, "true"], 125, "non running container"),
    "a pid namespace of a container that is down": (["--pid", "container:down", IMAGE, "true"], 125, "non running container"),
    "less memory than anything needs": (["-m", "1m", IMAGE, "true"], 125, "memory"),
    "no such capability": (["--cap-add", "no_such", IMAGE, "true"], 125, "NO_SUCH"),
    "no such network": (["--network", "no-such", IMAGE, "true"], 125, "no-such"),
    "no such runtime": (["--runtime", "no-such", IMAGE, "true"], 125, "no-such"),
}  # fmt: skip


@pytest.mark.parametrize("failure", FAILURES)
def test_a_failed_start(engine: Engine, others: Path, failure: str) -> None:
    (others / "noshell").write_text("#!/no/such/shell\n")
    (others / "noshell").chmod(0o755)
    asked, code, words = FAILURES[failure]
    argv = [word.replace("FILES", str(others)) for word in asked]
    free = [] if "--network" in argv else ["--network", "tiny"]
    clear(engine)
    before = traces(engine, PARENT)
    for extra in (["--rm"], ["-i", "--name", "failed", "-v", "/volume", "--ipc", "shareable"]):
        done = engine.docker("run", *extra, *free, *argv, check=False, input="for nobody\n")
        assert (done.returncode, done.stdout.replace("\n", "")[64:]) == (code, ""), done.stderr
        assert words in done.stderr, done.stderr
    held = {key: value for key, value in before.items() if not key.startswith("data")}
    same_again(engine, PARENT, held)  # the containers themselves are still there: what they hold is files of their own
    clear(engine)
    same_again(engine, PARENT, before)
    engine.docker("run", "--rm", "--network", "tiny", "-p", "8202:80", IMAGE, "true")  # its one address is free


def clear(engine: Engine) -> None:
    """Remove what a test made and left."""
    listed = engine.docker("ps", "-a", "--format", "{{.ID}} {{.Names}}").stdout.splitlines()
    engine.docker("rm", "-fv", *(line.split()[0] for line in listed if line.split()[1] not in KEPT), check=False)


def test_an_exhausted_pool(engine: Engine) -> None:
    engine.docker("run", "-d", "--name", "only", "--network", "tiny", IMAGE, "sleep", "1000")
    before = traces(engine, PARENT)
    done = engine.docker("run", "--rm", "--network", "tiny", "-p", "8203:80", IMAGE, "true", check=False)
    assert done.returncode == 125 and "no available IPv4 addresses on this network's address pools: tiny" in done.stderr
    same_again(engine, PARENT, before)
    engine.docker("rm", "-f", "only")
    engine.docker("run", "--rm", "--network", "tiny", "-p", "8203:80", IMAGE, "true")


def test_input_of_a_start_after_a_failed_one(engine: Engine, tmp_path: Path) -> None:
    """The failed start took the pipe along; the next one has a pipe of its own."""
    engine.docker("create", "-i", "--name", "again", "--mount", f"type=bind,src={tmp_path},dst=/x", IMAGE, "cat")
    away = tmp_path.rename(tmp_path.with_name("away"))
    done = engine.docker("start", "-ai", "again", check=False, input="lost\n")
    assert done.returncode == 1 and "bind source" in done.stderr, done.stderr
    away.rename(tmp_path)
    assert engine.docker("start", "-ai", "again", input="kept\n").stdout == "kept\n"
    engine.docker("rm", "again")


# --- at once -----------------------------------------------------------------------------------------------------------


def at_once(calls: list[Callable[[], int]]) -> list[int]:
    with ThreadPoolExecutor(len(calls)) as pool:
        return sorted(future.result(60) for future in [pool.submit(call) for call in calls])


def api(engine: Engine, method: str, path: str, body: object = None) -> Callable[[], int]:
    def call() -> int:
        status, answer = engine.api().call(method, "/v1.41" + path, body)
        if status >= 500:
            print(f"{method} {path}: {status} {answer}")
        return status

    return call


def test_many_creates_of_one_name(engine: Engine) -> None:
    before = traces(engine, PARENT)
    one = api(engine, "POST", "/containers/create?name=wanted", {"Image": IMAGE, "Cmd": ["true"]})
    assert at_once([one] * 12) == [201] + [409] * 11
    assert engine.docker("ps", "-aq", "--filter", "name=wanted").stdout.count("\n") == 1
    engine.docker("rm", "wanted")
    same_again(engine, PARENT, before)


def test_starts_and_removes_at_once(engine: Engine) -> None:
    """Whoever comes first, each answer is one of Docker's, and in the end there is a container or there is none."""
    before = traces(engine, PARENT)
    for name in (f"race{number}" for number in range(8)):
        engine.docker("create", "--name", name, "-p", "8204:80", IMAGE, "sleep", "1000")
        start = api(engine, "POST", f"/containers/{name}/start")
        remove = api(engine, "DELETE", f"/containers/{name}?force=1")
        if name == "race0":
            assert at_once([start] * 4) == [204, 304, 304, 304]
        else:
            answers = at_once([start, start, remove, remove])
            assert set(answers) <= {204, 304, 404, 409}, answers
        assert engine.api().call("DELETE", f"/v1.41/containers/{name}?force=1")[0] in (204, 404)
    same_again(engine, PARENT, before)


def test_a_remove_comes_before_the_one_that_rm_asked_for(engine: Engine) -> None:
    for _ in range(5):
        engine.docker("run", "-d", "--rm", "--name", "brief", IMAGE, "sleep", "1000")
        engine.docker("rm", "-f", "brief")


def test_everything_to_one_container_at_once(engine: Engine) -> None:
    before = traces(engine, PARENT)
    engine.docker("run", "-d", "--name", "busy", IMAGE, "sleep", "1000")
    verbs = ["stop?t=0", "kill", "restart?t=0", "pause", "unpause", "start", "rename?name=other"]
    calls = [api(engine, "POST", f"/containers/busy/{verb}") for verb in verbs]
    answers = at_once(calls * 2)
    assert set(answers) <= {204, 304, 400, 404, 409}, answers  # 400: it has that name already
    for name in ("busy", "other"):
        engine.api().call("DELETE", f"/v1.41/containers/{name}?force=1")
    same_again(engine, PARENT, before)


def test_a_pause_never_holds_up_a_kill(engine: Engine) -> None:
    """In whatever order they come; in a version 1 freezer a process that is frozen does not die."""
    before = traces(engine, PARENT)
    for _ in range(15):
        engine.docker("run", "-d", "--name", "brittle", IMAGE, "sleep", "1000")
        began = time.monotonic()
        pause, stop, kill = (api(engine, "POST", f"/containers/brittle/{verb}") for verb in ("pause", "stop?t=0", "kill"))
        answers = at_once([pause, kill, stop])
        assert set(answers) <= {204, 304, 409}, answers
        assert time.monotonic() - began < 8
        engine.docker("rm", "-f", "brittle")
    same_again(engine, PARENT, before)


# --- clients that vanish -----------------------------------------------------------------------------------------------

TALKER = ["sh", "-c", "while :; do echo tick; done"]
FOLLOWING = {
    "attach": ["attach", "talker"],
    "logs -f": ["logs", "-f", "talker"],
    "stats": ["stats", "talker"],
    "events": ["events", "--since", "1"],
    "exec": ["exec", "talker", "sh", "-c", "for i in 1 2 3 4 5; do echo tick; sleep 0.1; done"],
    "export": ["export", "talker"],
    "save": ["save", IMAGE],
}


@pytest.fixture(scope="module")
def talker(engine: Engine) -> Iterator[str]:
    engine.docker("run", "-d", "--name", "talker", "--log-opt", "max-size=1m", IMAGE, *TALKER)
    yield "talker"
    engine.docker("rm", "-f", "talker")


@pytest.mark.parametrize("command", FOLLOWING)
def test_a_client_killed_in_the_middle(engine: Engine, talker: str, command: str) -> None:
    """Descriptors are back where they were, and the container goes on."""
    engine.docker("version")
    held = {key: value for key, value in traces(engine, PARENT).items() if key.startswith("descriptors")}
    for program in ("docker", FIRKIN):
        client = subprocess.Popen(engine.lab.argv([program, *FOLLOWING[command]]), env=engine.env, stdout=subprocess.PIPE)
        assert client.stdout and client.stdout.read(1)
        client.kill()
        client.wait()
        client.stdout.close()
    same_again(engine, PARENT, held)
    before = engine.docker("logs", "-n", "1", "-t", talker).stdout
    wait_until(lambda: engine.docker("logs", "-n", "1", "-t", talker).stdout != before)


@pytest.mark.parametrize("what", ["attach", "wait", "half a request"])
def test_a_client_that_leaves_before_the_start(engine: Engine, what: str) -> None:
    before = traces(engine, PARENT)
    engine.docker("create", "-i", "--name", "early", IMAGE, "cat")
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(engine.sock)
        path = {"attach": "attach?stream=1&stdin=1&stdout=1&stderr=1", "wait": "wait?condition=next-exit"}.get(what, "start")
        upgrade = "Connection: Upgrade\r\nUpgrade: tcp\r\n" if what == "attach" else ""
        body = "Content-Length: 100\r\n\r\n{" if what == "half a request" else "\r\n"
        client.sendall(f"POST /v1.41/containers/early/{path} HTTP/1.1\r\nHost: x\r\n{upgrade}{body}".encode())
        if what == "attach":
            assert client.recv(100)
        else:
            time.sleep(0.1)
    engine.docker("rm", "-f", "early")
    same_again(engine, PARENT, before)


# --- a disk that is full -------------------------------------------------------------------------------------------------


def test_a_full_disk_during_pull_and_start(lab: Lab) -> None:
    disk = lab.dir / "small"
    (disk / "data").mkdir(parents=True)
    lab.run("mount", "-t", "tmpfs", "-o", "size=8m", "none", str(disk / "data"))
    small = Engine(lab, "small", "--bridge", "fksmall", "--cgroup-parent", PARENT).start()
    data = f"/proc/{lab.pid}/root{disk}/data"
    with Served(lab, 5003) as registry:
        registry.add(
            Sample(tar_of({"f": random.Random(1).randbytes(3 << 20)}), tar_of({"g": random.Random(2).randbytes(4 << 20)}))
        )
        before = names(Path(data), 2)
        for client in (small.docker, small.firkin):
            done = client("pull", f"{registry.host}/app", check=False)
            assert done.returncode == 1 and "no space left on device" in done.stderr, done.stderr
            wait_until(lambda: names(Path(data), 2) == before, 10, lambda: (before, names(Path(data), 2)))
        assert small.docker("images", "-q").stdout == ""
        lab.run("mount", "-o", "remount,size=40m", str(disk / "data"))
        small.docker("pull", f"{registry.host}/app")
    small.firkin("import", str(busybox_tar(lab.dir)), IMAGE)
    small.docker("create", "--name", "waits", "-p", "8205:80", IMAGE, "echo", "there")
    small.docker("run", "--rm", IMAGE, "true")
    idle = traces(small, PARENT)
    lab.run("sh", "-c", f"cat /dev/zero > {disk}/data/ballast", check=False)
    done = small.docker("start", "-a", "waits", check=False)
    if done.returncode:
        assert "no space left on device" in done.stderr
    refused = small.docker("run", "--rm", IMAGE, "echo", "there", check=False)
    assert refused.returncode in (0, 125) and "no space left" in (refused.stderr or "no space left"), refused.stderr
    lab.run("rm", f"{disk}/data/ballast")
    same_again(small, PARENT, {key: value for key, value in idle.items() if key != "data"})
    assert small.docker("start", "-a", "waits").stdout.endswith("there\n")
    small.docker("rm", "waits")
    small.stop()
    lab.run("umount", str(disk / "data"))


# --- a daemon that ends ----------------------------------------------------------------------------------------------------


def test_a_daemon_that_ends_takes_its_group_along(lab: Lab) -> None:
    """Of a container that was up, too."""
    parent = PARENT + "-e"
    engine = Engine(lab, "brief", "--bridge", "fkbrief", "--cgroup-parent", parent).start()
    engine.firkin("import", str(busybox_tar(lab.dir)), IMAGE)
    engine.docker("run", "-d", "--stop-timeout", "0", IMAGE, "sleep", "1000")
    assert cgroups(parent)
    engine.stop()
    assert not any((hierarchy / parent[1:]).exists() for hierarchy in (CGROUPS, *CGROUPS.iterdir()))


# --- a daemon that is killed -----------------------------------------------------------------------------------------------


def known(engine: Engine) -> set[str]:
    return set(engine.docker("ps", "-aq", "--no-trunc").stdout.split())


def test_a_daemon_killed_at_any_moment_of_a_start(lab: Lab) -> None:
    """After each kill the next daemon knows every container it has files of, and only what it says runs does run."""
    engine = Engine(lab, "killed", "--bridge", "fkkilled", "--cgroup-parent", PARENT + "-k").start()
    engine.firkin("import", str(busybox_tar(lab.dir)), IMAGE)
    engine.docker("run", "-d", "--name", "stays", "--ipc", "shareable", IMAGE, "sleep", "1000")
    engine.docker("run", "--rm", "-p", "8206:80", IMAGE, "true")
    idle = traces(engine, PARENT + "-k")
    moments = random.Random(13)
    for number in range(10):
        options = ["--ipc", "shareable", *(["--rm"] if number % 2 else [])]
        clients = [
            subprocess.Popen(
                lab.argv(["docker", "run", "-d", *options, "-v", "/x", "-p", f"{8300 + k}:80", IMAGE, "sleep", "1000"]),
                env=engine.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            ) for k in range(3)
        ]  # fmt: skip
        time.sleep(moments.uniform(0.02, 0.12))
        engine.kill()
        for client in clients:
            client.wait()
        engine.start()
        check_settled(engine, PARENT + "-k")
        started = known(engine) - {json.loads(engine.docker("inspect", "stays").stdout)[0]["Id"]}
        for container in started:
            engine.docker("start", container, check=False)
        if started:
            engine.docker("rm", "-fv", *started)
        engine.docker("volume", "prune", "-f")
        same_again(engine, PARENT + "-k", {k: v for k, v in idle.items() if not k.startswith(("desc", "rules"))})
    assert engine.docker("exec", "stays", "echo", "alive").stdout == "alive\n"
    engine.docker("rm", "-f", "stays")
    engine.stop()


def check_settled(engine: Engine, parent: str) -> None:
    def wrong() -> list[object]:
        there = known(engine)
        up = set(engine.docker("ps", "-q", "--no-trunc").stdout.split())
        files = {
            kind: {name for name in os.listdir(engine.dir / "data" / kind) if len(name) == 64}
            for kind in ("containers", "snapshots")
        }
        groups = {Path(path).name for path in cgroups(parent)}
        records = set(os.listdir(engine.dir / "exec/running"))
        veths = engine.lab.run("ip", "-br", "link", "show", "master", "fkkilled").stdout.count("\n")
        rules = sum(engine.lab.run("nft", "list", "ruleset").stdout.count(f"{8300 + k}") > 0 for k in range(3))
        published = sum(engine.docker("port", one).stdout.count("0.0.0.0") for one in up)
        facts = {"containers": (files["containers"], there), "snapshots": (files["snapshots"], there), "cgroups": (groups, up),
                 "records": (records, up), "shared memory": (shared_memory(engine), (up, up)), "veths": (veths, len(up)), "rules": (rules, published)}  # fmt: skip
        return [(name, is_, should) for name, (is_, should) in facts.items() if is_ != should]

    wait_until(lambda: not wrong(), 10, wrong)


def shared_memory(engine: Engine) -> tuple[set[str], set[str]]:
    """Whose directories there are, and whose are mounts."""
    place = engine.dir / "exec/shm"
    mounts = [line.split()[1] for line in Path(f"/proc/{engine.lab.pid}/mounts").read_text().splitlines()]
    return set(os.listdir(place)), {Path(path).name for path in mounts if Path(path).parent == place}


def test_a_daemon_killed_at_any_moment_of_a_pull(lab: Lab) -> None:
    engine = Engine(lab, "pulling", "--bridge", "fkpulling", "--cgroup-parent", PARENT + "-p").start()
    data = engine.dir / "data"
    before = set(names(data, 2))
    moments = random.Random(6)
    with Served(lab, 5004) as registry:
        sample = Sample(*(tar_of({f"f{n}": random.Random(n).randbytes(2 << 20)}) for n in range(5)))
        registry.add(sample)
        for _ in range(10):
            client = subprocess.Popen(engine.lab.argv(["docker", "pull", "-q", f"{registry.host}/app"]), env=engine.env,
                                      stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
            time.sleep(moments.uniform(0.02, 0.35))
            engine.kill()
            client.wait()
            engine.start()
            new = {path for path in set(names(data, 2)) - before if "/" in path}
            if engine.docker("images", "-q").stdout == "":
                wanted = {"images/references.json"} | {f"ingest/{layer.removeprefix('sha256:')}" for layer in sample.blobs}
                assert {path for path in new if not path.startswith(("blobs/", "layers/"))} <= wanted
            else:
                engine.docker("rmi", "-f", f"{registry.host}/app")
        engine.docker("pull", f"{registry.host}/app")
        engine.docker("rmi", f"{registry.host}/app")

    def left() -> set[str]:
        return {path for path in set(names(data, 2)) - before if path.startswith(("layers/", "ingest/", "blobs/sha256/"))}

    wait_until(lambda: not left(), 10, left)
    engine.stop()


def test_a_client_that_leaves_a_pull(lab: Lab, engine: Engine) -> None:
    """What came so far is kept for the next time, and nothing else."""
    before = traces(engine, PARENT)
    with Served(lab, 5005) as registry:
        sample = Sample(tar_of({"f": random.Random(1).randbytes(2 << 20)}))
        registry.add(sample)
        registry.faults[sample.layers[0]["digest"]] = ["stall"]
        client = subprocess.Popen(
            engine.lab.argv(["docker", "pull", f"{registry.host}/app"]), env=engine.env, stdout=subprocess.DEVNULL
        )
        wait_until(lambda: registry.requests(sample.layers[0]["digest"]))
        time.sleep(0.1)
        client.kill()
        client.wait()
        same_again(engine, PARENT, {key: value for key, value in before.items() if key.startswith("descriptors")})
        engine.docker("pull", f"{registry.host}/app")
        assert registry.requests(sample.layers[0]["digest"])[-1].headers["Range"]
        engine.docker("rmi", f"{registry.host}/app")
    same_again(engine, PARENT, before)
