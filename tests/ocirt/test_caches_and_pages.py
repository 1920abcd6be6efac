"""`update` of cache classes, and what `events` tells of huge pages. Of caches with a stand-in: no machine of ours has them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from firkin.linux import resctrl
from firkin.linux.cgroup import Cgroups
from firkin.oci.runtime_config import from_json
from firkin.runtime.oci import destroy, usage, usage_caches
from firkin.runtime.oci.commands import update
from firkin.runtime.oci.context import Context
from firkin.runtime.oci.failure import Log
from firkin.runtime.oci.flags import parse
from firkin.runtime.oci.record import Directory, Record
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


RESCTRL = {
    "schemata": "    MB:0=100;1=100\n    L3:0=fffff;1=fffff\n",
    "info/L3/cbm_mask": "fffff\n",
    "info/L3/min_cbm_bits": "2\n",
    "info/L3/num_closids": "16\n",
    "info/MB/bandwidth_gran": "10\n",
    "info/MB/delay_linear": "1\n",
    "info/MB/min_bandwidth": "10\n",
    "info/MB/num_closids": "8\n",
    "info/L3_MON/mon_features": "llc_occupancy\nmbm_total_bytes\nmbm_local_bytes\n",
}
COUNTED = {"llc_occupancy": "4096\n", "mbm_total_bytes": "800\n", "mbm_local_bytes": "Unavailable\n"}
TOLD = {
    "l3_cache_info": {"cbm_mask": "fffff", "min_cbm_bits": 2, "num_closids": 16},
    "l3_cache_schema_root": "L3:0=fffff;1=fffff",
    "l3_cache_schema": "L3:0=f;1=f",
    "mem_bw_info": {"bandwidth_gran": 10, "delay_linear": 1, "min_bandwidth": 10, "num_closids": 8},
    "mem_bw_schema_root": "MB:0=100;1=100",
    "mem_bw_schema": "MB:0=20;1=70",
    "schemata": ["L3:0=f;1=f", "MB:0=20;1=70"],
    "mbm_stats": [{"mbm_total_bytes": 800, "mbm_local_bytes": 0}, {"mbm_total_bytes": 800, "mbm_local_bytes": 0}],
    "cmt_stats": [{"llc_occupancy": 4096}, {"llc_occupancy": 4096}],
}


def files(root: Path, content: dict[str, str]) -> None:
    for name, text in content.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


@pytest.fixture
def hardware(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What is written of it in resctrl.rst, with two caches."""
    files(tmp_path, RESCTRL)
    monkeypatch.setattr(resctrl, "mount_point", lambda: str(tmp_path))
    return tmp_path


def told(rdt: dict[str, object] | None, class_: str = "") -> dict[str, object]:
    config = from_json(json.dumps({"ociVersion": "1.2.0", "linux": {"intelRdt": rdt} if rdt is not None else {}}).encode())
    return usage_caches.figures(config, Record(id="box", bundle="", rootfs="", created="", cache_class=class_))


@pytest.mark.parametrize(
    ("rdt", "class_", "group", "monitored"),
    [
        ({}, "", "box", "box"),
        ({"closID": "gold"}, "", "gold", "gold"),
        ({"closID": "gold", "enableMonitoring": True}, "", "gold", "gold/mon_groups/box"),
        (None, "box", "box", "box"),
    ],
)
def test_figures_of_caches(hardware: Path, rdt: dict[str, object] | None, class_: str, group: str, monitored: str) -> None:
    """Of the class, and of what is counted for the container or else for the class. The shape is runc's."""
    files(hardware, {f"{group}/schemata": "    L3:0=f;1=f\n    MB:0=20;1=70\n"})
    files(hardware, {f"{monitored}/mon_data/mon_L3_0{n}/{name}": text for n in (0, 1) for name, text in COUNTED.items()})
    found = told(rdt, class_)
    assert [str(line).strip() for line in found.pop("schemata")] == TOLD["schemata"]  # type: ignore[attr-defined]
    assert found == {key: value for key, value in TOLD.items() if key != "schemata"}


def test_figures_of_the_machines_own_class(hardware: Path) -> None:
    """ "/" is the root of resctrl."""
    files(hardware, {f"mon_data/mon_L3_00/{name}": text for name, text in COUNTED.items()})
    found = told({"closID": "/"})
    assert found["l3_cache_schema"] == found["l3_cache_schema_root"] == "L3:0=fffff;1=fffff"
    assert found["cmt_stats"] == [{"llc_occupancy": 4096}]


def test_figures_of_what_the_hardware_has(hardware: Path) -> None:
    for name in RESCTRL:
        if name.startswith(("info/MB", "info/L3_MON")):
            (hardware / name).unlink()
            if not any((hardware / name).parent.iterdir()):
                (hardware / name).parent.rmdir()
    files(hardware, {"box/schemata": "L3:0=f\n"})
    assert set(told({})) == {"l3_cache_info", "l3_cache_schema_root", "l3_cache_schema", "schemata"}
    assert told(None) == {}


def test_a_class_that_is_gone_is_an_error(hardware: Path) -> None:
    with pytest.raises(FileNotFoundError):
        told({})


@pytest.mark.reference
def test_figures_have_runcs_names(oci: Runtime, runc: Runtime, bundle: Bundle) -> None:
    """Ours has zeros where runc leaves out, and newer kernels' figures that runc 1.1 does not know."""
    names = []
    for runtime in (oci, runc):
        runtime.run(bundle.sh("exec sleep 1000"), "--detach")
        data = json.loads(runtime.call("events", "--stats", "box").stdout)["data"]
        data["memory"].pop("raw")
        names.append({(key, inner) for key, value in data.items() for inner in (value or {"": 0})})
        runtime.call("delete", "--force", "box")
    ours, theirs = names
    assert theirs <= ours and ours - theirs <= {("memory", "cache"), ("cpu", "psi"), ("memory", "psi"), ("blkio", "psi")}


def test_figures_of_the_second_version(tmp_path: Path) -> None:
    """cgroup-v2.rst, psi.rst."""
    pressure = "some avg10=1.50 avg60=0.00 avg300=0.00 total=12\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n"
    files(tmp_path / "box", {"io.stat": "8:0 rbytes=90112 wbytes=0 rios=2 wios=0 dbytes=0 dios=0\n", "io.pressure": pressure})
    found = usage.figures(Cgroups({}, str(tmp_path), frozenset(("io",))), "/box", {})
    assert found["blkio"] == {
        "ioServiceBytesRecursive": [
            {"major": 8, "op": "Read", "value": 90112},
            {"major": 8, "op": "Write"},
        ],
        "ioServicedRecursive": [{"major": 8, "op": "Read", "value": 2}, {"major": 8, "op": "Write"}],
        "psi": {"some": {"avg10": 1.5, "avg60": 0.0, "avg300": 0.0, "total": 12}},
    }


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
    found = usage.figures(first if version == 1 else second, "/box", {})["hugetlb"]
    assert found == {"2MB": {"usage": 4096, **({"max": 8192} if version == 1 else {}), "failcnt": 3}}
