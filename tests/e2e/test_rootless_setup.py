"""`firkin rootless setup`: says exactly what is missing, and what it says is so."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator

import pytest
from tests.e2e.homestead import HERE, IMAGE, THERE, Homestead, as_alice, homestead, with_image
from tests.lab import FIRKIN, wait_until

from firkin.linux import userns


@pytest.fixture(scope="module")
def home() -> Iterator[Homestead]:
    if not shutil.which("slirp4netns"):
        pytest.skip("no slirp4netns on this machine (apt-get install slirp4netns)")
    yield from homestead()


def setup(home: Homestead, damage: str = "true", *flags: str, **env: str) -> subprocess.CompletedProcess[str]:
    """In a mount namespace where `damage`, a shell command, has been done."""
    command = f'{damage} || exit 99; exec "$@"'
    argv = ["unshare", "-m", "sh", "-c", command, "sh", *as_alice((FIRKIN, "rootless", "setup", *flags))]
    return home.lab.run(*argv, env={**home.env, **env}, check=False)


def test_nothing_is_missing(home: Homestead) -> None:
    done = setup(home)
    assert done.returncode == 0 and "MISSING" not in done.stdout, done.stdout
    assert f"export DOCKER_HOST=unix://{home.sock}" in done.stdout
    found = json.loads(setup(home, "true", "--json").stdout)
    assert found["Ready"] and {one["Status"] for one in found["Findings"]} <= {"ok", "warning"}


EMPTY = "mount --bind /dev/null "
PLAIN = (
    "cp /usr/bin/newuidmap /mnt/plain && chmod 755 /mnt/plain && mount --bind /mnt/plain /usr/bin/newuidmap && rm /mnt/plain"
)


@pytest.mark.parametrize(
    ("damage", "said", "mend"),
    [
        (EMPTY + "/etc/subuid", "MISSING  subordinate uids: /etc/subuid grants alice none", "--add-subuids 100000-165535 alice"),
        (EMPTY + "/etc/subgid", "MISSING  subordinate gids: /etc/subgid grants alice none", "--add-subgids 100000-165535 alice"),
        (EMPTY + "/usr/bin/newuidmap", "MISSING  newuidmap: not installed", "sudo apt-get install uidmap"),
        ("mount -t tmpfs t /mnt; " + PLAIN, "MISSING  newuidmap: /usr/bin/newuidmap is not set-user-id root", "sudo chmod u+s /usr/bin/newuidmap"),
        (f"{EMPTY}/usr/bin/passt && {EMPTY}/usr/bin/slirp4netns", "MISSING  network: neither pasta nor slirp4netns", "sudo apt-get install passt"),
        (EMPTY + "/usr/bin/passt", "warning  network: by /usr/bin/slirp4netns", "sudo apt-get install passt"),
        ("mount -t tmpfs t /dev/net", "MISSING  /dev/net/tun: there is none", "sudo modprobe tun"),
        ("chmod 600 /dev/net/tun", "MISSING  /dev/net/tun: alice may not open it", "sudo chmod 666 /dev/net/tun"),
        (f"{EMPTY}/usr/sbin/nft", "MISSING  nftables: nft is not installed", "sudo apt-get install nftables"),
    ],
)  # fmt: skip
def test_what_is_missing_is_said(home: Homestead, damage: str, said: str, mend: str) -> None:
    try:
        done = setup(home, damage)
        lines = done.stdout.splitlines()
        index = next((i for i, line in enumerate(lines) if line.startswith(said)), None)
        assert index is not None and mend in lines[index + 1], done.stdout + done.stderr
        assert done.returncode == ("MISSING" in said)
    finally:
        os.chmod(home.lab.dir / "tun", 0o666)


def test_no_user_namespaces(home: Homestead) -> None:
    """The limit is per user namespace and user: it is set in one where it hurts nobody else."""
    users = userns.make("0 0 100000\n", "0 0 100000\n")
    script = 'echo 0 > /proc/sys/user/max_user_namespaces; exec "$@"'
    argv = ["nsenter", f"--user=/proc/self/fd/{users}", "sh", "-c", script, "sh", *as_alice((FIRKIN, "rootless", "setup"))]
    done = home.lab.run(*argv, env=home.env, check=False, pass_fds=(users,))
    os.close(users)
    assert done.returncode == 1 and "user.max_user_namespaces is 0" in done.stdout, done.stdout + done.stderr


def test_root_is_told_that_it_is_not_meant(home: Homestead) -> None:
    done = home.lab.run(FIRKIN, "rootless", "setup", check=False)
    assert done.returncode == 1 and "ordinary user" in done.stderr


def test_a_daemon_that_cannot_start_says_where_to_look(home: Homestead) -> None:
    command = f'{EMPTY}/etc/subuid; exec "$@"'
    done = home.lab.run("unshare", "-m", "sh", "-c", command, "sh", *as_alice((FIRKIN, "daemon")), env=home.env, check=False)
    assert done.returncode == 1 and "/etc/subuid grants alice none" in done.stderr and "firkin rootless setup" in done.stderr
    assert not home.processes()


def test_the_first_command_starts_the_engine_with_slirp4netns_too(home: Homestead) -> None:
    home.lab.run("mount", "--bind", "/dev/null", "/usr/bin/passt")
    try:
        assert "Starting the Firkin daemon" in home.firkin("ps").stderr
        with_image(home)
        home.firkin(
            "run",
            "-d",
            "--name",
            "web",
            "-p",
            "8090:80",
            IMAGE,
            "sh",
            "-c",
            "mkdir /w; echo x > /w/index.html; exec httpd -f -h /w -v",
        )
        assert "slirp4netns" in " ".join(home.processes().values())
        wait_until(lambda: home.away("curl", "-s", f"http://{HERE}:8090/", check=False).stdout == "x\n")
        assert THERE in home.firkin("logs", "web").stderr
    finally:
        home.lab.run("umount", "/usr/bin/passt")
        home.firkin("rm", "-f", "web", check=False)
        daemon = next(pid for pid, line in home.processes().items() if line.rstrip().endswith(" daemon"))
        os.kill(daemon, 15)
        wait_until(lambda: not home.processes(), 20, home.processes)
