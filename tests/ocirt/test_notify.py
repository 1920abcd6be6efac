"""$NOTIFY_SOCKET: what a stand-in for systemd hears of a container's program. On runc too."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.lab import SLOWNESS
from tests.ocirt.conftest import Bundle, Runtime

Wait = Callable[[Callable[[], object]], None]
PATIENCE = 20 * SLOWNESS


class Systemd:
    """Hears datagrams. What comes with them it closes, as systemd does, but not before `notes` is set."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.said: list[bytes] = []
        self.notes = threading.Event()
        self.notes.set()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("\0" + path[1:] if path.startswith("@") else path)
        self._hearing = threading.Thread(target=self._hear)
        self._hearing.start()

    def _hear(self) -> None:
        while True:
            data, descriptors, _, _ = socket.recv_fds(self._socket, 1 << 16, 4)
            if not data:  # shut down
                return
            self.said.append(data)
            self.notes.wait(PATIENCE)
            for fd in descriptors:
                os.close(fd)

    def heard(self, of: int) -> bool:
        """That `of` is ready, and is to be watched. (From runc 1.2 on, more is said after that.)"""
        return self.said[:2] == [b"READY=1\n", b"MAINPID=%d\n" % of] and set(self.said[2:]) <= {b"BARRIER=1"}

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._hearing.join()
        self._socket.close()


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[Systemd]:
    listener = Systemd(str(tmp_path / "systemd.sock"))
    yield listener
    listener.close()


SPEAKER = """
import os, socket, sys
speaker = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
for word in sys.argv[1:]:
    speaker.sendto(word.encode(), os.environ["NOTIFY_SOCKET"])
"""


@pytest.fixture
def speaking(bundle: Bundle, rootfs: Path) -> Callable[[str], Bundle]:
    """The bundle, whose shell script can `say` datagrams: with an interpreter, which it has from the host."""
    if not Path("/usr/bin/python3").exists():
        pytest.skip("/usr/bin/python3 is missing")
    for place in ("/usr", "/lib", "/lib64"):
        if Path(place).is_dir():
            bundle.config["mounts"].append({"destination": place, "type": "bind", "source": place, "options": ["rbind", "ro"]})
    (rootfs / "bin/say.py").write_text(SPEAKER)
    return lambda script: bundle.sh(f'say() {{ /usr/bin/python3 -ISs /bin/say.py "$@"; }}; {script}')


def env(systemd: Systemd) -> dict[str, str]:
    return {**os.environ, "NOTIFY_SOCKET": systemd.path}


def call(runtime: Runtime, systemd: Systemd, *words: str, check: int | None = 0) -> subprocess.CompletedProcess[str]:
    return runtime.call(*words, check=check, env=env(systemd))


# --- who is told, and what ---------------------------------------------------------------------------------------------
def test_create_and_start(runtime: Runtime, speaking: Callable[[str], Bundle], systemd: Systemd, tmp_path: Path) -> None:
    """`start` returns when the program is ready, and systemd is to watch that."""
    bundle = speaking("sleep 1; say READY=1; exec sleep 1000").write()
    call(runtime, systemd, "create", "--bundle", str(bundle.path), "box")
    pid = runtime.state()["pid"]
    before = time.monotonic()
    call(runtime, systemd, "start", "box", check=0)
    assert time.monotonic() - before > 1
    assert systemd.heard(of=pid)
    environment = Path(f"/proc/{pid}/environ").read_text().split("\0")
    assert "NOTIFY_SOCKET=/run/notify/notify.sock" in environment
    (line,) = (line for line in Path(f"/proc/{pid}/mountinfo").read_text().splitlines() if " /run/notify " in line)
    assert set(line.split()[5].split(",")) >= {"ro", "nosuid", "nodev", "noexec"}
    runtime.call("delete", "--force", "box")
    assert not (runtime.root / "box").exists()


def test_run_detached(runtime: Runtime, speaking: Callable[[str], Bundle], systemd: Systemd) -> None:
    bundle = speaking("say READY=1; exec sleep 1000").write()
    call(runtime, systemd, "run", "--detach", "--bundle", str(bundle.path), "box")
    assert systemd.heard(of=runtime.state()["pid"])


def test_run_in_the_foreground(runtime: Runtime, speaking: Callable[[str], Bundle], systemd: Systemd, wait_for: Wait) -> None:
    """The command is what systemd has started, so it is that which is to be watched."""
    bundle = speaking("say READY=1; exec sleep 1000").write()
    words = runtime.argv("run", "--bundle", str(bundle.path), "box")
    with subprocess.Popen(words, env=env(systemd), stdin=subprocess.DEVNULL) as command:
        try:
            wait_for(lambda: systemd.heard(of=command.pid))
        finally:
            runtime.call("kill", "box", "KILL")


def test_only_that_it_is_ready_is_passed_on(runtime: Runtime, speaking: Callable[[str], Bundle], systemd: Systemd) -> None:
    """And only once."""
    words = ["STATUS=Hello", "MAINPID=1", "FDSTORE=1", "x" * 9000, "STOPPING=1", "READY=1\nSTATUS=ready\nMAINPID=1", "READY=1"]
    script = " ".join(f"'{word}'" for word in words)
    bundle = speaking(f"say {script}; exec sleep 1000").write()
    call(runtime, systemd, "run", "--detach", "--bundle", str(bundle.path), "box")
    time.sleep(0.5)
    assert systemd.heard(of=runtime.state()["pid"])


def test_systemd_has_taken_note_when_the_command_ends(
    oci: Runtime, speaking: Callable[[str], Bundle], systemd: Systemd, wait_for: Wait
) -> None:
    """It is asked to by a descriptor that it closes; from runc 1.2 on, by runc too."""
    systemd.notes.clear()
    bundle = speaking("say READY=1; exec sleep 1000").write()
    words = oci.argv("run", "--detach", "--bundle", str(bundle.path), "box")
    with subprocess.Popen(words, env=env(systemd), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as command:
        wait_for(lambda: systemd.said)
        with pytest.raises(subprocess.TimeoutExpired):
            command.wait(1)
        systemd.notes.set()
        assert command.wait(PATIENCE) == 0
    assert systemd.said == [b"READY=1\n", b"MAINPID=%d\n" % oci.state()["pid"], b"BARRIER=1"]


def test_no_program_of_the_containers_waits_for_a_reader(
    oci: Runtime, speaking: Callable[[str], Bundle], systemd: Systemd
) -> None:
    """What is not passed on is read: a watched service speaks all its life."""
    bundle = speaking("for n in 1 2 3; do say READY=1 $(yes WATCHDOG=1 | head -n 2000); done; echo said").write()
    done = call(oci, systemd, "run", "--bundle", str(bundle.path), "box")
    assert done.stdout == "said\n"
    assert systemd.said[0] == b"READY=1\n" and len(systemd.said) == 2


# --- when it comes to nothing ---------------------------------------------------------------------------------------
def test_a_program_that_ends_without_being_ready(oci: Runtime, speaking: Callable[[str], Bundle], systemd: Systemd) -> None:
    """runc waits until somebody has reaped it, too."""
    bundle = speaking("say STATUS=no; exit 7").write()
    call(oci, systemd, "run", "--detach", "--bundle", str(bundle.path), "first")
    call(oci, systemd, "create", "--bundle", str(bundle.path), "second")
    call(oci, systemd, "start", "second")
    assert systemd.said == []


def test_in_the_foreground_its_exit_is_the_commands(oci: Runtime, speaking: Callable[[str], Bundle], systemd: Systemd) -> None:
    """runc waits for what can come no more."""
    bundle = speaking("say STATUS=no; exit 7").write()
    call(oci, systemd, "run", "--bundle", str(bundle.path), "box", check=7)
    assert systemd.said == [] and oci.ids() == []


def test_nobody_listens_on_the_host(runtime: Runtime, speaking: Callable[[str], Bundle], systemd: Systemd) -> None:
    systemd.path += ".gone"
    bundle = speaking("exec sleep 1000").write()
    call(runtime, systemd, "run", "--detach", "--bundle", str(bundle.path), "first")
    call(runtime, systemd, "create", "--bundle", str(bundle.path), "second")
    assert "systemd.sock.gone" in call(runtime, systemd, "start", "second", check=1).stderr


def test_a_container_that_was_made_without_one(runtime: Runtime, speaking: Callable[[str], Bundle], systemd: Systemd) -> None:
    runtime.create(speaking("exec sleep 1000"))
    assert "no such file" in call(runtime, systemd, "start", "box", check=1).stderr
    runtime.call("start", "box")


def test_an_abstract_address(runtime: Runtime, speaking: Callable[[str], Bundle]) -> None:
    systemd = Systemd(f"@firkin-notify-{os.getpid()}-{runtime.name}")
    bundle = speaking("say READY=1; exec sleep 1000").write()
    call(runtime, systemd, "run", "--detach", "--bundle", str(bundle.path), "box")
    assert systemd.heard(of=runtime.state()["pid"])
    systemd.close()


def test_other_users_and_namespaces_of_them(runtime: Runtime, speaking: Callable[[str], Bundle], systemd: Systemd) -> None:
    bundle = speaking("say READY=1; exec sleep 1000")
    bundle.config["process"]["user"] = {"uid": 1234, "gid": 1234}
    linux = bundle.config["linux"]
    linux["namespaces"].append({"type": "user"})
    linux["uidMappings"] = linux["gidMappings"] = [{"containerID": 0, "hostID": 0, "size": 5000}]
    bundle.write()
    call(runtime, systemd, "run", "--detach", "--bundle", str(bundle.path), "box")
    assert systemd.heard(of=runtime.state()["pid"])


def test_a_link_in_the_image_leads_nowhere_else(
    runtime: Runtime, speaking: Callable[[str], Bundle], systemd: Systemd, rootfs: Path, tmp_path: Path
) -> None:
    """The mount is within the root, wherever the image's /run points."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (rootfs / "run").symlink_to(outside)
    bundle = speaking("say READY=1; exec sleep 1000").write()
    call(runtime, systemd, "run", "--detach", "--bundle", str(bundle.path), "box")
    assert systemd.heard(of=runtime.state()["pid"]) and list(outside.iterdir()) == []
