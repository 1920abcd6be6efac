"""Ways to the engine's own doors: from a container, from other users of the machine, from a web page. And a way out by name
service for containers that have none (CVE-2024-29018)."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.attacks.rig import IMAGE, Rig
from tests.cli.test_tls import certificates
from tests.lab import ROOT, Engine, Lab, busybox_tar, wait_until

PORT = 2376

# A name server that notes what it is asked, and answers that there is no such name.
NAMES = r"""
import socket, sys
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(('127.0.0.1', 53))
print('ready', flush=True)
while True:
    data, sender = server.recvfrom(4096)
    print(data[13:].split(b'\0')[0], flush=True)
    server.sendto(data[:2] + b'\x81\x83' + data[4:], sender)
"""


@pytest.fixture(scope="module")
def open_engine() -> Iterator[Engine]:
    """One that listens on TCP too, and asks a name server in the same laboratory."""
    if not shutil.which("openssl"):
        pytest.skip("no openssl on this machine")
    lab = Lab()
    try:
        certificates(lab.dir)
        lab.start(sys.executable, "-c", NAMES, log="names.log")
        tls = [f"--tlscacert={lab.dir}/ca.pem", f"--tlscert={lab.dir}/server.pem", f"--tlskey={lab.dir}/server-key.pem"]
        yield Engine(lab, "engine", "--host", f"tcp://0.0.0.0:{PORT}", "--tlsverify", "--dns", "127.0.0.1", *tls).start()
    finally:
        lab.close()


def ask(lab: Lab, request: bytes) -> bytes:
    """What the TCP port answers to bytes that are no TLS, from a process in the laboratory's network."""
    code = (
        f"import socket, sys; s = socket.create_connection(('127.0.0.1', {PORT}), 5); s.settimeout(5)\n"
        "s.sendall(sys.stdin.buffer.read()); s.shutdown(1)\n"
        "try: sys.stdout.buffer.write(s.recv(4096))\nexcept OSError: pass"
    )
    return subprocess.run(lab.argv([sys.executable, "-c", code]), input=request, capture_output=True, check=True).stdout


@pytest.mark.parametrize("host", ["127.0.0.1:2376", "attacker.example", "localhost"])
def test_a_web_page_gets_no_answer(open_engine: Engine, host: str) -> None:
    """DNS rebinding makes a browser talk to this address under the attacker's name. Without a client's certificate, which
    no page has, nothing is answered to any name."""
    for path in ("/containers/json", "/info", "/"):
        answer = ask(open_engine.lab, f"GET {path} HTTP/1.1\r\nHost: {host}\r\nOrigin: http://{host}\r\n\r\n".encode())
        assert b"HTTP" not in answer and b"{" not in answer


def test_without_certificates_there_is_no_port(rig: Rig) -> None:
    done = rig.engine.lab.run(
        *("./firkin", "daemon", "--data-root", f"{rig.dir}/other", "--exec-root", f"{rig.dir}/other-exec"),
        *("--host", "tcp://127.0.0.1:2375"), check=False,
    )  # fmt: skip
    assert done.returncode and "want --tlsverify" in done.stderr


def test_a_container_of_its_own_network_finds_no_door(rig: Rig) -> None:
    """No port of the engine's listens where containers reach it, nor has it sockets that need no path."""
    listening = [line.split()[1] for line in Path(f"/proc/{rig.engine.lab.pid}/net/tcp").read_text().splitlines()[1:]]
    assert listening == []
    script = "cat /proc/net/unix | grep -c '@'; cat /proc/net/tcp | wc -l; ls /var/run/docker.sock /run 2>&1 | grep -c sock:"
    assert rig.shell(script).split() == ["0", "1", "1"]


def test_a_container_of_the_hosts_network_finds_no_abstract_socket(rig: Rig) -> None:
    """Its file system has none of the engine's, and sockets without a path, which it could reach, there are none."""
    found = rig.shell("grep -c -e @ -e nothing /proc/net/unix", "--network", "host")
    assert found == "0\n"


def test_what_other_users_of_the_machine_may_touch(rig: Rig) -> None:
    """Nothing but their own: sockets and records are root's alone, the API also its group's."""
    root = rig.engine.dir
    assert stat.S_IMODE(os.stat(rig.engine.sock).st_mode) == 0o660
    assert stat.S_IMODE(os.stat(root / "data").st_mode) == 0o710
    for name in ("keeper.sock", "launcher.sock"):
        assert stat.S_IMODE(os.stat(root / "exec" / name).st_mode) == 0o600
    code = f"""
import os, socket
os.setgroups([]); os.setgid(65534); os.setuid(65534)
for path in ({rig.engine.sock!r}, {str(root / "exec/keeper.sock")!r}, {str(root / "exec/launcher.sock")!r}):
    for kind in (socket.SOCK_STREAM, socket.SOCK_SEQPACKET):
        try: socket.socket(socket.AF_UNIX, kind).connect(path)
        except PermissionError: continue
        except OSError as error: print(path, error); continue
        print('connected', path)
for path in ({str(root / "data/containers")!r}, {str(root / "data/layers")!r}, {str(root / "data/volumes")!r}):
    try: print(os.listdir(path))
    except PermissionError: pass
"""
    root.chmod(0o755)
    rig.dir.chmod(0o755)
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == ""


def test_programs_that_a_container_leaves_are_not_other_users_to_run(rig: Rig) -> None:
    """Its root makes them set-user-id, in a volume, in shared memory, in its own layer; an accomplice outside would be root."""
    script = "for d in /v /dev/shm /tmp; do cp /bin/busybox $d/su; chmod 4755 $d/su; done; echo ready; sleep 1000"
    with rig.held("--ipc", "shareable", "-vleft:/v", IMAGE, "sh", "-c", script) as container:
        wait_until(lambda: "ready" in rig.logs(container))
        lab = rig.engine.lab  # in whose mount namespace there is more to see than files on the disk
        left = lab.run("find", str(rig.engine.dir), "-name", "su", "-type", "f").stdout.split()
        assert len(left) == 3, left
        attempt = 'for path in "$@"; do test -e $path && echo reached $path; done; true'
        argv = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "sh", "-c", attempt, "sh", *left]
        rig.dir.chmod(0o755)
        rig.engine.dir.chmod(0o755)
        assert lab.run(*argv).stdout == ""
    rig.engine.firkin("volume", "rm", "left")


# --- umask ---------------------------------------------------------------------------------------------------------
@pytest.fixture
def careless(tmp_path: Path) -> Iterator[Engine]:
    """One started by somebody whose umask is 0, from a checkout that nobody has used so far."""
    checkout = tmp_path / "checkout"
    shutil.copytree(ROOT / "src", checkout / "src", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("firkin", "requirements.lock"):
        shutil.copy2(ROOT / name, checkout)
    (checkout / ".venv").symlink_to(ROOT / ".venv")
    subprocess.run(["chmod", "-R", "go-w", checkout / "src"], check=True)
    lab = Lab()
    try:
        engine = Engine(lab)
        roots = ["--data-root", f"{engine.dir}/data", "--exec-root", f"{engine.dir}/exec", "--pidfile", f"{engine.dir}/pid"]
        argv = [
            "sh",
            "-c",
            'umask 0; exec "$@"',
            "sh",
            f"{checkout}/firkin",
            "daemon",
            *roots,
            "--host",
            f"unix://{engine.sock}",
        ]
        engine.process = lab.start(*argv, log="engine.log")
        wait_until(lambda: Path(engine.sock).exists(), 60, engine.log)
        yield engine
    finally:
        lab.close()


def test_what_is_left_under_an_open_umask_is_not_other_users_to_change(careless: Engine, tmp_path: Path) -> None:
    """Neither records nor logs, nor the code that the next daemon is made of."""
    careless.firkin("import", str(busybox_tar(careless.lab.dir)), IMAGE)
    careless.firkin(
        "run", "-d", "--name", "one", "-v", "volume:/v", "--network", "none", IMAGE, "sh", "-c", "echo one; sleep 1000"
    )
    careless.firkin("exec", "one", "sh", "-c", "echo two > /two")
    careless.firkin("commit", "one", "two")
    careless.firkin("network", "create", "extra")
    careless.firkin("stop", "-t", "0", "one")
    assert writable(tmp_path / "checkout", careless.dir) == []


def writable(*roots: Path) -> list[str]:
    """Files and directories that others may write to."""
    paths = [path for root in roots for path in root.rglob("*")]
    return [
        str(path)
        for path in paths
        if path.lstat().st_mode & 0o022 and (path.is_file() or path.is_dir()) and not path.is_symlink()
    ]


def test_a_first_use_under_an_open_umask(tmp_path: Path) -> None:
    """It makes the virtual environment and compiles the modules."""
    shutil.copytree(ROOT / "src/firkin/cli", tmp_path / "src/firkin/cli", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "src/firkin/__init__.py", tmp_path / "src/firkin")
    shutil.copy(ROOT / "firkin", tmp_path)
    (tmp_path / "requirements.lock").write_text("")
    subprocess.run(["chmod", "-R", "go-w", tmp_path], check=True)
    subprocess.run(["sh", "-c", "umask 0; ./firkin --version"], cwd=tmp_path, check=True, timeout=60)
    assert (tmp_path / "src/firkin/cli/__pycache__").is_dir() and (tmp_path / ".venv/bin/python").exists()
    assert writable(tmp_path) == []


# --- names ---------------------------------------------------------------------------------------------------------
def test_a_container_of_internal_networks_asks_nobody_outside(open_engine: Engine) -> None:
    """Not by way of the engine's own name server either; one of an ordinary network does."""
    lab = open_engine.lab
    open_engine.firkin("import", str(busybox_tar(lab.dir)), IMAGE)
    open_engine.firkin("network", "create", "--internal", "closed")
    open_engine.firkin("network", "create", "ordinary")
    asked = lab.dir / "names.log"
    for network in ("ordinary", "closed"):
        open_engine.firkin("run", "--rm", "--network", network, IMAGE, "nslookup", f"from-{network}.example", check=False)
    wait_until(lambda: b"from-ordinary" in asked.read_bytes(), 5)
    assert b"from-closed" not in asked.read_bytes()
