"""Networks as their users see them: ports that answer from everywhere, names, isolation."""

from __future__ import annotations

import json

import pytest
from tests.e2e.conftest import IMAGE
from tests.lab import Engine, wait_until

SERVE = "mkdir /w; echo {0} > /w/index.html; exec httpd -f -p 80 -h /w"


def fetch(engine: Engine, url: str) -> str:
    return engine.lab.run("curl", "-s", "-m", "3", url, check=False).stdout


def from_inside(host: str, port: int = 80) -> list[str]:
    """A command that fetches a page and prints its last line (busybox wget needs the C library's resolver)."""
    return ["sh", "-c", f"printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 2 {host} {port} | tail -1 | grep ."]


@pytest.fixture
def web(client, engine: Engine):
    client("run", "-d", "--name", "web", "-p", "8086:80", "-p", "127.0.0.1:8087:80", IMAGE, "sh", "-c", SERVE.format("hello"))
    wait_until(lambda: fetch(engine, "http://127.0.0.1:8086/") == "hello\n")
    yield "web"
    client("rm", "-f", "web")


def test_a_published_port_answers_from_everywhere(client, web: str, engine: Engine) -> None:
    gateway = json.loads(client("network", "inspect", "bridge").stdout)[0]["IPAM"]["Config"][0]["Gateway"]
    assert fetch(engine, f"http://{gateway}:8086/") == "hello\n"  # an address of the host's own
    assert fetch(engine, "http://127.0.0.1:8087/") == "hello\n"
    assert client("run", "--rm", IMAGE, *from_inside(gateway, 8086)).stdout == "hello\n"  # another container
    assert client("exec", web, *from_inside(gateway, 8086)).stdout == "hello\n"  # itself
    assert client("port", web, "80").stdout.splitlines()[0] == "0.0.0.0:8086"


def test_a_port_in_use_is_refused_and_leaves_nothing(client, web: str) -> None:
    done = client("run", "--rm", "--name", "late", "-p", "8086:80", IMAGE, "true", check=False)
    assert done.returncode == 125 and "8086" in done.stderr and "already" in done.stderr
    client("rm", "-f", "late", check=False)


def test_a_random_port(client, engine: Engine) -> None:
    client("run", "-d", "--name", "any", "-p", "80", IMAGE, "sh", "-c", SERVE.format("any"))
    port = client("port", "any", "80/tcp").stdout.splitlines()[0].rpartition(":")[2]
    wait_until(lambda: fetch(engine, f"http://127.0.0.1:{port}/") == "any\n")
    client("rm", "-f", "any")


def test_ipv6_is_published_too(client, engine: Engine) -> None:
    client("network", "create", "--ipv6", "six")
    # busybox's httpd listens on both by itself
    client("run", "-d", "--name", "both", "--network", "six", "-p", "8085:80", IMAGE, "sh", "-c", SERVE.format("both"))
    try:
        assert client("port", "both").stdout.splitlines() == ["80/tcp -> 0.0.0.0:8085", "80/tcp -> [::]:8085"]
        assert client("ps", "--format", "{{.Ports}}", "-f", "name=both").stdout == "0.0.0.0:8085->80/tcp, [::]:8085->80/tcp\n"
        gateways = [one["Gateway"] for one in json.loads(client("network", "inspect", "six").stdout)[0]["IPAM"]["Config"]]
        assert len(gateways) == 2 and gateways[1].startswith("fd")
        for address in ("127.0.0.1", "localhost", gateways[0], f"[{gateways[1]}]"):
            wait_until(lambda address=address: fetch(engine, f"http://{address}:8085/") == "both\n")
    finally:
        client("rm", "-f", "both")
        client("network", "rm", "six")


ECHO = "import socket; s = socket.socket(type=socket.SOCK_DGRAM); s.bind(('', 8088))\nwhile 1: s.sendto(*s.recvfrom(99))"
ASK = """import socket, sys
s = socket.socket(type=socket.SOCK_DGRAM); s.settimeout(1); s.sendto(b'ping', (sys.argv[1], 8088)); print(s.recv(99))"""


def test_udp(client, engine: Engine) -> None:
    engine.firkin("image", "from-host", "/usr/bin/python3", "-t", "python")
    client("run", "-d", "--name", "echo", "-p", "8088:8088/udp", "python", "python3", "-c", ECHO)
    try:
        gateway = json.loads(client("network", "inspect", "bridge").stdout)[0]["IPAM"]["Config"][0]["Gateway"]
        for address in ("127.0.0.1", gateway):
            wait_until(lambda at=address: "ping" in engine.lab.run("python3", "-c", ASK, at, check=False).stdout)
    finally:
        client("rm", "-f", "echo")


def test_user_networks_resolve_names_and_are_apart(client) -> None:
    client("network", "create", "--subnet", "10.77.0.0/24", "one")
    client("network", "create", "two")
    try:
        client("run", "-d", "--name", "server", "--network", "one", "--network-alias", "www", "--ip", "10.77.0.9", IMAGE, "sh", "-c",
               SERVE.format("named"))  # fmt: skip
        for name in ("server", "www"):
            out = client("run", "--rm", "--network", "one", IMAGE, "nslookup", name)
            assert "10.77.0.9" in out.stdout
        apart = client("run", "--rm", "--network", "two", IMAGE, *from_inside("10.77.0.9"), check=False)
        assert apart.returncode != 0
        client("run", "-d", "--name", "guest", "--network", "two", IMAGE, "sleep", "1000")
        client("network", "connect", "one", "guest")
        assert "10.77.0.9" in client("exec", "guest", "nslookup", "server").stdout
        assert client("exec", "guest", *from_inside("10.77.0.9")).stdout == "named\n"
        client("network", "disconnect", "one", "guest")
        assert client("exec", "guest", *from_inside("10.77.0.9"), check=False).returncode != 0
        done = client("network", "rm", "one", check=False)
        assert done.returncode == 1 and "active endpoints" in done.stderr
    finally:
        client("rm", "-f", "server", "guest", check=False)
        client("network", "rm", "one", "two")


def test_none_has_only_loopback(client) -> None:
    out = client(
        "run", "--rm", "--network", "none", IMAGE, "sh", "-c", "ls /sys/class/net; ping -c1 -W1 127.0.0.1 >/dev/null && echo up"
    )
    assert out.stdout.split() == ["lo", "up"]


def test_hosts_and_resolv_conf(client) -> None:
    out = client("run", "--rm", "-h", "me", "--add-host", "db:10.1.2.3", "--dns", "10.9.8.7", "--dns-search", "corp", IMAGE,
                 "sh", "-c", "cat /etc/hosts /etc/resolv.conf; cat /etc/hostname; hostname -i").stdout  # fmt: skip
    address = out.split()[-1]
    assert "10.1.2.3\tdb" in out and "nameserver 10.9.8.7" in out and "search corp" in out and f"{address}\tme" in out


def test_an_exhausted_pool_says_so(client) -> None:
    client("network", "create", "--subnet", "10.78.0.0/30", "small")
    try:
        client("run", "-d", "--name", "only", "--network", "small", IMAGE, "sleep", "1000")
        done = client("run", "--rm", "--network", "small", IMAGE, "true", check=False)
        assert done.returncode == 125 and "no available" in done.stderr.lower()
    finally:
        client("rm", "-f", "only", check=False)
        client("network", "rm", "small")
