"""Everything an engine can leave behind, as one value to compare: before and after must be equal."""

from __future__ import annotations

import json
import os
import re
import time
from collections import Counter
from pathlib import Path
from typing import Any

from tests.lab import Engine, wait_until

CGROUPS = Path("/sys/fs/cgroup")


def traces(engine: Engine, cgroup_parent: str) -> dict[str, object]:
    """What there is once nothing changes any more: the kernel takes its time with a network namespace that ended."""
    seen = [_now(engine, cgroup_parent)]

    def quiet() -> bool:
        time.sleep(0.05)
        seen.append(_now(engine, cgroup_parent))
        return seen[-2] == seen[-1]

    wait_until(quiet)
    return seen[-1]


def _now(engine: Engine, cgroup_parent: str) -> dict[str, object]:
    """Of the kernel's objects and of the engine's files. Descriptors are counted by kind."""
    lab, data, run = engine.lab, engine.dir / "data", engine.dir / "exec"
    return {
        "links": sorted(link["ifname"] for link in json.loads(lab.run("ip", "-j", "link").stdout)),
        "rules": re.sub(r"counter packets \d+ bytes \d+", "counter", lab.run("nft", "list", "ruleset").stdout),
        "cgroups": cgroups(cgroup_parent),
        "data": names(data, 2),
        "run": names(run, 2),
        "listening": listening(lab.pid),
        **{f"mounts of {name}": Path(f"/proc/{pid}/mounts").read_text() for name, pid in processes(engine).items()},
        **{f"descriptors of {name}": descriptors(pid) for name, pid in processes(engine).items()},
    }


def same_again(engine: Engine, cgroup_parent: str, before: dict[str, object]) -> None:
    """What is removed in the background gets ten seconds."""

    def difference() -> dict[str, object]:
        now = _now(engine, cgroup_parent)
        return {key: _differing(value, now[key]) for key, value in before.items() if value != now[key]}

    wait_until(lambda: not difference(), 10, difference)


def _differing(before: Any, after: Any) -> object:
    if isinstance(before, list):
        return {"gone": sorted(set(before) - set(after)), "new": sorted(set(after) - set(before))}
    return before, after


def processes(engine: Engine) -> dict[str, int]:
    assert engine.process
    return {"daemon": engine.process.pid, "keeper": engine.helper("keeper"), "launcher": engine.helper("launcher")}


def cgroups(parent: str) -> list[str]:
    """Directories below the parent, in every hierarchy."""
    found = []
    for hierarchy in (CGROUPS, *filter(Path.is_dir, CGROUPS.iterdir())):
        top = hierarchy / parent.lstrip("/")
        found += [str(path) for path in top.rglob("*") if path.is_dir()] if top.is_dir() else []
    return sorted(set(found))


def remove_cgroups(parent: str) -> None:
    """The parent, in every hierarchy, if a daemon was killed, and what a failed test left in it."""
    for path in reversed(cgroups(parent)):
        os.rmdir(path)
    for hierarchy in (CGROUPS, *filter(Path.is_dir, CGROUPS.iterdir())):
        top = hierarchy / parent.lstrip("/")
        if top.is_dir():
            top.rmdir()


def names(top: Path, depth: int) -> list[str]:
    """Relative paths of what lies at most `depth` below, without what is on its way out."""
    found = []
    for directory, folders, files in os.walk(top):
        below = os.path.relpath(directory, top)
        folders[:] = [name for name in folders if not name.startswith("removing-")]
        found += [os.path.normpath(os.path.join(below, name)) for name in (*folders, *files)]
        if below != "." and below.count("/") >= depth - 2:
            folders.clear()
    return sorted(found)


def listening(pid: int) -> list[str]:
    """Local addresses of TCP listeners and UDP sockets in a process's network namespace."""
    found = []
    for kind, state in (("tcp", "0A"), ("udp", "07"), ("tcp6", "0A"), ("udp6", "07")):
        rows = [line.split() for line in Path(f"/proc/{pid}/net/{kind}").read_text().splitlines()[1:]]
        found += [f"{kind} {row[1]}" for row in rows if row[3] == state]
    return sorted(found)


def descriptors(pid: int) -> dict[str, int]:
    """How many of each kind a process has open."""
    kinds: Counter[str] = Counter()
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            kinds[os.readlink(f"/proc/{pid}/fd/{fd}").partition(":")[0]] += 1
        except FileNotFoundError:
            continue
    return dict(sorted(kinds.items()))
