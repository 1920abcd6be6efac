"""A seccomp profile with SCMP_ACT_NOTIFY through the engine: the agent gets a listener for each process of the container."""

from __future__ import annotations

import json
import platform
from pathlib import Path

import pytest
from tests.e2e.conftest import IMAGE
from tests.lab import Engine
from tests.seccomp_agent import Agent

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="system calls by number: x86_64's")


def test_an_agent_decides_for_a_container_and_for_exec(engine: Engine, tmp_path: Path) -> None:
    agent = Agent(tmp_path / "agent")
    profile = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "listenerPath": str(tmp_path / "agent"),
        "listenerMetadata": "m",
        "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"}],
    }
    (tmp_path / "profile.json").write_text(json.dumps(profile))
    run = ["run", "-d", "--name", "asked", "--security-opt", f"seccomp={tmp_path}/profile.json", IMAGE]
    container = engine.firkin(*run, "sh", "-c", "mkdir /x; sleep 60").stdout.strip()
    added = engine.firkin("exec", "asked", "mkdir", "/y", check=False)
    logs = engine.firkin("logs", "asked")
    engine.firkin("rm", "-f", "asked")
    agent.close()
    for text in (added.stderr, logs.stderr):
        assert "Structure needs cleaning" in text
    assert agent.calls == [83, 83]
    first, second = agent.reports
    assert first["state"]["id"] == second["state"]["id"] == container and first["metadata"] == "m"
    assert (first["state"]["status"], second["state"]["status"]) == ("creating", "running")
    assert second["pid"] != first["pid"] == first["state"]["pid"] == second["state"]["pid"]


def test_without_its_agent_a_container_does_not_start(engine: Engine, tmp_path: Path) -> None:
    profile = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "listenerPath": str(tmp_path / "nobody"),
        "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"}],
    }
    (tmp_path / "profile.json").write_text(json.dumps(profile))
    done = engine.firkin("run", "--rm", "--security-opt", f"seccomp={tmp_path}/profile.json", IMAGE, "true", check=False)
    assert done.returncode != 0
    assert "nobody" in done.stderr and "no such file or directory" in done.stderr
    del profile["listenerPath"]
    (tmp_path / "profile.json").write_text(json.dumps(profile))
    done = engine.firkin("run", "--rm", "--security-opt", f"seccomp={tmp_path}/profile.json", IMAGE, "true", check=False)
    assert "linux.seccomp.listenerPath: required by SCMP_ACT_NOTIFY" in done.stderr
    assert engine.firkin("ps", "-aq").stdout == ""
