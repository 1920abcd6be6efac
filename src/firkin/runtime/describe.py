"""Every step of a plan as a clause a reader can follow: verb, object, circumstances.

`firkin run --plan` prints them one a line; an error message is the clause of the step that failed, and why. Pure, and
complete: a test compares the table with the child's and the launcher's.
"""

from __future__ import annotations

from firkin.linux import mount, process, scheduling
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
    process.CLONE_NEWTIME: "time",
}
_RLIMIT_NAMES = {number: name.removeprefix("RLIMIT_").lower() for name, number in RLIMIT_NUMBERS.items()}
_UNLIMITED = (1 << 64) - 1
_POLICIES, _IO_CLASSES = scheduling.POLICIES, scheduling.IO_CLASSES
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


def _rootfs(staging: str, path: str, readonly: bool, propagation: int = 0) -> str:
    return f"bind {path} on {staging} as the root{_in_brackets('read-only' if readonly else '')}"


def _mount(
    fstype: str,
    source: str,
    target: str,
    attributes: int,
    options: list[str],
    create: str,
    copy_up: bool = False,
    allowed: str = "",
) -> str:
    what = fstype if source in ("", fstype) else f"{fstype} {source}"
    contents = "with what is there" if copy_up else ""
    return f"mount {what} on {target}{_in_brackets(*_attributes(attributes), *options, contents)}"


def _remount(target: str, set_: int, clear: int, options: list[str]) -> str:
    return f"mount {target} anew{_in_brackets(*_attributes(set_), *options)}"


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
    allowed: str = "",
    set_all: int = 0,
    clear_all: int = 0,
) -> str:
    below = "also mounts below" if recursive else ""
    cleared = [f"not {name}" for name in _attributes(clear & ~set_)]
    everywhere = [f"{name} everywhere" for name in (*_attributes(set_all), *(f"not {n}" for n in _attributes(clear_all)))]
    words = (*_attributes(set_), *cleared, *everywhere, _propagation(propagation), below)
    return f"bind {source} on {target}{_in_brackets(*words)}"


def _mount_attributes(target: str, set_: int, clear: int, propagation: int, recursive: bool) -> str:
    words = [*_attributes(set_), *(f"not {name}" for name in _attributes(clear & ~set_)), _propagation(propagation)]
    return f"make {target} {_listed(filter(None, words))}{' with all below' if recursive else ''}"


def _device(path: str, mode: int, major: int, minor: int, uid: int, gid: int) -> str:
    kind = "character" if mode & 0o170000 == 0o020000 else "block"
    return f"show the host's {kind} device {major}:{minor} at {path}"


def _mknod(path: str, mode: int, major: int, minor: int, uid: int, gid: int) -> str:
    owner = f"owner {uid}:{gid}" if uid or gid else ""
    return f"make device {path}{_in_brackets(f'{major}:{minor}', f'mode {mode & 0o7777:04o}', owner)}"


def _pivot(propagation: int) -> str:
    return f"make the new root the root and detach the host's{_in_brackets(_propagation(propagation))}"


# --- process -------------------------------------------------------------------------------------------------------
def _rlimit(resource: int, soft: int, hard: int, strict: bool = False) -> str:
    soft_text, hard_text = ("unlimited" if value == _UNLIMITED else str(value) for value in (soft, hard))
    return f"limit {_RLIMIT_NAMES.get(resource, resource)} to {soft_text} (at most {hard_text})"


def _rlimit_ceiling(resource: int, hard: int) -> str:
    return f"allow {_RLIMIT_NAMES.get(resource, resource)} up to {'unlimited' if hard == _UNLIMITED else hard}"


def _name(names: dict[str, int], value: int) -> str:
    """E.g. `batch`, for SCHED_BATCH."""
    return next((name.rpartition("_")[2].lower() for name, number in names.items() if number == value), str(value))


def _memory_policy(mode: int, nodes: list[int]) -> str:
    names = [name for name, bit in scheduling.MEMORY_FLAGS.items() if mode & bit]
    policy = mode & ~sum(scheduling.MEMORY_FLAGS.values())
    word = next((name for name, number in scheduling.MEMORY_MODES.items() if number == policy), str(policy))
    where = f" from node{'s' * (len(nodes) != 1)} {_listed(map(str, nodes))}" if nodes else ""
    return f"allocate memory{where}{_in_brackets(word, *names)}"


def _user(spec: str, groups: list[str], set_home: bool) -> str:
    more = f" and groups {_listed(groups)}" if groups else ""
    return f"look up user {spec or 'root'}{more} in the container's /etc/passwd and /etc/group"


def _ids(uid: int, gid: int, groups: list[int], set_home: bool) -> str:
    more = f" and groups {_listed(map(str, groups))}" if groups else ""
    return f"be user {uid} of group {gid}{more}"


def _identity(bounding: int, permitted: int, effective: int, inheritable: int, ambient: int) -> str:
    names = [name.removeprefix("CAP_").lower() for name in capability_names.names(bounding)]
    if not names:
        return "become that user, without capabilities"
    return f"become that user, limited to capabilities {_listed(names)}{'' if permitted else ', starting with none'}"


def _console(rows: int, columns: int, plain: bool = False) -> str:
    return f"open a terminal{f' of {rows} rows and {columns} columns' if rows and columns else ''} and attach to it"


def _stdio(*names: str) -> str:
    texts = ("/dev/null" if name == "null" else name for name in names)
    return f"connect standard input, output and error to {_listed(texts)}"


def _veth(host: str, bridge: int, guest: str, mac: str, mtu: int, netns: str) -> str:
    details = (f"mac {mac}" if mac else "", f"mtu {mtu}" if mtu else "")
    return f"connect {guest} in the container by {host} to bridge {bridge}{_in_brackets(*details)}"


def _tree(name: str, source: str, recursive: bool, maps: list[str], deep: bool) -> str:
    below = "also mounts below" if recursive else ""
    owners = "" if not maps else "owners mapped" if any(maps) else "owners mapped as in its user namespace"
    return f"hand over a mount of {source}{_in_brackets(owners, below)}"


def _idmapped_overlay(name: str, lowers: list[str], upper: str, work: str, options: list[str]) -> str:
    layers = f"{len(lowers)} layer{'s' * (len(lowers) != 1)}"
    return f"hand over an overlay of {layers} and {upper}, idmapped{_in_brackets(*options)}"


def _device_directory(name: str, attributes: int, options: list[str], nodes: list[tuple[str, int, int, int, int, int]]) -> str:
    devices = f"{len(nodes)} device{'s' * (len(nodes) != 1)}"
    return f"hand over a tmpfs with {devices} for {name}{_in_brackets(*_attributes(attributes), *options)}"


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
    "reborn": lambda first: f"become a process of that pid namespace with no descriptors from {first} up",
    "wait-parent": lambda: "wait for the launcher",
    "wait-group": lambda name: "wait to be put into the group",
    "wait-hooks": lambda: "wait for the hooks outside",
    "wait-start": lambda name: "wait to be started",
    "hook": lambda kind, path, argv, environment, timeout, before, after: f"run {kind} hook {path}",
    "find-program": lambda program, path: f"look for {program}",
    "hostname": lambda name: f"set host name {name}",
    "domainname": lambda name: f"set domain name {name}",
    "sysctl": lambda path, value: f"set {path.replace('/', '.')} = {value}",
    "session-keyring": lambda name: f"make session keyring {name}",
    # file tree
    "root-propagation": lambda flags: f"make the host's mounts {_propagation(flags)} in the new namespace",
    "overlay": _overlay,
    "rootfs": _rootfs,
    "mount": _mount,
    "mount-made": lambda name, target: f"mount what was made for {name} on {target}",
    "open-staging": lambda path: f"find {path} for the root",
    "cgroup-views": _cgroup_views,
    "bind": _bind,
    "mount-attributes": _mount_attributes,
    "remount": _remount,
    "mkdir": lambda path, mode: f"make directory {path}{_in_brackets(f'mode {mode:04o}')}",
    "symlink": lambda target, path, replace=False: f"link {path} to {target}",
    "mknod": _mknod,
    "device": _device,
    "write": lambda path, text, mode: f"write {path}{_in_brackets(f'{len(text)} characters', f'mode {mode:04o}')}",
    "mask": lambda path: f"hide {path}",
    "readonly-path": lambda path: f"make {path} read-only",
    "readonly-root": lambda: "make the root read-only",
    "pivot": _pivot,
    "move-root": lambda propagation: f"move the new root over the host's{_in_brackets(_propagation(propagation))}",
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
    "oom-score-adj": lambda score, strict=False: f"set OOM score adjustment {score}",
    "umask": lambda mask: f"set umask {mask:04o}",
    "scheduler": lambda policy, flags, nice, priority, runtime, deadline, period: f"schedule as {_name(_POLICIES, policy)}",
    "io-priority": lambda class_, priority: f"do input and output as {_name(_IO_CLASSES, class_)} of level {priority}",
    "memory-policy": _memory_policy,
    "cpu-affinity": lambda cpus: f"run on processor{'s' * (len(cpus) != 1)} {_listed(map(str, cpus))}",
    "apparmor": lambda profile: f"confine the program by AppArmor profile {profile}",
    "selinux": lambda label: f"label the program {label} for SELinux",
    "personality": lambda persona: f"set personality {persona:#x}",
    "console": _console,
    "exec-console": _console,
    "stdio": _stdio,
    "setsid": lambda: "start a session",
    "dumpable": lambda on: f"{'allow' if on else 'forbid'} others to trace this process",
    "cwd": lambda path, create: f"change to directory {path}{_in_brackets('made if missing' if create else '')}",
    "user": _user,
    "ids": _ids,
    "identity": _identity,
    "no-new-privileges": lambda: "give up new privileges for good",
    "seccomp": lambda program, flags: f"install system call filter of {len(program) // _INSTRUCTION_SIZE} instructions",
    "seccomp-notify": lambda program, flags, agent, report: (
        f"install system call filter of {len(program) // _INSTRUCTION_SIZE} instructions, some calls decided at {agent}"
    ),
    "close-fds": lambda first=3: f"close all descriptors from {first} up",
    "last-words": lambda program: "keep a word for what becomes of it",
    "exec": lambda argv, environment: f"execute {' '.join(argv)}",
    "exit": lambda code: f"exit with code {code}",
    # in the launcher
    "uid-map": lambda text: _id_map("user", text),
    "gid-map": lambda text: _id_map("group", text),
    "tree": _tree,
    "idmapped-overlay": _idmapped_overlay,
    "device-directory": _device_directory,
    "rlimit-ceiling": _rlimit_ceiling,
    "mapping-tool": lambda program, text: f"{program} {' '.join(text.split())}",
    "setgroups": lambda text: f"{text} setgroups in the user namespace",
    "veth": _veth,
    "bridge-port": lambda name, hairpin, isolated: (
        f"set bridge port {name}{_in_brackets('hairpin' if hairpin else '', 'isolated' if isolated else '')}"
    ),
    "net-device": lambda name, new_name, netns: (
        f"move interface {name} into the container{f' as {new_name}' if new_name != name else ''}"
    ),
    "resctrl": lambda class_, schemata, make, monitor: f"join cache class {class_}{_in_brackets(*schemata)}",
    "write-file": lambda path, text: f"write {path}",
}
