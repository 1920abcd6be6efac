"""Every step of a plan as a clause a reader can follow: verb, object, circumstances.

`firkin run --plan` prints them one a line; an error message is the clause of the step that failed, and why. Pure, and
complete: a test compares the table with the child's and the launcher's.
"""

from __future__ import annotations

from firkin.linux import mount, process
from firkin.runtime import capability_names
from firkin.runtime.plan_process import RLIMIT_NUMBERS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from firkin.runtime.plan_terms import Step

_ATTRIBUTES = {
    mount.MOUNT_ATTR_RDONLY: "read-only",
    mount.MOUNT_ATTR_NOSUID: "nosuid",
    mount.MOUNT_ATTR_NODEV: "nodev",
    mount.MOUNT_ATTR_NOEXEC: "noexec",
    mount.MOUNT_ATTR_NOATIME: "noatime",
    mount.MOUNT_ATTR_STRICTATIME: "strictatime",
    mount.MOUNT_ATTR_NODIRATIME: "nodiratime",
    mount.MOUNT_ATTR_NOSYMFOLLOW: "nosymfollow",
}
_PROPAGATIONS = {
    mount.MS_PRIVATE: "private",
    mount.MS_SLAVE: "slave",
    mount.MS_SHARED: "shared",
    mount.MS_UNBINDABLE: "unbindable",
}
_NAMESPACES = {
    process.CLONE_NEWUSER: "user",
    process.CLONE_NEWNS: "mount",
    process.CLONE_NEWUTS: "UTS",
    process.CLONE_NEWIPC: "IPC",
    process.CLONE_NEWNET: "network",
    process.CLONE_NEWPID: "PID",
    process.CLONE_NEWCGROUP: "cgroup",
}
_RLIMIT_NAMES = {number: name.removeprefix("RLIMIT_").lower() for name, number in RLIMIT_NUMBERS.items()}
_UNLIMITED = (1 << 64) - 1
_INSTRUCTION_SIZE = 8


def describe(step: Step) -> str:
    """E.g. `mount proc on /proc (nosuid, nodev, noexec)`."""
    operation, *arguments = step
    return _CLAUSES[operation](*arguments)


def namespaces(flags: int) -> str:
    """E.g. `mount, UTS and PID namespaces`, for CLONE_NEW* flags."""
    names = [name for bit, name in _NAMESPACES.items() if flags & bit]
    return f"{_listed(names)} namespace{'s' * (len(names) != 1)}"


def _listed(words: Iterable[str]) -> str:
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last


def _in_brackets(*words: str) -> str:
    given = [word for word in words if word]
    return f" ({', '.join(given)})" if given else ""


def _attributes(bits: int) -> list[str]:
    return [name for bit, name in _ATTRIBUTES.items() if bits & bit]


def _propagation(flags: int) -> str:
    name = "".join(name for bit, name in _PROPAGATIONS.items() if flags & bit)
    return f"recursively {name}" if name and flags & mount.MS_REC else name


# --- file tree -----------------------------------------------------------------------------------------------------
def _overlay(staging: str, lowers: list[str], upper: str, work: str, options: list[str]) -> str:
    layers = f"{len(lowers)} layer{'s' * (len(lowers) != 1)}"
    return f"mount overlay of {layers} and {upper or 'nothing writable'} on {staging}{_in_brackets(*options)}"


def _rootfs(staging: str, path: str, readonly: bool) -> str:
    return f"bind {path} on {staging} as the root{_in_brackets('read-only' if readonly else '')}"


def _mount(fstype: str, source: str, target: str, attributes: int, options: list[str], create: str) -> str:
    what = fstype if source in ("", fstype) else f"{fstype} {source}"
    return f"mount {what} on {target}{_in_brackets(*_attributes(attributes), *options)}"


def _cgroup_views(target: str, attributes: int, views: list[tuple[str, str]], links: list[tuple[str, str]]) -> str:
    shown = _listed(f"{directory} as {name}" for name, directory in views)
    return f"show cgroups {shown} in {target}{_in_brackets(*_attributes(attributes))}"


def _bind(
    source: str,
    target: str,
    recursive: bool,
    set_: int,
    clear: int,
    propagation: int,
    create: str,
    top_only: bool = False,
) -> str:
    below = "also mounts below" if recursive else ""
    cleared = [f"not {name}" for name in _attributes(clear & ~set_)]
    return f"bind {source} on {target}{_in_brackets(*_attributes(set_), *cleared, _propagation(propagation), below)}"


def _mount_attributes(target: str, set_: int, clear: int, propagation: int, recursive: bool) -> str:
    words = [*_attributes(set_), *(f"not {name}" for name in _attributes(clear & ~set_)), _propagation(propagation)]
    return f"make {target} {_listed(filter(None, words))}{' with all below' if recursive else ''}"


def _mknod(path: str, mode: int, major: int, minor: int, uid: int, gid: int) -> str:
    owner = f"owner {uid}:{gid}" if uid or gid else ""
    return f"make device {path}{_in_brackets(f'{major}:{minor}', f'mode {mode & 0o7777:04o}', owner)}"


def _pivot(propagation: int) -> str:
    return f"make the new root the root and detach the host's{_in_brackets(_propagation(propagation))}"


# --- process -------------------------------------------------------------------------------------------------------
def _rlimit(resource: int, soft: int, hard: int) -> str:
    soft_text, hard_text = ("unlimited" if value == _UNLIMITED else str(value) for value in (soft, hard))
    return f"limit {_RLIMIT_NAMES.get(resource, resource)} to {soft_text} (at most {hard_text})"


def _user(spec: str, groups: list[str], set_home: bool) -> str:
    more = f" and groups {_listed(groups)}" if groups else ""
    return f"look up user {spec or 'root'}{more} in the container's /etc/passwd and /etc/group"


def _identity(bounding: int, permitted: int, effective: int, inheritable: int, ambient: int) -> str:
    names = [name.removeprefix("CAP_").lower() for name in capability_names.names(bounding)]
    if not names:
        return "become that user, without capabilities"
    return f"become that user, limited to capabilities {_listed(names)}{'' if permitted else ', starting with none'}"


def _console(rows: int, columns: int) -> str:
    return f"open a terminal{f' of {rows} rows and {columns} columns' if rows and columns else ''} and attach to it"


def _stdio(*names: str) -> str:
    texts = ("/dev/null" if name == "null" else name for name in names)
    return f"connect standard input, output and error to {_listed(texts)}"


def _veth(host: str, bridge: int, guest: str, mac: str, mtu: int, netns: str) -> str:
    details = (f"mac {mac}" if mac else "", f"mtu {mtu}" if mtu else "")
    return f"connect {guest} in the container by {host} to bridge {bridge}{_in_brackets(*details)}"


def _id_map(kind: str, text: str) -> str:
    ranges = [
        f"{inside}-{int(inside) + int(size) - 1} to {outside}" for inside, outside, size in map(str.split, text.splitlines())
    ]
    return f"map {kind} ids {_listed(ranges)}"


_CLAUSES: dict[str, Callable[..., str]] = {
    # namespaces
    "cgroup": lambda file: f"join cgroup {file.rpartition('/')[0]}",
    "setns": lambda name, kinds: f"join {namespaces(kinds)} of {name}",
    "setns-pidfd": lambda name, kinds: f"join {namespaces(kinds)} of the container",
    "unshare": lambda kinds: f"make new {namespaces(kinds)}",
    "wait-parent": lambda: "wait for the launcher",
    "hostname": lambda name: f"set host name {name}",
    "domainname": lambda name: f"set domain name {name}",
    "sysctl": lambda path, value: f"set {path.replace('/', '.')} = {value}",
    "session-keyring": lambda name: f"make session keyring {name}",
    # file tree
    "root-propagation": lambda flags: f"make the host's mounts {_propagation(flags)} in the new namespace",
    "overlay": _overlay,
    "rootfs": _rootfs,
    "mount": _mount,
    "cgroup-views": _cgroup_views,
    "bind": _bind,
    "mount-attributes": _mount_attributes,
    "mkdir": lambda path, mode: f"make directory {path}{_in_brackets(f'mode {mode:04o}')}",
    "symlink": lambda target, path: f"link {path} to {target}",
    "mknod": _mknod,
    "write": lambda path, text, mode: f"write {path}{_in_brackets(f'{len(text)} characters', f'mode {mode:04o}')}",
    "mask": lambda path: f"hide {path}",
    "readonly-path": lambda path: f"make {path} read-only",
    "readonly-root": lambda: "make the root read-only",
    "pivot": _pivot,
    # network
    "link-up": lambda name: f"bring {name} up",
    "link-rename": lambda old, new: f"rename interface {old} to {new}",
    "address": lambda name, ip, prefix: f"give {name} address {ip}/{prefix}",
    "route": lambda to, gateway, name: f"route {to} {f'through {gateway} ' if gateway else ''}by {name}",
    "carrier": lambda names: f"let the host's bridges notice that {_listed(names)} {'are' if len(names) > 1 else 'is'} up",
    "nft": lambda batch: f"load firewall rules{_in_brackets(f'{len(batch)} bytes')}",
    "sockets": lambda wanted: f"open {_listed(f'{kind} {ip}:{port}' for kind, ip, port in wanted)}",
    # process
    "rlimit": _rlimit,
    "oom-score-adj": lambda score: f"set OOM score adjustment {score}",
    "umask": lambda mask: f"set umask {mask:04o}",
    "personality": lambda persona: f"set personality {persona:#x}",
    "console": _console,
    "exec-console": _console,
    "stdio": _stdio,
    "setsid": lambda: "start a session",
    "dumpable": lambda on: f"{'allow' if on else 'forbid'} others to trace this process",
    "cwd": lambda path, create: f"change to directory {path}{_in_brackets('made if missing' if create else '')}",
    "user": _user,
    "identity": _identity,
    "no-new-privileges": lambda: "give up new privileges for good",
    "seccomp": lambda program, flags: f"install system call filter of {len(program) // _INSTRUCTION_SIZE} instructions",
    "close-fds": lambda: "close all other descriptors",
    "exec": lambda argv, environment: f"execute {' '.join(argv)}",
    "exit": lambda code: f"exit with code {code}",
    # in the launcher
    "uid-map": lambda text: _id_map("user", text),
    "gid-map": lambda text: _id_map("group", text),
    "setgroups": lambda text: f"{text} setgroups in the user namespace",
    "veth": _veth,
    "bridge-port": lambda name, hairpin, isolated: (
        f"set bridge port {name}{_in_brackets('hairpin' if hairpin else '', 'isolated' if isolated else '')}"
    ),
    "write-file": lambda path, text: f"write {path}",
}
