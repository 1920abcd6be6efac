"""`firkin-oci exec`: another process in a running container.

Source: runc exec.go, utils_linux.go (the process of the configuration, with the flags' changes).
"""

from __future__ import annotations

from firkin.errors import Conflict, Invalid
from firkin.linux import userns
from firkin.linux.netlink import Netlink
from firkin.oci import json_text
from firkin.oci.runtime_config import OCI_VERSION, Capabilities, Process
from firkin.runtime import plan_joining, plan_seccomp, seccomp_compile
from firkin.runtime.oci import flags, late, own_users, seccomp
from firkin.runtime.oci.child import Child
from firkin.runtime.oci.foreground import Foreground
from firkin.runtime.oci.process_file import load
from firkin.runtime.oci.record import PAUSED, RUNNING, STOPPED, Directory, open_process, state, write
from firkin.runtime.oci.streams import Streams
from firkin.runtime.validate import process_warnings, validate_process

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firkin.oci.runtime_config import Config
    from firkin.runtime.oci.context import Context
    from firkin.runtime.oci.flags import Options
    from firkin.runtime.oci.record import Record

ARGUMENTS, WORDS = (1, flags.ANY), "<container-id> <command> [command options]  || -p process.json <container-id>"
FLAGS = (
    ("console-socket", flags.TEXT, "", "unix socket that gets the master of the process's terminal"),
    ("cwd", flags.TEXT, "", "current working directory in the container"),
    ("env", flags.LIST, "e", "set environment variables"),
    ("tty", flags.SWITCH, "t", "allocate a pseudo-TTY"),
    ("user", flags.TEXT, "u", "UID (format: <uid>[:<gid>])"),
    ("additional-gids", flags.NUMBERS, "g", "additional gids"),
    ("process", flags.TEXT, "p", "path to the process.json"),
    ("detach", flags.SWITCH, "d", "detach from the container's process"),
    ("pidfd-socket", flags.TEXT, "", "unix socket that gets a pidfd of the process"),
    ("pid-file", flags.PATH, "", "file to write the process id to"),
    ("process-label", flags.TEXT, "", "SELinux label of the process"),
    ("apparmor", flags.TEXT, "", "AppArmor profile of the process"),
    ("no-new-privs", flags.SWITCH, "", "set the no new privileges value for the process"),
    ("cap", flags.LIST, "c", "add a capability to the process's sets"),
    ("preserve-fds", flags.NUMBER, "", "pass N more file descriptors to the process (stdio + $LISTEN_FDS + N in total)"),
    ("cgroup", flags.LIST, "", "run the process in an existing sub-cgroup: [<controller>:]<cgroup>"),
    ("ignore-paused", flags.SWITCH, "", "allow exec in a paused container"),
)


def main(context: Context) -> int:
    options, directory = context.options, Directory(context.root, context.id)
    record = directory.load()
    status = directory.status(record)
    if status == STOPPED:
        raise Conflict("cannot exec in a stopped container")
    if status == PAUSED and not options.on("ignore-paused"):
        raise Conflict("cannot exec in a paused container (use --ignore-paused to override)")
    config = directory.config()
    process = _process(options, config, context.arguments[1:])
    validate_process(process)
    for text in process_warnings(process):
        context.log.warn(text)
    detach = options.on("detach")
    streams = Streams(context, process.terminal, detach=detach)
    foreground = None if detach else Foreground(subreaper=False)
    child = _spawn(context, record, config, process, streams)
    if child.console is not None and streams.console_socket:
        streams.send_console(child.console)
    streams.send_pidfd(b"setns", child.pidfd)
    if pid_file := options.text("pid-file"):
        write(pid_file, str(child.pid).encode())
    if not foreground:
        return 0
    relays = streams.relays if child.console is None else foreground.take_terminal(child.console)
    return foreground.wait(child.pid, relays)


def _spawn(context: Context, record: Record, config: Config, process: Process, streams: Streams) -> Child:
    linux = config.linux
    pidfd = open_process(record)
    adapted = streams.adapt(process)
    assert adapted
    scopes = late.module("oci.scopes") if record.unit and not context.options.texts("cgroup") else None
    hold = scopes.hold() if scopes else None
    steps = plan_joining.exec_plan(
        record.id,
        adapted,
        join_files=_join_files(context.options, record) if not hold else (),
        hold="hold" if hold else "",
        user=None,
        stdio=streams.stdio,
        seccomp=seccomp.program(context.root, linux.seccomp),
        seccomp_flags=seccomp_compile.flags(linux.seccomp) if linux.seccomp else 0,
        listener=plan_seccomp.listener(linux.seccomp, OCI_VERSION, (json_text.dumps(state(record, RUNNING)),)),
        own_users=record.own_users,
        own_clocks=record.own_clocks,
        preserved=streams.preserved,
        plain_newlines=not streams.console_socket,
        left_out=own_users.not_to_be_joined(linux),
        keyring="_ses." + record.id,
        set_groups=not userns.forbids_groups(record.pid),
    )
    child = Child(steps, {**streams.handed, "pidfd": pidfd, **({"hold": hold.inner} if hold else {})}, Netlink())
    streams.close_handed()
    try:
        if scopes and hold:
            scopes.attach(record.unit, child.pid)
            hold.release()
        child.progress()
    except BaseException:
        child.end()
        raise
    return child


def _join_files(options: Options, record: Record) -> list[str]:
    """Of the container's group, or of the groups below it that `--cgroup` names for all or for some controllers."""
    cgroups, path = record.cgroups, record.cgroup_path
    wanted = options.texts("cgroup")
    if not wanted:
        return cgroups.join_files(path)
    found: list[str] = []
    for word in wanted:
        controllers, _, below = word.rpartition(":")
        if ".." in below.split("/"):
            raise Invalid(f"--cgroup {word}: not below the container's group")
        place = f"{path}/{below.strip('/')}".rstrip("/")
        files = cgroups.join_files(place) if not controllers else []
        for controller in filter(None, controllers.split(",")):
            files += cgroups.join_files_of(place, controller)
        if not files:
            raise Invalid(f"--cgroup {word}: there is no such group")
        found += files
    return found


def _process(options: Options, config: Config, words: list[str]) -> Process:
    if path := options.text("process"):
        return load(path)
    if not words:
        raise Invalid("process args cannot be empty")
    process = config.process or Process(cwd="/")
    changes: dict[str, object] = {"args": tuple(words), "terminal": options.on("tty"), "console_size": None}
    if options.texts("env"):
        changes["env"] = (*process.env, *options.texts("env"))
    for flag, field in (("cwd", "cwd"), ("apparmor", "apparmor_profile"), ("process-label", "selinux_label")):
        if options.text(flag):
            changes[field] = options.text(flag)
    if options.has("no-new-privs"):
        changes["no_new_privileges"] = options.on("no-new-privs")
    if added := tuple(options.texts("cap")):
        changes["capabilities"] = _more(process.capabilities or Capabilities(), added)
    changes["user"] = _user(options, process)
    return process.replace(**changes)


def _more(sets: Capabilities, added: tuple[str, ...]) -> Capabilities:
    """Nothing more is inheritable (CVE-2022-29162), so ambient becomes only what the container has made inheritable itself."""
    grown = ("bounding", "effective", "permitted", "ambient")
    return sets.replace(**{name: (*getattr(sets, name), *added) for name in grown})


def _user(options: Options, process: Process) -> object:
    user = process.user
    if word := options.text("user"):
        uid, colon, gid = word.partition(":")
        if not uid.isdecimal() or (colon and not gid.isdecimal()):
            raise Invalid(f"--user {word}: want <uid>[:<gid>] in numbers")
        user = user.replace(uid=int(uid), gid=int(gid or user.gid))
    if groups := options.texts("additional-gids"):
        user = user.replace(additional_gids=(*user.additional_gids, *map(int, groups)))
    return user
