"""COMPATIBILITY.md's account of runc's commands and flags, compared with the code and with runc's own help."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from firkin.runtime.oci import main
from tests.test_compatibility import STATUSES, only, quoted, rows

HEADING = "firkin-oci: runc's commands and flags"
VERSION = "1.1"  # of runc, that the table speaks of


def test_every_command_is_listed_with_the_flags_it_has() -> None:
    listed = {
        only(cells): (status, set(quoted(there)), set(quoted(missing)), remarks)
        for cells, status, there, missing, remarks in rows(HEADING)
    }
    assert set(listed) == {main.NAME, *main.COMMANDS}
    for name, (status, there, missing, remarks) in listed.items():
        table = main.GLOBAL_FLAGS if name == main.NAME else main.load(name).FLAGS
        ours = {f"--{flag[0]}" for flag in table}
        assert there <= ours and not missing & ours, name
        assert ours - there <= set(quoted(remarks)), name
        assert status in STATUSES and (status == "partial") == bool(missing or (status == "partial" and remarks)), name
        assert not missing or status == "partial", name


@pytest.mark.reference
@pytest.mark.parametrize("name", [main.NAME, *main.COMMANDS])
def test_runc_has_these_flags_and_no_others(name: str) -> None:
    if not shutil.which("runc"):
        pytest.skip("runc is not installed")
    if f"runc version {VERSION}." not in subprocess.run(["runc", "--version"], capture_output=True, text=True).stdout:
        pytest.skip(f"the table speaks of runc {VERSION}")
    words = ["runc", "--help"] if name == main.NAME else ["runc", name, "--help"]
    text = subprocess.run(words, capture_output=True, text=True).stdout
    theirs = set(re.findall(r"^   (--[a-z0-9-]+)", text.rpartition("OPTIONS:")[2], re.MULTILINE))
    (row,) = (row for row in rows(HEADING) if only(row[0]) == name)
    assert set(quoted(row[2])) | set(quoted(row[3])) == theirs


@pytest.mark.parametrize("name", main.COMMANDS)
def test_short_flags_are_runcs(name: str) -> None:
    if not shutil.which("runc"):
        pytest.skip("runc is not installed")
    text = subprocess.run(["runc", name, "--help"], capture_output=True, text=True).stdout
    theirs = set(re.findall(r"^   --([a-z0-9-]+)(?: value)?, -(\w)", text, re.MULTILINE)) - {("help", "h")}
    assert {(flag[0], flag[2]) for flag in main.load(name).FLAGS if flag[2]} == theirs
