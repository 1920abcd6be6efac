"""Every way to break the specification's JSON schema in one place is refused, by an error that names the place."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from firkin.errors import Invalid
from firkin.oci.runtime_config import from_json
from firkin.runtime.validate import validate
from tests.ocirt.conftest import Bundle, Runtime, cgroups_called
from tests.ocirt.schema_violations import FULL, Violation, all_of_them
from tests.ocirt.test_output import validator

VIOLATIONS = list(all_of_them())
# What is taken all the same, and why.
TAKEN = {
    "linux.devices[0].fileMode maximum 512": "the sticky and set-id bits are permissions of a node too, and runc takes them",
}


def refusal(config: object) -> str:
    try:
        validate(from_json(json.dumps(config)))
    except Invalid as error:
        return error.message
    return ""


def test_what_is_broken_was_whole() -> None:
    validator("config-schema.json").validate(FULL)
    assert refusal(FULL) == ""


def test_they_are_many_and_of_every_kind() -> None:
    assert len(VIOLATIONS) > 1000
    assert {one.kind for one in VIOLATIONS} == {"type", "minimum", "maximum", "enum", "pattern", "required", "minItems"}


def test_each_breaks_the_schema_and_is_refused_by_its_name() -> None:
    """In one process: so many commands would take minutes."""
    schema, taken = validator("config-schema.json"), set()
    for one in VIOLATIONS:
        config = one.config
        assert not schema.is_valid(config), one
        if one.field not in refusal(config):
            taken.add(f"{one.field} {one.kind} {one.value}")
    assert taken == set(TAKEN)


# Of the wrong type, which Go does not take either. Fields that came after runc 1.1 are nothing to it.
NEWER = (
    "domainname", "mounts[0].uidMappings", "mounts[0].gidMappings", "process.scheduler", "process.ioPriority",
    "process.execCPUAffinity", "linux.timeOffsets", "linux.netDevices", "linux.memoryPolicy", "linux.intelRdt",
    "linux.resources.memory.checkBeforeUpdate", "linux.resources.cpu.idle", "linux.resources.cpu.burst",
)  # fmt: skip
SAMPLE = [one for one in VIOLATIONS if one.kind == "type" and not one.field.startswith(NEWER)][::41]


@pytest.mark.parametrize("violation", SAMPLE, ids=repr)
def test_the_command_line_refuses_them_as_runcs_does(oci: Runtime, runc: Runtime, bundle: Bundle, violation: Violation) -> None:
    name = f"schema-{os.getpid()}"
    bundle.config = violation.config
    ours, theirs = (runtime.run(bundle, name=name, check=None) for runtime in (oci, runc))
    assert ours.returncode == theirs.returncode == 1
    assert violation.field in json.loads(ours.stderr.rpartition("msg=")[2])
    assert oci.ids() == [] and cgroups_called(name) == [] and list(oci.root.glob("*")) == []
    assert f"{oci.root}" not in Path("/proc/self/mountinfo").read_text()
