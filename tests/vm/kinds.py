"""The kinds of machine of the lane: as values, what distinguishes each and what runs inside.

All are the same disk, started differently: `append` says so to the kernel, `guest/NAME` to what comes after it. So a package
that one kind needs is there in all, and does nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
_HERE = Path(__file__).parent


@dataclass(frozen=True)
class Kind:
    """`runs`: the files of each pytest, all of which run side by side (one a processor; three at most). `apart`: tests that are
    left out: they measure time, which is not the same for an emulated processor, or take long and are the same on any kernel.
    `reference`: whether runc is asked what ours is asked, which takes as long again.
    `may_be_skipped`: how the reasons end that a test may be skipped for; the machine is ours, and has all the rest."""

    name: str
    append: str
    packages: str
    runs: tuple[tuple[str, ...], ...]
    apart: tuple[str, ...] = ()
    reference: bool = False
    may_be_skipped: tuple[str, ...] = ()

    @property
    def files(self) -> list[str]:
        return [file for run in self.runs for file in run]

    @property
    def arguments(self) -> list[list[str]]:
        """Of each pytest; without spaces or quotes, for guest/run has them from a line of a file."""
        marked = [] if self.reference else ["-m", "not(reference)"]
        return [[*run, *marked, *(f"--deselect={one}" for one in self.apart if one.split("::")[0] in run)] for run in self.runs]


def _inside(name: str) -> tuple[str, ...]:
    """Tests that only this kind can run."""
    return tuple(sorted(str(file.relative_to(ROOT)) for file in (_HERE / "inside" / name).glob("test_*.py")))


def _there(*files: str) -> tuple[str, ...]:
    return tuple(file for file in files if (ROOT / file).exists())


# Debian as it is installed: cgroup version 2 alone, AppArmor on. What depends most on the kernel runs there: what a process
# finds, what limits it, what wires it.
PLAIN = Kind(
    name="plain",
    append="apparmor=1 security=apparmor",
    packages="apparmor nftables iproute2 runc crun criu tini strace uidmap passt slirp4netns",
    runs=(
        (
            *_inside("plain"),
            "tests/e2e/test_rootless_cgroups.py",
            "tests/e2e/userns/test_userns.py",
            *_there("tests/ocirt/test_criu.py"),
        ),
        (
            "tests/linux/test_cgroup.py",
            "tests/linux/test_kernel.py",
            "tests/linux/test_netlink.py",
            "tests/runtime/test_child.py",
            "tests/runtime/test_plan_kernel.py",
            "tests/runtime/test_spawn.py",
            "tests/runtime/test_userns_kernel.py",
            "tests/network/test_reach.py",
            "tests/network/test_networks.py",
            "tests/network/test_rules.py",
        ),
    ),
    apart=(
        "tests/linux/test_netlink.py::test_a_first_packet_is_not_lost",
        "tests/runtime/test_plan_kernel.py::test_a_failure_names_its_step",
        "tests/runtime/test_plan_kernel.py::test_a_process_finds_what_runc_would_have_given_it",
        "tests/e2e/userns/test_userns.py::test_a_new_daemon_knows_who_has_what",
    ),
    may_be_skipped=("needs linux-libc-dev",),
)

# systemd as the first process, which owns the groups; the engine's and the runtime's are below, or asked for by D-Bus.
SYSTEMD = Kind(
    name="systemd",
    append="apparmor=1 security=apparmor systemd.unit=lane.target systemd.show_status=no",
    packages="systemd dbus libpam-systemd dbus-user-session runc podman conmon uidmap criu",
    runs=((*_inside("systemd"), *_there("tests/ocirt/test_systemd_cgroup.py")),),
    reference=True,
)

# As machines were before: cgroup version 1 with every controller of this kernel; and SELinux, enforcing.
OLDER = Kind(
    name="older",
    append="security=selinux",
    packages="secilc runc",
    runs=(
        _inside("older"),
        ("tests/linux/test_cgroup.py", "tests/runtime/test_cgroup_settings.py", "tests/ocirt/test_resources.py"),
    ),
    apart=("tests/linux/test_cgroup.py::test_joining_by_itself_costs_no_grace_period",),
    may_be_skipped=("no version 2 hierarchy is mounted", "this kernel limits huge pages"),
)

KINDS = (PLAIN, SYSTEMD, OLDER)
