"""The architecture as a test: which layer may import which, and what the island may import at all."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from firkin.runtime.oci.together import MAY_WAIT

SOURCE = Path(__file__).parent.parent / "src" / "firkin"
# A module may import only from layers before its own, and from its own.
ORDER = [
    "errors",
    "ids",
    "paths",
    "userdirs",
    "config",
    "model",
    "linux",
    "oci",
    "runtime",
    "storage",
    "images",
    "network",
    "engine",
    "api",
    "rootless",
    "daemon",
]
ISLAND = ["linux", "runtime/child.py", "runtime/spawn.py", "runtime/launcher.py", "runtime/keeper.py", "runtime/wire.py"]
# collections.abc: for annotations; `socket` has loaded it already.
ISLAND_MAY = {
    "_signal",  # `signal` and `socket` without their enumerations, which take longer to make than a container to mount
    "_socket",
    "collections",
    "__future__",
    "os",
    "sys",
    "socket",
    "select",
    "signal",
    "errno",
    "struct",
    "_ctypes",  # `ctypes` without its types
    "marshal",
    "time",
    "gc",
}
# Commands that are not about a daemon somewhere, but about this machine.
ON_THIS_MACHINE = {
    "firkin.cli.commands.daemon": {"firkin.daemon"},
    "firkin.cli.commands.rootless": {"firkin.rootless.checks", "firkin.rootless.facts"},
}
CLIENT_MAY = {"firkin.errors", "firkin.paths", "firkin.ids", "firkin.userdirs", "firkin"}


def modules() -> dict[str, ast.Module]:
    found = {}
    for path in SOURCE.rglob("*.py"):
        name = ".".join(["firkin", *path.relative_to(SOURCE).with_suffix("").parts]).removesuffix(".__init__")
        found[name] = ast.parse(path.read_text(), str(path))
    return found


MODULES = modules()


def imported(tree: ast.AST) -> set[str]:
    """Absolute names of the modules a tree imports (`from firkin.linux import fs` names firkin.linux.fs)."""
    names: set[str] = set()
    unread = {
        id(n)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for n in node.body
    }
    for node in ast.walk(tree):
        if id(node) in unread:
            continue
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import"
            full = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= {name if name in MODULES else str(node.module) for name in full}
    return names


def layer(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def island() -> list[str]:
    """The island's roots and every module of this project that they reach."""
    return reached_from(
        [
            ".".join(["firkin", *path.relative_to(SOURCE).with_suffix("").parts]).removesuffix(".__init__")
            for root in ISLAND
            for path in ([SOURCE / root] if root.endswith(".py") else (SOURCE / root).glob("*.py"))
        ]
    )


def reached_from(modules: list[str]) -> list[str]:
    """They, and every module of this project that they import, directly or not."""
    todo, reached = list(modules), list[str]()
    while todo:
        name = todo.pop()
        if name not in reached:
            reached.append(name)
            todo += [other for other in imported(MODULES[name]) if other in MODULES]
    return sorted(reached)


@pytest.mark.parametrize(
    "module", sorted(m for m in MODULES if layer(m) not in ("", "cli"))
)  # the client has a rule of its own
def test_imports_look_only_up(module: str) -> None:
    place = ORDER.index(layer(module))
    for other in imported(MODULES[module]):
        if other.startswith("firkin."):
            assert ORDER.index(layer(other)) <= place, f"{module} imports {other} from a later layer"


@pytest.mark.parametrize("module", sorted(m for m in MODULES if layer(m) == "cli"))
def test_the_command_line_never_imports_the_engine(module: str) -> None:
    for other in imported(MODULES[module]):
        if other.startswith("firkin") and not other.startswith("firkin.cli"):
            assert other in (CLIENT_MAY | ON_THIS_MACHINE.get(module, set())), other


@pytest.mark.parametrize("module", island())
def test_the_island_imports_next_to_nothing(module: str) -> None:
    for other in imported(MODULES[module]):
        allowed = (
            other.split(".")[0] in ISLAND_MAY or other in island() or other in ("firkin", "firkin.linux", "firkin.runtime")
        )
        assert allowed, f"{module} imports {other}"


def test_a_child_executes_no_module() -> None:
    """It is in the container already: what observes the machine as it is imported would observe that."""
    assert not MAY_WAIT.intersection(reached_from(["firkin.runtime.child"]))
    assert {name for name in MAY_WAIT if name.startswith("firkin.")} <= MODULES.keys()


def test_no_cycles() -> None:
    edges = {name: {other for other in imported(tree) if other in MODULES and other != name} for name, tree in MODULES.items()}
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, "cycle: " + " -> ".join((*trail[trail.index(name) :], name))
        if name in done:
            return
        for other in edges[name]:
            visit(other, (*trail, name))
        done.add(name)

    for name in edges:
        visit(name, ())


def test_no_imports_inside_functions() -> None:
    for name, tree in MODULES.items():
        if layer(name) == "cli":
            continue
        for node in ast.walk(tree):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                inner = [n for n in ast.walk(node) if isinstance(n, (ast.Import, ast.ImportFrom))]
                assert not inner, f"{name}.{node.name} imports inside a function"


# Where a module is imported by its name, on demand: which command, which rarely needed part of it, an error's words.
BY_NAME = {"firkin.runtime.oci.main", "firkin.runtime.oci.late", "firkin.oci.json_text"}  # and in the client, as ever


def test_imports_by_name_are_few() -> None:
    """`firkin-oci` reads the module of the one command it is to run, because reading all takes longer than most of them do;
    tests/ocirt/test_light.py checks that they exist."""
    found = set()
    for name, tree in MODULES.items():
        called = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
        if called & {"__import__", "importlib.import_module", "import_module"} and layer(name) != "cli":
            found.add(name)
    assert found <= BY_NAME
