"""The same bundle through runc and through firkin-oci: what a process inside sees must be the same.

The bundle's process prints it all; differences that are ours on purpose are taken out by `canonical`, with the reason.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.ocirt.conftest import Bundle, Runtime

pytestmark = pytest.mark.reference
Change = Callable[[dict[str, Any]], object]

LOOK = r"""
echo "== ids"; id; grep -E '^(Groups|Cap|NoNewPrivs|Seccomp:|Uid|Gid|Cpus_allowed_list|Mems_allowed_list)' /proc/self/status
echo "== limits"; cat /proc/self/limits; umask
echo "== environment"; env | sort
echo "== place"; pwd; hostname; cat /proc/sys/kernel/domainname; cat /proc/self/oom_score_adj; ls -l /proc/self/cwd | sed 's/.*-> //'
echo "== mounts"; cat /proc/self/mountinfo
echo "== dev"; cd /dev; ls -ln | grep -v '^total' | sed 's/ [A-Z][a-z][a-z] .*:.. / /'
echo "== proc"; ls /proc | grep -v '^[0-9]'; cat /proc/1/comm; ls -l /proc/self/fd | sed 's/.* \([0-9]*\) -> .*/\1/' | sort
echo "== hidden"; for f in /proc/kcore /proc/keys /proc/timer_list; do [ "$(head -c1 $f)" ] && echo $f; done; ls -A /sys/firmware /proc/acpi
echo "== writes"; for f in /proc/sys/kernel/domainname /proc/sysrq-trigger /x /sys/x; do (echo x > $f) 2>&1; done
echo "== network"; ip -o link | sed 's/^[0-9]*: //' | cut -d' ' -f1,2; cat /proc/net/route
echo "== cgroup"; cat /proc/self/cgroup
echo "== sysctl"; cat /proc/sys/kernel/msgmax /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv4/ping_group_range
"""

CAPS = {kind: ["CAP_CHOWN", "CAP_NET_RAW", "CAP_SYS_ADMIN"] for kind in ("bounding", "effective", "permitted")}
ALL_CAPS = {**CAPS, "inheritable": ["CAP_NET_RAW"], "ambient": ["CAP_NET_RAW"]}
DEVICE = {"path": "/dev/x", "type": "c", "major": 1, "minor": 3, "fileMode": 0o640, "uid": 5, "gid": 6}
NOBODY = {"uid": 65534, "gid": 65534, "additionalGids": [10, 20]}
VARIANTS: dict[str, Change] = {
    "as it is": lambda c: None,
    "a user of the passwd file": lambda c: c["process"]["user"].update(NOBODY),
    "a user of no file": lambda c: c["process"].update(user={"uid": 1234, "gid": 5678, "umask": 0o27}),
    "HOME given": lambda c: c["process"]["env"].append("HOME=/tmp"),
    "no capabilities": lambda c: c["process"].pop("capabilities"),
    "ambient capabilities of a user": lambda c: c["process"].update(capabilities=ALL_CAPS, user=NOBODY),
    "ambient capabilities of root": lambda c: c["process"].update(capabilities=ALL_CAPS),
    "ambient ones that are not inheritable": lambda c: c["process"]["capabilities"].update(ambient=["CAP_KILL"]),
    "new privileges allowed": lambda c: c["process"].update(noNewPrivileges=False, capabilities=CAPS),
    "a working directory": lambda c: c["process"].update(cwd="/home"),
    "no rlimits": lambda c: c["process"].pop("rlimits"),
    "all kinds of rlimit": lambda c: c["process"].update(
        rlimits=[
            {"type": f"RLIMIT_{name}", "soft": 900, "hard": 1000}
            for name in ("CORE", "MEMLOCK", "NPROC", "SIGPENDING", "MSGQUEUE", "CPU", "LOCKS", "RSS", "RTTIME")
        ]
    ),
    "oom score": lambda c: c["process"].update(oomScoreAdj=500),
    "a writable root": lambda c: c["root"].update(readonly=False),
    "host network, ipc, uts and pid": lambda c: (
        c.pop("hostname"),
        c["linux"].update(namespaces=[{"type": "mount"}]),
    ),
    "cgroup mount": lambda c: c["mounts"].append(
        {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["ro", "nosuid", "noexec", "nodev"]}
    ),
    "sysctls": lambda c: c["linux"].update(
        sysctl={"kernel.msgmax": "4096", "net.ipv4.ip_forward": "1", "net.ipv4.ping_group_range": "0 10"}
    ),
    "nothing masked": lambda c: c["linux"].update(maskedPaths=[], readonlyPaths=[]),
    "devices": lambda c: c["linux"].update(devices=[DEVICE, {**DEVICE, "path": "/dev/deep/er/y", "type": "b", "major": 7}]),
    "binds": lambda c: c["mounts"].extend(
        [
            {"destination": "/home", "type": "bind", "source": "/etc", "options": ["rbind", "ro", "nosuid", "nodev"]},
            {"destination": "/tmp", "type": "bind", "source": "/usr", "options": ["bind", "ro", "noexec", "rslave"]},
            {"destination": "/root", "type": "tmpfs", "source": "t", "options": ["size=1m", "mode=700", "noatime"]},
        ]
    ),
    "slave root": lambda c: c["linux"].update(rootfsPropagation="slave"),
    "a filter": lambda c: c["linux"].update(
        seccomp={
            "defaultAction": "SCMP_ACT_ALLOW",
            "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64"],
            "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1}],
        }
    ),
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_process_sees_the_same(oci: Runtime, runc: Runtime, bundle: Bundle, variant: str) -> None:
    VARIANTS[variant](bundle.config)
    bundle.config["linux"]["cgroupsPath"] = "/like-runc"
    bundle.sh(LOOK)
    ours, theirs = (canonical(one.run(bundle).stdout) for one in (oci, runc))
    for section in theirs:
        assert ours[section] == theirs[section], section
    assert len(theirs["mounts"]) > 5


def canonical(text: str) -> dict[str, list[str]]:
    """Section -> lines."""
    sections: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line.startswith("== "):
            sections[line[3:]] = current = []
        else:
            current.append(line)
    sections["mounts"] = [mount(line) for line in sections["mounts"] if wanted(line)]
    # runc makes this link only on a kernel that has the file.
    sections["dev"] = [line for line in sections["dev"] if not line.endswith("core -> /proc/kcore")]
    # In which hierarchies else the container has a group: runc joins all that are mounted, we those that limit something.
    sections["cgroup"] = [line for line in sections["cgroup"] if not re.match(r"\d+:(|name=.*|perf_event|net_.*):", line)]
    return sections


def wanted(line: str) -> bool:
    """runc shows hierarchies too that limit nothing."""
    return not re.search(r"/sys/fs/cgroup/(systemd|net_cls|net_prio|perf_event|unified)", line)


def mount(line: str) -> str:
    """Place, attributes, propagation, kind, source, options; not the numbers."""
    left, _, right = line.partition(" - ")
    _, _, _, inside, place, attributes, *propagation = left.split()
    kind, source, options = right.split(" ", 2)
    propagation = [re.sub(r":\d+", "", word) for word in propagation]
    if place.startswith(("/proc/", "/sys/firmware")):
        # Hidden and read-only places are covered by other things here: a sealed null device, a tmpfs without room.
        return f"{place} covered" if kind in ("tmpfs", "devtmpfs") else f"{place} {attributes} {kind}"
    if place == "/sys/fs/cgroup" and kind == "tmpfs":
        attributes = attributes.replace("rw", "ro")  # ours is read-only where the configuration says so
    if kind == "cgroup":
        options = options.removesuffix(",clone_children")
    if place.startswith("/dev/") and kind == "devtmpfs":
        source = ""
    if kind == "sysfs":
        options = ""  # runc makes the file system itself read-only too, which the mount is anyhow
    return f"{place} {inside} {attributes} {' '.join(propagation)} {kind} {source} {options}"


def test_what_is_given_but_not_there_is_the_same(oci: Runtime, runc: Runtime, bundle: Bundle, rootfs: Path) -> None:
    """Mount targets and the working directory are made; with the same owner and mode."""
    bundle.config["process"]["cwd"] = "/new/work"
    bundle.config["mounts"] += [
        {"destination": "/made/dir", "type": "bind", "source": "/usr", "options": ["rbind", "ro"]},
        {"destination": "/made/file", "type": "bind", "source": "/etc/hostname", "options": ["bind", "ro"]},
        {"destination": "/var/link/x", "type": "tmpfs", "source": "t"},
    ]
    (rootfs / "var").mkdir()
    (rootfs / "target").mkdir()
    (rootfs / "var/link").symlink_to("/target")
    bundle.sh("pwd; ls -lnd /new /new/work /made /made/* /target/x | sed 's/ [A-Z][a-z][a-z] .*:.. / /'")
    ours = oci.run(bundle).stdout
    for name in ("new", "made", "target/x"):
        shutil.rmtree(rootfs / name)
    assert ours == runc.run(bundle).stdout
