"""Plans of what joins a running container: one more process, or work in its namespaces. See `plan`."""

from __future__ import annotations

from firkin.linux import process
from firkin.runtime import plan_process, plan_scheduling, plan_seccomp, plan_users, seccomp_compile
from firkin.runtime.plan import NAMESPACES, SILENT, names_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from firkin.oci.runtime_config import Process
    from firkin.runtime.plan_seccomp import Listener
    from firkin.runtime.plan_terms import Plan, Step

_NOT_ALWAYS_JOINED = process.CLONE_NEWUSER | process.CLONE_NEWPID | process.CLONE_NEWTIME
_JOINED = sum(NAMESPACES.values()) & ~_NOT_ALWAYS_JOINED


def exec_plan(
    exec_id: str,
    added: Process,
    *,
    join_files: Sequence[str],
    cgroup: str = "",
    hold: str = "",
    user: str | None = "",
    groups: Sequence[str] = (),
    stdio: tuple[str, str, str] = SILENT,
    fds: Sequence[str] = (),
    seccomp: bytes = b"",
    seccomp_flags: int = seccomp_compile.DEFAULT_FLAGS,
    listener: Listener | None = None,
    own_users: bool = False,
    own_clocks: bool = False,
    preserved: int = 0,
    left_out: int = 0,
    keyring: str = "",
    watched: bool = True,
    set_groups: bool = True,
    plain_newlines: bool = False,
) -> Plan:
    """The plan of a process that joins a running container, whose first process the descriptor "pidfd" stands for.

    `join_files`, `cgroup` and `hold`: as in `Launch`. `own_users`: the container has a user namespace; `own_clocks`: a time
    namespace; `left_out`: kinds (CLONE_NEW*) that it shares with an engine that may not enter its own (see
    `spec_linux.not_to_be_joined`); `keyring`: name of a session keyring to have instead of the launcher's; `watched`: some
    process in its pid namespace may trace others, so that nothing may be born there that still has anything of the host's.
    If that is known not to be so, being born there at once spares a millisecond. `set_groups`, `plain_newlines`: as in
    `Launch`. Limits, user and privileges are set as for a first process; what makes joining dangerous, descriptors and memory
    of the host seen by the container, `child.run` has shed before.
    """
    watched = watched or own_users or bool(left_out)
    kinds = _JOINED | (process.CLONE_NEWUSER if own_users else 0) | (process.CLONE_NEWTIME if own_clocks else 0)
    child: list[Step] = [
        *plan_scheduling.affinity(added, joined=False),
        *([("wait-group", hold)] if hold else []),
        *(("cgroup", file) for file in join_files if not cgroup),
        *plan_scheduling.affinity(added, joined=True),
        *plan_process.limits_before_namespaces(added, strict=user is None),
        *(plan_users.ceilings(added) if own_users else ()),
        *([("session-keyring", keyring)] if keyring else []),
        ("stdio", *(stdio if not added.terminal else SILENT)),  # the launcher's own are not for the container to see
        ("setns-pidfd", "pidfd", (kinds | (process.CLONE_NEWPID if watched else 0)) & ~left_out),
        # Seen by the container from here on, so not before everything of the host's is out of its reach.
        *([("reborn", 3 + preserved)] if watched else []),
        ("setsid",),
        *plan_process.terminal(added, "exec-console", plain_newlines=plain_newlines),
        *plan_process.become(
            added, user, groups, plan_seccomp.steps(seccomp, seccomp_flags, listener), preserved, set_groups=set_groups
        ),
    ]
    names = names_of(stdio, fds, ["pidfd", *([cgroup] if cgroup else [])])
    return {
        "id": exec_id,
        "clone": 0,
        "pidns": "" if watched else "pidfd",
        **({"cgroup": cgroup} if cgroup else {}),
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
