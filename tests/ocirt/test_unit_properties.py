"""What systemd is told of a container: limits, device rules, annotations, names. Decided without one."""

from __future__ import annotations

import pytest

from firkin.errors import Invalid
from firkin.oci.runtime_resources import CPU, BlockIO, Memory, Pids, Resources
from firkin.runtime.cgroup_settings import cgroup_settings
from firkin.runtime.oci import scopes, unit_annotations, unit_devices, unit_properties

M, ALL = 1 << 20, (1 << 64) - 1
LIMITS = Resources(
    memory=Memory(limit=64 * M, swap=64 * M, reservation=32 * M),
    cpu=CPU(shares=512, quota=50_000, period=100_000, cpus="0-2,9", mems="0"),
    pids=Pids(33),
    block_io=BlockIO(weight=300),
)


def told(resources: Resources, version: int) -> dict[str, object]:
    settings = cgroup_settings(resources, lambda controller: 0 if controller == ("io", "blkio")[version - 1] else version)
    return {name: value for name, (_, value) in unit_properties.of_settings(settings)}


def test_limits_have_the_names_of_the_hierarchys_version() -> None:
    assert told(LIMITS, 2) == {
        "MemoryMax": 64 * M, "MemorySwapMax": 0, "MemoryLow": 32 * M, "CPUWeight": 20, "CPUQuotaPeriodUSec": 100_000,
        "CPUQuotaPerSecUSec": 500_000, "AllowedCPUs": b"\x07\x02", "AllowedMemoryNodes": b"\1", "TasksMax": 33, "IOWeight": 2930,
    }  # fmt: skip
    assert told(LIMITS, 1) == {
        "MemoryLimit": 64 * M, "CPUShares": 512, "CPUQuotaPeriodUSec": 100_000, "CPUQuotaPerSecUSec": 500_000,
        "AllowedCPUs": b"\x07\x02", "AllowedMemoryNodes": b"\1", "TasksMax": 33, "BlockIOWeight": 300,
    }  # fmt: skip


def test_without_limit_is_infinite() -> None:
    free = Resources(memory=Memory(limit=-1, swap=-1), cpu=CPU(quota=-1, period=50_000), pids=Pids(-1))
    expected = {"CPUQuotaPeriodUSec": 50_000, "CPUQuotaPerSecUSec": ALL, "TasksMax": ALL}
    assert told(free, 2) == {"MemoryMax": ALL, "MemorySwapMax": ALL, **expected}
    assert told(free, 1) == {"MemoryLimit": ALL, **expected}
    assert told(Resources(), 2) == {}


@pytest.mark.parametrize(
    ("quota", "period", "share"),
    [(1000, 100_000, 10_000), (33_333, 100_000, 340_000), (250_000, 100_000, 2_500_000), (1500, 0, 20_000)],
)
def test_a_share_of_a_processor_is_rounded_up_to_a_percent(quota: int, period: int, share: int) -> None:
    assert told(Resources(cpu=CPU(quota=quota, period=period or None)), 2)["CPUQuotaPerSecUSec"] == share


def test_files_by_name_and_what_systemd_would_refuse_is_left_to_the_file() -> None:
    def by_name(**files: str) -> dict[str, object]:
        return told(Resources(unified={name.replace("__", "."): value for name, value in files.items()}), 2)

    assert by_name(memory__high="1000", memory__min="max", cpu__weight="77") == {
        "MemoryHigh": 1000,
        "MemoryMin": ALL,
        "CPUWeight": 77,
    }
    assert by_name(cpu__max="max 20000") == {"CPUQuotaPeriodUSec": 20_000, "CPUQuotaPerSecUSec": ALL}
    for nothing in (
        {"memory__high": "1G"},
        {"pids__max": "0"},
        {"cpuset__cpus": "0-99999999999"},
        {"cpuset__cpus": "2-1"},
        {"cpuset__cpus": "x"},
        {"memory__oom__group": "1"},
    ):
        assert by_name(**nothing) == {}


ANY = ("a", -1, -1)


def test_devices_are_a_list_of_what_is_allowed() -> None:
    rules = [
        (False, *ANY, "rwm"), (True, "c", -1, -1, "m"), (True, "c", 1, 3, "rwm"), (True, "c", 136, -1, "rw"), (True, "b", 8, 0, "r"),
        (True, "b", 8, 0, "w"), (True, "c", 10, 200, "rwm"), (False, "c", 10, 200, "wm"), (True, "a", -1, -1, "m"), (True, "c", -1, 7, "r"),
    ]  # fmt: skip
    assert dict(unit_devices.of_rules(rules)) == {
        "DevicePolicy": ("s", "strict"),
        "DeviceAllow": ("a(ss)", [
            ("char-*", "m"), ("/dev/char/1:3", "mrw"), ("char-136", "rw"), ("/dev/block/8:0", "rw"), ("/dev/char/10:200", "r"),
            ("char-*", "m"), ("block-*", "m"),
        ]),
    }  # fmt: skip


def test_a_privileged_container_may_use_all_devices() -> None:
    assert unit_devices.of_rules([(False, *ANY, "rwm"), (True, "c", 1, 3, "r"), (True, *ANY, "rwm")]) == [
        ("DevicePolicy", ("s", "auto"))
    ]
    again = unit_devices.of_rules([(True, *ANY, "rwm"), (False, *ANY, "rwm"), (True, "c", 1, 3, "r")])
    assert again == [("DevicePolicy", ("s", "strict")), ("DeviceAllow", ("a(ss)", [("/dev/char/1:3", "r")]))]


@pytest.mark.parametrize(
    ("name", "text", "property_"),
    [
        ("CollectMode", "'inactive-or-failed'", ("CollectMode", ("s", "inactive-or-failed"))),
        ("CollectMode", '"it\\"s"', ("CollectMode", ("s", 'it"s'))),
        ("TimeoutStopUSec", "uint64 123456789", ("TimeoutStopUSec", ("t", 123456789))),
        ("TimeoutStopSec", "2", ("TimeoutStopUSec", ("t", 2_000_000))),
        ("RuntimeMaxSec", "uint64 2", ("RuntimeMaxUSec", ("t", 2_000_000))),
        ("RuntimeMaxSec", "1.5", ("RuntimeMaxUSec", ("t", 1_500_000))),
        ("SendSIGHUP", "true", ("SendSIGHUP", ("b", True))),
        ("KillSignal", "-9", ("KillSignal", ("i", -9))),
        ("KillSignal", "0x10", ("KillSignal", ("i", 16))),
        ("KillSignal", "byte 255", ("KillSignal", ("y", 255))),
        ("After", "['a.service', 'b, c.service']", ("After", ("as", ["a.service", "b, c.service"]))),
        ("After", "@as []", ("After", ("as", []))),
        ("Numbers", "@au [1, 2]", ("Numbers", ("au", [1, 2]))),
    ],
)
def test_annotations(name: str, text: str, property_: object) -> None:
    assert unit_annotations.properties({"other": "x", unit_annotations.PREFIX + name: text}) == [property_]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("X", "1"), ("Two Words", "1"), ("Abc1", "1"), ("CollectMode", "inactive"), ("CollectMode", "'open"), ("CollectMode", "'a' 'b'"),
        ("CollectMode", ""), ("KillSignal", "4294967296"), ("KillSignal", "byte 256"), ("KillSignal", "byte -1"), ("KillSignal", "uint64 x"),
        ("RuntimeMaxSec", "'a'"), ("RuntimeMaxSec", "-1"), ("RuntimeMaxSec", "true"), ("After", "[]"), ("After", "['a', 1]"), ("After", "['a'"),
        ("After", "@q '"), ("After", "1_0"), ("After", "boolean 1"), ("After", "\\"), ("After", "'\\"), ("RuntimeMaxSec", "double nan"),
    ],
)  # fmt: skip
def test_annotations_that_say_nothing(name: str, text: str) -> None:
    key = unit_annotations.PREFIX + name
    with pytest.raises(Invalid) as caught:
        unit_annotations.properties({key: text})
    assert caught.value.message.startswith(f"annotations[{key}]: ")


def test_slices_lie_in_each_other() -> None:
    assert scopes.group_of_slice("system.slice") == "/system.slice"
    assert scopes.group_of_slice("a-b-c.slice") == "/a.slice/a-b.slice/a-b-c.slice"
    assert scopes.group_of_slice("-.slice") == ""


@pytest.mark.parametrize("name", ["", "-", ".slice", "a", "a--b.slice", "-a.slice", "a-.slice", "a.scope"])
def test_what_is_no_slice(name: str) -> None:
    with pytest.raises(Invalid, match=r"linux\.cgroupsPath"):
        scopes.group_of_slice(name)
