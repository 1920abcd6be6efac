"""The `firkin` script: the first use makes the virtual environment; a daemon is started where none listens."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.lab import FIRKIN, ROOT, Lab, wait_until


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout without a virtual environment, whose lock file pins nothing."""
    shutil.copy(FIRKIN, tmp_path / "firkin")
    shutil.copytree(ROOT / "src/firkin/cli", tmp_path / "src/firkin/cli", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "src/firkin/__init__.py", tmp_path / "src/firkin")
    (tmp_path / "requirements.lock").write_text("")
    return tmp_path


def run(*argv: str | Path, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(word) for word in argv], capture_output=True, text=True, timeout=60, check=False, **options)  # type: ignore[call-overload,no-any-return]


def test_first_use_says_what_it_does_and_the_second_just_runs(checkout: Path) -> None:
    first = run(checkout / "firkin", "--version")
    assert first.returncode == 0, first.stderr
    assert "firkin: first use: making a virtual environment in" in first.stderr
    assert first.stdout.startswith("Firkin version ")
    (checkout / "link").symlink_to("firkin")
    for argv in ([checkout / "firkin"], [checkout / "link"], ["sh", "firkin"]):
        again = run(*argv, "--version", cwd=checkout)
        assert (again.returncode, again.stdout, again.stderr) == (0, first.stdout, "")


def test_missing_packages_are_one_line_with_the_command_that_installs_them(checkout: Path) -> None:
    (checkout / "bin").mkdir()
    for name in ("dirname", "flock", "tr", "readlink"):
        (checkout / "bin" / name).symlink_to(str(shutil.which(name)))
    mask = f"mount -t tmpfs none /usr/sbin && mount --bind /dev/null /usr/bin/nft 2>/dev/null; exec {checkout}/firkin ps"
    done = run("unshare", "-m", "--propagation", "private", "sh", "-c", f"PATH=/bin:/usr/bin; {mask}")
    assert (done.returncode, done.stderr) == (1, "firkin: packages are missing: apt-get install nftables\n")


def test_an_incomplete_checkout_says_so(checkout: Path) -> None:
    (checkout / "requirements.lock").unlink()
    done = run(checkout / "firkin", "ps")
    assert done.returncode != 0 and "requirements.lock" in done.stderr


def test_without_a_daemon_one_is_started_and_survives_the_client() -> None:
    lab = Lab()
    env = {"PATH": os.environ["PATH"], "HOME": str(lab.dir)}
    try:
        for place in ("/run", "/var/lib", "/var/log"):
            lab.run("mount", "-t", "tmpfs", "none", place)
        first = lab.run(FIRKIN, "ps", env=env)
        assert first.stderr == "Starting the Firkin daemon (its log: /var/log/firkin.log)\n"
        assert first.stdout.startswith("CONTAINER ID")
        second = lab.run(FIRKIN, "ps", env=env)
        assert (second.stderr, second.stdout) == ("", first.stdout)
    finally:
        _stop_daemon(lab)
        lab.close()


def _stop_daemon(lab: Lab) -> None:
    """End the daemon that the client left behind; it belongs to nobody else."""
    here = os.readlink(f"/proc/{lab.pid}/ns/mnt")
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            words = Path(f"/proc/{name}/cmdline").read_bytes().split(b"\0")
            if os.readlink(f"/proc/{name}/ns/mnt") == here and b"daemon" in words:
                os.kill(int(name), 15)
                wait_until(lambda pid=name: not os.path.exists(f"/proc/{pid}"), 20)
        except OSError:
            continue


def test_an_ordinary_user_is_told_what_his_daemon_lacks() -> None:
    """`nobody` has no subordinate ids. Where a user has all he needs: tests/e2e/test_rootless.py."""
    lab = Lab()
    lab.dir.chmod(0o777)
    try:
        lab.run("mount", "-t", "tmpfs", "none", "/run")
        env = {"PATH": "/usr/bin:/bin", "HOME": str(lab.dir), "XDG_RUNTIME_DIR": str(lab.dir)}
        done = lab.run("setpriv", "--reuid=65534", "--clear-groups", FIRKIN, "ps", env=env, check=False)
        assert done.returncode == 1 and "firkin rootless setup" in done.stderr
    finally:
        lab.close()


def test_a_daemon_that_fails_is_quoted() -> None:
    lab = Lab()
    try:
        for place in ("/run", "/var/lib", "/var/log"):
            lab.run("mount", "-t", "tmpfs", "none", place)
        lab.run("touch", "/var/lib/firkin")  # a file where the data root should be
        done = lab.run(FIRKIN, "ps", env={"PATH": os.environ["PATH"], "HOME": "/root"}, check=False)
        assert done.returncode == 1 and "The Firkin daemon did not come up:\n" in done.stderr
    finally:
        lab.close()
