"""Entry point. Finding, checking and reading a hundred small modules one by one takes as long as starting the container, so
what a command has read is kept together in one file beside the compiled modules, and its later runs take it from there.

Invariant: such a file is used only if every source in it has the size and the time it was compiled from, as with the
interpreter's own `.pyc` files. Everything works without it, and where it cannot be written (decision 13).
"""

from __future__ import annotations

import gc
import sys
from marshal import dumps, loads
from posix import getpid, rename, stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_NOWHERE = (0, 0)
_HERE = __file__.removesuffix("__main__.py")


class Together:
    """`modules`: (name, source, size, time, whether it is a package, code) of each, after those that it imports itself."""

    def __init__(self) -> None:
        self.modules: list[tuple[Any, ...]] = []
        self.read: list[str] = []  # names of those that this run has had to look for, in the order they were complete

    def load(self) -> None:
        try:
            with open(_KEPT, "rb", 0) as file:
                modules = list(loads(file.read()))
            if any(_stamp(source) != (size, time) for _, source, size, time, _, _ in modules):
                return
        except (OSError, ValueError, EOFError, TypeError):
            return
        self.modules = modules
        for name, source, _, _, package, code in modules:
            sys.modules[name] = module = type(sys)(name)
            above, _, last = name.rpartition(".")
            module.__file__, module.__package__ = source, name if package else above
            if package:
                module.__path__ = [source.removesuffix("/__init__.py")]
            if above:
                setattr(sys.modules[above], last, module)
            exec(code, module.__dict__)

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        """As anybody else finds it (PEP 451), with a note of when it was complete."""
        spec = sys.meta_path[-1].find_spec(name, path, target) if name.startswith("firkin") else None
        if spec and spec.loader:
            execute = spec.loader.exec_module

            def note(module: Any) -> None:
                execute(module)
                self.read.append(name)

            spec.loader.exec_module = note  # type: ignore[method-assign]
        return spec

    def keep(self) -> None:
        """Add what was read, for the next run."""
        for name in self.read:
            spec: Any = sys.modules[name].__spec__
            package = spec.submodule_search_locations is not None
            self.modules.append((name, spec.origin, *_stamp(spec.origin), package, spec.loader.get_code(name)))
        try:
            with open(f"{_KEPT}.{getpid()}", "xb") as file:
                file.write(dumps(self.modules))
            rename(f"{_KEPT}.{getpid()}", _KEPT)
        except OSError:  # a source tree that is not ours to write to
            pass


def _command() -> str:
    """The first word that is the name of one; if it is a flag's value instead, what is kept fits a little worse."""
    for word in sys.argv[1:]:
        if word.isalpha() and _stamp(f"{_HERE}commands/{word}.py") != _NOWHERE:
            return word
    return ""


def _stamp(path: str) -> tuple[int, int]:
    try:
        found = stat(path)
    except OSError:
        return _NOWHERE
    return found.st_size, found.st_mtime_ns


_KEPT = f"{_HERE}__pycache__/together.{_command()}.{sys.implementation.cache_tag}.bin"

gc.disable()  # there is no time for garbage to gather
together = Together()
together.load()
sys.path.insert(0, _HERE.removesuffix("/firkin/runtime/oci/"))
sys.meta_path.insert(0, together)

from firkin.runtime.oci.main import main  # noqa: E402 found by the lines above

main(sys.argv[1:], together)
