"""COMPATIBILITY.md's table of the runtime specification's fields against the values that the code reads them into."""

from __future__ import annotations

import json
import re
from pathlib import Path

from firkin.oci import runtime_config, runtime_linux, runtime_resources
from firkin.oci.runtime_value import Value

LEDGER = Path(__file__).parents[2] / "COMPATIBILITY.md"
SCHEMA = Path(__file__).parents[1] / "data/oci"  # of the specification, unchanged
PARTS: dict[str, type[Value]] = {
    "the whole": runtime_config.Config,
    "`root`": runtime_config.Root,
    "`process`": runtime_config.Process,
    "`process.user`": runtime_config.User,
    "`process.capabilities`": runtime_config.Capabilities,
    "`process.rlimits[]`": runtime_config.Rlimit,
    "`process.scheduler`": runtime_config.Scheduler,
    "`process.ioPriority`": runtime_config.IOPriority,
    "`mounts[]`": runtime_config.Mount,
    "`hooks`": runtime_config.Hooks,
    "`linux`": runtime_linux.Linux,
    "`linux.devices[]`": runtime_linux.Device,
    "`linux.netDevices`": runtime_linux.NetDevice,
    "`linux.timeOffsets`": runtime_linux.TimeOffsets,
    "`linux.personality`": runtime_linux.Personality,
    "`linux.intelRdt`": runtime_linux.IntelRdt,
    "`linux.memoryPolicy`": runtime_linux.MemoryPolicy,
    "`linux.seccomp`": runtime_linux.Seccomp,
    "`linux.resources`": runtime_resources.Resources,
    "`linux.resources.memory`": runtime_resources.Memory,
    "`linux.resources.cpu`": runtime_resources.CPU,
    "`linux.resources.blockIO`": runtime_resources.BlockIO,
    "`linux.resources.network`": runtime_resources.Network,
}


def table() -> dict[str, list[str]]:
    section = LEDGER.read_text().split("## The OCI runtime specification\n")[1].split("\n## ")[0]
    rows = [line[1:-1].split("|") for line in section.splitlines() if line.startswith("| ")][1:]
    return {cells[0].strip(): re.findall(r"`([^`]+)`", cells[1]) for cells in rows}


def test_the_ledger_names_every_field_that_is_read() -> None:
    assert table() == {part: list(cls.fields().values()) for part, cls in PARTS.items()}


def test_every_field_of_the_schema_is_read() -> None:
    linux = json.loads((SCHEMA / "config-linux.json").read_text())["linux"]["properties"]
    assert set(linux) == set(runtime_linux.Linux.fields().values())
    assert set(linux["resources"]["properties"]) == set(runtime_resources.Resources.fields().values())
    for word in ("intelRdt", "memoryPolicy", "seccomp", "timeOffsets"):
        assert set(linux[word]["properties"]) == set(PARTS[f"`linux.{word}`"].fields().values())
    for word in ("memory", "cpu", "blockIO", "network"):
        found = linux["resources"]["properties"][word]["properties"]
        assert set(found) == set(PARTS[f"`linux.resources.{word}`"].fields().values())
    whole = json.loads((SCHEMA / "config-schema.json").read_text())["properties"]
    process = set(whole["process"]["properties"]) - {"commandLine"}
    assert process == set(runtime_config.Process.fields().values())
    assert set(whole) - {"freebsd", "solaris", "vm", "windows", "zos"} == set(runtime_config.Config.fields().values())
