"""Where flags may stand, and what a path on the command line is relative to. On runc too."""

from __future__ import annotations

import json
import os
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


# --- odd use -----------------------------------------------------------------------------------------------------------
MISUSED = [
    ("--unknown list", "flag provided but not defined: -unknown"),
    ("--root", "flag needs an argument: -root"),
    ("list more", '"list" requires exactly 0 argument(s)'),
    ("state", '"state" requires exactly 1 argument(s)'),
    ("state a b", '"state" requires exactly 1 argument(s)'),
    ("kill", '"kill" requires a minimum of 1 argument(s)'),
    ("kill a b c", '"kill" requires a maximum of 2 argument(s)'),
    ("create", '"create" requires exactly 1 argument(s)'),
    ("run a b", '"run" requires exactly 1 argument(s)'),
    ("exec", '"exec" requires a minimum of 1 argument(s)'),
    ("exec --unknown box true", "flag provided but not defined: -unknown"),
    ("exec --env", "flag needs an argument: -env"),
    ("exec -g x box true", 'invalid value "x" for flag -'),
    ("run --preserve-fds x box", 'invalid value "x" for flag -preserve-fds: parse error'),
    ("update --pids-limit x box", 'invalid value "x" for flag -pids-limit: parse error'),
    ("list --quiet=x", 'invalid boolean value "x" for -quiet: parse error'),
    ("list -qf json", "flag provided but not defined: -qf"),
]


@pytest.mark.parametrize(("words", "message"), MISUSED)
def test_what_would_be_right_is_shown(runtime: Runtime, words: str, message: str) -> None:
    """On standard output; the error alone goes to standard error, with nothing before it, and is 1 for `exec` too."""
    done = runtime.call(*words.split(), check=1)
    assert done.stdout.startswith("Incorrect Usage") and "\nUSAGE:\n" in done.stdout
    assert message in logged(done.stderr) and " failed: " not in done.stderr


WRONG = [
    ("state", "", "container id cannot be empty"),
    ("state", "../x", "invalid container ID format"),
    ("pause", "paused", "container not running"),
    ("pause", "stopped", "container not running"),
    ("resume", "running", "container not paused"),
    ("start", "paused", "cannot start a container in the paused state"),
    ("start", "running", "cannot start an already running container"),
    ("start", "stopped", "cannot start a container that has stopped"),
    ("kill", "stopped", "container not running"),
    ("delete", "running", "cannot delete container running that is not stopped: running"),
    ("events", "stopped", "container with id stopped is not running"),
    ("update", "stopped", "container not running"),
    ("exec", "stopped", "cannot exec in a stopped container"),
    ("exec", "paused", "cannot exec in a paused container (use --ignore-paused to override)"),
    ("exec", "nobody", "container does not exist"),
]


@pytest.fixture
def several(runtime: Runtime, bundle: Bundle) -> Runtime:
    """Containers called what they are."""
    bundle.sh("exec sleep 1000")
    for name in ("running", "paused", "stopped"):
        bundle.config["linux"]["cgroupsPath"] = f"/firkin-odd-{os.getpid()}-{name}"
        runtime.run(bundle, "--detach", name=name)
    runtime.call("pause", "paused")
    runtime.call("kill", "stopped", "KILL")
    runtime.await_status("stopped", "stopped")
    return runtime


def test_commands_in_the_wrong_state(several: Runtime) -> None:
    for verb, name, message in WRONG:
        failed = 255 if verb == "exec" else 1
        done = several.call(verb, name, *(["true"] if verb == "exec" else []), check=failed)
        assert logged(done.stderr).removeprefix("exec failed: ") == message, (verb, name)
        assert done.stdout == ""


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["box"], "args cannot be empty"),
        (["--user", "1000:", "box", "true"], ""),
        (["--user", ":5", "box", "true"], ""),
        (["--user", "nobody", "box", "true"], "nobody"),
        (["--env", "A", "box", "true"], "A"),
        (["--cwd", "relative", "box", "true"], "absolute path"),
        (["--cgroup", "../x", "box", "true"], "../x"),
        (["--cgroup", "nope:/", "box", "true"], "nope"),
        (["--tty", "--detach", "box", "true"], "cannot allocate tty if"),
        (["--console-socket", "/none", "box", "true"], "cannot use console socket if"),
        (["--process", "/etc", "box"], "/etc: is a directory"),
    ],
)
def test_what_exec_refuses(box: Runtime, words: list[str], message: str) -> None:
    done = box.call("exec", *words, check=255)
    assert logged(done.stderr).startswith("exec failed: ") and message in done.stderr.replace("\\", "")


def test_exec_warns_of_capabilities_that_it_does_not_know(box: Runtime) -> None:
    said = box.call("exec", "--cap", "CAP_NONSENSE", "box", "true").stderr
    assert "level=warning" in said and "CAP_NONSENSE" in said


def test_help_on_a_command(runtime: Runtime) -> None:
    assert runtime.call("help", "kill").stdout == runtime.call("kill", "--help").stdout
    assert "No help topic for 'nonsense'" in runtime.call("help", "nonsense", check=3).stderr
    assert runtime.call("help").stdout == runtime.call().stdout == runtime.call("-h").stdout


def test_how_often(box: Runtime) -> None:
    for wrong in ("0", "-5s"):
        assert "must be greater than 0" in box.call("events", "--interval", wrong, "box", check=1).stderr
    for wrong in ("5", "s", "1x"):
        assert "parse error" in box.call("events", "--interval", wrong, "box", check=1).stderr
    box.call("events", "--stats", "--interval", "1m30.5s", "box")


def test_columns(several: Runtime) -> None:
    """Three spaces beside the longest."""
    head, *rows = several.call("list").stdout.splitlines()
    for title in ("PID", "STATUS", "BUNDLE", "CREATED", "OWNER"):
        column = head.index(title)
        assert all(row[column - 1] == " " != row[column] for row in rows)
    assert min(len(row[: head.index("CREATED")]) - len(row[: head.index("CREATED")].rstrip()) for row in rows) == 3


def test_ps_that_fails(box: Runtime) -> None:
    assert "exit status 1: error: " in logged(box.call("ps", "box", "--nonsense", check=1).stderr)


def logged(text: str) -> str:
    """The last message in a log of text."""
    message = text.splitlines()[-1].partition(" msg=")[2]
    return str(json.loads(message)) if message.startswith('"') else message
