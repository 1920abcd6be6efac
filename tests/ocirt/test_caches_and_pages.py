"""`update` of cache classes, and what `events` tells of huge pages. Of caches with a stand-in: no machine of ours has them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from firkin.linux import resctrl
from firkin.linux.cgroup import Cgroups
from firkin.runtime.oci import destroy, usage
from firkin.runtime.oci.commands import update
from firkin.runtime.oci.context import Context
from firkin.runtime.oci.failure import Log
from firkin.runtime.oci.flags import parse
from firkin.runtime.oci.record import Directory
from tests.ocirt.conftest import Bundle, Runtime

PAGES = Path("/sys/kernel/mm/hugepages")


@pytest.fixture(autouse=True)
def own_cgroup(bundle: Bundle) -> None:
    """Whoever else runs a container called "box" on this machine has another."""
    bundle.config["linux"]["cgroupsPath"] = f"/firkin-caches-{os.getpid()}"


@pytest.fixture
def classes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory that behaves as resctrl does: groups have their files at once, and are removed with them."""
    root = tmp_path / "resctrl"
    make, remove = os.mkdir, os.rmdir

    def populated(path: str, mode: int = 0o777) -> None:
        make(path, mode)
        if str(path).startswith(str(root)):
            for name in ("tasks", "schemata"):
                Path(path, name).write_text("")

    def emptied(path: str) -> None:
        if str(path).startswith(str(root)):
            for name in ("tasks", "schemata"):
                Path(path, name).unlink()
        remove(path)

    populated(str(root))
    monkeypatch.setattr(os, "mkdir", populated)
    monkeypatch.setattr(os, "rmdir", emptied)
    monkeypatch.setattr(resctrl, "mount_point", lambda: str(root))
    yield root


def change(root: Path, *words: str) -> None:
    options, arguments = parse(update.FLAGS, [*words, "box"])
    update.main(Context(Log(), str(root), False, False, "criu", options, arguments))


def test_a_class_for_a_container_that_had_none(oci: Runtime, bundle: Bundle, classes: Path) -> None:
    """It is joined, changed by the next update, and gone with the container."""
    oci.run(bundle.sh("exec sleep 1000"), "--detach")
    change(oci.root, "--l3-cache-schema", "L3:0=f")
    assert (classes / "box/tasks").read_text() == str(oci.state()["pid"])
    assert (classes / "box/schemata").read_text() == "L3:0=f\n"
    change(oci.root, "--mem-bw-schema", "MB:0=20")
    assert (classes / "box/schemata").read_text() == "MB:0=20\n"  # to the kernel: a line for another resource
    directory = Directory(str(oci.root), "box")
    record = directory.load()
    destroy.end(record)
    destroy.remove(directory, record, Log())
    assert [path.name for path in classes.iterdir() if path.is_dir()] == []


def test_the_class_that_the_configuration_names(oci: Runtime, bundle: Bundle, classes: Path) -> None:
    os.mkdir(f"{classes}/gold")
    oci.run(bundle.sh("exec sleep 1000"), "--detach")
    config = json.loads((oci.root / "box/config.json").read_text())
    config["linux"]["intelRdt"] = {"closID": "gold"}
    (oci.root / "box/config.json").write_text(json.dumps(config))
    change(oci.root, "--l3-cache-schema", "L3:0=3", "--pids-limit", "30")
    assert (classes / "gold/schemata").read_text() == "L3:0=3\n" and (classes / "gold/tasks").read_text() == ""


def test_without_the_hardware_it_is_refused(runtime: Runtime, bundle: Bundle) -> None:
    if "resctrl" in Path("/proc/self/mountinfo").read_text():
        pytest.skip("resctrl is mounted")
    runtime.run(bundle.sh("exec sleep 1000"), "--detach")
    for flag, schema in (("--l3-cache-schema", "L3:0=f"), ("--mem-bw-schema", "MB:0=20")):
        assert runtime.call("update", flag, schema, "box", check=1).stderr


def test_figures_of_huge_pages(oci: Runtime, bundle: Bundle) -> None:
    """As the kernel counts them for a group that is limited."""
    sizes = [f"{kb >> 10}MB" if kb < 1 << 20 else f"{kb >> 20}GB" for kb in (int(one.name[10:-2]) for one in PAGES.glob("*"))]
    if not sizes:
        pytest.skip("this kernel has no huge pages")
    bundle.config["linux"]["resources"]["hugepageLimits"] = [{"pageSize": sizes[0], "limit": 0}]
    done = oci.run(bundle.sh("exec sleep 1000"), "--detach", check=None)
    if "this kernel has no hugetlb" in done.stderr:
        pytest.skip("this kernel has no hugetlb controller, or none with files")
    found = json.loads(oci.call("events", "--stats", "box").stdout)["data"]["hugetlb"]
    assert found == {size: {"failcnt": 0} for size in sizes}


@pytest.mark.parametrize("version", [1, 2])
def test_the_files_that_figures_of_huge_pages_are_in(tmp_path: Path, version: int) -> None:
    """hugetlb.rst, cgroup-v2.rst; pages in use would have to be taken from the machine."""
    files = {
        1: {"usage_in_bytes": "4096", "max_usage_in_bytes": "8192", "failcnt": "3", "rsvd.usage_in_bytes": "9"},
        2: {"current": "4096", "events": "max 3\nother 1", "rsvd.current": "9", "max": "max"},
    }
    for name, content in files[version].items():
        (tmp_path / "box").mkdir(exist_ok=True)
        (tmp_path / f"box/hugetlb.2MB.{name}").write_text(content + "\n")
    first = Cgroups({"hugetlb": str(tmp_path)}, "", frozenset())
    second = Cgroups({}, str(tmp_path), frozenset(("hugetlb",)))
    found = usage.figures(first if version == 1 else second, "/box")["hugetlb"]
    assert found == {"2MB": {"usage": 4096, **({"max": 8192} if version == 1 else {}), "failcnt": 3}}
