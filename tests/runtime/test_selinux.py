"""SELinux labels as values: what is asked for, over what the policy has."""

from __future__ import annotations

import os
import tempfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from tests.api.samples import CREATED

from firkin.engine import host_defaults, relabel
from firkin.engine.engine import Engine
from firkin.errors import Invalid
from firkin.ids import new_id
from firkin.model import Container, HostConfig, MountPoint
from firkin.runtime import plan_files, selinux
from firkin.runtime.machine import Machine
from firkin.runtime.sandbox import Sandbox
from firkin.runtime.spec import build_config
from firkin.storage.snapshots import OverlayMount

ID = f"{1022 * 1024 + 2:012x}" + "0" * 52  # categories 2 and, of the others, the last
CONTEXTS = ("system_u:system_r:container_t:s0", "system_u:object_r:container_file_t:s0")


@pytest.mark.parametrize(
    ("options", "process", "files"),
    [
        ((), "", ""),
        (("disable",), "", ""),
        (("type:spc_t",), "system_u:system_r:spc_t:s0:c2,c1023", "system_u:object_r:container_file_t:s0:c2,c1023"),
        (("level:s0:c1,c2",), "system_u:system_r:container_t:s0:c1,c2", "system_u:object_r:container_file_t:s0:c1,c2"),
        (("user:u", "role:r", "filetype:f_t"), "u:r:container_t:s0:c2,c1023", "system_u:object_r:f_t:s0:c2,c1023"),
        (("type:spc_t", "disable"), "", ""),
    ],
)
def test_labels(options: tuple[str, ...], process: str, files: str) -> None:
    assert selinux.labels(options, CONTEXTS, ID) == (process, files)


def labelled_container(*options: str, **host: str) -> Container:
    security = tuple(f"label={option}" for option in options)
    return replace(CREATED, id=ID, host=HostConfig(security_opt=security, **host))  # type: ignore[arg-type]


def test_two_containers_hardly_have_the_same_categories() -> None:
    levels = {selinux.labels(("type:t",), CONTEXTS, new_id())[0].split(":", 3)[3] for _ in range(200)}
    assert len(levels) > 195
    for level in levels:
        first, second = (int(word[1:]) for word in level.removeprefix("s0:").split(","))
        assert 0 <= first < second < 1024


def test_everything_a_container_mounts_has_its_label() -> None:
    machine, sandbox = Machine((), False, selinux=CONTEXTS), Sandbox(rootfs="/", cgroup="/c")
    config = build_config(labelled_container("type:spc_t"), machine, sandbox)
    steps = [*plan_files.root(config, OverlayMount(("/l",), "/u", "/w"), "/s", volatile=False), *plan_files.tree(config, [])]
    label = "context=system_u:object_r:container_file_t:s0:c2,c1023"
    labelled = {
        step[3] if step[0] == "mount" else "/"
        for step in steps
        if any(label in part for part in step if isinstance(part, list))
    }
    assert labelled == {"/", "/dev", "/dev/pts", "/dev/shm"}
    assert config.process and config.process.selinux_label == "system_u:system_r:spc_t:s0:c2,c1023"


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ({"ipc_mode": "host"}, ("label=disable",)),
        ({"pid_mode": "host"}, ("label=disable",)),
        (
            {"ipc_mode": "container:x"},
            tuple(f"label={one}" for one in ("user:system_u", "role:system_r", "type:a", "level:s0:c1")),
        ),
        ({"pid_mode": "container:plain"}, ("label=disable",)),
        ({"ipc_mode": "private"}, ()),
    ],
)
def test_who_shares_processes_or_memory_shares_the_label(host: dict[str, str], expected: tuple[str, ...]) -> None:
    assert host_defaults._security_opt(with_others(CONTEXTS), HostConfig(**host)) == expected  # type: ignore[arg-type]


def test_two_labels_cannot_be_shared() -> None:
    both = HostConfig(ipc_mode="container:x", pid_mode="container:plain")
    with pytest.raises(Invalid, match="labels aren't the same"):
        host_defaults._security_opt(with_others(CONTEXTS), both)
    assert host_defaults._security_opt(with_others(None), both) == ()  # there are no labels


def with_others(contexts: tuple[str, str] | None) -> Engine:
    """Beside a container that has a label and one that has none."""
    others = {"container:x": labelled_container("type:a", "level:s0:c1"), "container:plain": labelled_container()}
    found = SimpleNamespace(machine=Machine((), False, selinux=contexts), containers=SimpleNamespace(joined=others.__getitem__))
    return cast(Engine, found)


@pytest.mark.parametrize("option", ["", "type", "type:", "colour:red", "Disable"])
def test_what_is_no_label_option(option: str) -> None:
    with pytest.raises(Invalid, match="bad label option"):
        selinux.check((option,))


def test_the_policys_own_contexts(tmp_path: Path) -> None:
    assert selinux.contexts(str(tmp_path / "config")) == CONTEXTS  # none installed
    (tmp_path / "config").write_text("# comment\nSELINUXTYPE=strict\n")
    (tmp_path / "strict/contexts").mkdir(parents=True)
    (tmp_path / "strict/contexts/lxc_contexts").write_text('process = "a:b:c:s0"\nfile = "a:object_r:d:s0"\n')
    assert selinux.contexts(str(tmp_path / "config")) == ("a:b:c:s0", "a:object_r:d:s0")


def test_what_is_bound_gets_the_label_and_links_are_not_followed() -> None:
    """Under another attribute's name, for there is no policy here that knows labels."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:
        tree = Path(name) / "tree"
        (tree / "deep").mkdir(parents=True)
        (outside := Path(name) / "outside").touch()
        (tree / "deep/file").touch()
        (tree / "deep/link").symlink_to(outside)
        relabel.relabel(str(tree), "u:r:t:s0", "trusted.lane")
        labelled = [
            path for path in (tree, tree / "deep", tree / "deep/file") if os.getxattr(path, "trusted.lane") == b"u:r:t:s0\0"
        ]
        assert len(labelled) == 3 and os.listxattr(outside) == []
        assert os.getxattr(tree / "deep/link", "trusted.lane", follow_symlinks=False) == b"u:r:t:s0\0"


def test_the_machines_own_directories_are_not_relabelled() -> None:
    with pytest.raises(Invalid, match="/etc"):
        relabel.relabel("/etc/../etc", "u:r:t:s0", "trusted.lane")


def test_only_binds_that_ask_are_relabelled_and_only_where_selinux_is_on(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[tuple[str, str]] = []
    monkeypatch.setattr(relabel, "relabel", lambda path, label: done.append((path, label)))
    mounts = (
        MountPoint("bind", "/a", "/a", mode="ro,z"),
        MountPoint("bind", "/b", "/b", mode="Z"),
        MountPoint("bind", "/c", "/c", mode="ro"),
    )
    labelled = replace(labelled_container("level:s0:c7"), mounts=mounts)
    relabel.relabel_sources(Machine((), False), labelled)
    assert done == []
    relabel.relabel_sources(Machine((), False, selinux=CONTEXTS), labelled)
    assert done == [("/a", "system_u:object_r:container_file_t:s0"), ("/b", "system_u:object_r:container_file_t:s0:c7")]
