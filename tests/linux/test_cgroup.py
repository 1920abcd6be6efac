"""Control groups on the real kernel, in whichever version this machine mounts."""

from __future__ import annotations

import os
import secrets
import select
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.lab import SLOWNESS

from firkin.linux import cgroup_bpf, cgroup_bpf_view
from firkin.linux.cgroup import Cgroups
from firkin.linux.oom import OomWatch

DENY_ALL = (False, "a", -1, -1, "rwm")


@pytest.fixture
def group() -> Iterator[tuple[Cgroups, str]]:
    cgroups = Cgroups.detect()
    parent = "/firkin-test-" + secrets.token_hex(4)
    yield cgroups, parent + "/one"
    if cgroups.exists(parent + "/one"):
        cgroups.thaw(parent + "/one")
        cgroups.kill(parent + "/one")
    cgroups.remove(parent)


def run_inside(cgroups: Cgroups, path: str, code: str) -> subprocess.CompletedProcess[str]:
    """Run Python code in the group; it has joined before its first line."""
    joins = f"for f in {cgroups.join_files(path)!r}: open(f, 'w').write('0')\n"
    return subprocess.run([sys.executable, "-c", joins + code], capture_output=True, text=True, timeout=30 * SLOWNESS)


def test_a_memory_limit_is_in_force_before_the_first_allocation(group: tuple[Cgroups, str]) -> None:
    cgroups, path = group
    name = "memory.limit_in_bytes" if cgroups.version("memory") == 1 else "memory.max"
    cgroups.create(path, [("memory", name, str(32 << 20))], [])
    assert cgroups.oom_kills(path) == 0
    hog = run_inside(cgroups, path, "b = bytearray(256 << 20); b[::4096] = b'x' * len(b[::4096]); print('survived')")
    assert hog.returncode == -9 and "survived" not in hog.stdout
    assert cgroups.oom_kills(path) >= 1


def test_a_pids_limit_stops_a_fork_bomb(group: tuple[Cgroups, str]) -> None:
    cgroups, path = group
    cgroups.create(path, [("pids", "pids.max", "3")], [])
    code = f"import os, time\nn = 0\ntry:\n  while n < 50:\n    if not os.fork(): time.sleep({2 * SLOWNESS}); os._exit(0)\n    n += 1\nexcept OSError: pass\nprint(n)"
    assert run_inside(cgroups, path, code).stdout.strip() == "2"
    cgroups.kill(path)


def test_devices_are_denied_unless_allowed(group: tuple[Cgroups, str]) -> None:
    cgroups, path = group
    cgroups.create(path, [], [DENY_ALL, (True, "c", 1, 3, "rwm")])
    code = "open('/dev/null').close(); print('null')\ntry: open('/dev/zero')\nexcept PermissionError: print('denied')"
    assert run_inside(cgroups, path, code).stdout.split() == ["null", "denied"]


@pytest.fixture
def unified() -> Iterator[str]:
    """A new group of the version 2 hierarchy."""
    mounts = [line.split()[1] for line in open("/proc/mounts") if line.split()[2] == "cgroup2"]
    if not mounts:
        pytest.skip("no version 2 hierarchy is mounted")
    directory = f"{mounts[0]}/firkin-bpf-{secrets.token_hex(4)}"
    os.mkdir(directory)
    yield directory
    os.rmdir(directory)


def test_the_version_2_device_program_decides_as_the_version_1_list_does(unified: str) -> None:
    rules = [
        DENY_ALL,
        (True, "c", 1, 3, "rwm"),
        (True, "c", 1, 5, "r"),
        (True, "c", 1, 9, "rwm"),
        (False, "c", 1, 9, "rwm"),
    ]
    cgroup_bpf.attach_device_program(unified, rules)
    code = f"open('{unified}/cgroup.procs', 'w').write('0')\n" + (
        "for path, mode in (('null', 'r+b'), ('zero', 'rb'), ('zero', 'r+b'), ('urandom', 'rb'), ('full', 'rb')):\n"
        "  try: open('/dev/' + path, mode, 0).close(); print('yes')\n"
        "  except PermissionError: print('no')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30 * SLOWNESS)
    assert done.stdout.split() == ["yes", "yes", "no", "no", "no"], done.stderr


DEVICES_OF_ALL_KINDS = [
    (True, "c", -1, -1, "m"),
    (True, "b", -1, -1, "m"),
    (True, "c", 1, 3, "rwm"),
    (True, "c", 136, -1, "rwm"),
    (True, "b", 8, 0, "rw"),
    (False, "c", 1, 3, "w"),
    (True, "a", 7, 7, "r"),
]


@pytest.mark.parametrize(
    "rules",
    [
        [(True, "a", -1, -1, "rwm")],
        [DENY_ALL],
        [DENY_ALL, *DEVICES_OF_ALL_KINDS],
        [(True, "a", -1, -1, "rwm"), (False, "b", -1, -1, "rwm")],
        [DENY_ALL, *[(True, "c", number, number, "rw") for number in range(60)]],
    ],
)
def test_the_kernel_shows_the_rules_that_it_was_given(unified: str, rules: list[cgroup_bpf.Rule]) -> None:
    assert cgroup_bpf_view.device_rules(unified) == [(True, "a", -1, -1, "rwm")]
    cgroup_bpf.attach_device_program(unified, rules)
    assert cgroup_bpf_view.device_rules(unified) == [rule for rule in rules if rule != DENY_ALL]
    cgroup_bpf.attach_device_program(unified, [DENY_ALL])
    assert cgroup_bpf_view.device_rules(unified) is None  # two programs decide together, which no list of rules says


def test_no_rules_are_made_of_a_program_that_is_not_made_of_rules() -> None:
    program = cgroup_bpf.device_program([DENY_ALL, *DEVICES_OF_ALL_KINDS])
    assert cgroup_bpf_view.decode(program) == DEVICES_OF_ALL_KINDS
    assert cgroup_bpf_view.decode(program[8:]) is None
    assert cgroup_bpf_view.decode(program[:-16]) is None  # nothing in the end
    for place in range(len(cgroup_bpf.PROLOGUE), len(program), 8):
        another_jump = bytearray(program)
        another_jump[place + 2] ^= 1
        assert cgroup_bpf_view.decode(bytes(another_jump)) is None


def test_a_group_out_of_memory_is_told_of_at_once(group: tuple[Cgroups, str]) -> None:
    cgroups, path = group
    limit = "memory.limit_in_bytes" if cgroups.version("memory") == 1 else "memory.max"
    cgroups.create(path, [("memory", limit, str(32 << 20))], [])
    watch = OomWatch(cgroups)
    watch.add("one", path)
    assert run_inside(cgroups, path, "print(len(bytes(1 << 20)))").stdout == "1048576\n"
    assert watch.news() == []
    hog = run_inside(cgroups, path, "print(len(b'x' * (512 << 20)))")
    assert hog.returncode == -9 and select.select([watch], [], [], 10 * SLOWNESS)[0] == [watch]
    assert watch.news() == ["one"] and watch.news() == []
    watch.drop("one")
    cgroups.remove(path)
    assert watch.news() == []


def test_freeze_stops_and_thaw_continues(group: tuple[Cgroups, str]) -> None:
    cgroups, path = group
    cgroups.create(path, [], [])
    joins = f"for f in {cgroups.join_files(path)!r}: open(f, 'w').write('0')\n"
    code = joins + "import sys\nprint('up', flush=True)\nfor line in sys.stdin: print(line, end='', flush=True)"
    echo = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
    assert echo.stdin and echo.stdout and echo.stdout.readline() == "up\n"
    assert cgroups.processes(path) == [echo.pid]
    cgroups.freeze(path)
    echo.stdin.write("hello\n")
    assert select.select([echo.stdout], [], [], 0.3)[0] == []
    cgroups.thaw(path)
    assert echo.stdout.readline() == "hello\n"
    cgroups.kill(path)
    assert echo.wait(10 * SLOWNESS) == -9


def test_a_failed_create_leaves_nothing(group: tuple[Cgroups, str]) -> None:
    cgroups, path = group
    with pytest.raises(OSError, match=r"pids\.max"):
        cgroups.create(path, [("pids", "pids.max", "not a number")], [])
    assert not cgroups.exists(path)


def test_an_empty_parent_may_be_removed_by_another_engine(group: tuple[Cgroups, str]) -> None:
    cgroups, path = group
    parent = os.path.dirname(path)
    cgroups.create(path, [], [])
    cgroups.remove_empty(parent)
    assert cgroups.exists(parent) and cgroups.exists(path)
    cgroups.remove(path)
    Cgroups.detect().remove_empty(parent)
    assert not cgroups.exists(parent)
    cgroups.create(path, [("pids", "pids.max", "3")], [])
    assert cgroups.read(path, "pids", "pids.max") == "3\n"
    assert run_inside(cgroups, path, "print('runs')").stdout == "runs\n"


def test_joining_by_itself_costs_no_grace_period(group: tuple[Cgroups, str]) -> None:
    """The start path depends on it: a move by another process takes some 10 ms on version 1."""
    cgroups, path = group
    cgroups.create(path, [], [])
    code = (
        "import time\n"
        f"files = {cgroups.join_files(path)!r}\n"
        "began = time.perf_counter()\n"
        "for f in files: open(f, 'w').write('0')\n"
        "print(time.perf_counter() - began)"
    )
    fastest = min(float(run_inside(cgroups, path, code).stdout) for _ in range(5))
    assert fastest < 0.005


def test_the_files_to_join_without_a_version_2_hierarchy(tmp_path: Path) -> None:
    """Some mount namespaces show version 1 alone; that `tasks` is written must not hang on the other's being there."""
    for controller in ("cpu", "pids"):
        (tmp_path / controller / "one").mkdir(parents=True)
        for name in ("tasks", "cgroup.procs"):
            (tmp_path / controller / "one" / name).touch()
    only_v1 = Cgroups({name: str(tmp_path / name) for name in ("cpu", "pids")}, "", frozenset())
    assert only_v1.join_files("/one") == [f"{tmp_path}/cpu/one/tasks", f"{tmp_path}/pids/one/tasks"]
