"""Checkpoint and restore: through CRIU where it works; elsewhere what CRIU is asked, and what is said when it is not there."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from tests.ocirt.conftest import Bundle, Runtime, cgroups_called


def test_without_criu_the_error_says_what_to_install(oci: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    oci.run(bundle.sh("sleep 100"), "-d")
    done = subprocess.run(
        [oci.program, "--root", str(oci.root), "--criu", "/nowhere/criu", "checkpoint", "--image-path", str(tmp_path / "i"), "box"],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 1
    assert "apt-get install criu" in done.stderr
    assert oci.state()["status"] == "running"
    done = subprocess.run(
        [oci.program, "--root", str(oci.root), "--criu", "/nowhere/criu", "restore", "-b", str(bundle.path), "other"],
        capture_output=True, text=True,
    )  # fmt: skip
    assert "apt-get install criu" in done.stderr
    assert oci.ids() == ["box"]


def test_what_criu_is_asked_for(oci: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    """A stand-in that writes down its arguments; the process it "restores" is one of its own."""
    fake = tmp_path / "criu"
    fake.write_text(
        f"""#!/bin/sh
echo "$@" >> {tmp_path}/asked
for word; do [ "$before" = --pidfile ] && {{ sleep 100 >/dev/null 2>&1 & echo $! > $word; }}; before=$word; done
true
"""
    )
    fake.chmod(0o755)
    images = tmp_path / "images"
    bundle.config["mounts"].append({"destination": "/mnt", "type": "bind", "source": "/usr", "options": ["rbind", "ro"]})
    name = f"frozen-{os.getpid()}"
    oci.run(bundle.sh("sleep 100"), "-d", name=name)
    pid = oci.state(name)["pid"]

    def call(*words: str) -> None:
        subprocess.run([oci.program, "--root", str(oci.root), "--criu", str(fake), *words], check=True)

    call("checkpoint", "--leave-running", "--image-path", str(images), "--tcp-established", name)
    asked = (tmp_path / "asked").read_text()
    for part in (
        "dump",
        f"--tree {pid}",
        f"--images-dir {images}",
        "--tcp-established",
        "--external mnt[/mnt]:/mnt",
        "--leave-running",
    ):
        assert part in asked
    assert oci.state(name)["status"] == "running"
    oci.call("delete", "--force", name)
    call("restore", "--detach", "--image-path", str(images), "--bundle", str(bundle.path), name)
    asked = (tmp_path / "asked").read_text().splitlines()[-1]
    for part in ("restore", "--restore-detached", f"--images-dir {images}", "--external mnt[/mnt]:/usr"):
        assert part in asked
    state = oci.state(name)
    assert state["status"] == "running" and state["pid"] != pid
    oci.call("delete", "--force", name)
    assert oci.ids() == [] and cgroups_called(name) == []


def test_a_stopped_container_has_no_state_to_write(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    runtime.run(bundle, "-d")
    runtime.await_status("stopped")
    runtime.call("checkpoint", "--image-path", str(tmp_path / "images"), "box", check=1)


def test_a_container_goes_on_where_it_was(oci: Runtime, bundle: Bundle, rootfs: Path, tmp_path: Path) -> None:
    if not shutil.which("criu"):
        pytest.skip("criu is not installed")
    if subprocess.run(["criu", "check"], capture_output=True).returncode:
        pytest.skip("this criu does not work on this kernel (criu check)")
    oci.run(bundle.sh("n=0; while :; do n=$((n+1)); echo $n > /count; sleep 0.1; done"), "-d")
    time.sleep(1)
    oci.call("checkpoint", "--image-path", str(tmp_path / "images"), "box")
    assert oci.ids() == []
    before = int((rootfs / "count").read_text())
    oci.call("restore", "--detach", "--image-path", str(tmp_path / "images"), "--bundle", str(bundle.path), "box")
    time.sleep(1)
    assert before < int((rootfs / "count").read_text()) < before + 100
    assert oci.state()["status"] == "running"
