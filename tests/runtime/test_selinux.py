"""SELinux labels as values: what is asked for, over what the policy has."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from firkin.engine import relabel
from firkin.errors import Invalid
from firkin.model import HostConfig, MountPoint
from firkin.runtime import selinux
from firkin.runtime.machine import Machine

CONTEXTS = ("system_u:system_r:container_t:s0", "system_u:object_r:container_file_t:s0")


@pytest.mark.parametrize(
    ("options", "process", "files"),
    [
        ((), "", ""),
        (("disable",), "", ""),
        (("type:spc_t",), "system_u:system_r:spc_t:s0", "system_u:object_r:container_file_t:s0"),
        (("level:s0:c1,c2",), "system_u:system_r:container_t:s0:c1,c2", "system_u:object_r:container_file_t:s0:c1,c2"),
        (("user:u", "role:r", "filetype:f_t"), "u:r:container_t:s0", "system_u:object_r:f_t:s0"),
        (("type:spc_t", "disable"), "", ""),
    ],
)
def test_labels(options: tuple[str, ...], process: str, files: str) -> None:
    assert selinux.labels(options, CONTEXTS) == (process, files)


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
    host = HostConfig(security_opt=("label=level:s0:c7",))
    mounts = [
        MountPoint("bind", "/a", "/a", mode="ro,z"),
        MountPoint("bind", "/b", "/b", mode="Z"),
        MountPoint("bind", "/c", "/c", mode="ro"),
    ]
    relabel.relabel_sources(Machine((), False), host, mounts)
    assert done == []
    relabel.relabel_sources(Machine((), False, selinux=CONTEXTS), host, mounts)
    assert done == [("/a", "system_u:object_r:container_file_t:s0"), ("/b", "system_u:object_r:container_file_t:s0:c7")]
