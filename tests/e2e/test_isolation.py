"""`inspect --isolation`: it says what the container itself sees, and something else once the container is run otherwise."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.conftest import IMAGE
from tests.lab import Engine, wait_until

from firkin.runtime.capability_names import NAMES

Run = Callable[..., dict[str, Any]]


@pytest.fixture
def run(engine: Engine) -> Iterator[Run]:
    """Start a container with these options and have its isolation told."""
    started: list[str] = []

    def start(*options: str) -> dict[str, Any]:
        name = f"isolated{len(started)}"
        started.append(name)
        engine.firkin("run", "-d", "--name", name, *options, IMAGE, "sleep", "1000")
        return isolation(engine, name)

    yield start
    for name in started:
        engine.firkin("rm", "-fv", name, check=False)


def isolation(engine: Engine, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(engine.firkin("inspect", "--isolation", "--json", name).stdout)
    return found


def inside(engine: Engine, found: dict[str, Any], command: str) -> str:
    """What a command sees in the container's namespaces and with the first process's own files of /proc."""
    output: str = engine.firkin("exec", found["Name"], "sh", "-c", command).stdout
    return output


def own(found: dict[str, Any]) -> set[str]:
    return {one["Kind"] for one in found["Namespaces"] if one["Own"]}


def mount_at(found: dict[str, Any], target: str) -> dict[str, Any]:
    one: dict[str, Any]
    (one,) = [mount for mount in found["Mounts"] if mount["Target"] == target]
    return one


def limit(found: dict[str, Any], name: str) -> str:
    return str(next(one["Limit"] for one in found["Group"]["Limits"] if one["Name"] == name))


# --- agreement with what the container sees ------------------------------------------------------------------------
def test_namespaces_are_those_the_container_is_in(engine: Engine, run: Run) -> None:
    found = run()
    for one in found["Namespaces"]:
        assert inside(engine, found, f"readlink /proc/1/ns/{one['Kind']}").strip() == f"{one['Kind']}:[{one['Id']}]"
        assert one["Own"] == (one["Id"] != one["HostId"])
        assert engine.process
        assert os.readlink(f"/proc/{engine.process.pid}/ns/{one['Kind']}") == f"{one['Kind']}:[{one['HostId']}]"
    assert {"ipc", "mnt", "net", "pid", "uts"} <= own(found)


def test_status_is_what_the_process_has(engine: Engine, run: Run) -> None:
    found = run("--cap-add", "NET_ADMIN", "--cap-drop", "CHOWN", "--user", "65534:10", "--group-add", "7")
    status = dict(line.split(":", 1) for line in inside(engine, found, "cat /proc/1/status").splitlines() if ":" in line)
    numbers = {name: number for number, name in enumerate(NAMES)}
    for name, key in (("bounding", "CapBnd"), ("effective", "CapEff"), ("inheritable", "CapInh"), ("ambient", "CapAmb")):
        held = found["Security"]["Capabilities"][name]
        assert sum(1 << numbers[one] for one in held) == int(status[key], 16)
    assert "CAP_NET_ADMIN" in found["Security"]["Capabilities"]["bounding"]
    assert "CAP_CHOWN" not in found["Security"]["Capabilities"]["bounding"]
    assert found["Security"]["Capabilities"]["effective"] == []
    users = found["Users"]
    assert (users["Uid"], users["Gid"], users["Groups"]) == (65534, 10, list(map(int, status["Groups"].split())))
    assert found["Security"]["Seccomp"]["Filters"] == int(status["Seccomp_filters"])


def test_mounts_are_those_the_container_sees(engine: Engine, run: Run) -> None:
    (engine.lab.dir / "shown").mkdir(exist_ok=True)
    found = run("-v", f"{engine.lab.dir}/shown:/bind:ro", "-v", "kept:/data", "--tmpfs", "/memory")
    seen = [line.split(" ") for line in inside(engine, found, "cat /proc/1/mountinfo").splitlines()]
    assert [(line[4], "ro" in line[5].split(",")) for line in seen] == [(m["Target"], m["ReadOnly"]) for m in found["Mounts"]]
    assert mount_at(found, "/bind")["Origin"] == f"host {engine.lab.dir}/shown"
    assert mount_at(found, "/data")["Origin"] == "volume kept"
    assert mount_at(found, "/memory")["Origin"] == "memory"
    assert mount_at(found, "/etc/hosts")["Origin"] == "engine: hosts"
    assert mount_at(found, "/proc/keys")["Origin"] == "mask" and mount_at(found, "/proc/sys")["Origin"].startswith("kernel")
    image = json.loads(engine.firkin("image", "inspect", IMAGE).stdout)[0]
    roles = [layer["Role"] for layer in found["Layers"]]
    assert roles == ["writable", "engine", "image"] and found["Layers"][-1]["DiffId"] == image["RootFS"]["Layers"][0]


def test_groups_limit_what_they_are_said_to(engine: Engine, run: Run) -> None:
    found = run("-m", "64m", "--pids-limit", "33", "--cpu-shares", "512")
    assert limit(found, "memory") == str(64 << 20)
    assert limit(found, "processes") == "33"
    group = found["Group"]["Paths"].get("memory", found["Group"]["Paths"].get(""))
    assert found["Id"] in group
    told = {
        line.split(":", 2)[1]: line.split(":", 2)[2] for line in Path(f"/proc/{found['Pid']}/cgroup").read_text().splitlines()
    }
    assert told == joined(found["Group"]["Paths"], told)
    used = next(one["Used"] for one in found["Group"]["Limits"] if one["Name"] == "memory")
    assert 0 < int(used) <= 64 << 20


def joined(paths: dict[str, str], told: dict[str, str]) -> dict[str, str]:
    return {controllers: paths[controllers.split(",")[0]] for controllers in told}


def test_the_network_leads_where_it_is_said_to(engine: Engine, run: Run) -> None:
    found = run("-p", "127.0.0.1:8123:80/udp", "-p", "8124:80")
    eth0 = next(one for one in found["Network"]["Interfaces"] if one["Name"] == "eth0")
    shown = inside(engine, found, "ip addr show eth0")
    assert eth0["Mac"] in shown and all(address in shown for address in eth0["Addresses"])
    assert eth0["Addresses"] and eth0["Up"]
    link = engine.lab.run("ip", "-o", "link", "show", eth0["HostInterface"]).stdout
    assert f"master {eth0['Bridge']}" in link
    peer = int(inside(engine, found, "cat /sys/class/net/eth0/iflink"))
    assert link.startswith(f"{peer}: ")
    ip = eth0["Addresses"][0].partition("/")[0]
    assert sorted(found["Network"]["Published"]) == [f"127.0.0.1 . udp . 8123 : {ip} . 80", f"tcp . 8124 : {ip} . 80"]
    assert any(f'"{eth0["Bridge"]}"' in rule and chain == "postrouting" for _, chain, rule in found["Network"]["Rules"])


def test_limits_and_files_are_the_processs(engine: Engine, run: Run) -> None:
    found = run("--ulimit", "nofile=321:654", "--oom-score-adj", "77")
    process = found["Process"]
    assert {"Name": "Max open files", "Soft": "321", "Hard": "654"} in process["Limits"]
    assert process["OomScoreAdj"] == 77 == int(inside(engine, found, "cat /proc/1/oom_score_adj"))
    assert [one["Number"] for one in process["Descriptors"]] == [0, 1, 2]  # nothing of the engine's has leaked in


# --- what other options change -------------------------------------------------------------------------------------
def test_privileged(run: Run) -> None:
    plain, privileged = run(), run("--privileged")
    assert privileged["Security"]["Seccomp"]["Mode"] == "disabled" and plain["Security"]["Seccomp"]["Mode"] == "filter"
    assert "CAP_SYS_ADMIN" in privileged["Security"]["Capabilities"]["effective"]
    assert "CAP_SYS_ADMIN" not in plain["Security"]["Capabilities"]["effective"]
    assert not [one for one in privileged["Mounts"] if one["Origin"] == "mask"]
    if plain["Group"]["Devices"] is not None:
        assert privileged["Group"]["Devices"] == ["a *:* rwm"] and "a *:* rwm" not in plain["Group"]["Devices"]


def test_namespaces_of_the_hosts(run: Run) -> None:
    assert {"net", "pid", "ipc", "uts"}.isdisjoint(
        own(run("--network", "host", "--pid", "host", "--ipc", "host", "--uts", "host"))
    )
    found = run("--network", "host")
    assert "net" not in own(found) and "pid" in own(found)
    assert found["Network"]["Interfaces"] == [] and "host" in found["Network"]["Note"]
    assert run("--network", "none")["Network"]["Note"] == "no link leads out of it"


def test_read_only_root(run: Run) -> None:
    assert mount_at(run("--read-only"), "/")["ReadOnly"] and not mount_at(run(), "/")["ReadOnly"]


def test_seccomp(run: Run, tmp_path: Path) -> None:
    plain = run()["Security"]["Seccomp"]
    assert plain["Verified"] and plain["Filters"] == 1 and {"mount", "keyctl", "bpf"} <= set(plain["Refused"])
    assert {"read", "write", "execve"}.isdisjoint(plain["Refused"]) and "socket" in plain["ByArguments"]
    none = run("--security-opt", "seccomp=unconfined")["Security"]["Seccomp"]
    assert (none["Mode"], none["Filters"], none["Profile"], none["Refused"]) == ("disabled", 0, "unconfined", [])
    profile = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["chroot", "swapon"], "action": "SCMP_ACT_ERRNO"}]}
    (tmp_path / "profile.json").write_text(json.dumps(profile))
    custom = run("--security-opt", f"seccomp={tmp_path}/profile.json")["Security"]["Seccomp"]
    assert custom["Refused"] == ["chroot", "swapon"] and custom["Profile"] == "custom" and custom["Program"] != plain["Program"]
    powerful = run("--cap-add", "SYS_ADMIN")["Security"]["Seccomp"]
    assert "mount" not in powerful["Refused"] and "kexec_load" in powerful["Refused"]


def test_what_is_refused_is_refused(engine: Engine, run: Run, tmp_path: Path) -> None:
    profile = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["sethostname"], "action": "SCMP_ACT_ERRNO"}]}
    (tmp_path / "profile.json").write_text(json.dumps(profile))
    found = run("--cap-add", "SYS_ADMIN", "--security-opt", f"seccomp={tmp_path}/profile.json")
    assert found["Security"]["Seccomp"]["Refused"] == ["sethostname"]
    done = engine.firkin("exec", found["Name"], "hostname", "other", check=False)
    assert done.returncode != 0 and "ermitted" in done.stderr


def test_no_new_privileges(run: Run) -> None:
    assert run("--security-opt", "no-new-privileges")["Security"]["NoNewPrivileges"] is True
    assert run()["Security"]["NoNewPrivileges"] is False


# --- the command and the route -------------------------------------------------------------------------------------
def test_the_page_fits_a_screen_and_names_what_matters(engine: Engine, run: Run) -> None:
    found = run("-p", "8125:80")
    page = engine.firkin("inspect", "--isolation", found["Name"]).stdout
    other = engine.firkin("container", "inspect", "--isolation", found["Name"]).stdout
    assert page.splitlines()[:5] == other.splitlines()[:5]
    assert len(page.splitlines()) <= 60 and max(map(len, page.splitlines())) <= 120
    for words in ("Namespaces", "SHARED with the host", "net_bind_service", "refuses", "over sha256:", "hidden: /proc/", "-> bridge", "published: tcp . 8125"):  # fmt: skip
        assert words in page, words


def test_every_version_of_the_api_has_the_route(engine: Engine, run: Run) -> None:
    found = run()
    for prefix in ("", "/v1.24", "/v1.54"):
        status, document = engine.api().call("GET", f"{prefix}/firkin/containers/{found['Id'][:12]}/isolation")
        assert status == 200 and document["Namespaces"] == found["Namespaces"]


def test_only_a_running_container_is_isolated(engine: Engine, run: Run) -> None:
    found = run("--init")
    assert engine.api().call("GET", "/firkin/containers/nobody/isolation")[0] == 404
    engine.firkin("pause", found["Name"])
    assert isolation(engine, found["Name"])["Pid"] == found["Pid"]
    engine.firkin("unpause", found["Name"])
    engine.firkin("kill", found["Name"])
    wait_until(lambda: engine.api().call("GET", f"/containers/{found['Id']}/json")[1]["State"]["Status"] == "exited")
    done = engine.firkin("inspect", "--isolation", found["Name"], check=False)
    assert done.returncode == 1 and "is not running" in done.stderr
    assert engine.firkin("inspect", "--isolation", "--type", "image", IMAGE, check=False).returncode == 1


def test_it_outlives_the_daemon(engine: Engine, run: Run) -> None:
    before = run("-m", "32m")
    engine.kill()
    engine.start()
    after = isolation(engine, before["Name"])
    for part in ("Pid", "Namespaces", "Security", "Mounts", "Layers", "Users"):
        assert before[part] == after[part]
    assert limit(after, "memory") == str(32 << 20)
