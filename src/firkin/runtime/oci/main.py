"""From the command line to an exit code: the global flags, which command, its flags, run it, report what went wrong.

Exit codes are runc's: 255 for `exec` whose command line was understood, 3 for a command that does not exist, 1 for everything
else. The process ends with `os._exit`: tearing the interpreter down would cost every command a millisecond.
"""

from __future__ import annotations

import os
import sys

from firkin import __version__
from firkin.errors import Invalid
from firkin.linux import process
from firkin.oci.runtime_config import OCI_VERSION
from firkin.runtime.oci import caller, flags
from firkin.runtime.oci.context import Context
from firkin.runtime.oci.failure import Log, Usage, told

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

NAME = "firkin-oci"
DEFAULT_ROOT = "/run/firkin-oci"
GLOBAL_FLAGS = (
    ("debug", flags.SWITCH, "", "enable debug logging"),
    ("log", flags.PATH, "", "file to write the log to (default: standard error)"),
    ("log-format", flags.TEXT, "", "format of the log: text (default) or json"),
    ("root", flags.PATH, "", f"directory of the containers' state, on a tmpfs (default: {DEFAULT_ROOT})"),
    ("criu", flags.TEXT, "", "path to the criu program for checkpoint and restore (default: criu)"),
    ("systemd-cgroup", flags.SWITCH, "", 'cgroups are made by systemd; cgroupsPath is "slice:prefix:name"'),
    (
        "rootless",
        flags.TEXT,
        "",
        "do without cgroups that may not be made, if nothing is limited: true, false or auto (default)",
    ),
    ("help", flags.SWITCH, "h", "show help"),
    ("version", flags.SWITCH, "v", "print the version"),
)
HELP = ("help", flags.SWITCH, "h", "show help")

# Command -> what it does; each is a module of `commands`, read only when it is run.
COMMANDS = {
    "checkpoint": "checkpoint a running container",
    "create": "create a container",
    "delete": "delete any resources held by the container",
    "events": "display container events such as OOM notifications, cpu, memory, and IO usage statistics",
    "exec": "execute new process inside the container",
    "features": "show the enabled features",
    "kill": "send a signal (default: SIGTERM) to the container's init process",
    "list": "list the containers with the given root",
    "pause": "suspend all processes inside the container",
    "ps": "display the processes running inside a container",
    "restore": "restore a container from a previous checkpoint",
    "resume": "resume all processes that have been paused",
    "run": "create and run a container",
    "spec": "create a new specification file",
    "start": "execute the user defined process in a created container",
    "state": "output the state of a container",
    "update": "update container resource constraints",
}
_SIGNALLED = 130
_UNKNOWN_COMMAND = 3
_EXEC_FAILED = 255


def main(words: list[str], together: Any) -> None:
    """Run the command line and end the process. `together`: see the module of that name."""
    log, name = Log(), ""
    if not caller.is_ordinary():
        process.set_dumpable(False)  # what has the host's files open and enters a container is nobody's to look into there
    try:
        with _Explained(_overview):
            options, rest = flags.parse(GLOBAL_FLAGS, words)
        log, name = _log(options), rest[0] if rest else "help"
        code = _run(log, options, name, rest[1:])
    except KeyboardInterrupt:
        code = _SIGNALLED
    except Exception as error:  # also one that nobody foresaw: what was begun has been undone on its way here
        if log.debugging:
            sys.excepthook(type(error), error, error.__traceback__)
        misused = isinstance(error, Usage)
        log.error(("" if misused else _PREFIXES.get(name, "")) + told(error))
        code = _EXEC_FAILED if name == "exec" and not misused else 1
    if together.read and not code:
        together.keep()
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        pass
    sys.stderr.flush()
    os._exit(code)


_PREFIXES = {"run": f"{NAME} run failed: ", "create": f"{NAME} create failed: ", "exec": "exec failed: "}


def _log(options: flags.Options) -> Log:
    form = options.text("log-format", "text")
    if form not in ("text", "json"):
        raise Invalid(f"invalid log-format: {form}")
    path = options.text("log")
    return Log("" if path == "/dev/stderr" else path, form == "json", options.on("debug"))


def _run(log: Log, options: flags.Options, name: str, words: list[str]) -> int:
    if options.on("version"):
        print(f"{NAME} version {__version__}\nspec: {OCI_VERSION}")
        return 0
    asked = name in ("help", "h")
    if options.on("help") or (asked and not words):
        print(_overview(), end="")
        return 0
    if asked:
        name, words = words[0], ["--help"]
    if name not in COMMANDS:
        log.error(f"No help topic for '{name}'")
        return _UNKNOWN_COMMAND
    module = load(name)
    with _Explained(lambda: _usage(name, module)):
        given, arguments = flags.parse((*module.FLAGS, HELP), words, anywhere=module.ARGUMENTS[1] < flags.ANY)
        if given.on("help"):
            print(_usage(name, module), end="")
            return 0
        _check_count(name, module.ARGUMENTS, len(arguments))
    root = options.text("root") or os.path.abspath(_default_root())
    rootless = caller.rootless(options.text("rootless", "auto"))
    systemd, criu = options.on("systemd-cgroup"), options.text("criu", "criu")
    code: int = module.main(Context(log, root, systemd, rootless, criu, given, arguments))
    return code


class _Explained:
    """Where the command line is wrong, what would be right goes to standard output, as from runc; the error goes on."""

    def __init__(self, usage: Callable[[], str]) -> None:
        self._usage = usage

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, Usage):
            print(f"Incorrect Usage: {error.message}\n\n{self._usage()}")


def _check_count(name: str, arguments: tuple[int, int], given: int) -> None:
    least, most = arguments
    if not least <= given <= most:
        wanted = f"exactly {least}" if least == most else f"a minimum of {least}" if given < least else f"a maximum of {most}"
        raise Usage(f'{NAME}: "{name}" requires {wanted} argument(s)')


def load(name: str) -> Any:
    """The module of a command. Imported on demand: reading them all would take longer than most of them do."""
    return __import__(f"firkin.runtime.oci.commands.{name}", fromlist=["main"])


def _default_root() -> str:
    directory = caller.runtime_directory()
    return f"{directory}/firkin-oci" if directory else DEFAULT_ROOT


def _overview() -> str:
    rows = "".join(f"   {name.ljust(12)}{text}\n" for name, text in COMMANDS.items())
    head = f"NAME:\n   {NAME} - Open Container Initiative runtime\n\n"
    usage = f"USAGE:\n   {NAME} [global options] command [command options] [arguments...]\n\n"
    return f"{head}{usage}COMMANDS:\n{rows}\nGLOBAL OPTIONS:\n{flags.describe(GLOBAL_FLAGS)}"


def _usage(name: str, module: Any) -> str:
    head = f"NAME:\n   {NAME} {name} - {COMMANDS[name]}\n\n"
    usage = f"USAGE:\n   {NAME} {name} [command options] {module.WORDS}\n\n"
    return f"{head}{usage}OPTIONS:\n{flags.describe((*module.FLAGS, HELP))}"
