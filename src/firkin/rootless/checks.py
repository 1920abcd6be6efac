"""What an ordinary user's engine needs of a machine: each need as a question to the facts, with the command that mends it.

Pure. `firkin rootless setup` prints the answers; `facts` gathers what they are about.
Source: newuidmap(1), subuid(5), user_namespaces(7), pasta(1), cgroups(7), XDG Base Directory Specification.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field

from firkin.rootless import helpers, subids

_UNPRIVILEGED = "kernel.unprivileged_userns_clone"
_HOW_MANY = "user.max_user_namespaces"
_APPARMOR = "kernel.apparmor_restrict_unprivileged_userns"


@dataclass(frozen=True)
class Facts:
    """`subuid`, `subgid`: text of the two files. `programs`: name -> (path, mode, owner) of those that were found, and
    `capable` those of them with file capabilities. `sysctls`: by name, as far as there are such. `probes`: what came of
    trying: "" if it worked, else why it did not."""

    user: str
    uid: int
    subuid: str = ""
    subgid: str = ""
    programs: dict[str, tuple[str, int, int]] = field(default_factory=dict)
    capable: frozenset[str] = frozenset()
    sysctls: dict[str, str] = field(default_factory=dict)
    tun: str = ""  # "", "missing" or "closed"
    runtime_dir: str = ""  # $XDG_RUNTIME_DIR if it is usable
    exec_root: str = ""
    data_root: str = ""
    unified: bool = True
    delegated: bool = True
    probes: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Finding:
    """`status`: "ok", "missing" (nothing runs without it) or "warning" (something is lost). `mend`: a shell command."""

    name: str
    status: str
    message: str
    mend: str = ""


def examine(facts: Facts) -> list[Finding]:
    """All findings, in the order in which one would mend."""
    return [
        *_namespaces(facts),
        *_ranges(facts),
        *_mappers(facts),
        *_network(facts),
        _tun(facts),
        _firewall(facts),
        _overlay(facts),
        _runtime_dir(facts),
        _cgroups(facts),
    ]


def is_ready(findings: list[Finding]) -> bool:
    return all(finding.status != "missing" for finding in findings)


def _namespaces(facts: Facts) -> Iterator[Finding]:
    why = facts.probes.get("namespaces", "")
    if not why:
        yield Finding("user namespaces", "ok", "an ordinary user may make them")
        return
    for name, refusing, allowing in ((_UNPRIVILEGED, "0", "1"), (_HOW_MANY, "0", "65536"), (_APPARMOR, "1", "0")):
        if facts.sysctls.get(name) == refusing:
            yield Finding("user namespaces", "missing", f"{name} is {refusing}", f"sudo sysctl -w {name}={allowing}")
            return
    yield Finding("user namespaces", "missing", f"this machine does not let an ordinary user make them: {why}")


def _ranges(facts: Facts) -> Iterator[Finding]:
    files = (("uids", "/etc/subuid", facts.subuid), ("gids", "/etc/subgid", facts.subgid))
    for what, path, text in files:
        granted = subids.ranges(text, facts.user, facts.uid)
        count, first = sum(size for _, size in granted), subids.next_free(text)
        mend = f"sudo usermod --add-sub{what} {first}-{first + subids.ENOUGH - 1} {facts.user}"
        name = f"subordinate {what}"
        if not count:
            yield Finding(name, "missing", f"{path} grants {facts.user} none", mend)
        elif count < subids.ENOUGH - 1:
            yield Finding(name, "warning", f"{path} grants {count}: images with owners beyond cannot be unpacked", mend)
        else:
            yield Finding(name, "ok", f"{path} grants {count}")


def _mappers(facts: Facts) -> Iterator[Finding]:
    for name in ("newuidmap", "newgidmap"):
        if name not in facts.programs:
            yield Finding(name, "missing", "not installed", "sudo apt-get install uidmap")
            continue
        path, mode, owner = facts.programs[name]
        if name in facts.capable or (mode & 0o4000 and owner == 0):
            yield Finding(name, "ok", f"{path} may map ids")
        else:
            yield Finding(name, "missing", f"{path} is not set-user-id root", f"sudo chmod u+s {path}")


def _network(facts: Facts) -> Iterator[Finding]:
    best, *others = helpers.PROGRAMS
    install = f"sudo apt-get install {helpers.PACKAGES[best]}"
    if best in facts.programs:
        yield Finding("network", "ok", f"by {facts.programs[best][0]}")
        return
    for name in others:
        if name in facts.programs:
            yield Finding("network", "warning", f"by {facts.programs[name][0]}, which is slower than {best}", install)
            return
    yield Finding("network", "missing", f"neither {' nor '.join(helpers.PROGRAMS)} is installed", install)


def _tun(facts: Facts) -> Finding:
    if facts.tun == "missing":
        return Finding("/dev/net/tun", "missing", "there is none", "sudo modprobe tun")
    if facts.tun:
        return Finding("/dev/net/tun", "missing", f"{facts.user} may not open it", "sudo chmod 666 /dev/net/tun")
    return Finding("/dev/net/tun", "ok", "can be opened")


def _firewall(facts: Facts) -> Finding:
    if "nft" not in facts.programs:
        return Finding("nftables", "missing", "nft is not installed", "sudo apt-get install nftables")
    if why := facts.probes.get("nftables"):
        return Finding(
            "nftables", "missing", f"rules cannot be made: {why}", "sudo modprobe nf_tables nft_nat nft_masq nft_fib_inet"
        )
    return Finding("nftables", "ok", f"by {facts.programs['nft'][0]}")


def _overlay(facts: Facts) -> Finding:
    if why := facts.probes.get("overlay"):
        return Finding(
            "overlay",
            "missing",
            f"cannot be mounted below {facts.data_root}: {why} (Linux 5.11 or newer; no network file system)",
        )
    return Finding("overlay", "ok", f"works below {facts.data_root}")


def _runtime_dir(facts: Facts) -> Finding:
    if facts.runtime_dir:
        return Finding("runtime directory", "ok", f"{os.path.dirname(facts.exec_root)} is {facts.user}'s alone")
    mend = f"sudo loginctl enable-linger {facts.user}"
    return Finding("runtime directory", "warning", f"XDG_RUNTIME_DIR is not set: the socket goes to {facts.exec_root}", mend)


def _cgroups(facts: Facts) -> Finding:
    lost = "no limits on memory, processors or processes, no pause, no figures in stats"
    if facts.delegated:
        return Finding("cgroups", "ok", "a part of the hierarchy is delegated")
    if facts.unified:
        mend = "systemd-run --user --scope --property=Delegate=yes firkin daemon"
        return Finding("cgroups", "warning", f"none are delegated to this session: {lost}", mend)
    return Finding("cgroups", "warning", f"this machine has version 1, which cannot be delegated: {lost}")
