"""From an OCI configuration to the steps that make it true: the whole launch as one flat value.

A plan is data (marshal can carry it): who is cloned with which namespaces, what the launcher does meanwhile ("parent"),
what the child does ("child", in order), which descriptors travel along. The child decides nothing, so the order here is
the security argument; each group of steps says why it stands where it does. `describe` has a sentence for every step.

Source: runtime-spec runtime-linux.md; runc libcontainer/standard_init_linux.go, setns_init_linux.go, rootfs_linux.go.
"""

from __future__ import annotations

from firkin.linux import process
from firkin.oci.runtime_config import Config, Process
from firkin.oci.runtime_linux import Linux
from firkin.oci.runtime_value import Value
from firkin.runtime import (
    plan_files,
    plan_hooks,
    plan_outside,
    plan_process,
    plan_scheduling,
    plan_seccomp,
    plan_users,
    seccomp_compile,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Any

    from firkin.runtime.plan_seccomp import Listener
    from firkin.runtime.plan_terms import Overlay, Plan, Step

NAMESPACES = {
    "user": process.CLONE_NEWUSER,
    "mount": process.CLONE_NEWNS,
    "uts": process.CLONE_NEWUTS,
    "ipc": process.CLONE_NEWIPC,
    "network": process.CLONE_NEWNET,
    "pid": process.CLONE_NEWPID,
    "cgroup": process.CLONE_NEWCGROUP,
    "time": process.CLONE_NEWTIME,
}
SILENT = ("null", "null", "null")


class Launch(Value):
    """What a launch needs beside the configuration.

    `root`: an overlay, or the path of a directory; attached at `staging`, any empty directory. `volatile`: the overlay's
    files need not outlive a crash of the machine. `join_files`: files to write "0" into to join the cgroup; `cgroup`: name of
    the descriptor of a version 2 one to be born in instead; `hold`: of a pipe to wait at, while somebody else puts it in one
    (`join_files` are of the rest). `stdio`: names of the descriptors for 0, 1 and 2, "null" for the
    null device; `fds`: names of all others that travel along (pipes' read ends, sinks). `user` and `groups`: as in
    `docker run --user` and `--group-add`. `parent` and `network`: steps that connect it, in the launcher and in the child.
    `seccomp`: the compiled filter.

    For a runtime's own command line: `user` None means the ids of `process.user`; `gate` names a listening socket to wait at
    for `start`, just before the program; `preserved` is how many descriptors from 3 up the program keeps; `hook_state` is
    the state's JSON before and after the pid, for hooks; `keyring` and `pivot` off do without a session keyring of its own
    and without pivot_root(2), which an initial ramdisk does not allow. `bind_devices`: show the host's nodes instead of
    making new ones, which only root of the machine may. `set_groups` off: its user namespace forbids that. `own_maps`: how an
    ordinary user maps ids, given if the launcher is one; then it has no privileges to make anything with for the child.
    `plain_newlines`: its terminal's output goes to another terminal, which will add the carriage returns.
    """

    id: str
    root: Overlay | str
    staging: str
    volatile: bool = False
    join_files: Sequence[str] = ()
    cgroup: str = ""
    hold: str = ""
    stdio: tuple[str, str, str] = SILENT
    fds: Sequence[str] = ()
    log: dict[str, Any] | None = None
    user: str | None = ""
    groups: Sequence[str] = ()
    parent: Sequence[Step] = ()
    network: Sequence[Step] = ()
    seccomp: bytes = b""
    gate: str = ""
    preserved: int = 0
    hook_state: tuple[str, str] | None = None
    keyring: bool = True
    pivot: bool = True
    bind_devices: bool = False
    set_groups: bool = True
    own_maps: Sequence[Step] | None = None
    plain_newlines: bool = False


def container_plan(config: Config, launch: Launch) -> Plan:
    """The plan of a container's first process. Raises `Invalid` or `Unsupported` for what it cannot say, never drops it."""
    linux, joined = config.linux, namespace_paths(config)
    fresh = sum(NAMESPACES[one.type] for one in linux.namespaces if not one.path)
    made, tree = plan_users.divide(_tree(config, launch), linux, privileged=launch.own_maps is None)
    users = plan_users.has_users(linux)
    limits = plan_users.limits(config.process) if users and config.process else ()
    maps = plan_users.id_map_steps(linux) if launch.own_maps is None else launch.own_maps
    parent = [*maps, *limits, *made, *launch.parent, *plan_outside.steps(linux, launch.id)]
    return {
        "id": launch.id,
        # A cgroup namespace's root is the group of its maker, so it is made after the child has joined its own.
        "clone": fresh & ~process.CLONE_NEWCGROUP,
        "pidns": "ns-pid" if "ns-pid" in joined else "",
        "userns": "ns-user" if "ns-user" in joined else "",
        "timens": plan_scheduling.clocks(linux.time_offsets),
        **({"cgroup": launch.cgroup} if launch.cgroup else {}),
        **({"dumpable": True} if launch.own_maps else {}),
        "record": True,
        "parent": parent,
        "child": list(_first_process(config, launch, fresh, joined, tree, _waits(parent, made, users))),
        "fds": names_of(launch.stdio, launch.fds, joined),
        "log": launch.log,
    }


def _tree(config: Config, launch: Launch) -> Iterator[Step]:
    yield from plan_files.root(config, launch.root, launch.staging, volatile=launch.volatile)
    grouped = bool(launch.join_files or launch.hold)
    yield from plan_files.tree(config, launch.join_files, grouped=grouped, bind_devices=launch.bind_devices)


def _waits(parent: list[Step], made: list[Step], users: bool) -> str:
    """When the child waits for the launcher. In a user namespace nothing is allowed before the ids are mapped, nor is there
    a root to work on before it has been made. Otherwise the launcher moves the network interface in while the child builds."""
    if not parent and not users:
        return ""
    return "early" if users or made else "late"


def _first_process(
    config: Config, launch: Launch, fresh: int, joined: Iterable[str], tree: list[Step], waits: str
) -> Iterator[Step]:
    """The child's steps. `fresh`: namespaces it is born in or makes, `joined`: descriptors of those it enters; `tree`: its
    part of building the file tree."""
    linux, first = config.linux, config.process or Process(cwd="/")
    # First of all, so that the work below is accounted to the container, and nothing of it escapes the limits.
    if launch.hold:
        yield "wait-group", launch.hold
    yield from (("cgroup", file) for file in launch.join_files if not launch.cgroup)
    if launch.keyring:
        yield "session-keyring", "_ses." + launch.id
    limits = plan_process.limits_before_namespaces(first, strict=launch.user is None)
    users = plan_users.has_users(linux)
    yield from (step for step in limits if not users or step[0] != "oom-score-adj")  # then it is the launcher's
    yield ("setsid",)
    yield from plan_process.streams(first, launch.stdio)
    # The user and the pid namespace were entered by the launcher: one is to own the new ones, the other takes effect for
    # children only.
    entered = [kind for kind in NAMESPACES if kind not in ("user", "pid") and "ns-" + kind in joined]
    yield from (("setns", "ns-" + kind, NAMESPACES[kind]) for kind in entered)
    if fresh & process.CLONE_NEWCGROUP:
        yield "unshare", process.CLONE_NEWCGROUP
    if users:
        yield "open-staging", launch.staging
    if waits == "early":
        yield ("wait-parent",)
    yield from tree
    if waits == "late":
        yield ("wait-parent",)
    # The runtime's hooks may still bring mounts and interfaces; what follows relies on them, or takes the means away.
    yield from plan_hooks.before_pivot(config.hooks, launch.hook_state)
    yield from _network(fresh, launch.network)
    yield from plan_process.names(config)
    yield from plan_scheduling.memory(linux.memory_policy)
    # Last of what makes the world: a parameter may belong to an interface that came with the network.
    yield from (("sysctl", plan_process.sysctl_path(name), value) for name, value in linux.sysctl.items())
    yield from plan_files.hide(config)
    yield "pivot" if launch.pivot else "move-root", plan_files.root_propagation(linux)
    yield from plan_process.terminal(first, "console", plain_newlines=launch.plain_newlines)
    yield from plan_files.close_devices(config)
    filter_step = plan_seccomp.steps(launch.seccomp, _seccomp_flags(linux), _listener(config, launch))
    become = plan_process.become(first, launch.user, launch.groups, filter_step, launch.preserved, set_groups=launch.set_groups)
    yield from plan_hooks.with_start(become, config.hooks, launch.gate, launch.hook_state)


def namespace_paths(config: Config) -> dict[str, str]:
    """Descriptors to open for the plan: name -> path of a namespace to join."""
    return {"ns-" + one.type: one.path for one in config.linux.namespaces if one.path}


def _network(fresh: int, steps: Sequence[Step]) -> list[Step]:
    """A network namespace of one's own has at least its loopback interface up, as Docker's `none` has."""
    loopback = ("link-up", "lo")
    return [loopback, *steps] if fresh & process.CLONE_NEWNET and loopback not in steps else list(steps)


def _seccomp_flags(linux: Linux) -> int:
    return seccomp_compile.flags(linux.seccomp) if linux.seccomp else 0


def _listener(config: Config, launch: Launch) -> Listener | None:
    if not config.linux.seccomp or not seccomp_compile.notifies(config.linux.seccomp):
        return None
    if launch.hook_state:
        before, after = launch.hook_state
        state = before.replace("STATUS", "creating", 1), after
    else:
        state = plan_seccomp.creating(config.oci_version, launch.id, "", config.annotations)
    return plan_seccomp.listener(config.linux.seccomp, config.oci_version, state)


def names_of(stdio: Sequence[str], others: Sequence[str], first: Iterable[str]) -> list[str]:
    """Every descriptor once, in the order they are to be sent."""
    return list(dict.fromkeys([*first, *(name for name in stdio if name != "null"), *others]))
