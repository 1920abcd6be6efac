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
from firkin.runtime import plan_files, plan_process, seccomp_compile, unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Any

    from firkin.runtime.plan_terms import Overlay, Plan, Step

NAMESPACES = {
    "user": process.CLONE_NEWUSER,
    "mount": process.CLONE_NEWNS,
    "uts": process.CLONE_NEWUTS,
    "ipc": process.CLONE_NEWIPC,
    "network": process.CLONE_NEWNET,
    "pid": process.CLONE_NEWPID,
    "cgroup": process.CLONE_NEWCGROUP,
}
_JOINED_BY_EXEC = sum(NAMESPACES.values()) & ~(process.CLONE_NEWUSER | process.CLONE_NEWPID)


class Launch(Value):
    """What a launch needs beside the configuration.

    `root`: an overlay, or the path of a directory; attached at `staging`, any empty directory. `volatile`: the overlay's
    files need not outlive a crash of the machine. `join_files`: files to
    write "0" into to join the cgroup. `stdio`: names of the descriptors for 0, 1 and 2, "null" for the null device;
    `fds`: names of all others that travel along (pipes' read ends, sinks). `user` and `groups`: as in `docker run --user`
    and `--group-add`. `parent` and `network`: steps that connect it, in the launcher and in the child. `seccomp`: the
    compiled filter.
    """

    id: str
    root: Overlay | str
    staging: str
    volatile: bool = False
    join_files: Sequence[str] = ()
    stdio: tuple[str, str, str] = ("null", "null", "null")
    fds: Sequence[str] = ()
    log: dict[str, Any] | None = None
    user: str = ""
    groups: Sequence[str] = ()
    parent: Sequence[Step] = ()
    network: Sequence[Step] = ()
    seccomp: bytes = b""


def container_plan(config: Config, launch: Launch) -> Plan:
    """The plan of a container's first process. Raises `Unsupported` for what this engine cannot do yet, never drops it."""
    unsupported.refuse(config)
    linux, joined = config.linux, namespace_paths(config)
    fresh = sum(NAMESPACES[one.type] for one in linux.namespaces if not one.path)
    parent = [*_id_maps(linux), *launch.parent]
    return {
        "id": launch.id,
        # A cgroup namespace's root is the group of its maker, so it is made after the child has joined its own.
        "clone": fresh & ~process.CLONE_NEWCGROUP,
        "pidns": "ns-pid" if "ns-pid" in joined else "",
        "record": True,
        "parent": parent,
        "child": list(_first_process(config, launch, fresh, joined, waits=bool(parent))),
        "fds": _names(launch.stdio, launch.fds, joined),
        "log": launch.log,
    }


def _first_process(config: Config, launch: Launch, fresh: int, joined: Iterable[str], *, waits: bool) -> Iterator[Step]:
    """The child's steps. `fresh`: namespaces it is born in or makes, `joined`: descriptors of those it enters."""
    linux, first = config.linux, config.process or Process(cwd="/")
    # First of all, so that the work below is accounted to the container, and nothing of it escapes the limits.
    yield from (("cgroup", file) for file in launch.join_files)
    yield "session-keyring", "_ses." + launch.id
    yield from plan_process.limits_before_namespaces(first)
    yield from plan_process.streams(first, launch.stdio)
    # One after the other, the user namespace first, for it gives the right to enter those it owns. The pid namespace was
    # entered by the launcher: it takes effect for children only.
    yield from (("setns", "ns-" + kind, NAMESPACES[kind]) for kind in NAMESPACES if kind != "pid" and "ns-" + kind in joined)
    if fresh & process.CLONE_NEWCGROUP:
        yield "unshare", process.CLONE_NEWCGROUP
    # In a new user namespace nothing is allowed before the ids are mapped. Otherwise the launcher moves the network
    # interface in while the child builds its root.
    early = bool(fresh & process.CLONE_NEWUSER)
    if waits and early:
        yield ("wait-parent",)
    yield from plan_files.root(config, launch.root, launch.staging, volatile=launch.volatile)
    yield from plan_files.tree(config, launch.join_files)
    if waits and not early:
        yield ("wait-parent",)
    yield from _network(fresh, launch.network)
    yield from plan_process.names(config)
    # Last of what makes the world: a parameter may belong to an interface that came with the network.
    yield from (("sysctl", name if "/" in name else name.replace(".", "/"), value) for name, value in linux.sysctl.items())
    yield from plan_files.hide(config)
    yield "pivot", plan_files.root_propagation(linux)
    yield from plan_process.terminal(first, "console")
    yield from plan_process.become(first, launch.user, launch.groups, launch.seccomp, _seccomp_flags(linux))


def exec_plan(
    exec_id: str,
    added: Process,
    *,
    join_files: Sequence[str],
    user: str = "",
    groups: Sequence[str] = (),
    stdio: tuple[str, str, str] = ("null", "null", "null"),
    fds: Sequence[str] = (),
    seccomp: bytes = b"",
    seccomp_flags: int = seccomp_compile.DEFAULT_FLAGS,
    own_users: bool = False,
) -> Plan:
    """The plan of a process that joins a running container, whose first process the descriptor "pidfd" stands for.

    `own_users`: the container has a user namespace. Limits, user and privileges are set as for a first process; what
    makes joining dangerous, descriptors and memory of the host seen by the container, `child.run` has shed before.
    """
    kinds = _JOINED_BY_EXEC | (process.CLONE_NEWUSER if own_users else 0)
    child: list[Step] = [
        *(("cgroup", file) for file in join_files),
        *plan_process.limits_before_namespaces(added),
        *plan_process.streams(added, stdio),
        ("setns-pidfd", "pidfd", kinds),
        *plan_process.terminal(added, "exec-console"),
        *plan_process.become(added, user, groups, seccomp, seccomp_flags),
    ]
    names = _names(stdio, fds, ["pidfd"])
    return {
        "id": exec_id,
        "clone": 0,
        "pidns": "pidfd",
        "record": False,
        "parent": [],
        "child": child,
        "fds": names,
        "log": None,
    }


def namespace_job(job_id: str, steps: Iterable[Step], kinds: int, parent: Iterable[Step] = ()) -> Plan:
    """Work inside the namespaces (`kinds`, CLONE_NEW*) of the process that the descriptor "pidfd" stands for, such as
    `docker network connect`: no program, exit code 0 when all steps are done."""
    before = list(parent)
    child = [*([("wait-parent",)] if before else []), ("setns-pidfd", "pidfd", kinds), *steps, ("exit", 0)]
    return {
        "id": job_id,
        "clone": 0,
        "pidns": "",
        "record": False,
        "parent": before,
        "child": child,
        "fds": ["pidfd"],
        "log": None,
    }


def namespace_paths(config: Config) -> dict[str, str]:
    """Descriptors to open for the plan: name -> path of a namespace to join."""
    return {"ns-" + one.type: one.path for one in config.linux.namespaces if one.path}


def _network(fresh: int, steps: Sequence[Step]) -> list[Step]:
    """A network namespace of one's own has at least its loopback interface up, as Docker's `none` has."""
    loopback = ("link-up", "lo")
    return [loopback, *steps] if fresh & process.CLONE_NEWNET and loopback not in steps else list(steps)


def _id_maps(linux: Linux) -> list[Step]:
    return [
        (operation, "".join(f"{one.container_id} {one.host_id} {one.size}\n" for one in mappings))
        for operation, mappings in (("uid-map", linux.uid_mappings), ("gid-map", linux.gid_mappings))
        if mappings
    ]


def _seccomp_flags(linux: Linux) -> int:
    return seccomp_compile.flags(linux.seccomp) if linux.seccomp else 0


def _names(stdio: Sequence[str], others: Sequence[str], first: Iterable[str]) -> list[str]:
    """Every descriptor once, in the order they are to be sent."""
    return list(dict.fromkeys([*first, *(name for name in stdio if name != "null"), *others]))
