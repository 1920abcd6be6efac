"""What a client of the API sends: bodies, query values, paths, versions, filters."""

from __future__ import annotations

import base64
import json
import os
from typing import Any

import msgspec
from hypothesis import strategies as st

from firkin.api import create_request, filters
from firkin.api.decode import decode
from firkin.api.handlers import archive
from firkin.api.router import Router
from firkin.api.routes import ROUTES
from firkin.api.times import parse_seconds, rfc3339
from firkin.api.versions import NEWEST, OLDEST, dialect, split_version
from firkin.engine import validate
from firkin.errors import Invalid, NotFound
from firkin.model import CreateRequest, ExecRequest, LogConfig, Resources, RestartPolicy
from firkin.network.model import NetworkRequest
from firkin.oci import foreign_json
from firkin.runtime import devices
from firkin.storage.archive import PathStat
from tests.fuzz.rig import fuzzed, passes, remembered
from tests.fuzz.samples import clean_text, json_bytes, mutated_text

with open("tests/data/docker-create-every-flag.json") as _file:
    EVERY_FLAG: dict[str, Any] = json.load(_file)
with open("tests/data/docker-create-plain.json") as _file:
    PLAIN: dict[str, Any] = json.load(_file)
MOUNTS = [
    {"Type": "bind", "Source": "/a", "Target": "/b", "BindOptions": {"Propagation": "rshared"}},
    {
        "Type": "volume",
        "Source": "v",
        "Target": "/v",
        "VolumeOptions": {"Labels": {"a": "b"}, "DriverConfig": {"Name": "local", "Options": {"o": "x"}}},
    },
    {"Type": "tmpfs", "Target": "/t", "TmpfsOptions": {"SizeBytes": 1, "Mode": 511, "Options": [["noexec"], ["size", "1m"]]}},
]
FULL = EVERY_FLAG | {"HostConfig": {**EVERY_FLAG["HostConfig"], "Mounts": MOUNTS}}
UPDATE = {
    "Memory": 1 << 26,
    "CpuShares": 2,
    "PidsLimit": 5,
    "RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 3},
    "BlkioWeightDevice": [{"Path": "/dev/x", "Weight": 5}],
}
EXEC = {
    "Cmd": ["a", "b"],
    "Env": ["A=1"],
    "User": "u",
    "Tty": True,
    "DetachKeys": "ctrl-p",
    "WorkingDir": "/",
    "ConsoleSize": [1, 2],
}
NETWORK = {
    "Name": "n",
    "Driver": "bridge",
    "Internal": True,
    "IPAM": {"Driver": "default", "Config": [{"Subnet": "10.0.0.0/8", "AuxiliaryAddresses": {"a": "10.1.1.1"}}]},
    "Options": {"a": "b"},
}


@fuzzed(
    json_bytes(FULL, PLAIN, {"HostConfig": {"Mounts": MOUNTS}, "Image": "a"}),
    st.integers(OLDEST, NEWEST),
    clean_text("name", "/name", ""),
)
@remembered(b'{"HostConfig": {"Mounts": [null]}}', NEWEST, "")
def test_create(data: bytes, minor: int, name: str) -> None:
    """Whatever the body of create, it is a request that can be kept as a record and read back, or it is Invalid."""
    document = passes(lambda: foreign_json.loads(data), ValueError)
    if not isinstance(document, dict):
        return
    request = passes(lambda: create_request.read(document, dialect(minor), name), Invalid)
    if request:
        assert msgspec.json.decode(msgspec.json.encode(request), type=CreateRequest) == request


@fuzzed(
    json_bytes(FULL, UPDATE, EXEC, NETWORK),
    st.sampled_from((Resources, RestartPolicy, ExecRequest, NetworkRequest, CreateRequest)),
)
def test_bodies(data: bytes, kind: type) -> None:
    """Whatever the object in a body, it is the value that a route wants, or it is Invalid, in the client's own words."""
    document = passes(lambda: foreign_json.loads(data), ValueError)
    if isinstance(document, dict):
        passes(lambda: decode(kind, document), Invalid)


@fuzzed(
    st.one_of(
        json_bytes(FULL, UPDATE, [], 3, "x"), mutated_text('{"a":1}').map(lambda text: text.encode("utf-8", "surrogateescape"))
    )
)
@remembered(b"[" * 100_000)
@remembered(b'"\xff"')
@remembered(b'{"a": ' + b"9" * 10_000 + b"}")
def test_json(data: bytes) -> None:
    """Whatever the bytes of a body, they are a JSON value or a ValueError."""
    passes(lambda: foreign_json.loads(data), ValueError)


@fuzzed(json_bytes(FULL["HostConfig"], UPDATE))
def test_limits(data: bytes) -> None:
    """Whatever limits are asked for, they are in the kernel's range or refused as Invalid."""
    document = passes(lambda: foreign_json.loads(data), ValueError)
    limits = passes(lambda: decode(Resources, document) if isinstance(document, dict) else None, Invalid)
    if limits:
        passes(lambda: validate.check_resources(limits), Invalid)
        for rule in limits.device_cgroup_rules:
            passes(lambda rule=rule: devices.parse_rule(rule), Invalid)  # type: ignore[misc]


@fuzzed(mutated_text("0-2,5", "0", "1-8192,", "-1"))
@remembered("0-8192," * 100_000)
@remembered("9" * 5000)
def test_cpus(text: str) -> None:
    """Whatever list of processors is asked for, it is one of those online or Invalid, and is read in a moment."""
    passes(lambda: validate._check_cpus(text), Invalid)


@fuzzed(mutated_text("10m", "-1", "1.5GiB", "0"), mutated_text("3", "0", "-1"))
@remembered("9" * 400, "1")
@remembered("1", "9" * 5000)
def test_log_limits(size: str, count: str) -> None:
    """Whatever limits a log is given, they are numbers of bytes and files, or Invalid."""
    found = passes(lambda: validate.log_limits(LogConfig("", {"max-size": size, "max-file": count})), Invalid)
    assert found is None or (found[0] >= 0 and found[1] >= 1)


# --- query values --------------------------------------------------------------------------------------------------
@fuzzed(
    st.one_of(
        json_bytes({"status": {"running": True}, "label": ["a=b"], "until": ["24h"], "dangling": ["true"]}).map(
            lambda data: data.decode("utf-8", "surrogateescape")
        ),
        mutated_text('{"a":{"b":true}}'),
    )
)
@remembered("[" * 60_000)
@remembered('{"label": ["\udcff"]}')
@remembered('{"until": ["' + "9" * 400 + '"]}')
def test_filters(text: str) -> None:
    """Whatever the filters, each key's values are strings, or the whole is Invalid."""
    found = passes(lambda: filters.parse_filters(text, None), Invalid) or {}
    assert all(isinstance(value, str) for values in found.values() for value in values)
    passes(lambda: filters.parse_until(found), Invalid)
    passes(lambda: filters.parse_flag(found, "dangling", False), Invalid)


@fuzzed(mutated_text("1136073600.000000001", "-1", "0"))
@remembered("9" * 5000)
@remembered("٣")
def test_seconds(text: str) -> None:
    """Whatever `since` says, it is a time in nanoseconds or Invalid."""
    assert isinstance(passes(lambda: parse_seconds("since", text), Invalid), int | None)


@fuzzed(mutated_text("/v1.43/containers/json", "/v1.24/_ping", "/v2.0/x", "/containers/json", "/v1.43/images/a/b/json", "//"))
@remembered("/v" + "9" * 5000 + ".1/x")
@remembered("/v1." + "9" * 5000 + "/x")
@remembered("/images/" + "a/" * 10_000 + "json/x")
def test_paths(path: str) -> None:
    """Whatever the path, it is a version that is served and a route, or it is Invalid or NotFound."""
    found = passes(lambda: split_version(path), Invalid)
    if found:
        assert OLDEST <= found[0].minor <= NEWEST
        for method in ("GET", "POST", "DELETE", "HEAD", "PUT"):
            passes(lambda method=method: ROUTER.find(method, found[1]), NotFound)  # type: ignore[misc]


ROUTER = Router(ROUTES)


@fuzzed(
    st.builds(
        PathStat,
        clean_text("name", "a/b") | st.binary(max_size=20).map(os.fsdecode),
        st.integers(0, 2**63 - 1),
        st.integers(0, 2**32 - 1),
        st.integers(-(2**40) * 10**9, 2**40 * 10**9),
        clean_text("/x"),
    )
)
def test_path_stat(found: PathStat) -> None:
    """Whatever lies at a path in a container, it can be told in a header: one line of base64 of JSON."""
    header = archive._header(found)
    told = json.loads(base64.b64decode(header))["name"]
    assert told == found.name.encode(errors="replace").decode() and "\n" not in header
    assert rfc3339(found.mtime)
