"""`inspect --isolation`: what separates a container from its host, on one screen.

What is usual is said in a word, what matters in full: every namespace, every way out of the root, every limit.
"""

from __future__ import annotations

from textwrap import wrap

from firkin.cli.format import units

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    Document = dict[str, Any]

_WIDTH, _INDENT = 120, 15
_ALL_IDS = 2**32 - 1
_BYTES = ("memory", "memory reservation", "memory and swap", "swap")
_SHOWN_LIMITS = {
    "Max open files": "open files",
    "Max processes": "processes",
    "Max locked memory": "locked memory",
    "Max core file size": "core",
}


def page(document: Document) -> Iterator[str]:
    """The lines to print for the API's answer."""
    yield f"{document['Name']} ({document['Id'][:12]}), process {document['Pid']}"
    for title, lines in (
        ("Namespaces", _namespaces(document["Namespaces"])),
        ("Users", _users(document["Users"])),
        ("Capabilities", _capabilities(document["Security"]["Capabilities"])),
        ("Privileges", _privileges(document["Security"])),
        ("Seccomp", _seccomp(document["Security"]["Seccomp"])),
        ("Root", _root(document["Layers"])),
        ("Mounts", _mounts(document["Mounts"])),
        ("Cgroup", _group(document["Group"])),
        ("Network", _network(document["Network"])),
        ("Process", _process(document["Process"])),
    ):
        label = title
        for line in lines:
            for part in wrap(line, _WIDTH - _INDENT, subsequent_indent="  ", break_on_hyphens=False) or [""]:
                yield f"{label:{_INDENT}}{part}"
                label = ""


def _namespaces(namespaces: list[Document]) -> Iterator[str]:
    own = [f"{one['Kind']} {one['Id']} (host {one['HostId']})" for one in namespaces if one["Own"]]
    shared = [f"{one['Kind']} {one['Id']}" for one in namespaces if not one["Own"]]
    yield "own: " + (", ".join(own) or "none")
    if shared:
        yield "SHARED with the host: " + ", ".join(shared)


def _users(users: Document) -> Iterator[str]:
    maps = [f"{kind} {', '.join(map(_range, users[key]))}" for kind, key in (("uids", "UidMap"), ("gids", "GidMap"))]
    yield f"uid {users['Uid']}, gid {users['Gid']}, groups {_words(map(str, users['Groups']))}; {'; '.join(maps)}"


def _range(one: Document) -> str:
    if one["Length"] == _ALL_IDS and one["Inside"] == one["Outside"]:
        return "are the host's"
    last = one["Length"] - 1
    return f"{one['Inside']}-{one['Inside'] + last} are the host's {one['Outside']}-{one['Outside'] + last}"


def _capabilities(sets: dict[str, list[str]]) -> Iterator[str]:
    """Sets that are alike in one line."""
    alike: dict[tuple[str, ...], list[str]] = {}
    for name, held in sets.items():
        alike.setdefault(tuple(held), []).append(name)
    for capabilities, names in alike.items():
        shown = _words(sorted(one.removeprefix("CAP_").lower() for one in capabilities))
        count = f"{len(capabilities)}: " if capabilities else ""
        yield f"{', '.join(names)}: {count}{shown}"


def _privileges(security: Document) -> Iterator[str]:
    gained = "cannot gain any by execve" if security["NoNewPrivileges"] else "may gain some by execve (set-user-ID programs)"
    yield f"{gained}; security label: {security['Label'] or 'none'}"


def _seccomp(seccomp: Document) -> Iterator[str]:
    yield f"{seccomp['Mode']}, {seccomp['Filters']} in force, profile {seccomp['Profile']} {seccomp['Program'][:19]}"
    if not seccomp["Verified"]:
        yield "NOT as the engine installed it: the program has added filters, or another mode is in force"
    if seccomp["Refused"]:
        yield f"refuses {len(seccomp['Refused'])}: {_words(seccomp['Refused'])}"
    if seccomp["ByArguments"]:
        yield f"refuses with some arguments: {_words(seccomp['ByArguments'])}"


def _root(layers: list[Document]) -> Iterator[str]:
    roles = {"writable": "writable layer", "engine": "the engine's mount points", "image": ""}
    if layers:
        yield " over ".join(f"{roles[layer['Role']]} {layer['DiffId'][:19]}".strip() for layer in layers)


def _mounts(mounts: list[Document]) -> Iterator[str]:
    """One line each, but what hides or only protects parts of /proc and /sys, and the hierarchies of cgroups, together."""
    masks = [one["Target"] for one in mounts if one["Origin"] == "mask"]
    protected = [one["Target"] for one in mounts if one["Origin"].startswith("kernel: ") and one["ReadOnly"]]
    groups = [one for one in mounts if one["Type"].startswith("cgroup")]
    files = [one["Target"] for one in mounts if one["Origin"].startswith("engine: ") and not one["ReadOnly"]]
    for one in mounts:
        if one["Target"] not in (*masks, *protected, *files) and one not in groups[1:]:
            access = "ro" if one["ReadOnly"] else "rw"
            words = ",".join((access, *one["Options"]))
            shared = "" if one["Propagation"] == "private" else f", {one['Propagation']}"
            more = f" and {len(groups) - 1} more" if len(groups) > 1 and one is groups[0] else ""
            yield f"{one['Target'] + more:34} {one['Type']:8} {words:25} {one['Origin']}{shared}"
    if files:
        yield f"the engine's files: {_words(files)}"
    if protected:
        yield f"read-only: {_words(protected)}"
    if masks:
        yield f"hidden: {_words(masks)}"


def _group(group: Document) -> Iterator[str]:
    by_path: dict[str, list[str]] = {}
    for controller, path in group["Paths"].items():
        by_path.setdefault(path, []).append(controller or "version 2")
    for path, controllers in by_path.items():
        yield f"{path} ({_words(controllers)})"
    yield ", ".join(map(_limit, group["Limits"]))
    if group["Devices"] is None:
        yield "devices: not by rules that the kernel could show"
    else:
        yield "devices: " + ", ".join(group["Devices"])


def _limit(limit: Document) -> str:
    size = _size if limit["Name"] in _BYTES else str
    bound = f" {size(limit['Limit'])}" if limit["Limit"] else ""
    return f"{limit['Name']}{bound}" + (f" (uses {size(limit['Used'])})" if limit["Used"] else "")


def _size(text: str) -> str:
    return units.binary_size(int(text)) if text.isdecimal() else text


def _network(network: Document) -> Iterator[str]:
    if network["Note"]:
        yield network["Note"]
    for one in network["Interfaces"]:
        way = f" -> {one['HostInterface']} -> bridge {one['Bridge']}" if one["HostInterface"] else ""
        yield f"{one['Name']} {' '.join(one['Addresses'])}{way}".rstrip()
    yield from (f"published: {element}" for element in network["Published"])
    yield from (f"rule: {table} {chain}: {rule}" for table, chain, rule in network["Rules"])


def _process(process: Document) -> Iterator[str]:
    limits = [
        f"{_SHOWN_LIMITS[one['Name']]} {one['Soft']}/{one['Hard']}" for one in process["Limits"] if one["Name"] in _SHOWN_LIMITS
    ]
    yield f"oom score adjusted by {process['OomScoreAdj']}, now {process['OomScore']}; limits: {', '.join(limits)}"
    yield "open files: " + ", ".join(f"{one['Number']} {one['Target']}" for one in process["Descriptors"])


def _words(words: Iterable[str]) -> str:
    return " ".join(words) or "none"
