"""The embedded DNS server against the containers that ask it, and against servers outside that lie."""

import asyncio
import os
import socket
import struct
import threading

import pytest
from dnslib import QTYPE, RR, A, DNSRecord

from firkin.model import EndpointRequest
from firkin.network import dns
from firkin.network.model import NetworkRequest
from tests.network.test_names import _host_resolv_conf, ask
from tests.network.wires import engine, isolated, other_host, record, start

SERVER = ("127.0.0.11", 53)


async def app(tmp_path):
    """An engine with two containers on a network, and what its event loop complains of."""
    complaints = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    networks = await engine(tmp_path)
    await networks.create(NetworkRequest("app"))
    return (
        networks,
        await start(networks, record("web", ("app",))),
        await start(networks, record("other", ("app",))),
        complaints,
    )


def message(questions, *, count=None, flags=0x100):
    return struct.pack("!6H", 1, flags, len(questions) if count is None else count, 0, 0, 0) + b"".join(questions)


def name(*labels):
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


IN = b"\0\1\0\1"
# Thousands of questions, each of which is a pointer to one name of many labels: seconds for an ordinary parser.
BOMB = message([name(*[b"a"] * 120) + IN, *[b"\xc0\x0c" + IN] * 10_000])
# Two pointers that lead to each other, at 642 and 644, by way of a label that hides the first one.
LOOP = message([name(*[b"x" * 63] * 9, b"x" * 51)[:-1] + b"\3a\xc2\x80" + b"\xc2\x82" + IN])


@isolated
async def test_messages_made_to_be_slow_to_read(tmp_path):
    _, web, other, complaints = await app(tmp_path)
    done = []

    def flood():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
            while not done:
                made.sendto(BOMB, SERVER)

    flooding = asyncio.create_task(web.namespace.arun(flood))
    loop = asyncio.get_running_loop()
    try:
        began = loop.time()
        for _ in range(20):
            assert await ask(other.namespace, "web", timeout=20) == ("NOERROR", [web.ip])
        assert loop.time() - began < 20, "a few hundredths of a second each, on a slow machine"
    finally:
        done.append(True)
        await flooding
    assert not complaints


@isolated
async def test_messages_that_are_none(tmp_path):
    networks, web, _, complaints = await app(tmp_path)
    whole = name(b"web") + IN
    none = [
        LOOP,
        message([b"\xc0\x0c" + IN]),
        message([b"\x40" + b"x" * 64 + b"\0" + IN]),
        message([name(*[b"x" * 63] * 4) + IN]),
        message([name(b"web") + b"\0"]),
        message([whole, whole]),
        message([], count=1),
        message([whole], flags=0x8100),
        message([whole], count=65535),
        message([whole]) + bytes(5000),
    ]

    def send():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
            made.settimeout(20)
            for junk in none:
                made.sendto(junk, SERVER)
            made.sendto(message([whole]), SERVER)
            return made.recv(4096)

    assert str(DNSRecord.parse(await web.namespace.arun(send)).a.rdata) == web.ip, "the one that is one is answered, no other"
    long = "n" * 100
    await networks.create(NetworkRequest(long))
    strange = await start(networks, record("strange", (long,)))
    reverse = ".".join(reversed(strange.ip.split("."))) + ".in-addr.arpa"
    assert await ask(strange.namespace, reverse, "PTR", timeout=20) == ("SERVFAIL", []), "a network whose name is no label"
    assert not complaints


@isolated
async def test_connections_that_are_held_open(tmp_path):
    dns._IDLE = 1.0
    networks, web, other, complaints = await app(tmp_path)
    for i in range(60):
        await networks.acquire(record(f"db{i}", ("app",), requests={"app": EndpointRequest(aliases=("db",))}))
    question = message([name(b"db") + IN])
    framed = len(question).to_bytes(2, "big") + question
    before = len(os.listdir("/proc/self/fd"))

    def hold():
        """A few ask again and again, and never read an answer; the others say nothing."""
        held = [socket.create_connection(SERVER) for _ in range(60)]
        for one in held[:4]:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
            one.setblocking(False)
            try:
                while True:
                    one.send(framed * 100)
            except OSError:
                continue
        return held

    held = await web.namespace.arun(hold)
    assert await ask(other.namespace, "web", tcp=True, timeout=20) == ("NOERROR", [web.ip])
    for _ in range(400):
        if len(os.listdir("/proc/self/fd")) <= before + len(held):
            break
        await asyncio.sleep(0.05)
    else:
        pytest.fail("the server holds on to connections that do nothing")
    assert await ask(web.namespace, "web", tcp=True, timeout=20) == ("NOERROR", [web.ip]), "its own turn again"
    assert not complaints


@isolated
async def test_servers_outside_that_lie(tmp_path):
    """Wrong id, not an answer, another question, and then the truth, by UDP; by TCP there is no second message to wait for."""
    outside = other_host("lan0", "10.9.0.1", "10.9.0.2")
    _host_resolv_conf(tmp_path, "nameserver 10.9.0.2\n")
    await outside.arun(_lying_server)
    _, web, _, complaints = await app(tmp_path)
    assert await ask(web.namespace, "example.com", timeout=20) == ("NOERROR", ["192.0.2.7"])
    assert await ask(web.namespace, "example.com", timeout=20, tcp=True) == ("SERVFAIL", [])
    assert not complaints


def _lying_server():
    udp, tcp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM), socket.socket()
    for made in (udp, tcp):
        made.bind(("10.9.0.2", 53))
    tcp.listen()

    def answers(query):
        for changes, ip in (
            ({"id": 1}, "192.0.2.1"),
            ({"qr": 0}, "192.0.2.2"),
            ({"name": "evil."}, "192.0.2.3"),
            ({}, "192.0.2.7"),
        ):
            reply = DNSRecord.parse(query).reply()
            reply.q.qname = changes.get("name", reply.q.qname)
            reply.header.id ^= changes.get("id", 0)
            reply.header.qr = changes.get("qr", 1)
            reply.add_answer(RR(reply.q.qname, QTYPE.A, rdata=A(ip)))
            yield reply.pack()

    def serve_datagrams():
        while True:
            query, asker = udp.recvfrom(4096)
            for answer in answers(query):
                udp.sendto(answer, asker)

    def serve_streams():
        while True:
            stream, _ = tcp.accept()
            query = stream.recv(4096)[2:]
            lie = list(answers(query))[2]
            stream.sendall(len(lie).to_bytes(2, "big") + lie)

    for serve in (serve_datagrams, serve_streams):
        threading.Thread(target=serve, daemon=True).start()
