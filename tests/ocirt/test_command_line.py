"""Where flags may stand, and what a path on the command line is relative to. On runc too."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.ocirt.conftest import Bundle, Runtime


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["run", "box", "--bundle", "BUNDLE"], 0),
        (["run", "box", "-b=BUNDLE", "--no-pivot=false"], 0),
        (["run", "--bundle", "BUNDLE", "--", "box"], 0),
        (["run", "--bundle", "BUNDLE", "box", "--", "more"], 1),
        (["run", "box", "--bundle"], 1),
        (["run", "box", "--bundle", "BUNDLE", "--unknown"], 1),
        (["run", "--unknown", "box", "--bundle", "BUNDLE"], 1),
        (["list", "--quiet", "more"], 1),
    ],
)
def test_flags_may_follow_what_they_are_about(runtime: Runtime, bundle: Bundle, words: list[str], code: int) -> None:
    bundle.sh("true").write()
    runtime.call(*(word.replace("BUNDLE", str(bundle.path)) for word in words), check=code)
    assert runtime.ids() == []


def test_flags_after_the_container(box: Runtime, bundle: Bundle) -> None:
    assert json.loads(box.call("ps", "--format", "json", "box").stdout) == [box.state()["pid"]]
    box.call("kill", "box", "KILL", "--all")
    box.await_status("stopped")
    box.call("delete", "box", "--force")
    assert box.ids() == []


def test_the_flags_of_a_program_are_its_own(box: Runtime) -> None:
    assert box.call("exec", "box", "echo", "--env", "-t", "--", "x").stdout == "--env -t -- x\n"
    assert "PID" in box.call("ps", "box", "-o", "pid,cmd").stdout


def test_paths_are_the_callers(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    """Though a command works in the bundle's directory."""
    bundle.sh("exec sleep 1000").write()
    (tmp_path / "here").mkdir()
    runtime.root = Path("state")
    words = runtime.argv(
        "--log", "log", "--log-format", "json", "run", "--detach", "--pid-file", "pid", "--bundle", "../bundle", "box"
    )
    quiet = {"cwd": tmp_path / "here", "stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.run(words, check=True, **quiet)
    subprocess.run(runtime.argv("--log", "log", "--log-format", "json", "start", "box"), **quiet)
    assert sorted(path.name for path in (tmp_path / "here").iterdir()) == ["log", "pid", "state"]
    runtime.root = tmp_path / "here/state"
    assert (tmp_path / "here/pid").read_text() == str(runtime.state()["pid"])
    last = json.loads((tmp_path / "here/log").read_text().splitlines()[-1])
    assert last["level"] == "error" and "already" in last["msg"]


def test_errors_after_the_change_of_directory_are_logged(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    bundle.config["process"]["args"] = ["/nope"]
    bundle.write()
    words = runtime.argv("--log", "log", "--log-format", "json", "run", "--bundle", "bundle", "box")
    assert subprocess.run(words, cwd=tmp_path, capture_output=True, check=False).returncode == 1
    assert "/nope" in json.loads((tmp_path / "log").read_text().splitlines()[-1])["msg"]


def test_a_log_that_cannot_be_written_to(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    bundle.sh(f"touch {tmp_path}/ran").write()
    done = runtime.call("--log", str(tmp_path / "none/log"), "run", "--bundle", str(bundle.path), "box", check=1)
    assert "no such file or directory" in done.stderr
    assert runtime.ids() == []
