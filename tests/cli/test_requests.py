"""The same flags make the same request: Docker's own client and Firkin's, both talking to a daemon that records."""

from __future__ import annotations

import json
import os
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.cli.recorder import Recorder
from tests.lab import FIRKIN

# Defaults that Docker's client spells out and Firkin's leaves to the daemon.
SPELLED_OUT = {
    ("HostConfig", "NetworkMode"): "default",
    ("HostConfig", "MemorySwappiness"): -1,
    ("HostConfig", "RestartPolicy"): {"Name": "no"},
    ("HostConfig", "ConsoleSize"): [0, 0],
}

CASES = [
    "",
    "-d",
    "-i",
    "-a stdin -a stdout -i",
    "--entrypoint /bin/sh",
    "--entrypoint=",
    "-e A=b -e HOME -e UNSET_HERE --env-file ENVFILE",
    "-l a=b -l c --label-file LABELFILE --annotation x=y",
    "-u 5:6 -w /tmp -h box --domainname d --init --stop-signal INT --stop-timeout 5",
    "--rm --restart no",
    "--restart on-failure:3",
    "-m 64m --memory-swap -1 --memory-reservation 32m --memory-swappiness 10 --oom-kill-disable --oom-score-adj 5",
    "--cpus 1.5 -c 512 --cpuset-cpus 0-1 --cpuset-mems 0 --cpu-period 1000 --cpu-quota 2000 --pids-limit 9",
    "--blkio-weight 100 --blkio-weight-device /dev/sda:200 --device-read-bps /dev/sda:1mb --device-write-iops /dev/sda:5",
    "--device /dev/fuse --device /dev/null:/dev/x:r --device /dev/zero:rw --device-cgroup-rule 'c 1:* rwm'",
    "--ulimit nofile=10:20 --ulimit core=0 --shm-size 1g --sysctl net.ipv4.ip_forward=1",
    "-p 80 -p 8080:80 -p 127.0.0.1:9000-9002:9000-9002/udp -p 7000-7005:70 -p [::1]:53:53/udp --expose 5-7 --expose 9/udp -P",
    "-p published=8080,target=80,protocol=udp",
    "-v /a:/b -v /c -v vol:/d:ro -v ./here:/e --volume-driver local --volumes-from x:ro",
    "--mount type=bind,src=/a,dst=/b,ro --mount type=volume,source=v,target=/c,volume-nocopy,volume-label=a=b",
    "--mount type=tmpfs,target=/t,tmpfs-size=1m,tmpfs-mode=1770 --tmpfs /x --tmpfs /y:size=1m",
    "--mount type=volume,target=/v,volume-driver=d,volume-opt=a=b --mount type=bind,src=/a,target=/z,bind-propagation=rslave",
    "--network none",
    "--network n1 --ip 10.0.0.2 --network-alias a --network-alias b --mac-address 02:42:ac:11:00:02 --link x:y",
    "--network name=n1,alias=a,ip=10.0.0.3,driver-opt=k=v --network n2",
    "--net host --ipc host --pid host --uts host --userns host --cgroupns private --cgroup-parent /p --runtime r",
    "--dns 1.1.1.1 --dns-search x --dns-opt ndots:1 --add-host a:1.2.3.4 --add-host b=::1",
    "--cap-add NET_ADMIN --cap-drop ALL --privileged --group-add 5 --read-only",
    "--security-opt no-new-privileges --security-opt seccomp=unconfined --security-opt systempaths=unconfined",
    "--security-opt seccomp=PROFILE --security-opt label=disable",
    "--health-cmd 'x y' --health-interval 5s --health-retries 3 --health-start-period 1m --health-timeout 2s",
    "--no-healthcheck",
    "--log-driver json-file --log-opt max-size=1m --storage-opt size=1g",
]


def prune(value: Any) -> Any:
    """Without what is empty, which means the same as not being there."""
    if isinstance(value, list):
        return [prune(each) for each in value]
    if not isinstance(value, dict):
        return value
    kept = {key: prune(each) for key, each in value.items()}
    return {key: each for key, each in kept.items() if each not in (None, "", 0, [], {}, False)}


def normalised(body: dict[str, Any]) -> dict[str, Any]:
    body = json.loads(json.dumps(body))
    for (outer, key), value in SPELLED_OUT.items():
        if prune(body.get(outer, {}).get(key)) == value:
            del body[outer][key]
    host = body.get("HostConfig", {})
    host["Ulimits"] = sorted(host.get("Ulimits") or [], key=lambda limit: limit["Name"])
    # Docker's own order of these two changes from run to run: it walks a map on the way.
    host["Binds"] = sorted(host.get("Binds") or [])
    body["Env"] = sorted(body.get("Env") or [])
    host["CapAdd"] = [name.removeprefix("CAP_") for name in host.get("CapAdd") or []]
    for mapping in (body.get("HostConfig", {}).get("PortBindings") or {}).values():
        for binding in mapping:
            binding["HostIp"] = binding["HostIp"].strip("[]")
    endpoints = body.get("NetworkingConfig", {}).get("EndpointsConfig") or {}
    body["Networks"] = {
        name: prune(endpoint or {}) for name, endpoint in endpoints.items() if name != "default" or prune(endpoint)
    }
    body.pop("NetworkingConfig", None)
    exposed = sorted(body.pop("ExposedPorts", None) or {})
    volumes = sorted(body.pop("Volumes", None) or {})
    tmpfs = body.get("HostConfig", {}).pop("Tmpfs", None) or {}
    body.pop("MacAddress", None)  # beside the endpoint's since API 1.44
    return {**prune(body), "exposed": exposed, "volumes": volumes, "tmpfs": tmpfs, "entrypoint": body.get("Entrypoint")}


@pytest.mark.parametrize("case", CASES)
def test_the_same_flags_make_the_same_request(case: str, recorder: Recorder, tmp_path: Path) -> None:
    if not shutil.which("docker"):
        pytest.skip("no docker command on this machine")
    (tmp_path / "env").write_text("# comment\n\nF=1\n  G=2 3\nHOME\nUNSET_HERE\n")
    (tmp_path / "labels").write_text("l1=v1\nl2\n")
    (tmp_path / "profile").write_text('{ "defaultAction": "SCMP_ACT_ALLOW" }\n')
    for word, file in (("ENVFILE", "env"), ("LABELFILE", "labels"), ("PROFILE", "profile")):
        case = case.replace(word, str(tmp_path / file))
    bodies = []
    for program in ("docker", FIRKIN):
        done = recorder.run(program, "run", *shlex.split(case), "image", "command", "-x", "--rm", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        bodies.append(normalised(recorder.body("/containers/create")))
    assert bodies[1] == bodies[0]


def test_the_create_request_of_exec_is_dockers(recorder: Recorder) -> None:
    if not shutil.which("docker"):
        pytest.skip("no docker command on this machine")
    words = ["exec", "-e", "A=b", "-u", "me", "-w", "/x", "--privileged", "-i", "c1", "ls", "-l"]
    bodies = []
    for program in ("docker", FIRKIN):
        assert recorder.run(program, *words).returncode == 0
        bodies.append(prune(recorder.body("/exec")))
    assert bodies[1] == bodies[0]


def test_run_takes_four_requests_in_an_order_that_loses_nothing(recorder: Recorder) -> None:
    done = recorder.firkin("run", "--rm", "image", "true")
    assert (done.returncode, done.stdout) == (0, "hi\n")
    order = [target.split("?")[0].rsplit("/", 1)[1] for _, target, _ in recorder.requests]
    assert order[0] == "create"
    assert sorted(order[1:3]) == ["attach", "wait"]
    assert order[3:] == ["start"]


def test_proxies_of_the_configuration_reach_the_container(recorder: Recorder) -> None:
    with open(os.path.join(recorder.dir, "config.json"), "w") as file:
        json.dump({"proxies": {"default": {"httpProxy": "http://p:1"}}, "HttpHeaders": {"X-Mine": "1"}}, file)
    recorder.firkin("run", "-e", "HTTP_PROXY=own", "image")
    assert sorted(recorder.body("/create")["Env"]) == ["HTTP_PROXY=own", "http_proxy=http://p:1"]
