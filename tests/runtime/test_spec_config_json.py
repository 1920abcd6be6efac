"""The OCI configuration's JSON: what we write fits the specification's schema, what others write is read whole."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from referencing import Registry, Resource

from firkin.errors import Invalid
from firkin.oci import runtime_linux as linux
from firkin.oci import runtime_resources as resources
from firkin.oci.runtime_config import Config, IOPriority, Mount, Process, Rlimit, Root, from_json, to_json

SCHEMAS = Path(__file__).parent.parent / "data/oci"


def validator() -> jsonschema.Draft4Validator:
    documents = {path.name: json.loads(path.read_text()) for path in SCHEMAS.glob("*.json")}
    for document in documents.values():
        document.setdefault("$schema", "http://json-schema.org/draft-04/schema#")
    registry: Registry[Any] = Registry().with_resources((name, Resource.from_contents(doc)) for name, doc in documents.items())
    return jsonschema.Draft4Validator(documents["config-schema.json"], registry=registry)


FULL = Config(
    oci_version="1.2.1",
    root=Root("rootfs", readonly=True),
    process=Process(
        cwd="/",
        args=("sh",),
        rlimits=(Rlimit("RLIMIT_NOFILE", 10, 20),),
        oom_score_adj=0,
        io_priority=IOPriority("IOPRIO_CLASS_BE", 4),
    ),
    mounts=(Mount("/proc", "proc", "proc", ("nosuid",), uid_mappings=(linux.IDMapping(0, 1000, 1),)),),
    linux=linux.Linux(
        namespaces=(linux.Namespace("pid"), linux.Namespace("network", "/proc/1/ns/net")),
        time_offsets=linux.TimeOffsets(boottime=linux.TimeOffset(5)),
        devices=(linux.Device("/dev/fuse", "c", 10, 229, 0o666),),
        resources=resources.Resources(
            devices=(resources.DeviceRule(False, access="rwm"),),
            memory=resources.Memory(limit=1 << 30, swap=-1, disable_oom_killer=True),
            cpu=resources.CPU(shares=2, cpus="0-1"),
            pids=resources.Pids(100),
            block_io=resources.BlockIO(throttle_read_iops_device=(resources.ThrottleDevice(8, 0, 10),)),
            network=resources.Network(class_id=7),
        ),
        seccomp=linux.Seccomp(
            "SCMP_ACT_ERRNO",
            syscalls=(linux.SeccompRule(("read",), "SCMP_ACT_ALLOW", args=(linux.SeccompArg(0, 1, "SCMP_CMP_EQ"),)),),
        ),
        intel_rdt=linux.IntelRdt(clos_id="x"),
    ),
)


def test_every_part_survives_the_round_trip_in_the_specifications_spelling() -> None:
    data = to_json(FULL)
    validator().validate(json.loads(data))
    assert from_json(data) == FULL
    for word in ("containerID", "throttleReadIOPSDevice", "disableOOMKiller", "classID", "closID", "ioPriority", "blockIO"):
        assert f'"{word}"' in data.decode()


def test_no_field_is_spelt_otherwise_than_the_schema() -> None:
    known = set()

    def words(node: Any) -> None:
        if isinstance(node, dict):
            known.update(node.get("properties", {}))
            for child in node.values():
                words(child)
        elif isinstance(node, list):
            for child in node:
                words(child)

    for path in SCHEMAS.glob("*.json"):
        words(json.loads(path.read_text()))
    ours = {name for struct in every_struct() for name in struct.__struct_encode_fields__}
    assert ours <= known


def every_struct() -> list[Any]:
    import firkin.oci.runtime_config as config

    return [
        thing
        for module in (config, linux, resources)
        for thing in vars(module).values()
        if isinstance(thing, type) and hasattr(thing, "__struct_encode_fields__")
    ]


def test_what_runc_writes_is_read_and_written_back_unchanged(tmp_path: Path) -> None:
    subprocess.run(["runc", "spec"], cwd=tmp_path, check=True, timeout=20)
    theirs = json.loads((tmp_path / "config.json").read_text())
    ours = json.loads(to_json(from_json((tmp_path / "config.json").read_bytes())))
    assert without_defaults(ours) == without_defaults(theirs)


def without_defaults(node: Any) -> Any:
    """runc writes zeros, false and empty lists that mean nothing; a device rule's `allow` is the one that does."""
    if isinstance(node, dict):
        kept = {key: without_defaults(value) for key, value in node.items()}
        return {key: value for key, value in kept.items() if key == "allow" or value not in (0, False, "", [], {})}
    return [without_defaults(child) for child in node] if isinstance(node, list) else node


@pytest.mark.parametrize(
    ("document", "field"),
    [
        ('{"ociVersion":"1.2.0","process":{"cwd":"/","user":{"uid":"root"}}}', "process.user.uid: "),
        ('{"ociVersion":"1.2.0","process":{"cwd":"/","user":{"uid":-1}}}', "process.user.uid: "),
        ('{"ociVersion":"1.2.0","mounts":[{"type":"proc"}]}', "mounts[0].destination: "),
        ('{"ociVersion":"1.2.0","linux":{"namespaces":"all"}}', "linux.namespaces: "),
        ('{"ociVersion":"1.2.0","linux":{"sysctl":{"kernel.domainname":1}}}', "linux.sysctl.kernel.domainname: "),
        ('{"ociVersion":"1.2.0","root":{"path":"/","readonly":1}}', "root.readonly: "),
        ('{"ociVersion":"1.2.0","root":null,"process":[]}', "process: "),
        ("[]", "the document: "),
        ('{"ociVersion":"1.2.0"} x', "after its end"),
        ("[" * 100_000, "nested too deeply"),
        ('{"ociVersion":NaN}', "NaN"),
        ("{}", "ociVersion"),
        ('{"ociVersion":', "no value"),
    ],
)
def test_an_error_names_the_field(document: str, field: str) -> None:
    with pytest.raises(Invalid) as caught:
        from_json(document)
    assert field in caught.value.message
