"""The program's file and the code it keeps: found from anywhere, never stale, never somebody else's."""

from __future__ import annotations

import marshal
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.lab import ROOT

STRANGER = 12345


class Copy:
    """The sources and the program alone, run by the system's interpreter."""

    def __init__(self, path: Path) -> None:
        self.path = path
        shutil.copytree(ROOT / "src", path / "src", ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "firkin-oci", path)

    def version(self, program: str | Path = "", **options: Any) -> str:
        words = [program or self.path / "firkin-oci", "--version"]
        return subprocess.run(words, check=True, capture_output=True, text=True, **options).stdout

    @property
    def kept(self) -> Path:
        (found,) = self.path.rglob("together.*.bin")  # of no command
        return found


@pytest.fixture
def copied(tmp_path: Path) -> Copy:
    if not Path("/usr/bin/python3").exists():
        pytest.skip("/usr/bin/python3 is missing")
    return Copy(tmp_path / "copy")


def test_the_program_is_found_from_anywhere(copied: Copy, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/oci").symlink_to("../copy/firkin-oci")
    (tmp_path / "link").symlink_to("bin/oci")
    for program in (tmp_path / "link", "./copy/firkin-oci", "bin/oci"):
        assert copied.version(program, cwd=tmp_path).startswith("firkin-oci version")
    for path in (f"{tmp_path}/bin:/usr/bin", "bin:/usr/bin"):
        by_name = ["/usr/bin/env", f"PATH={path}", "oci", "--version"]
        assert subprocess.run(by_name, check=True, cwd=tmp_path, capture_output=True).stdout.startswith(b"firkin-oci version")


def test_nothing_of_the_callers_reaches_the_interpreter(copied: Copy, tmp_path: Path) -> None:
    (tmp_path / "os.py").write_text("raise SystemExit('taken')")
    environment = {"PYTHONPATH": str(tmp_path), "PYTHONHOME": "/nowhere", "LC_ALL": "C"}
    assert copied.version(cwd=tmp_path, env=environment).startswith("firkin-oci version")


def test_a_changed_source_is_noticed(copied: Copy) -> None:
    copied.version()
    assert copied.kept
    source = copied.path / "src/firkin/runtime/oci/main.py"
    source.write_text(source.read_text().replace('NAME = "firkin-oci"', 'NAME = "firkin-new"'))
    assert copied.version().startswith("firkin-new version")


@pytest.mark.parametrize("content", [b"", b"\0", b"nonsense", b"\xe9\x01\0\0\0", marshal.dumps([]), marshal.dumps((0, []))])
def test_kept_code_that_is_damaged_is_not_needed(copied: Copy, content: bytes) -> None:
    copied.version()
    copied.kept.write_bytes(content)
    assert copied.version().startswith("firkin-oci version")


@pytest.mark.parametrize("mask", [0, 0o002, 0o077])
def test_kept_code_is_nobody_elses_to_write(copied: Copy, mask: int) -> None:
    copied.version(umask=mask)
    files = [*copied.path.rglob("__pycache__"), *copied.path.rglob("__pycache__/*")]
    assert copied.kept in files
    for path in files:
        assert path.stat().st_mode & 0o022 == 0, path


def poison(kept: Path) -> None:
    """Other code for one of the modules, with everything else as it was."""
    own, modules = marshal.loads(kept.read_bytes())
    (place,) = (index for index, one in enumerate(modules) if one[0] == "firkin.runtime.oci.main")
    code = compile("import os\nprint('poisoned', flush=True)\nos._exit(0)", "poison", "exec")
    modules[place] = (*modules[place][:-1], code)
    kept.write_bytes(marshal.dumps((own, modules)))


SUSPECT: dict[str, Callable[[Path], None]] = {
    "a file that all may write": lambda kept: kept.chmod(0o666),
    "a file that a group may write": lambda kept: kept.chmod(0o664),
    "a file of a stranger's": lambda kept: os.chown(kept, STRANGER, 0),
    "a directory that all may write": lambda kept: kept.parent.chmod(0o1777),
    "a directory of a stranger's": lambda kept: os.chown(kept.parent, STRANGER, 0),
}


def test_kept_code_is_what_is_run(copied: Copy) -> None:
    copied.version()
    poison(copied.kept)
    assert copied.version() == "poisoned\n"


@pytest.mark.parametrize("case", SUSPECT)
def test_kept_code_that_others_could_have_written_is_not_run(copied: Copy, case: str) -> None:
    if os.geteuid():
        pytest.skip("needs root, to give files away")
    copied.version()
    poison(copied.kept)
    SUSPECT[case](copied.kept)
    assert copied.version().startswith("firkin-oci version")


def test_who_has_the_sources_has_the_code(copied: Copy) -> None:
    """Root runs a program in an ordinary user's checkout at full speed."""
    if os.geteuid():
        pytest.skip("needs root, to give files away")
    copied.version()
    poison(copied.kept)
    for path in (copied.path, *copied.path.rglob("*")):
        os.chown(path, STRANGER, 0)
    assert copied.version() == "poisoned\n"
