"""OCI runtime configurations and seccomp profiles: what whoever calls the runtime hands over."""

from __future__ import annotations

import json
import marshal
import os
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

from firkin.errors import Invalid, Unsupported
from firkin.oci import json_text
from firkin.oci.runtime_config import Config, from_json, to_json
from firkin.runtime import plan, seccomp_compile, seccomp_profile
from firkin.runtime.cgroup_settings import cgroup_settings
from firkin.runtime.describe import describe
from firkin.runtime.validate import validate
from tests.fuzz.rig import fuzzed, passes, remembered
from tests.fuzz.samples import json_bytes, mutated

CONFIG: dict[str, Any] = {
    "ociVersion": "1.2.1",
    "process": {
        "terminal": True, "consoleSize": {"height": 1, "width": 2}, "user": {"uid": 0, "gid": 0, "umask": 18, "additionalGids": [1]}, "args": ["sh"], "env": ["A=1"], "cwd": "/",
        "capabilities": {"bounding": ["CAP_CHOWN"], "ambient": []}, "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 1, "hard": 2}], "noNewPrivileges": True, "apparmorProfile": "x", "oomScoreAdj": 5,
        "scheduler": {"policy": "SCHED_OTHER", "nice": 1, "flags": []}, "ioPriority": {"class": "IOPRIO_CLASS_BE", "priority": 1}, "execCPUAffinity": {"initial": "0", "final": "0-1"},
    },
    "root": {"path": "rootfs", "readonly": True},
    "hostname": "h", "domainname": "d", "annotations": {"a": "b"},
    "mounts": [{"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid"], "uidMappings": [{"containerID": 0, "hostID": 1, "size": 1}]}],
    "hooks": {"prestart": [{"path": "/x", "args": ["x"], "env": [], "timeout": 1}]},
    "linux": {
        "namespaces": [{"type": "pid"}, {"type": "network", "path": "/proc/1/ns/net"}], "uidMappings": [{"containerID": 0, "hostID": 1000, "size": 1}],
        "devices": [{"path": "/dev/x", "type": "c", "major": 1, "minor": 3, "fileMode": 438, "uid": 0, "gid": 0}], "cgroupsPath": "/x", "sysctl": {"net.x": "1"}, "rootfsPropagation": "slave",
        "maskedPaths": ["/proc/x"], "readonlyPaths": ["/proc/y"], "mountLabel": "", "personality": {"domain": "LINUX32"}, "timeOffsets": {"monotonic": {"secs": 1, "nanosecs": 2}}, "intelRdt": {"closID": "a"},
        "resources": {"memory": {"limit": 1, "swap": 2}, "cpu": {"shares": 1, "quota": -1, "period": 2, "cpus": "0"}, "pids": {"limit": 3}, "blockIO": {"weight": 10, "throttleReadBpsDevice": [{"major": 1, "minor": 2, "rate": 3}]}, "devices": [{"allow": False, "access": "rwm"}], "hugepageLimits": [{"pageSize": "2MB", "limit": 1}], "network": {"classID": 1, "priorities": [{"name": "eth0", "priority": 1}]}, "rdma": {"mlx": {"hcaHandles": 1}}, "unified": {"memory.high": "1"}},
        "seccomp": {"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 1, "architectures": ["SCMP_ARCH_X86_64"], "flags": [], "syscalls": [{"names": ["read"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 1, "valueTwo": 2, "op": "SCMP_CMP_EQ"}]}]},
    },
}  # fmt: skip


@fuzzed(json_bytes(CONFIG))
@remembered(b"\xff")
@remembered(b'{"ociVersion": ' + b"9" * 5000 + b"}")
def test_runtime_config(data: bytes) -> None:
    """Whatever the bytes, they are a configuration that reads the same when written again, or they are Invalid, the field
    named."""
    found = passes(lambda: from_json(data), Invalid)
    assert found is None or from_json(to_json(found)) == found


PROFILE = {
    "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38, "archMap": [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86", "SCMP_ARCH_X32"]}], "flags": ["SECCOMP_FILTER_FLAG_LOG"],
    "syscalls": [
        {"names": ["read", "nonesuch"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 1, "valueTwo": 2, "op": "SCMP_CMP_MASKED_EQ"}], "includes": {"minKernel": "4.8", "caps": ["CAP_X"]}, "excludes": {"arches": ["s390"]}},
        {"name": "write", "action": "SCMP_ACT_KILL_PROCESS"}, {"names": ["open"], "action": "SCMP_ACT_TRACE", "errnoRet": 2},
    ],
}  # fmt: skip


@fuzzed(
    json_bytes(
        PROFILE, {"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"], "syscalls": PROFILE["syscalls"]}
    )
)
@remembered(b'{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": -1, "syscalls": null}')
@remembered(b'{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 65535, "syscalls": null}')
def test_seccomp_profile(data: bytes) -> None:
    """Whatever the profile, it is a program of at most as many instructions as the kernel takes, or it is Invalid or
    Unsupported."""
    text = data.decode("utf-8", "replace")
    filter = passes(lambda: seccomp_profile.resolve(text, ("CAP_X",)), Invalid)
    if filter:
        passes(lambda: seccomp_compile.flags(filter), Invalid, Unsupported)
        program = passes(lambda: seccomp_compile.compile_filter(filter), Invalid, Unsupported)
        assert program is None or (0 < len(program) <= 8 * 4096 and len(program) % 8 == 0)


@fuzzed(st.one_of(json_bytes(CONFIG, [], 3), mutated(b'{"a":[1,2.5e3,"\\u00e9\\ud83d\\ude00",null,true]}', b" 1 ", b"NaN")))
def test_json_text(data: bytes) -> None:
    """Whatever the bytes, our reader and Python's agree on whether they are JSON, and on what they say."""
    ours, theirs = (
        passes(lambda: (json_text.loads(data),), Invalid),
        passes(lambda: (_strict(data),), ValueError, RecursionError),
    )
    assert repr(ours) == repr(theirs)


def _strict(data: bytes) -> object:
    def refuse(name: str) -> object:
        raise ValueError(name)

    return json.loads(data.decode(), parse_constant=refuse)


# --- from configuration to plan ------------------------------------------------------------------------------------
USUAL = {
    "ociVersion": "1.2.1",
    "process": {"args": ["sh"], "env": ["A=1"], "cwd": "/", "user": {"uid": 0, "gid": 0}, "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 1, "hard": 2}]},
    "root": {"path": "rootfs"},
    "mounts": [{"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid"]}, {"destination": "/b", "source": "/a", "options": ["rbind", "ro", "rslave"]}],
    "linux": {key: CONFIG["linux"][key] for key in ("devices", "cgroupsPath", "sysctl", "maskedPaths", "readonlyPaths", "resources", "seccomp")} | {"namespaces": [{"type": kind} for kind in ("pid", "mount", "ipc", "uts", "network", "user", "cgroup")], "uidMappings": [{"containerID": 0, "hostID": 1000, "size": 9}], "gidMappings": [{"containerID": 0, "hostID": 1000, "size": 9}]},
}  # fmt: skip


def strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, member in value.items():
            yield from (*strings(key), *strings(member))
    elif isinstance(value, list | tuple):
        for member in value:
            yield from strings(member)


@fuzzed(json_bytes(USUAL, CONFIG))
@remembered(json.dumps(USUAL).replace('"A=1"', '"A=\\ud800"').encode())
@remembered(json.dumps(USUAL).replace('"/b"', '"/b\\u0000c"').encode())
@remembered(json.dumps(USUAL).replace('"/proc/x"', '"/proc/\\udfff"').encode())
def test_plan(data: bytes) -> None:
    """Whatever the configuration, it is a plan that can be carried to the child, with a sentence for every step and no
    string that a system call could not take, or it is Invalid or Unsupported before anything is made."""
    config = passes(lambda: from_json(data), Invalid)
    made = passes(lambda: planned(config), Invalid, Unsupported) if config else None
    if made:
        assert marshal.loads(marshal.dumps(made)) == made
        assert all(describe(step) for side in ("parent", "child") for step in made[side])
        for text in strings([made["parent"], made["child"]]):
            assert b"\0" not in os.fsencode(text).rstrip(b"\0")


def planned(config: Config) -> dict[str, Any]:
    validate(config)
    settings = cgroup_settings(config.linux.resources, lambda controller: 1) if config.linux.resources else []
    assert all(isinstance(value, str) for _, _, value in settings)
    return plan.container_plan(config, plan.Launch(id="c1", root="/bundle/rootfs", staging="/bundle/rootfs", user=None))
