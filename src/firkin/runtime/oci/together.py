"""A command's code in one piece. Finding, checking and reading a hundred small modules one by one takes as long as starting the
container, so what a command has read is kept in one file beside the compiled modules, and its later runs take it from there.

Invariant: such a file is used only if every source in it has the size and the time it was compiled from, as with the
interpreter's own `.pyc` files, and if nobody could have written it who could not have written the sources. Everything works
without it, and where it cannot be written (decision 13).
"""

import gc
import os
import sys
from marshal import dumps, loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_NOWHERE = (0, 0)
_OTHERS_WRITE = 0o022
_NO_DOCSTRINGS = 2
# What few containers need is executed when it is used, and so is all of the standard library's. None of it is for the child:
# what that executes would see the container.
MAY_WAIT = {
    "firkin.linux.cgroup_bpf",
    "firkin.linux.cgroup_freezer",
    "firkin.linux.netdevice",
    "firkin.linux.overlay_idmapped",
    "firkin.linux.resctrl",
    "firkin.linux.sdbus",
    "firkin.linux.sdbus_wire",
    "firkin.linux.systemd",
    "firkin.linux.timens",
    "firkin.oci.number_list",
    "firkin.runtime.describe",
    "firkin.runtime.elsewhere",
    "firkin.runtime.id_maps",
    "firkin.runtime.oci.hold",
    "firkin.runtime.oci.notify",
    "firkin.runtime.oci.scopes",
    "firkin.runtime.oci.terminal",
    "firkin.runtime.oci.unit_annotations",
    "firkin.runtime.oci.unit_devices",
    "firkin.runtime.oci.unit_properties",
    "firkin.runtime.seccomp_cache",
    "firkin.runtime.seccomp_compile",
    "firkin.runtime.seccomp_library",
    "firkin.runtime.seccomp_newer",
    "firkin.runtime.stepping_stone",
    "firkin.runtime.validate_filter",
    "firkin.runtime.validate_hooks",
}
_HERE = __file__.removesuffix("together.py")
_CACHE = _HERE + "__pycache__"


class Together:
    """`modules`: (name, source, size, time, whether it is a package, code) of each, after those that it imports itself. The
    code of one that may wait is marshalled by itself."""

    def __init__(self) -> None:
        self._path = f"{_CACHE}/together.{_command()}.{sys.implementation.cache_tag}.bin"
        self.modules: list[tuple[Any, ...]] = []
        self.read: list[str] = []  # names of those that this run has had to look for, in the order they were complete

    def load(self) -> None:
        """All of it, and see to it that what is missing is noted."""
        gc.disable()  # there is no time for garbage to gather
        sys.meta_path.insert(-1, self)  # before what looks for files
        try:
            own, modules = loads(_trusted(self._path))
            if own != _stamp(__file__) or any(_stamp(source) != (size, time) for _, source, size, time, _, _ in modules):
                return
        except (OSError, ValueError, EOFError, TypeError):
            return
        self.modules = modules
        for name, source, _, _, package, _ in sorted(modules):  # packages before what they hold
            _announce(name, source, package)
        for name, *_, code in modules:
            if isinstance(code, bytes):
                _execute_when_used(sys.modules[name], code)
            else:
                exec(code, sys.modules[name].__dict__)

    def find_spec(self, name: str, path: "Any" = None, target: "Any" = None) -> "Any":
        """As anybody else finds it (PEP 451), with a note of when it was complete."""
        spec: Any = sys.meta_path[-1].find_spec(name, path, target)
        if spec and spec.has_location and spec.origin.endswith(".py"):
            execute = spec.loader.exec_module

            def note(module: "Any") -> None:
                execute(module)
                self.read.append(name)

            spec.loader.exec_module = note
        return spec

    def keep(self) -> None:
        """Add what was read, for the next run."""
        for name in self.read:
            spec: Any = sys.modules[name].__spec__
            package = spec.submodule_search_locations is not None
            source = spec.loader.get_data(spec.origin)
            code: Any = compile(source, spec.origin, "exec", dont_inherit=True, optimize=_NO_DOCSTRINGS)
            code = dumps(code) if name in MAY_WAIT or not name.startswith("firkin") else code
            self.modules.append((name, spec.origin, *_stamp(spec.origin), package, code))
        temporary = f"{self._path}.{os.getpid()}"
        try:
            fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
            with open(fd, "wb") as file:
                file.write(dumps((_stamp(__file__), self.modules)))
            os.rename(temporary, self._path)
        except OSError:  # a source tree that is not ours to write to
            pass


def _announce(name: str, source: str, package: bool) -> None:
    """An empty module, where `import` finds it."""
    sys.modules[name] = module = type(sys)(name)
    above, _, last = name.rpartition(".")
    module.__file__, module.__package__ = source, name if package else above
    if package:
        module.__path__ = [source.removesuffix("/__init__.py")]
    if above:
        setattr(sys.modules[above], last, module)


def _execute_when_used(module: "Any", code: bytes) -> None:
    """That is when somebody asks it for something that it does not have yet (PEP 562)."""

    def execute(attribute: str) -> "Any":
        del module.__getattr__
        exec(loads(code), module.__dict__)
        return getattr(module, attribute)

    module.__getattr__ = execute


def _command() -> str:
    """The first word that is the name of one; if it is a flag's value instead, what is kept fits a little worse."""
    for word in sys.argv[1:]:
        if word.isalpha() and _stamp(f"{_HERE}commands/{word}.py") != _NOWHERE:
            return word
    return ""


def _trusted(path: str) -> bytes:
    """The content of a file that root, we or the owner of the sources wrote, as is its directory. PermissionError otherwise:
    this is code."""
    owners = 0, os.geteuid(), os.stat(__file__).st_uid
    with open(path, "rb", 0) as file:
        for found in (os.stat(_CACHE), os.fstat(file.fileno())):
            if found.st_uid not in owners or found.st_mode & _OTHERS_WRITE:
                raise PermissionError
        return file.read()


def _stamp(path: str) -> tuple[int, int]:
    try:
        found = os.stat(path)
    except OSError:
        return _NOWHERE
    return found.st_size, found.st_mtime_ns
