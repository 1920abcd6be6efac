"""Run one container from a configuration, by our plan or by runc, and print what became of it as JSON.

Usage: plan_runner.py REQUEST, inside mount and network namespaces of its own. REQUEST (JSON): "root", a directory;
"argv"; "config", "host", "mounts", "files" as the engine's records have them; "runc": true for the other runtime;
"exec": argv of a second process, with "exec_request"; "before", "during", "after": shell commands run on the host.
Prints {"out", "code", "failed", "exec_out", "after"}.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import tempfile
import time
from typing import Any

import msgspec
from tests.lab import SLOWNESS

from firkin.linux.netlink import Netlink
from firkin.linux.process import pidfd_open
from firkin.model import Container, ContainerConfig, ExecRequest, HostConfig, MountPoint
from firkin.oci.runtime_config import Config, Root, to_json
from firkin.runtime import devices, machine, plan, plan_joining, seccomp_compile, spec
from firkin.runtime.describe import describe
from firkin.runtime.sandbox import Sandbox
from firkin.runtime.seccomp_cache import Filters
from firkin.runtime.spawn import Outcome, spawn

MACHINE = machine.detect(unified_cgroups=False)


def container(request: dict[str, Any]) -> Container:
    host = {"network_mode": "none", "ipc_mode": "private", **request.get("host", {})}
    return Container(
        id="f" * 64,
        name="probe",
        created=0,
        config=msgspec.convert({"hostname": "box", **request.get("config", {})}, ContainerConfig),
        host=msgspec.convert(host, HostConfig),
        image_id="sha256:" + "0" * 64,
        path=request["argv"][0],
        args=tuple(request["argv"][1:]),
        mounts=msgspec.convert(request.get("mounts", []), tuple[MountPoint, ...]),
    )


def program(seccomp: Any, directory: str) -> bytes:
    return Filters(directory + "/caches").program(seccomp) if seccomp else b""


def wait(made: dict[str, Any], handed: dict[str, int]) -> tuple[Any, Outcome]:
    child, outcome = spawn(made, handed, Netlink()), Outcome()
    while not outcome.done:
        select.select([child.status], [], [])
        outcome.read(child.status)
        former = child.pid
        if child.follow(outcome):
            os.waitpid(former, 0)
    return child, outcome


def drain(fd: int) -> str:
    output = b""
    while True:
        try:
            chunk = os.read(fd, 65536)
        except OSError:  # EIO: the terminal's other end is closed
            chunk = b""
        if not chunk:
            return output.decode(errors="replace")
        output += chunk


def by_plan(one: Container, config: Config, request: dict[str, Any], directory: str) -> dict[str, Any]:
    staging = directory + "/staging"
    os.mkdir(staging)
    read, write = os.pipe()
    launch = plan.Launch(
        id=one.id,
        root=request["root"],
        staging=staging,
        stdio=("null", "write", "write"),
        user=one.config.user,
        groups=one.host.group_add,
        seccomp=program(config.linux.seccomp, directory),
    )
    made = plan.container_plan(config, launch)
    child, outcome = wait(made, {"write": write})
    os.close(write)
    if outcome.failure:
        index, number, detail = outcome.failure
        os.waitpid(child.pid, 0)
        return {"failed": f"{describe(made['child'][index])}: {detail or os.strerror(number).lower()}"}
    result: dict[str, Any] = {}
    if "exec" in request:
        time.sleep(0.1)
        shell(request.get("during", "true"))
        result["exec_out"] = run_exec(one, request, child.pid, directory)
        os.kill(child.pid, 9)
    result["out"] = drain(read if outcome.console is None else outcome.console)
    result["code"] = os.waitstatus_to_exitcode(os.waitpid(child.pid, 0)[1])
    return result


def run_exec(one: Container, request: dict[str, Any], pid: int, directory: str) -> str:
    wanted = msgspec.convert({"cmd": request["exec"], **request.get("exec_request", {})}, ExecRequest)
    added = spec.build_exec(one, wanted, MACHINE, Sandbox("", ""))
    filter_ = spec.seccomp_of(one, MACHINE)
    read, write = os.pipe()
    made = plan_joining.exec_plan(
        "e" * 64,
        added,
        join_files=(),
        user=wanted.user or one.config.user,
        stdio=("null", "write", "write"),
        seccomp=program(filter_, directory),
        seccomp_flags=seccomp_compile.flags(filter_) if filter_ else 0,
    )
    child, outcome = wait(made, {"pidfd": pidfd_open(pid), "write": write})
    os.close(write)
    if outcome.failure:
        index, number, detail = outcome.failure
        return f"failed: {describe(made['child'][index])}: {detail or os.strerror(number).lower()}"
    text = drain(read if outcome.console is None else outcome.console)
    os.waitpid(child.pid, 0)
    return text


def by_runc(config: Config, request: dict[str, Any], directory: str) -> dict[str, Any]:
    subprocess.run(["umount", "/sys/fs/cgroup/unified"], stderr=subprocess.DEVNULL, check=False)
    linux = config.linux.replace(cgroups_path=f"/firkin-test-{os.getpid()}")
    bundle = config.replace(oci_version="1.0.2", root=Root(request["root"], config.root.readonly), linux=linux)
    with open(directory + "/config.json", "wb") as file:
        file.write(to_json(bundle))
    argv = ["runc", "--root", directory + "/runc", "run", "--bundle", directory, f"probe-{os.getpid()}"]
    done = subprocess.run(argv, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=30 * SLOWNESS, check=False)
    return {"out": done.stdout, "code": done.returncode, "error": done.stderr}


def shell(command: str) -> str:
    return subprocess.run(command, shell=True, capture_output=True, text=True, check=True, timeout=20 * SLOWNESS).stdout


def main() -> None:
    request = json.loads(sys.argv[1])
    shell(request.get("before", "true"))
    with tempfile.TemporaryDirectory(prefix="firkin-plan-") as directory:
        one = container(request)
        sandbox = Sandbox(directory + "/staging", "/", request.get("files", {}))
        config = spec.build_config(one, MACHINE, sandbox, devices.resolve(one.host))
        runtime = by_runc(config, request, directory) if request.get("runc") else by_plan(one, config, request, directory)
        print(json.dumps({**runtime, "after": shell(request.get("after", "true"))}))


main()
