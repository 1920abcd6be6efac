"""The engine of an ordinary user: no root anywhere, and yet all that an engine does."""

from __future__ import annotations

import io
import json
import os
import signal
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.homestead import (
    COUNT,
    FETCH,
    HERE,
    IMAGE,
    SUB,
    THERE,
    UID,
    Homestead,
    homestead,
    inspected,
    is_alices,
    with_image,
)
from tests.lab import wait_until

# Servers that say who connects
WHO = """import socket
s = socket.socket(); s.setsockopt(1, 2, 1); s.bind(("", 80)); s.listen()
while 1:
    c, a = s.accept(); c.send(a[0].encode()); c.close()"""
WHO_UDP = """import socket
s = socket.socket(type=socket.SOCK_DGRAM); s.bind(("", 80))
while 1:
    d, a = s.recvfrom(99); s.sendto(a[0].encode(), a)"""
FOUND = """import socket, sys
s = socket.socket(); s.setsockopt(1, 2, 1); s.bind((sys.argv[1], 8097)); s.listen()
while 1:
    c, a = s.accept(); c.send(b"found"); c.close()"""
ASK = """import socket, sys
s = socket.socket(10 if ":" in sys.argv[1] else 2, 2); s.settimeout(2); s.connect((sys.argv[1], int(sys.argv[2]))); s.send(b"?")
print(s.recv(99).decode())"""


@pytest.fixture(scope="module")
def home() -> Iterator[Homestead]:
    yield from homestead()


@pytest.fixture(scope="module")
def engine(home: Homestead) -> Homestead:
    """A running engine with the images `busybox:test` and `python`."""
    with_image(home.start())
    home.firkin("image", "from-host", "/usr/bin/python3", "-t", "python")
    return home


@pytest.fixture
def web(engine: Homestead) -> Iterator[str]:
    engine.firkin("run", "-d", "--name", "web", "-p", "8090:80", "python", "python3", "-c", WHO)
    wait_until(lambda: engine.fetch(HERE, 8090, away=True) == THERE)
    yield "web"
    engine.firkin("rm", "-f", "web")


# --- running -------------------------------------------------------------------------------------------------------
def test_root_inside_is_the_user_outside(engine: Homestead) -> None:
    out = engine.firkin("run", "--rm", IMAGE, "sh", "-c", "id -u; cat /proc/self/uid_map").stdout.split()
    assert out == ["0", "0", str(UID), "1", "1", str(SUB), str(COUNT)]
    assert engine.firkin("run", "--rm", "-u", "1000:1000", IMAGE, "id", "-u").stdout == "1000\n"


def test_nobody_is_root_and_nothing_is_roots(engine: Homestead) -> None:
    engine.firkin("run", "-d", "--name", "sleeper", "-u", "nobody", IMAGE, "sleep", "1000")
    try:
        running = engine.processes()
        assert any("sleep 1000" in line for line in running.values())
        for pid in running:
            rows = dict(row.split(":", 1) for row in Path(f"/proc/{pid}/status").read_text().splitlines())
            assert all(is_alices(int(uid)) for uid in rows["Uid"].split()), running[pid]
        outside = [pid for pid, line in running.items() if "firkin.rootless" in line or line.startswith("pasta")]
        assert len(outside) == 3
        pid = inspected(engine, "sleeper")["State"]["Pid"]
        assert os.stat(f"/proc/{pid}").st_uid == SUB + 65533  # 65534 inside
    finally:
        engine.firkin("rm", "-f", "sleeper")
    for top in (engine.home, engine.seen):
        for directory, names, files in os.walk(top):
            for name in (*names, *files):
                assert is_alices(os.lstat(os.path.join(directory, name)).st_uid), os.path.join(directory, name)


def test_an_image_from_a_registry(engine: Homestead) -> None:
    store, config = engine.lab.dir / "registry", engine.lab.dir / "registry.yml"
    config.write_text(
        f"version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {store}}}}}\n"
        f"http: {{addr: '{THERE}:5000'}}\n"
    )
    engine.lab.start(
        "nsenter", "-t", str(engine.elsewhere.pid), "-n", "docker-registry", "serve", str(config), log="registry.log"
    )
    wait_until(lambda: engine.away("sh", "-c", "ss -ltn | grep -q :5000", check=False).returncode == 0)
    name = f"{THERE}:5000/busybox:one"
    engine.stop()
    engine.start("--insecure-registry", f"{THERE}:5000")
    try:
        engine.firkin("tag", IMAGE, name)
        engine.firkin("push", name)
        engine.firkin("rmi", name)
        assert engine.firkin("run", "--rm", name, "echo", "pulled").stdout == "pulled\n"
    finally:
        engine.firkin("rmi", "-f", name, check=False)
        engine.stop()
        engine.start()


def test_life_of_a_container(engine: Homestead) -> None:
    engine.firkin("run", "-d", "--name", "life", IMAGE, "sh", "-c", "echo said; exec sleep 1000")
    try:
        assert engine.firkin("exec", "life", "sh", "-c", "id -u; hostname; echo $$").returncode == 0
        assert engine.firkin("exec", "-u", "nobody", "life", "id", "-u").stdout == "65534\n"
        wait_until(lambda: engine.firkin("logs", "life").stdout == "said\n")
        engine.firkin(
            "exec", "life", "sh", "-c", "echo new > /root/new; chown 7:8 /root/new; rm -r /home; mkdir /home; touch /home/x"
        )
        assert set(engine.firkin("diff", "life").stdout.split("\n")) >= {"A /root/new", "C /root"}
        engine.firkin("cp", "life:/root/new", str(engine.home / "copied"))
        assert (engine.home / "copied").read_text() == "new\n"
        assert "sleep 1000" in engine.firkin("top", "life").stdout
        engine.firkin("stop", "-t", "1", "life")
        engine.firkin("start", "life")
        engine.firkin("commit", "life", "made")
        shown = engine.firkin("run", "--rm", "made", "sh", "-c", "stat -c %u:%g /root/new; ls /home").stdout
        assert shown == "7:8\nx\n"
        engine.firkin("rmi", "made")
    finally:
        engine.firkin("rm", "-f", "life")


def test_dockers_own_client_finds_all_of_it(engine: Homestead) -> None:
    info = json.loads(engine.docker("info", "-f", "{{json .}}").stdout)
    assert "name=rootless" in info["SecurityOptions"]
    assert info["DockerRootDir"] == str(engine.home / ".local/share/firkin")
    assert engine.docker("run", "--rm", IMAGE, "echo", "docker").stdout == "docker\n"


def test_namespaces_of_the_machine(engine: Homestead) -> None:
    """They can be shared as far as an ordinary user sees them."""
    modes = ("--pid", "host", "--ipc", "host", "--uts", "host")
    out = engine.firkin(
        "run", "--rm", *modes, "--network", "host", IMAGE, "sh", "-c", "ls -d /proc/[0-9]* | wc -l; cat /proc/net/dev"
    )
    count, _, devices = out.stdout.partition("\n")
    assert int(count) > 5 and "tap0" in devices
    engine.firkin("run", "-d", "--name", "shares", *modes, IMAGE, "sleep", "1000")
    try:
        assert engine.firkin("exec", "shares", "echo", "in").stdout == "in\n"
    finally:
        engine.firkin("rm", "-f", "shares")


def test_namespaces_of_another_container(engine: Homestead) -> None:
    engine.firkin("run", "-d", "--name", "donor", "--ipc", "shareable", IMAGE, "sleep", "1000")
    try:
        modes = [word for kind in ("pid", "ipc", "network") for word in (f"--{kind}", "container:donor")]
        assert "sleep 1000" in engine.firkin("run", "--rm", *modes, IMAGE, "ps").stdout
        assert engine.firkin("run", "--rm", IMAGE, "echo", "still here").stdout == "still here\n"
    finally:
        engine.firkin("rm", "-f", "donor")


def test_privileged_is_as_privileged_as_the_user(engine: Homestead) -> None:
    script = "mount -t tmpfs t /tmp && echo mounted; mknod /n b 1 1 || echo no devices; cat /dev/vda || echo no disk"
    out = engine.firkin("run", "--rm", "--privileged", IMAGE, "sh", "-c", script)
    assert out.stdout.split("\n")[:2] == ["mounted", "no devices"] and "no disk" in out.stdout


def test_volumes_and_binds_are_the_users(engine: Homestead) -> None:
    (engine.home / "shared").mkdir(exist_ok=True)
    os.chown(engine.home / "shared", UID, UID)
    script = "touch /b/root /b/other; chown 5:5 /b/other; touch /v/x; stat -c %u /v/x"
    assert (
        engine.firkin("run", "--rm", "-v", f"{engine.home}/shared:/b", "-v", "vol:/v", IMAGE, "sh", "-c", script).stdout
        == "0\n"
    )
    assert (engine.home / "shared/root").stat().st_uid == UID
    assert (engine.home / "shared/other").stat().st_uid == SUB + 4
    engine.firkin("volume", "rm", "vol")
    # What is mounted nosuid and nodev stays so, and can be bound all the same.
    for options in ("", ":ro"):
        row = engine.firkin(
            "run", "--rm", "-v", f"{engine.exec_root}:/r{options}", IMAGE, "grep", " /r ", "/proc/self/mounts"
        ).stdout
        assert row.startswith("runtime /r tmpfs ") and row.split()[3].startswith(
            ("rw" if not options else "ro") + ",nosuid,nodev"
        )
    refused = engine.firkin("run", "--rm", "-v", "/root:/r", IMAGE, "ls", "/r", check=False)
    assert refused.returncode and "denied" in refused.stderr.lower()


# --- images --------------------------------------------------------------------------------------------------------
def layered(path: Path, members: list[tarfile.TarInfo]) -> str:
    with tarfile.open(path, "w") as archive:
        for member in members:
            archive.addfile(member, io.BytesIO(b""))
    os.chown(path, UID, UID)
    return str(path)


def test_devices_in_a_layer_are_left_out(engine: Homestead) -> None:
    device, file = tarfile.TarInfo("dev/thing"), tarfile.TarInfo("plain")
    device.type, device.devmajor, device.devminor = tarfile.CHRTYPE, 1, 3
    fifo = tarfile.TarInfo("fifo")
    fifo.type = tarfile.FIFOTYPE
    engine.firkin("import", layered(engine.home / "devices.tar", [device, file, fifo]), "devices")
    engine.firkin("create", "--name", "devices", "devices", "x")
    try:
        exported = engine.home / "exported.tar"
        engine.firkin("export", "-o", str(exported), "devices")
        with tarfile.open(exported) as archive:
            names = archive.getnames()
        assert {"plain", "fifo"} <= {name.lstrip("./") for name in names} and "dev/thing" not in str(names)
    finally:
        engine.firkin("rm", "devices")
        engine.firkin("rmi", "devices")


def test_an_owner_beyond_the_granted_ids_is_named(engine: Homestead) -> None:
    file = tarfile.TarInfo("far")
    file.uid = COUNT + 1
    refused = engine.firkin("import", layered(engine.home / "far.tar", [file]), "far", check=False)
    assert refused.returncode == 1
    assert f"far: its owner {COUNT + 1}:0 is beyond the ids that /etc/subuid and /etc/subgid grant" in refused.stderr


def test_whiteouts_and_opaque_directories(engine: Homestead) -> None:
    engine.firkin(
        "run", "--name", "wipe", IMAGE, "sh", "-c", "rm /etc/group; rm -r /home /etc/../tmp; mkdir /home; touch /home/only"
    )
    try:
        engine.firkin("commit", "wipe", "wiped")
        out = engine.firkin(
            "run", "--rm", "wiped", "sh", "-c", "ls /home; test -e /etc/group || echo gone; test -d /tmp || echo gone"
        )
        assert out.stdout == "only\ngone\ngone\n"
        engine.firkin("save", "-o", str(engine.home / "wiped.tar"), "wiped")
        engine.firkin("rmi", "wiped")
        engine.firkin("load", "-i", str(engine.home / "wiped.tar"))
        assert engine.firkin("run", "--rm", "wiped", "ls", "/home").stdout == "only\n"
    finally:
        engine.firkin("rm", "wipe")
        engine.firkin("rmi", "wiped", check=False)


# --- the network ---------------------------------------------------------------------------------------------------
def test_a_published_port_shows_who_connects(engine: Homestead, web: str) -> None:
    assert engine.fetch(HERE, 8090, away=True) == THERE
    assert engine.fetch(HERE, 8090) == HERE  # the machine itself, by its own address
    gateway = json.loads(engine.firkin("network", "inspect", "bridge").stdout)[0]["IPAM"]["Config"][0]["Gateway"]
    assert engine.fetch("127.0.0.1", 8090) == gateway  # a loopback's address would be the container's own


def test_ipv6_leads_to_a_container_without_it(engine: Homestead, web: str) -> None:
    bindings = inspected(engine, web)["NetworkSettings"]["Ports"]["80/tcp"]
    assert bindings == [{"HostIp": ip, "HostPort": "8090"} for ip in ("0.0.0.0", "::")]
    gateway = json.loads(engine.firkin("network", "inspect", "bridge").stdout)[0]["IPAM"]["Config"][0]["Gateway"]
    assert engine.fetch("::1", 8090) == gateway
    engine.firkin(
        "run", "-d", "--name", "inner", "-p", "[::1]:8089:80", "-p", "[::1]:8089:80/udp", "python", "python3", "-c", WHO_UDP
    )
    try:
        wait_until(lambda: engine.lab.run("python3", "-c", ASK, "::1", "8089", check=False).stdout == gateway + "\n")
        assert engine.fetch(HERE, 8089, away=True) == ""
    finally:
        engine.firkin("rm", "-f", "inner")


def test_udp_too(engine: Homestead) -> None:
    engine.firkin("run", "-d", "--name", "udp", "-p", "8091:80/udp", "python", "python3", "-c", WHO_UDP)
    try:
        ask = ("python3", "-c", ASK, HERE, "8091")
        wait_until(lambda: engine.away(*ask, check=False).stdout == THERE + "\n")
        assert engine.lab.run(*ask).stdout == HERE + "\n"
        assert engine.lab.run(*ask[:3], "127.0.0.1", "8091").returncode == 0
    finally:
        engine.firkin("rm", "-f", "udp")


def test_a_port_is_open_on_the_address_asked_for_only(engine: Homestead) -> None:
    engine.firkin(
        "run", "-d", "--name", "own", "-p", "127.0.0.1:8092:80", "-p", f"{HERE}:8093:80", "python", "python3", "-c", WHO
    )
    try:
        wait_until(lambda: engine.fetch("127.0.0.1", 8092) != "")
        assert engine.fetch(HERE, 8092, away=True) == ""
        assert engine.fetch(HERE, 8093, away=True) == THERE and engine.fetch("127.0.0.1", 8093) == ""
    finally:
        engine.firkin("rm", "-f", "own")
    assert engine.fetch("127.0.0.1", 8092) == ""


def test_a_port_that_nobody_serves_is_refused(engine: Homestead) -> None:
    engine.firkin("run", "-d", "--name", "deaf", "-p", "8100:81", IMAGE, "sleep", "1000")
    script = "import socket; s = socket.create_connection(('%s', 8100), 3); print(s.recv(9))" % HERE  # noqa: UP031
    try:
        assert "ConnectionResetError" in engine.away("python3", "-c", script, check=False).stderr
    finally:
        engine.firkin("rm", "-f", "deaf")


def test_much_data_goes_through_whole(engine: Homestead) -> None:
    """Both ways at once, and each end is told to the other."""
    serve = """import socket
s = socket.socket(); s.setsockopt(1, 2, 1); s.bind(("", 80)); s.listen()
while 1:
    c, a = s.accept()
    while d := c.recv(1 << 16): c.sendall(d)
    c.close()"""
    ask = """import hashlib, os, socket, sys, threading
s = socket.create_connection((sys.argv[1], 8094), 5); sent, got, n = hashlib.sha256(), hashlib.sha256(), 0
def send():
    for _ in range(320):
        d = os.urandom(100000); sent.update(d); s.sendall(d)
    s.shutdown(socket.SHUT_WR)
t = threading.Thread(target=send); t.start()
while d := s.recv(1 << 16): got.update(d); n += len(d)
t.join(); assert n == 32000000 and sent.digest() == got.digest(), n; print("whole")"""
    engine.firkin("run", "-d", "--name", "mirror", "-p", "8094:80", "python", "python3", "-c", serve)
    try:
        wait_until(lambda: "whole" in engine.away("python3", "-c", ask, HERE, check=False).stdout, 30)
    finally:
        engine.firkin("rm", "-f", "mirror")


def test_a_port_that_cannot_be_had_says_why_and_leaves_nothing(engine: Homestead, web: str) -> None:
    refused = engine.firkin("run", "--rm", "-p", "80:80", IMAGE, "true", check=False)
    assert refused.returncode == 125 and "sudo sysctl net.ipv4.ip_unprivileged_port_start=80" in refused.stderr
    refused = engine.firkin("run", "--rm", "-p", "8090:80", IMAGE, "true", check=False)
    assert refused.returncode == 125 and "port is already allocated" in refused.stderr
    engine.lab.start("python3", "-m", "http.server", "--bind", HERE, "8095")
    wait_until(lambda: engine.lab.run("sh", "-c", "ss -ltn | grep -q :8095", check=False).returncode == 0)
    refused = engine.firkin("run", "--rm", "-p", "8095:80", IMAGE, "true", check=False)
    assert refused.returncode == 125 and "address already in use" in refused.stderr
    refused = engine.firkin("run", "--rm", "-p", "192.0.2.1:8096:80", IMAGE, "true", check=False)
    assert refused.returncode == 125 and "cannot assign requested address" in refused.stderr
    assert engine.firkin("ps", "-aq").stdout.split() == engine.firkin("ps", "-q", "-f", "name=web").stdout.split()


@pytest.fixture(scope="module")
def found(engine: Homestead) -> None:
    """Servers on the machine itself, on its loopback and on its address."""
    for address in ("127.0.0.1", HERE):
        engine.lab.start("python3", "-c", FOUND, address)
    wait_until(lambda: engine.fetch("127.0.0.1", 8097) == engine.fetch(HERE, 8097) == "found")


def reached(engine: Homestead, network: str, address: str) -> str:
    """What a container hears from one of them."""
    argv = ("run", "--rm", "--network", network, "-p", "8099:80", "python", "python3", "-c", FETCH, address, "8097")
    return engine.firkin(*argv, check=False).stdout


def test_containers_reach_out_but_not_to_the_hosts_loopback(engine: Homestead, found: None) -> None:
    assert reached(engine, "bridge", HERE) == "found"
    for network in ("bridge", "host"):
        for address in ("127.0.0.1", "10.0.2.2", "10.0.2.100", "172.17.0.1"):
            assert reached(engine, network, address) == "", f"{network}: {address}"


def test_names_are_asked_of_a_server_on_the_hosts_loopback(engine: Homestead) -> None:
    """As systemd-resolved's is."""
    answer = """import socket
s = socket.socket(type=socket.SOCK_DGRAM); s.bind(("127.0.0.53", 53))
while 1:
    q, a = s.recvfrom(999)
    name = q[12:q.index(b"\\0", 12) + 5]
    yes = name[-4:-2] == b"\\0\\1"
    body = b"\\xc0\\x0c\\0\\1\\0\\1\\0\\0\\0\\x3c\\0\\4\\xc0\\0\\2\\7" if yes else b""
    s.sendto(q[:2] + b"\\x81\\x80\\0\\1" + (b"\\0\\1" if yes else b"\\0\\0") + b"\\0\\0\\0\\0" + name + body, a)"""
    engine.lab.start("python3", "-c", answer)
    wait_until(lambda: engine.lab.run("sh", "-c", "ss -lun | grep -q 127.0.0.53:53", check=False).returncode == 0)
    assert "192.0.2.7" in engine.firkin("run", "--rm", IMAGE, "nslookup", "some.example").stdout
    engine.firkin("network", "create", "named")
    try:
        assert "192.0.2.7" in engine.firkin("run", "--rm", "--network", "named", IMAGE, "nslookup", "some.example").stdout
    finally:
        engine.firkin("network", "rm", "named")


def test_user_namespaces_of_containers_want_roots_engine(engine: Homestead) -> None:
    refused = engine.firkin("run", "--rm", "--userns", "auto", IMAGE, "true", check=False)
    assert refused.returncode == 125 and "user namespace" in refused.stderr


# --- what is lost --------------------------------------------------------------------------------------------------
def test_without_cgroups_it_says_so(engine: Homestead) -> None:
    info = json.loads(engine.firkin("info", "--format", "json").stdout)
    if info["CgroupDriver"] != "none":
        pytest.skip("this session has cgroups of its own")
    assert "without cgroups" in info["Warnings"][0]
    out = engine.firkin("run", "--rm", "-m", "64m", IMAGE, "echo", "runs")
    assert out.stdout == "runs\n" and "Limitation discarded" in out.stderr
    engine.firkin("run", "-d", "--name", "unpausable", IMAGE, "sleep", "1000")
    try:
        refused = engine.firkin("pause", "unpausable", check=False)
        assert refused.returncode == 1 and "no freezer" in refused.stderr
    finally:
        engine.firkin("rm", "-f", "unpausable")


# --- what is killed ------------------------------------------------------------------------------------------------
def test_a_new_daemon_takes_over(engine: Homestead, web: str) -> None:
    engine.firkin("run", "-d", "--name", "brief", "-p", "8098:80", IMAGE, "sh", "-c", "sleep 1; exit 3")
    before = inspected(engine, web)
    engine.kill()
    assert engine.fetch(HERE, 8090, away=True) == THERE
    wait_until(lambda: "sleep 1; exit 3" not in " ".join(engine.processes().values()))
    engine.start()
    after = inspected(engine, web)
    assert after["State"] == before["State"] and after["NetworkSettings"]["Ports"] == before["NetworkSettings"]["Ports"]
    assert engine.firkin("exec", web, "python3", "-c", "print('still')").stdout == "still\n"
    assert engine.fetch(HERE, 8090, away=True) == THERE
    assert inspected(engine, "brief")["State"]["ExitCode"] == 3
    assert "8098" not in engine.lab.run("ss", "-ltnH").stdout  # a port of one that ended meanwhile
    engine.firkin("rm", "brief")


@pytest.mark.parametrize("victim", ["porter", "outside", "helper"])
def test_any_of_the_processes_may_be_killed(engine: Homestead, web: str, found: None, victim: str) -> None:
    os.kill(getattr(engine, victim)(), signal.SIGKILL)
    wait_until(lambda: engine.fetch(HERE, 8090, away=True) == THERE, 20, engine.log)
    if victim == "outside":
        refused = engine.firkin("run", "--rm", "-p", "8099:80", IMAGE, "true", check=False)
        assert refused.returncode == 125 and "restart the daemon" in refused.stderr
        engine.kill()
        engine.start()
    wait_until(lambda: reached(engine, "bridge", HERE) == "found", 20, engine.log)
    # The first answer may have been one that the victim had still let in.
    wait_until(lambda: engine.fetch(HERE, 8090, away=True) == THERE, 20, engine.log)


def test_all_that_carries_the_network_is_killed_at_once(engine: Homestead, web: str, found: None) -> None:
    """The containers, and who keeps them, hold the namespaces; a new daemon finds them there."""
    for pid in (engine.process.pid if engine.process else 0, engine.outside(), engine.porter(), engine.helper()):
        os.kill(pid, signal.SIGKILL)
    assert engine.process
    engine.process.wait()
    assert engine.fetch(HERE, 8090, away=True) == ""
    engine.start()
    wait_until(lambda: engine.fetch(HERE, 8090, away=True) == THERE, 10, engine.log)
    assert reached(engine, "bridge", HERE) == "found"
    assert engine.firkin("exec", web, "python3", "-c", "print(1)").stdout == "1\n"


def test_a_clean_stop_leaves_nothing(engine: Homestead) -> None:
    engine.firkin(
        "run",
        "-d",
        "--name",
        "kept",
        "--restart",
        "always",
        "--stop-timeout",
        "1",
        "-p",
        "8090:80",
        "python",
        "python3",
        "-c",
        WHO,
    )
    engine.stop()
    wait_until(lambda: not engine.processes(), 10, engine.processes)
    assert "8090" not in engine.lab.run("ss", "-ltnH").stdout
    engine.start()
    wait_until(lambda: engine.fetch(HERE, 8090, away=True) == THERE)
    engine.firkin("rm", "-f", "kept")
