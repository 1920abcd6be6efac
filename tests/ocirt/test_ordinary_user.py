"""An ordinary user of the machine, with root nowhere: what he runs from a bundle for one, beside runc."""

from __future__ import annotations

import copy
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab import ROOT, Lab
from tests.ocirt.conftest import Bundle, Runtime

UID = GID = 54321
FIRST, COUNT = 700000, 65536  # his subordinate ids
Wait = Callable[[Callable[[], object]], None]


class Ordinary(Runtime):
    """Called by him, in a laboratory where files of the host's are others."""

    lab: Lab
    home: Path

    def argv(self, *words: str) -> list[str]:
        user = ["setpriv", f"--reuid={UID}", f"--regid={GID}", "--clear-groups"]
        env = ["env", "-i", "PATH=/usr/bin:/bin", f"HOME={self.home}", f"XDG_RUNTIME_DIR={self.home}"]
        return self.lab.argv([*user, *env, *super().argv(*words)])


@pytest.fixture(scope="module")
def home(busybox_root: Path) -> Iterator[Path]:
    """A directory of his, with the program and a root file system: others are closed to him."""
    if os.geteuid():
        pytest.skip("needs root, to become another user")
    directory = Path(tempfile.mkdtemp(prefix="firkin-user-", dir="/var/tmp"))
    shutil.copytree(ROOT / "src", directory / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "firkin-oci", directory)
    shutil.copytree(busybox_root, directory / "rootfs", symlinks=True)
    subprocess.run(["chown", "-Rh", f"{UID}:{GID}", directory], check=True)
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory)


@pytest.fixture(scope="module")
def lab(home: Path) -> Iterator[Lab]:
    made = Lab()
    (made.dir / "passwd").write_text(Path("/etc/passwd").read_text() + f"ordinary:x:{UID}:{GID}::{home}:/bin/sh\n")
    (made.dir / "group").write_text(Path("/etc/group").read_text() + f"ordinary:x:{GID}:\n")
    for name in ("subuid", "subgid"):
        (made.dir / name).write_text(f"ordinary:{FIRST}:{COUNT}\n")
    for name in ("passwd", "group", "subuid", "subgid"):
        if Path("/etc", name).exists():
            made.run("mount", "--bind", str(made.dir / name), f"/etc/{name}")
    yield made
    made.close()


@pytest.fixture
def ordinary(runtime: Runtime, lab: Lab, home: Path) -> Iterator[Ordinary]:
    place = Path(tempfile.mkdtemp(dir=home))
    os.chown(place, UID, GID)
    user = Ordinary(str(home / "firkin-oci") if runtime.name == "firkin-oci" else runtime.program, place / "state")
    user.lab, user.home = lab, home
    yield user
    user.close()


@pytest.fixture
def own(ordinary: Ordinary, home: Path) -> Bundle:
    """As `spec --rootless` makes one."""
    bundle = Bundle(ordinary.root.parent / "bundle", home / "rootfs")
    os.chown(bundle.path, UID, GID)
    ordinary.call("spec", "--rootless", "--bundle", str(bundle.path))
    made = json.loads((bundle.path / "config.json").read_text())
    made["root"] = copy.deepcopy(bundle.config["root"])
    made["process"]["terminal"] = False
    bundle.config = made
    return bundle


def ranges(bundle: Bundle) -> None:
    """More ids than his own."""
    maps = [{"containerID": 0, "hostID": UID, "size": 1}, {"containerID": 1, "hostID": FIRST, "size": COUNT}]
    bundle.config["linux"].update(uidMappings=maps, gidMappings=maps)


def test_the_example_configuration_is_runcs(ordinary: Ordinary, own: Bundle) -> None:
    linux = own.config["linux"]
    assert {one["type"] for one in linux["namespaces"]} >= {"user", "mount", "pid"}
    assert {"type": "network"} not in linux["namespaces"] and not linux.get("resources")
    assert linux["uidMappings"] == linux["gidMappings"] == [{"containerID": 0, "hostID": UID, "size": 1}]
    assert not any(word.startswith("gid=") for one in own.config["mounts"] for word in one.get("options", []))


def test_a_container_of_ones_own_id(ordinary: Ordinary, own: Bundle) -> None:
    script = "id -u; id -G; cat /proc/self/uid_map /proc/self/setgroups; echo x > /dev/null; stat -c %t:%T /dev/zero; ls /dev | wc -l"
    own.config["root"]["readonly"] = False
    own.sh(f"{script}; echo mine > /mine")
    lines = ordinary.run(own).stdout.split()
    assert lines[0] == "0" and lines[-2] == "1:5" and "deny" in lines
    assert lines[lines.index("deny") - 3 : lines.index("deny")] == ["0", str(UID), "1"]
    mine = ordinary.home / "rootfs/mine"
    assert (mine.stat().st_uid, mine.read_text()) == (UID, "mine\n")
    mine.unlink()
    assert ordinary.ids() == []


def test_files_of_his_are_bound_with_the_flags_they_have(ordinary: Ordinary, own: Bundle) -> None:
    shown = ordinary.root.parent / "shown"
    shown.write_text("shown\n")
    shown.chmod(0o644)
    own.config["mounts"] += [
        {"destination": "/tmp/shown", "type": "bind", "source": str(shown), "options": ["bind", "ro"]},
        {"destination": "/tmp/null", "type": "bind", "source": "/dev/null", "options": ["bind"]},
    ]
    done = ordinary.run(own.sh("cat /tmp/shown; echo x > /tmp/shown || echo refused"))
    assert done.stdout == "shown\nrefused\n"


def test_the_whole_life_of_a_container(ordinary: Ordinary, own: Bundle, wait_for: Wait) -> None:
    ordinary.create(own.sh("trap 'exit 3' TERM; while :; do sleep 1; done"))
    assert ordinary.state()["status"] == "created"
    ordinary.call("start", "box")
    assert ordinary.state()["status"] == "running"
    pid = ordinary.state()["pid"]
    assert os.stat(f"/proc/{pid}").st_uid == UID
    done = ordinary.call("exec", "box", "sh", "-c", "id -u; readlink /proc/self/ns/user; exit 5", check=5)
    assert done.stdout.split() == ["0", os.readlink(f"/proc/{pid}/ns/user")]
    assert ordinary.ids() == ["box"]
    ordinary.call("kill", "box", "KILL")
    ordinary.await_status("stopped")
    ordinary.call("delete", "box")
    assert ordinary.ids() == []


def test_hooks_are_run_as_he_is(ordinary: Ordinary, own: Bundle) -> None:
    seen = ordinary.root.parent / "seen"
    script = f"echo $(id -u) $(readlink /proc/self/ns/user) >> {seen}"
    hook = {"path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/usr/bin:/bin"]}
    own.config["hooks"] = {"createRuntime": [hook], "poststop": [hook]}
    ordinary.run(own.sh("true"))
    assert seen.read_text().split() == [str(UID), os.readlink("/proc/self/ns/user")] * 2


def test_more_ids_than_ones_own(ordinary: Ordinary, own: Bundle) -> None:
    if not shutil.which("newuidmap") or not Path("/etc/subuid").exists():
        pytest.skip("newuidmap or /etc/subuid is missing (package uidmap)")
    ranges(own)
    own.config["process"]["user"] = {"uid": 10, "gid": 20}
    if ordinary.name == "firkin-oci":  # which sets groups where the namespace allows it; runc in no case
        own.config["process"]["user"]["additionalGids"] = [30]
    lines = ordinary.run(own.sh("id -u; id -G; cat /proc/self/uid_map; cat /proc/self/setgroups")).stdout.splitlines()
    assert lines[0] == "10" and lines[-1] == "allow"
    assert lines[1].split() == (["20", "30"] if ordinary.name == "firkin-oci" else ["20"])
    assert [line.split() for line in lines[2:4]] == [["0", str(UID), "1"], ["1", str(FIRST), str(COUNT)]]


REFUSED: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "no user namespace": (
        lambda c: (c["linux"]["namespaces"].remove({"type": "user"}), c["linux"].pop("uidMappings"), c["linux"].pop("gidMappings")),
        "user namespace",
    ),
    "another's id": (lambda c: c["linux"]["uidMappings"][0].update(hostID=UID + 1), "uid"),
    "groups that cannot be set": (lambda c: c["process"]["user"].update(additionalGids=[0]), "groups"),
    "an owner that is not mapped": (
        lambda c: c["mounts"].append({"destination": "/tmp", "type": "tmpfs", "source": "x", "options": ["uid=7"]}), "uid=",
    ),
    "a limit": (lambda c: c["linux"].update(resources={"pids": {"limit": 10}}), "pids"),
    "a group by name": (lambda c: c["linux"].update(cgroupsPath="/his"), ""),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_he_cannot_have(ordinary: Ordinary, own: Bundle, case: str) -> None:
    change, word = REFUSED[case]
    change(own.config)
    done = ordinary.run(own.sh("true"), check=1)
    if ordinary.name == "firkin-oci":
        assert word in done.stderr.replace("additionalGids", "groups")
    assert ordinary.ids() == [] and [one for one in ordinary.root.glob("*") if not one.name.startswith(".")] == []


def test_groups_are_wanted_nevertheless(ordinary: Ordinary, own: Bundle) -> None:
    """`--rootless` says whether it is an error that they cannot be made; for root too, who could."""
    own.sh("true").write()
    words = ["--rootless", "false", "run", "--bundle", str(own.path), "box"]
    assert "permission denied" in ordinary.call(*words, check=1).stderr
    ordinary.call("--rootless", "true", *words[2:])
    ordinary.call("--rootless", "auto", *words[2:])
    ordinary.call("--rootless", "maybe", *words[2:], check=1)
