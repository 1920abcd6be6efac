"""Steps that turn the child into the container's process: names, limits, streams, user, privileges, program.

Part of `plan`. The order within `become` is runc's: what needs privileges comes before they are given up.
"""

from __future__ import annotations

from firkin.errors import Invalid
from firkin.oci.runtime_config import Config, Process
from firkin.runtime import capability_names, plan_scheduling

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from firkin.runtime.plan_terms import Step

# Source: asm-generic/resource.h
_RLIMITS = "CPU FSIZE DATA STACK CORE RSS NPROC NOFILE MEMLOCK AS LOCKS SIGPENDING MSGQUEUE NICE RTPRIO RTTIME"
RLIMIT_NUMBERS = {"RLIMIT_" + name: number for number, name in enumerate(_RLIMITS.split())}
_SWAPPED = str.maketrans("./", "/.")
_FIRST_OTHER = 3  # descriptor after the standard streams
_PERSONALITIES = {"LINUX": 0, "LINUX32": 8}  # linux/personality.h


def limits_before_namespaces(process: Process, *, strict: bool = False) -> Iterator[Step]:
    """In force from the start; in a user namespace it could no longer be lowered. `strict`: as the specification demands, to
    the letter or not at all."""
    if process.oom_score_adj is not None:
        step = ("oom-score-adj", process.oom_score_adj)
        yield (*step, True) if strict else step
    yield from plan_scheduling.labels(process)


def names(config: Config) -> Iterator[Step]:
    """Of the UTS namespace, and the personality, which uname(2) shows too."""
    if config.hostname:
        yield "hostname", config.hostname
    if config.domainname:
        yield "domainname", config.domainname
    if config.linux.personality:
        yield "personality", _PERSONALITIES[config.linux.personality.domain]


def sysctl_path(name: str) -> str:
    """Below /proc/sys. The first separator is the one: "net.ipv4.conf.eth0/1.forwarding" is of interface eth0.1."""
    dotted = "/" not in name.partition(".")[0]
    return name.translate(_SWAPPED) if dotted else name


def streams(process: Process, stdio: tuple[str, str, str]) -> Iterator[Step]:
    """In the host's mount namespace still, whose null device is known to be one."""
    if not process.terminal:
        yield "stdio", *stdio


def terminal(process: Process, operation: str, *, plain_newlines: bool = False) -> Iterator[Step]:
    """In the container's, because the terminal belongs to its devpts. `operation`: "console" or "exec-console"."""
    if process.terminal:
        size = process.console_size
        step = operation, size.height if size else 0, size.width if size else 0
        yield (*step, True) if plain_newlines else step


def become(
    process: Process,
    user: str | None,
    groups: Sequence[str],
    filter_step: list[Step],
    preserved: int = 0,
    *,
    set_groups: bool = True,
) -> Iterator[Step]:
    """From a privileged child of the engine to the program, for good. `user` None: the ids of `process.user`; `filter_step`
    installs the system call filter, if there is one; `preserved`: how many descriptors from 3 up it keeps; `set_groups` off:
    its user namespace forbids that."""
    if not process.args:
        raise Invalid("plan process: no command specified")
    set_home = not any(one.startswith("HOME=") for one in process.env)
    if user is None:
        wanted = process.user.additional_gids
        if wanted and not set_groups:
            raise Invalid("process.user.additionalGids: the user namespace forbids to set any")
        yield "ids", process.user.uid, process.user.gid, list(wanted) if set_groups else None, set_home
    else:
        yield "user", user, list(groups), set_home
    # With the privileges of the engine still, so that a directory closed to the user can be entered, as runc does.
    yield "cwd", process.cwd, False
    # The last use of a descriptor is behind us; a filter might not allow closing them.
    yield "close-fds", _FIRST_OTHER + preserved
    yield from plan_scheduling.priorities(process)
    # Just before the last steps: a tight limit would hit the child itself. Raising one needs privileges.
    for one in process.rlimits:
        step = ("rlimit", rlimit_number(one.type), one.soft, one.hard)
        # The specification demands the very limit, where Docker's users get what there is.
        yield (*step, True) if user is None else step
    if process.user.umask is not None:
        yield "umask", process.user.umask
    # Installing a filter takes CAP_SYS_ADMIN or no-new-privileges. With the latter the filter comes last and need not
    # allow what precedes it; without, it must come before capabilities are dropped.
    if user is None and filter_step:
        filter_step = [("last-words", process.args[0]), *filter_step]
    if process.no_new_privileges:
        yield ("no-new-privileges",)
        yield _identity(process)
        yield from filter_step
    else:
        yield from filter_step
        yield _identity(process)
    yield "exec", list(process.args), list(process.env)


def _identity(process: Process) -> Step:
    sets = process.capabilities
    if sets is None:
        return "identity", 0, 0, 0, 0, 0
    mask = capability_names.mask_of_known
    permitted, inheritable = mask(sets.permitted), mask(sets.inheritable)
    # The kernel lets only those be ambient that are both; runc's own example configuration asks for more.
    ambient = mask(sets.ambient) & permitted & inheritable
    return "identity", mask(sets.bounding), permitted, mask(sets.effective) & permitted, inheritable, ambient


def rlimit_number(kind: str) -> int:
    """Raises `Invalid`."""
    if kind not in RLIMIT_NUMBERS:
        raise Invalid(f"plan process: unknown rlimit {kind}")
    return RLIMIT_NUMBERS[kind]
