"""The OCI runtime configuration (`config.json`, version 1.2) as an immutable value, and its JSON both ways.

Invariant: the value says what the JSON says. Field names are the specification's in snake_case; properties it does not
know are ignored, as it demands; of the platforms there is Linux only.

Source: https://github.com/opencontainers/runtime-spec/blob/v1.2.1/config.md.
"""

from __future__ import annotations

from firkin.errors import Invalid
from firkin.oci import json_text
from firkin.oci.runtime_linux import IDMapping, Linux
from firkin.oci.runtime_value import EMPTY, Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firkin.oci.runtime_value import Int32, UInt32, UInt64

OCI_VERSION = "1.2.1"


# --- process -------------------------------------------------------------------------------------------------------
class ConsoleSize(Value):
    """In character cells."""

    height: UInt64
    width: UInt64


class User(Value):
    uid: UInt32 = 0
    gid: UInt32 = 0
    umask: UInt32 | None = None
    additional_gids: tuple[UInt32, ...] = ()


class Capabilities(Value):
    """Five sets of names such as "CAP_CHOWN"; capabilities(7)."""

    bounding: tuple[str, ...] = ()
    effective: tuple[str, ...] = ()
    inheritable: tuple[str, ...] = ()
    permitted: tuple[str, ...] = ()
    ambient: tuple[str, ...] = ()


class Rlimit(Value):
    type: str  # "RLIMIT_NOFILE"
    soft: UInt64
    hard: UInt64


class Scheduler(Value):
    """sched_setattr(2); runtime, deadline and period in nanoseconds."""

    policy: str
    nice: Int32 = 0
    priority: Int32 = 0
    flags: tuple[str, ...] = ()
    runtime: UInt64 = 0
    deadline: UInt64 = 0
    period: UInt64 = 0


class IOPriority(Value):
    """ioprio_set(2)."""

    class_: str
    priority: Int32 = 0


class CPUAffinity(Value):
    """CPU lists ("0-3,7") for a process that joins, before and after it enters the cgroup."""

    initial: str = ""
    final: str = ""


class Process(Value):
    cwd: str
    args: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    terminal: bool = False
    console_size: ConsoleSize | None = None
    user: User = User()
    capabilities: Capabilities | None = None
    rlimits: tuple[Rlimit, ...] = ()
    no_new_privileges: bool = False
    apparmor_profile: str = ""
    selinux_label: str = ""
    oom_score_adj: int | None = None
    scheduler: Scheduler | None = None
    io_priority: IOPriority | None = None
    exec_cpu_affinity: CPUAffinity | None = None


# --- file system ---------------------------------------------------------------------------------------------------
class Root(Value):
    path: str
    readonly: bool = False


class Mount(Value):
    """`options` are mount(8)'s words: flags of the mount, options of the file system, propagation."""

    destination: str
    type: str = ""
    source: str = ""
    options: tuple[str, ...] = ()
    uid_mappings: tuple[IDMapping, ...] = ()
    gid_mappings: tuple[IDMapping, ...] = ()


# --- hooks ---------------------------------------------------------------------------------------------------------
class Hook(Value):
    """A program run on the state's JSON; `timeout` in seconds."""

    path: str
    args: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    timeout: int | None = None


class Hooks(Value):
    prestart: tuple[Hook, ...] = ()
    create_runtime: tuple[Hook, ...] = ()
    create_container: tuple[Hook, ...] = ()
    start_container: tuple[Hook, ...] = ()
    poststart: tuple[Hook, ...] = ()
    poststop: tuple[Hook, ...] = ()


# --- the whole -----------------------------------------------------------------------------------------------------
class Config(Value):
    oci_version: str
    root: Root | None = None
    process: Process | None = None
    mounts: tuple[Mount, ...] = ()
    hostname: str = ""
    domainname: str = ""
    hooks: Hooks | None = None
    linux: Linux = Linux()
    annotations: dict[str, str] = EMPTY


def to_json(config: Config) -> bytes:
    """`config` as the bytes of a `config.json`."""
    return json_text.dumps(config.to_dict()).encode()


def from_json(data: bytes | str) -> Config:
    """The configuration in `data`; raises `Invalid` naming the field that does not fit."""
    try:
        return Config.from_dict(json_text.loads(data))
    except Invalid as error:
        raise Invalid(f"read OCI configuration: {error.message}") from None
