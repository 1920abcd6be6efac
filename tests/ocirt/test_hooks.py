"""The six kinds of hook: their order, namespaces, standard input, time limit and failures."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.ocirt.conftest import Bundle, Runtime, cgroups_called

KINDS = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")
OUTSIDE = ("prestart", "createRuntime", "poststart", "poststop")


def script(path: Path, body: str) -> dict[str, Any]:
    """A hook of the host's; the shell is named as static busybox, which a container's root can take the place of."""
    path.write_text(f"#!/bin/busybox sh\n{body}\n")
    path.chmod(0o755)
    return {"path": str(path), "args": [path.name, "word"], "env": ["COLOUR=blue", "PATH=/bin:/usr/bin"]}


@pytest.fixture
def journal(tmp_path: Path, rootfs: Path, bundle: Bundle) -> Path:
    """A directory that hooks write to; the container sees it as /journal."""
    directory = tmp_path / "journal"
    directory.mkdir()
    bundle.config["mounts"].append({"destination": "/journal", "type": "bind", "source": str(directory), "options": ["rbind"]})
    return directory


def all_hooks(bundle: Bundle, journal: Path, rootfs: Path) -> None:
    """Each writes what it sees to a file of its kind, and its kind to `order`."""
    seen = "cat > $J/{kind}.state; for n in mnt uts; do readlink /proc/self/ns/$n; done > $J/{kind}.ns; echo {kind} $1 $COLOUR >> $J/order"
    hooks: dict[str, Any] = {}
    for kind in KINDS:
        inside = kind == "startContainer"
        path = rootfs / "hook" if inside else journal / f"hook-{kind}"
        one = script(path, f"J={'/journal' if inside else journal}; " + seen.format(kind=kind))
        hooks[kind] = [{**one, "path": "/hook"} if inside else one]
    bundle.config["hooks"] = hooks


def test_all_kinds_in_order_in_their_namespaces_with_the_state(
    runtime: Runtime, bundle: Bundle, journal: Path, rootfs: Path
) -> None:
    all_hooks(bundle, journal, rootfs)
    bundle.config["annotations"] = {"key": 'STATUS "\u00e9"'}
    bundle.sh(
        "for n in mnt uts; do readlink /proc/self/ns/$n; done > /journal/own.ns; echo program >> /journal/order; sleep 100"
    )
    runtime.create(bundle)
    pid = runtime.state()["pid"]
    order = (journal / "order").read_text().splitlines()
    assert order[:3] == [f"{kind} word blue" for kind in KINDS[:3]]
    assert len(order) == 3 or runtime.name == "runc"  # 1.1 runs poststart hooks here already
    runtime.call("start", "box")
    lines = (journal / "order").read_text().splitlines()
    assert {"startContainer word blue", "poststart word blue"} < set(lines)
    assert lines.index("startContainer word blue") == 3 or runtime.name == "runc"
    runtime.call("delete", "--force", "box")
    assert (journal / "order").read_text().splitlines()[-1] == "poststop word blue"

    own, host = (journal / "own.ns").read_text(), namespaces_of("self")
    for kind in KINDS:
        assert (journal / f"{kind}.ns").read_text() == (host if kind in OUTSIDE else own), kind
    states = {kind: json.loads((journal / f"{kind}.state").read_text()) for kind in KINDS}
    for state in states.values():
        assert (state["id"], state["bundle"]) == ("box", str(bundle.path))
        assert state["annotations"]["key"] == 'STATUS "\u00e9"'
    for kind, status in zip(KINDS, ("creating",) * 3 + ("created", "running", "stopped"), strict=True):
        if (runtime.name, kind) != ("runc", "poststart"):  # which 1.1 runs before it says so
            assert states[kind]["status"] == status, kind
    assert [states[kind].get("pid", 0) for kind in KINDS] == [pid, pid, 1, 1, pid, 0]


def namespaces_of(pid: str) -> str:
    return "".join(os.readlink(f"/proc/{pid}/ns/{kind}") + "\n" for kind in ("mnt", "uts"))


@pytest.mark.parametrize("kind", ["prestart", "createRuntime", "createContainer", "startContainer"])
def test_a_failing_hook_before_the_program_fails_the_command_and_leaves_nothing(
    runtime: Runtime, bundle: Bundle, journal: Path, rootfs: Path, kind: str
) -> None:
    """`run` is create and start; the poststop hooks still run."""
    bad = script(rootfs / "bad", "echo it is broken >&2; exit 3")
    if kind == "startContainer":
        bad["path"] = "/bad"
    name = f"hook-{os.getpid()}"
    bundle.config["hooks"] = {kind: [bad], "poststop": [script(journal / "stop", f"touch {journal}/stopped")]}
    done = runtime.run(bundle.sh("touch /journal/ran"), name=name, check=1)
    assert not (journal / "ran").exists()
    assert runtime.ids() == [] and cgroups_called(name) == []
    assert "exit status 3" in done.stderr and (runtime.name == "runc" or kind in done.stderr)
    assert (journal / "stopped").exists()


def test_a_failing_poststop_hook_is_a_warning(runtime: Runtime, bundle: Bundle, journal: Path) -> None:
    bad = script(journal / "bad", "exit 3")
    good = script(journal / "good", f"touch {journal}/good-ran")
    bundle.config["hooks"] = {"poststop": [bad, good]}
    done = runtime.run(bundle)
    assert "level=warning" in done.stderr or runtime.name == "runc"  # 1.1 calls it an error
    assert (journal / "good-ran").exists() or runtime.name == "runc"  # 1.1 stops at the first


def test_a_failing_poststart_hook_stops_the_container(oci: Runtime, bundle: Bundle, journal: Path) -> None:
    """As specification 1.2 says."""
    bundle.config["hooks"] = {"poststart": [script(journal / "bad", "exit 3")]}
    oci.create(bundle.sh("sleep 100"))
    pid = oci.state()["pid"]
    assert "poststart hook #0" in oci.call("start", "box", check=1).stderr
    assert oci.ids() == []
    assert not Path(f"/proc/{pid}").exists() or "Z" in Path(f"/proc/{pid}/stat").read_text()


@pytest.mark.parametrize("kind", ["createRuntime", "createContainer"])
def test_a_hook_that_takes_too_long_is_ended(runtime: Runtime, bundle: Bundle, journal: Path, kind: str) -> None:
    slow = script(journal / "slow", f"echo $$ > {journal}/pid; exec sleep 100")
    bundle.config["hooks"] = {kind: [{**slow, "timeout": 1}]}
    assert "timeout" in runtime.run(bundle, check=1).stderr.lower()
    assert runtime.ids() == []


def test_a_hook_may_ignore_its_input_and_print_much(oci: Runtime, bundle: Bundle, journal: Path) -> None:
    """Neither a full pipe nor a closed one is in its way."""
    bundle.config["annotations"] = {f"key{number}": "x" * 1000 for number in range(200)}
    silent = script(journal / "loud", "exec <&-; head -c 1000000 /dev/zero; head -c 1000000 /dev/zero >&2")
    bundle.config["hooks"] = {"createRuntime": [silent], "createContainer": [silent]}
    oci.run(bundle)


def test_a_hook_has_no_descriptor_or_variable_but_its_own(oci: Runtime, bundle: Bundle, journal: Path) -> None:
    look = script(journal / "look", f"ls /proc/self/fd > {journal}/$1.fds; env > {journal}/$1.env")
    bundle.config["hooks"] = {kind: [{**look, "args": ["look", kind]}] for kind in ("createRuntime", "createContainer")}
    oci.run(bundle)
    for kind in ("createRuntime", "createContainer"):
        # 3 is the directory that `ls` itself reads
        assert (journal / f"{kind}.fds").read_text().split() == ["0", "1", "2", "3"]
        names = {line.partition("=")[0] for line in (journal / f"{kind}.env").read_text().splitlines()}
        assert names - {"PWD", "SHLVL", "OLDPWD", "_"} == {"COLOUR", "PATH"}
