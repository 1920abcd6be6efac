"""Whether an OCI configuration can be meant: what its JSON's types do not tell, the specification's and the kernel's rules do.

`validate` is asked before anything is made; it raises `Invalid` naming the field (`linux.namespaces[2].path: ...`). What
the specification wants warned about is in `warnings`. Docker's configurations are made here and need no asking.

Source: runtime-spec config.md and config-linux.md; runc libcontainer/configs/validate and specconv.
"""

from __future__ import annotations

from firkin.errors import Invalid
from firkin.linux import scheduling
from firkin.oci import number_list
from firkin.runtime import capability_names, mount_options, validate_filter, validate_hooks, validate_limits, validate_linux
from firkin.runtime.plan_process import RLIMIT_NUMBERS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from firkin.oci.runtime_config import Config, Mount, Process, Rlimit, Scheduler

_NO_ID = (1 << 32) - 1  # to the kernel, -1: leave it as it is
_LONGEST_NAME = 64  # of a host or a domain; uname(2)
_BY_NICE, _BY_PRIORITY = ("SCHED_OTHER", "SCHED_BATCH"), ("SCHED_FIFO", "SCHED_RR")


def validate(config: Config) -> None:
    """Raises `Invalid`."""
    _version(config.oci_version)
    if config.root is None:
        raise Invalid("root: required, and not given")
    if not config.root.path:
        raise Invalid("root.path: required, and not given")
    if config.process is None:
        raise Invalid("process: required, and not given")
    validate_process(config.process)
    _names(config)
    for index, one in enumerate(config.mounts):
        _mount(f"mounts[{index}]", one)
    if "" in config.annotations:
        raise Invalid("annotations: a key must not be empty")
    if config.hooks:
        validate_hooks.validate(config.hooks)
    validate_linux.validate(config.linux)
    if config.linux.resources:
        validate_limits.validate(config.linux.resources)
    if config.linux.seccomp:
        validate_filter.validate(config.linux.seccomp)


def warnings(config: Config) -> Iterator[str]:
    """What is done otherwise than asked for, as the specification allows."""
    if config.process:
        yield from process_warnings(config.process)
    limits = config.linux.resources
    if limits and limits.memory and limits.memory.kernel:
        yield "linux.resources.memory.kernel: ignored: kernels count it with all other memory"
    for index, one in enumerate(config.mounts):
        if not one.destination.startswith("/"):
            yield f"mounts[{index}].destination: a relative path is deprecated, taking it as relative to /"


def process_warnings(process: Process) -> Iterator[str]:
    """The same, of a container's process, or one that is to join it."""
    for kind in ("bounding", "effective", "inheritable", "permitted", "ambient"):
        unknown = [name for name in getattr(process.capabilities, kind, ()) if name not in capability_names.NAMES]
        if unknown:
            yield f"process.capabilities.{kind}: ignoring unknown {' '.join(unknown)}"


def _version(text: str) -> None:
    """Semantic Versioning: numbers, then perhaps "-" or "+" and more."""
    numbers = text.partition("+")[0].partition("-")[0].split(".")
    if len(numbers) != 3 or not all(one.isascii() and one.isdecimal() for one in numbers) or numbers[0] not in ("0", "1"):
        raise Invalid(f"ociVersion: want 1.x.y, got {text!r}")


def validate_process(process: Process) -> None:
    """Of a container, or one that is to join it. Raises `Invalid`."""
    if not process.cwd.startswith("/"):
        raise Invalid(f"process.cwd: must be an absolute path, got {process.cwd!r}")
    if not process.args or not process.args[0]:
        raise Invalid("process.args: must not be empty")
    _no_nul("process.cwd", process.cwd)
    for index, word in enumerate(process.args):
        _no_nul(f"process.args[{index}]", word)
    for index, entry in enumerate(process.env):
        _no_nul(f"process.env[{index}]", entry)
        if "=" not in entry[1:]:
            raise Invalid(f"process.env[{index}]: want NAME=value, got {entry!r}")
    _user(process)
    _rlimits(process.rlimits)
    if process.oom_score_adj is not None and not -1000 <= process.oom_score_adj <= 1000:
        raise Invalid(f"process.oomScoreAdj: want -1000 to 1000, got {process.oom_score_adj}")
    _scheduling(process)


def _no_nul(field: str, text: str) -> None:
    if "\0" in text:
        raise Invalid(f"{field}: must not contain a zero byte")


def _user(process: Process) -> None:
    user = process.user
    groups = ((f"additionalGids[{index}]", gid) for index, gid in enumerate(user.additional_gids))
    for word, number in (("uid", user.uid), ("gid", user.gid), *groups):
        if number == _NO_ID:
            raise Invalid(f"process.user.{word}: {number} stands for no id")


def _rlimits(limits: tuple[Rlimit, ...]) -> None:
    seen = set()
    for index, one in enumerate(limits):
        field = f"process.rlimits[{index}]"
        if one.type not in RLIMIT_NUMBERS:
            raise Invalid(f"{field}.type: unknown limit {one.type!r}")
        if one.type in seen:
            raise Invalid(f"{field}.type: {one.type} is there twice")
        if one.soft > one.hard:
            raise Invalid(f"{field}.soft: {one.soft} is more than the hard limit {one.hard}")
        seen.add(one.type)


def _scheduling(process: Process) -> None:
    if process.scheduler:
        _scheduler(process.scheduler)
    priority = process.io_priority
    if priority and priority.class_ not in scheduling.IO_CLASSES:
        raise Invalid(f"process.ioPriority.class: unknown class {priority.class_!r}")
    if priority and not 0 <= priority.priority <= 7:
        raise Invalid(f"process.ioPriority.priority: want 0 to 7, got {priority.priority}")
    affinity = process.exec_cpu_affinity
    for word, text in (("initial", affinity.initial), ("final", affinity.final)) if affinity else ():
        number_list.parse(text, f"process.execCPUAffinity.{word}")


def _scheduler(wanted: Scheduler) -> None:
    policy = wanted.policy
    if policy not in scheduling.POLICIES:
        raise Invalid(f"process.scheduler.policy: unknown policy {policy!r}")
    for index, flag in enumerate(wanted.flags):
        if flag not in scheduling.POLICY_FLAGS:
            raise Invalid(f"process.scheduler.flags[{index}]: unknown flag {flag!r}")
    if policy in _BY_NICE and not -20 <= wanted.nice <= 19:
        raise Invalid(f"process.scheduler.nice: want -20 to 19, got {wanted.nice}")
    if wanted.priority and policy not in _BY_PRIORITY:
        raise Invalid(f"process.scheduler.priority: only with SCHED_FIFO or SCHED_RR, not with {policy}")
    if policy in _BY_PRIORITY and not 1 <= wanted.priority <= 99:
        raise Invalid(f"process.scheduler.priority: want 1 to 99 with {policy}, got {wanted.priority}")
    if policy != "SCHED_DEADLINE" and (wanted.runtime or wanted.deadline or wanted.period):
        raise Invalid(f"process.scheduler: runtime, deadline and period only with SCHED_DEADLINE, not with {policy}")


def _names(config: Config) -> None:
    kinds = [one.type for one in config.linux.namespaces]
    for field, text in (("hostname", config.hostname), ("domainname", config.domainname)):
        if text and "uts" not in kinds:
            raise Invalid(f"{field}: unable to set it without a private UTS namespace")
        if len(text.encode("utf-8", "surrogateescape")) > _LONGEST_NAME:
            raise Invalid(f"{field}: longer than {_LONGEST_NAME} bytes")
        _no_nul(field, text)


def _mount(field: str, one: Mount) -> None:
    for word, text in (("destination", one.destination), ("source", one.source), ("type", one.type)):
        _no_nul(f"{field}.{word}", text)
    if not one.destination:
        raise Invalid(f"{field}.destination: required, and not given")
    options = mount_options.parse(one.options)
    bind = options.bind or one.type == "bind"
    if not bind and not options.remount and not one.type:
        raise Invalid(f"{field}.type: required, and not given")
    if bind and not options.remount and not one.source:
        raise Invalid(f"{field}.source: a bind mount needs one")
    if bind and options.data:
        raise Invalid(f"{field}.options: {options.data[0]!r} is for file systems, and a bind mount has none of its own")
    if options.copy_up and one.type != "tmpfs":
        raise Invalid(f"{field}.options: tmpcopyup is for a tmpfs")
    if bool(one.uid_mappings) != bool(one.gid_mappings):
        raise Invalid(f"{field}.{'gid' if one.uid_mappings else 'uid'}Mappings: required with the other, and not given")
