"""Namespaces by path, user namespaces, and the flags of create and run, on runc too."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.ocirt.conftest import Bundle, Runtime

Wait = Callable[[Callable[[], object]], None]


# --- namespaces and users --------------------------------------------------------------------------------------------
def test_namespaces_by_path(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    runtime.run(bundle.sh("exec sleep 1000"), "-d", name="first")
    pid = runtime.state("first")["pid"]
    second = Bundle(tmp_path / "second", Path(bundle.config["root"]["path"]))
    second.config["linux"]["namespaces"] = [
        {"type": "mount"},
        *({"type": kind, "path": f"/proc/{pid}/ns/{name}"} for kind, name in (("pid", "pid"), ("network", "net"), ("uts", "uts"), ("ipc", "ipc"))),
    ]  # fmt: skip
    del second.config["hostname"]
    second.sh("hostname; cat /proc/1/comm; readlink /proc/self/ns/net")
    lines = runtime.run(second, name="second").stdout.splitlines()
    assert lines == ["box", "sleep", os.readlink(f"/proc/{pid}/ns/net")]
    runtime.call("kill", "first", "KILL")


def test_a_user_namespace(runtime: Runtime, bundle: Bundle, rootfs: Path, wait_for: Wait) -> None:
    for path in (rootfs, *rootfs.rglob("*")):
        os.chown(path, 100000, 200000, follow_symlinks=False)
    for directory in (rootfs, *rootfs.parents):
        if directory.stat().st_mode & 0o005 != 0o005 and str(directory) != "/":
            directory.chmod(directory.stat().st_mode | 0o005)
    linux = bundle.config["linux"]
    linux["namespaces"].append({"type": "user"})
    linux["uidMappings"] = [{"containerID": 0, "hostID": 100000, "size": 1000}]
    linux["gidMappings"] = [{"containerID": 0, "hostID": 200000, "size": 500}]
    bundle.config["process"]["capabilities"] = {
        kind: ["CAP_CHOWN", "CAP_SETUID", "CAP_SETGID", "CAP_NET_ADMIN"] for kind in ("bounding", "effective", "permitted")
    }
    script = "cat /proc/self/uid_map /proc/self/gid_map; id -u; id -g; touch /mine; ip link set lo up && echo up; ls -lnd /bin | cut -c1-30; exec sleep 1000"
    runtime.create(bundle.sh(script))
    runtime.call("start", "box")
    pid = runtime.state()["pid"]
    wait_for(lambda: (rootfs / "mine").exists())
    found = (rootfs / "mine").stat()
    assert (found.st_uid, found.st_gid) == (100000, 200000)
    assert Path(f"/proc/{pid}/uid_map").read_text().split() == ["0", "100000", "1000"]
    assert Path(f"/proc/{pid}/gid_map").read_text().split() == ["0", "200000", "500"]
    assert os.readlink(f"/proc/{pid}/ns/user") != os.readlink("/proc/self/ns/user")
    assert runtime.call("exec", "box", "sh", "-c", "id -u; readlink /proc/self/ns/user").stdout.split() == [
        "0", os.readlink(f"/proc/{pid}/ns/user")
    ]  # fmt: skip


# --- flags -----------------------------------------------------------------------------------------------------------
def test_preserved_descriptors(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "given").write_text("through three")
    bundle.sh("cat <&3; ls /proc/self/fd | sort -n | tr '\\n' ' '").write()
    fd = os.open(tmp_path / "given", os.O_RDONLY)
    other = os.open("/etc/passwd", os.O_RDONLY)
    try:
        done = subprocess.run(
            ["bash", "-c", f'exec 3<&{fd} 4<&{other} 9<&{other}; exec "$@"', "sh",
             *runtime.argv("run", "--preserve-fds", "1", "-b", str(bundle.path), "box")],
            pass_fds=[fd, other], capture_output=True, text=True,
        )  # fmt: skip
    finally:
        os.close(fd)
        os.close(other)
    assert done.stdout.split() == ["through", "three0", "1", "2", "3", "4"], done.stderr  # 4 is what `ls` reads
    bundle.write()
    runtime.call("run", "--preserve-fds", "900", "-b", str(bundle.path), "box", check=1)


def test_listening_sockets_are_announced(runtime: Runtime, bundle: Bundle) -> None:
    bundle.sh("echo $LISTEN_FDS $LISTEN_PID; readlink /proc/self/fd/3 | cut -d: -f1").write()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        done = subprocess.run(
            ["bash", "-c", f'exec 3<&{listener.fileno()}; LISTEN_FDS=1 LISTEN_PID=$$ exec "$@"', "sh",
             *runtime.argv("run", "-b", str(bundle.path), "box")],
            pass_fds=[listener.fileno()], capture_output=True, text=True,
        )  # fmt: skip
    assert done.stdout.splitlines() == ["1 1", "socket"], done.stderr


@pytest.mark.parametrize("verb", ["create", "run", "exec"])
def test_a_pidfd_for_who_listens(oci: Runtime, bundle: Bundle, tmp_path: Path, verb: str) -> None:
    """As from runc 1.2 on, with the word it sends."""
    bundle.sh("exec sleep 1000").write()
    if verb == "exec":
        oci.run(bundle, "--detach")
    flags = [] if verb == "create" else ["--detach"]
    words = ["box", "sleep", "1000"] if verb == "exec" else ["--bundle", str(bundle.path), "box"]
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "pidfd.sock"))
        listener.listen()
        oci.call(verb, *flags, "--pidfd-socket", str(tmp_path / "pidfd.sock"), "--pid-file", str(tmp_path / "pid"), *words)
        with listener.accept()[0] as connection:
            word, (pidfd,), _, _ = socket.recv_fds(connection, 100, 1)
    pid = int((tmp_path / "pid").read_text())
    assert f"Pid:\t{pid}\n" in Path(f"/proc/self/fdinfo/{pidfd}").read_text()
    assert word == (b"setns" if verb == "exec" else b"standard")
    os.close(pidfd)


def test_nobody_listens_for_the_pidfd(oci: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    said = oci.run(bundle.sh(f"touch {tmp_path}/ran"), "--pidfd-socket", str(tmp_path / "none"), check=1).stderr
    assert "pidfd socket" in said and oci.ids() == []


def test_no_descriptor_of_the_callers_is_left(runtime: Runtime, bundle: Bundle) -> None:
    bundle.sh("ls /proc/self/fd | sort -n | tr '\\n' ' '").write()
    leak = os.open("/etc/passwd", os.O_RDONLY)
    done = subprocess.run(runtime.argv("run", "-b", str(bundle.path), "box"), pass_fds=[leak], capture_output=True, text=True)
    os.close(leak)
    assert done.stdout.split() == ["0", "1", "2", "3"], done.stderr


def test_session_keyring(runtime: Runtime, bundle: Bundle) -> None:
    bundle.config["linux"]["maskedPaths"] = []
    own, none = f"own-{os.getpid()}-{runtime.name}", f"none-{os.getpid()}-{runtime.name}"
    script = "grep -c '_ses.{}' /proc/keys; true"
    assert runtime.run(bundle.sh(script.format(own)), name=own).stdout == "1\n"
    assert runtime.run(bundle.sh(script.format(none)), "--no-new-keyring", name=none).stdout == "0\n"


def test_no_pivot(runtime: Runtime, bundle: Bundle) -> None:
    script = "ls /; grep -c ' / / ' /proc/self/mountinfo; cat /etc/passwd | head -1; ls -d /work /var 2>/dev/null; echo end"
    with_pivot = runtime.run(bundle.sh(script)).stdout
    without = runtime.run(bundle.sh(script), "--no-pivot").stdout
    assert [line for line in without.splitlines() if not line.isdigit()] == [
        line for line in with_pivot.splitlines() if not line.isdigit()
    ]
