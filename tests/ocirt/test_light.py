"""A start's cost: what `create` and `run` import."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from firkin.runtime.oci import main
from firkin.runtime.oci.together import MAY_WAIT
from tests.lab import ROOT
from tests.ocirt.conftest import Bundle

ENTRY = "firkin-oci"
# Each of these takes longer to import than all of the project's modules that a start needs... or brings one that does.
HEAVY = {
    "argparse", "asyncio", "collections", "contextlib", "dataclasses", "datetime", "enum", "functools", "hashlib", "importlib",
    "inspect", "json", "logging", "msgspec", "pathlib", "random", "re", "shutil", "signal", "site", "socket", "subprocess",
    "tempfile", "threading", "typing", "urllib", "warnings", "weakref",
}  # fmt: skip


def imported(words: list[str], entry: Path, cwd: Path) -> set[str]:
    """Modules a run has read, by the interpreter's own account."""
    python = next(one for one in (ROOT / ".venv/bin/python", Path("/usr/bin/python3"), Path(sys.executable)) if one.exists())
    argv = [str(python), "-ISE", "-X", "utf8", "-X", "importtime", str(entry), *words]
    with (cwd / "imports").open("w") as log:  # not a pipe, which a created container would keep open
        done = subprocess.run(argv, cwd=cwd, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    lines = (cwd / "imports").read_text().splitlines()
    assert done.returncode == 0, lines
    return {line.rpartition("|")[2].strip() for line in lines if line.startswith("import time:")}


@pytest.mark.parametrize("verb", ["run", "create"])
def test_a_start_imports_next_to_nothing(bundle: Bundle, tmp_path: Path, verb: str) -> None:
    bundle.config["hooks"] = {"createRuntime": [{"path": "/bin/true"}]}
    bundle.config["linux"]["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW"}
    bundle.write()
    root = str(tmp_path / "root")
    found = imported(["--root", root, verb, "box"], ROOT / ENTRY, bundle.path)
    assert {one.partition(".")[0] for one in found} & HEAVY == set()
    assert "firkin.runtime.describe" not in found and "firkin.runtime.oci.terminal" not in found
    subprocess.run([ROOT / "firkin-oci", "--root", root, "delete", "-f", "box"], check=True)


def test_no_library_is_needed(bundle: Bundle, tmp_path: Path) -> None:
    """A copy of the sources alone, run by the system's interpreter."""
    if not Path("/usr/bin/python3").exists():
        pytest.skip("/usr/bin/python3 is missing")
    shutil.copytree(ROOT / "src", tmp_path / "copy/src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "firkin-oci", tmp_path / "copy")
    bundle.sh("echo alone").write()
    words = [str(tmp_path / "copy/firkin-oci"), "--root", str(tmp_path / "root"), "run", "box"]
    for _ in range(2):  # the second time from what the first one kept
        done = subprocess.run(words, cwd=bundle.path, capture_output=True, text=True, env={"PATH": "/usr/bin"})
        assert (done.stdout, done.returncode) == ("alone\n", 0), done.stderr


def test_every_command_is_a_module_with_the_same_three_things() -> None:
    """They are imported by name, out of the sight of the layers' test."""
    directory = ROOT / "src/firkin/runtime/oci/commands"
    assert {path.stem for path in directory.glob("*.py")} - {"__init__"} == set(main.COMMANDS)
    for name in main.COMMANDS:
        module = main.load(name)
        assert callable(module.main) and isinstance(module.WORDS, str)
        least, most = module.ARGUMENTS
        assert 0 <= least <= most
        assert all(
            len(flag) == 4 and flag[1] in ("switch", "text", "path", "number", "list", "numbers") for flag in module.FLAGS
        )


def test_what_is_imported_late_exists_and_is_executed_late() -> None:
    """Also when it has been kept."""
    for path in (ROOT / "src/firkin/runtime/oci").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "late.module":
                name = ast.literal_eval(node.args[0]).replace(".", "/")
                assert (ROOT / f"src/firkin/runtime/{name}.py").exists(), name
                assert "firkin.runtime." + name.replace("/", ".") in MAY_WAIT


def test_the_entry_has_no_cost_of_its_own() -> None:
    """It is compiled at every run."""
    assert (ROOT / ENTRY).stat().st_size < 1536
