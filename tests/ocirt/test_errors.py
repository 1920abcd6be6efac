"""Bad input: the exit code is runc's, the message names the field, nothing is left behind."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.ocirt.conftest import FIRKIN_OCI, Bundle, Runtime, cgroups_called

Change = Callable[[dict[str, Any]], object]

# Name -> (what to change, what our message must say).
BROKEN: dict[str, tuple[Change, str]] = {
    "no root": (lambda c: c.pop("root"), "root: required"),
    "no root.path": (lambda c: c.update(root={}), "root.path: required"),
    "root.path that is not there": (lambda c: c.update(root={"path": "nowhere"}), "root.path: invalid rootfs"),
    "no process": (lambda c: c.pop("process"), "process: required"),
    "no args": (lambda c: c["process"].update(args=[]), "process.args: must not be empty"),
    "no cwd": (lambda c: c["process"].pop("cwd"), "process.cwd: required"),
    "relative cwd": (lambda c: c["process"].update(cwd="tmp"), "process.cwd: must be an absolute path"),
    "args of numbers": (lambda c: c["process"].update(args=[1]), "process.args[0]: want a string"),
    "uid that is text": (lambda c: c["process"]["user"].update(uid="root"), "process.user.uid: want an integer"),
    "negative gid": (lambda c: c["process"]["user"].update(gid=-1), "process.user.gid: want an integer from 0"),
    "unknown rlimit": (lambda c: c["process"].update(rlimits=[{"type": "RLIMIT_X", "hard": 1, "soft": 1}]), "RLIMIT_X"),
    "unknown namespace": (lambda c: c["linux"]["namespaces"].append({"type": "chroot"}), "chroot"),
    "namespace twice": (
        lambda c: c["linux"]["namespaces"].append({"type": "pid"}),
        "linux.namespaces[5].type: pid is there twice",
    ),
    "namespace of no such path": (
        lambda c: c["linux"]["namespaces"].append({"type": "user", "path": "/proc/0/ns/user"}),
        "linux.namespaces: user",
    ),
    "hostname without uts": (lambda c: c["linux"]["namespaces"].remove({"type": "uts"}), "hostname"),
    "user namespace without mappings": (lambda c: c["linux"]["namespaces"].append({"type": "user"}), "linux.uidMappings"),
    "mount of a missing source": (
        lambda c: c["mounts"].append({"destination": "/mnt", "type": "bind", "source": "/no such", "options": ["bind"]}),
        "/no such",
    ),
    "unknown file system": (lambda c: c["mounts"].append({"destination": "/mnt", "type": "nofs", "source": "x"}), "nofs"),
    "hook of a missing program": (lambda c: c.update(hooks={"createRuntime": [{"path": "/no such"}]}), "/no such"),
    "hook of a relative path": (lambda c: c.update(hooks={"prestart": [{"path": "x"}]}), "hooks.prestart[0].path"),
    "unknown seccomp action": (lambda c: c["linux"].update(seccomp={"defaultAction": "SCMP_ACT_X"}), "SCMP_ACT_X"),
    "sysctl of nothing": (lambda c: c["linux"].update(sysctl={"kernel.msgnone": "1"}), "msgnone"),
    "program that is not there": (lambda c: c["process"].update(args=["nope"]), '"nope": executable file not found in $PATH'),
    "program of a path that is not there": (lambda c: c["process"].update(args=["/nope"]), "/nope: no such file or directory"),
    "program that is a directory": (lambda c: c["process"].update(args=["/etc"]), '"/etc": is a directory'),
    "program that is no program": (lambda c: c["process"].update(args=["/etc/passwd"]), '"/etc/passwd": permission denied'),
    "ociVersion that is a number": (lambda c: c.update(ociVersion=1), "ociVersion: want a string"),
    "mounts that are an object": (lambda c: c.update(mounts={}), "mounts: want an array"),
    "cpus that are not there": (lambda c: c["linux"]["resources"].update(cpu={"cpus": "4000"}), "cpuset.cpus"),
}
MORE_THAN_RUNC = ("no cwd", "hook of a relative path")


@pytest.mark.parametrize("verb", ["run", "create"])
@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_configuration_fails_naming_the_field_and_leaves_nothing(
    oci: Runtime, bundle: Bundle, case: str, verb: str
) -> None:
    change, wanted = BROKEN[case]
    name = f"broken-{os.getpid()}"
    change(bundle.config)
    bundle.write()
    done = oci.call(verb, "--bundle", str(bundle.path), name, check=1)
    assert wanted in json.loads(f"{done.stderr.rpartition('msg=')[2]}")
    assert oci.ids() == [] and cgroups_called(name) == []
    assert [path.name for path in oci.root.glob("*")] == []
    assert f"{oci.root}" not in Path("/proc/self/mountinfo").read_text()


@pytest.mark.reference
@pytest.mark.parametrize("case", [case for case in BROKEN if case not in MORE_THAN_RUNC])
def test_runc_refuses_the_same(runc: Runtime, bundle: Bundle, case: str) -> None:
    BROKEN[case][0](bundle.config)
    runc.run(bundle, check=1)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"ociVersion": "1.0.2"} x', b"\xff\xfe", b'{"a": NaN}', b"null"])
def test_what_is_no_configuration(oci: Runtime, bundle: Bundle, content: bytes) -> None:
    (bundle.path / "config.json").write_bytes(content)
    done = oci.call("run", "-b", str(bundle.path), "box", check=1)
    assert "read OCI configuration: " in done.stderr
    assert oci.ids() == []


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../x", "a b", "a\nb", "x" * 1025])
def test_ids_are_names_not_paths(runtime: Runtime, bundle: Bundle, name: str) -> None:
    runtime.run(bundle, name=name, check=1)
    if name not in ("", "x" * 1025):  # a state that nobody can have made: runc does not look at the name's form there
        assert runtime.call("state", name, check=1).returncode == 1


def test_a_bundle_without_configuration(runtime: Runtime, tmp_path: Path) -> None:
    assert "config.json not found" in runtime.call("run", "-b", str(tmp_path), "box", check=1).stderr
    runtime.call("run", "-b", str(tmp_path / "none"), "box", check=1)
    assert runtime.ids() == []


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["bogus"], 3),
        (["run"], 1),
        (["run", "--bogus", "x"], 1),
        (["start"], 1),
        (["start", "a", "b"], 1),
        (["state", "nobody"], 1),
        (["kill", "nobody"], 1),
        (["delete", "nobody"], 1),
        (["delete", "--force", "nobody"], 0),
        (["exec", "nobody", "true"], 255),
        (["pause", "nobody"], 1),
        (["resume", "nobody"], 1),
        (["ps", "nobody"], 1),
        (["update", "nobody"], 1),
        (["events", "nobody"], 1),
        (["--log-format", "xml", "list"], 1),
        (["run", "--preserve-fds", "many", "x"], 1),
        (["--version"], 0),
        (["--help"], 0),
        (["help"], 0),
        (["run", "--help"], 0),
    ],
)
def test_exit_codes_of_bad_commands(runtime: Runtime, words: list[str], code: int, tmp_path: Path) -> None:
    runtime.call(*words, check=code)


@pytest.mark.parametrize("form", ["text", "json"])
def test_the_log_holds_the_error_in_the_form_asked_for(runtime: Runtime, tmp_path: Path, form: str) -> None:
    log = tmp_path / "log"
    words = ["--log", str(log), "--log-format", form, "state", "nobody"]
    done = subprocess.run(runtime.argv(*words), capture_output=True, text=True)
    assert done.stderr == "container does not exist\n"
    line = log.read_text().splitlines()[-1]
    if form == "json":
        content = json.loads(line)
        assert (content["level"], content["msg"]) == ("error", "container does not exist")
        assert content["time"].endswith("Z")
    else:
        assert line.startswith('time="') and line.endswith('level=error msg="container does not exist"')


def test_systemd_cgroups_without_systemd(runtime: Runtime, bundle: Bundle) -> None:
    if Path("/run/systemd/system").exists():
        pytest.skip("systemd runs here")
    bundle.config["linux"]["cgroupsPath"] = "system.slice:firkin:box"
    bundle.write()
    done = subprocess.run(
        [runtime.program, "--root", str(runtime.root), "--systemd-cgroup", "run", "-b", str(bundle.path), "box"],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 1
    assert "systemd not running on this host" in done.stderr
    assert runtime.ids() == []


def test_a_cgroup_path_that_leads_elsewhere_is_refused(oci: Runtime, bundle: Bundle) -> None:
    bundle.config["linux"]["cgroupsPath"] = "/../../etc"
    assert "linux.cgroupsPath" in oci.run(bundle, check=1).stderr


def test_terminal_and_console_socket_must_fit(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    runtime.run(bundle, "--console-socket", str(tmp_path / "none"), check=1)
    runtime.create(bundle, "--console-socket", str(tmp_path / "none"), check=1)
    bundle.config["process"]["terminal"] = True
    assert "without setting console socket" in runtime.create(bundle, check=1).stderr
    runtime.create(bundle, "--console-socket", str(tmp_path / "none"), check=1)
    assert runtime.ids() == []


def test_it_runs_without_the_environment_and_from_a_link(tmp_path: Path, bundle: Bundle) -> None:
    link = tmp_path / "link"
    link.symlink_to(FIRKIN_OCI)
    bundle.sh("echo fine").write()
    words = [str(link), "--root", str(tmp_path / "root"), "run", "box"]
    done = subprocess.run(words, cwd=bundle.path, env={}, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("fine\n", "")
