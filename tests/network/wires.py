"""A laboratory for network tests: namespaces as hosts and containers, real sockets in all of them, one process.

`isolated` runs a test in a forked process with network and mount namespaces of its own, so that nothing it makes is
seen outside or outlives it. Inside, that namespace is the engine's host.
"""

import asyncio
import ctypes
import os
import signal
import socket
import sys
import threading
import traceback
from dataclasses import dataclass, replace

from firkin.config import DaemonConfig
from firkin.ids import new_id
from firkin.linux.netlink import Netlink
from firkin.linux.netlink_wire import Channel
from firkin.linux.nftables import NETLINK_NETFILTER
from firkin.model import Container, ContainerConfig, Endpoint, EndpointRequest, HostConfig, State
from firkin.network.networks import Networks
from firkin.paths import Layout

_CLONE_NEWNS, _CLONE_NEWNET = 0x20000, 0x40000000
_MS_REC_PRIVATE = 0x4000 | 0x40000
_libc = ctypes.CDLL(None, use_errno=True)


def _must(result):
    if result:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def isolated(test):
    """Run the coroutine function `test(tmp_path)` in namespaces of its own."""

    def run(tmp_path):
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:
            _child(test, tmp_path, write)
        os.close(write)
        with open(read, encoding="utf-8") as report:
            text = report.read()
        _, status = os.waitpid(pid, 0)
        assert not text and status == 0, text or f"status {status}"

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run


def _child(test, tmp_path, write):
    status = 1
    try:
        signal.alarm(60)
        _must(_libc.unshare(_CLONE_NEWNS | _CLONE_NEWNET))
        _must(_libc.mount(b"none", b"/", None, _MS_REC_PRIVATE, None))
        with Netlink() as netlink:
            netlink.set_up("lo")
        asyncio.run(test(tmp_path))
        status = 0
    except BaseException:
        os.write(write, traceback.format_exc().encode())
    finally:
        sys.stdout.flush()
        os._exit(status)


class Namespace:
    """A network namespace: a container, or another machine. It lives as long as this object."""

    def __init__(self):
        self.fd = self._in_thread(None, lambda: os.open("/proc/thread-self/ns/net", os.O_RDONLY))

    def run(self, function, *args):
        """`function(*args)` with this as its network namespace."""
        return self._in_thread(self.fd, function, *args)

    async def arun(self, function, *args):
        return await asyncio.to_thread(self.run, function, *args)

    def close(self):
        os.close(self.fd)

    @staticmethod
    def _in_thread(fd, function, *args):
        result = []

        def body():
            try:
                _must(_libc.unshare(_CLONE_NEWNET) if fd is None else _libc.setns(fd, _CLONE_NEWNET))
                result.append((function(*args), None))
            except BaseException as error:
                result.append((None, error))

        thread = threading.Thread(target=body)
        thread.start()
        thread.join()
        value, error = result[0]
        if error:
            raise error
        return value


class Here:
    """The engine's own host, with a Namespace's face."""

    async def arun(self, function, *args):
        return await asyncio.to_thread(function, *args)


def other_host(name, ours, theirs):
    """Another machine on a wire of its own: `ours` and `theirs` are the two ends' addresses in a /24."""
    host = Namespace()
    with Netlink() as netlink:
        bridge = netlink.create_bridge(name, "02:00:00:00:00:01")
        netlink.create_veth("v" + name, bridge, "eth0", "", 0, netns=host.fd)
        netlink.add_address(name, ours, 24)

    def inside():
        with Netlink() as netlink:
            netlink.set_up("lo")
            netlink.add_address("eth0", theirs, 24)
            netlink.set_up("eth0")

    host.run(inside)
    return host


# --- containers ----------------------------------------------------------------------------------------------------
@dataclass
class Running:
    """A container as far as the network knows: its record, its namespace."""

    record: Container
    namespace: Namespace

    @property
    def ip(self):
        return next(iter(self.record.endpoints.values())).ip_address


def record(name, networks=("bridge",), ports=None, requests=None, mode="", **config):
    """A container's record; `ports` is HostConfig.PortBindings, `requests` EndpointRequests by network."""
    requests = requests or {}
    endpoints = {network: Endpoint(network, "", requests.get(network, EndpointRequest())) for network in networks}
    host = config.pop("host", HostConfig())
    host = replace(host, network_mode=mode or networks[0], port_bindings=ports or {})
    container_id = new_id()
    config = ContainerConfig(hostname=config.pop("hostname", container_id[:12]), **config)
    return Container(container_id, name, 0, config, host, "", "", (), endpoints=endpoints)


async def start(networks, container):
    """Start `container`: its namespace, and its attachment's steps carried out."""
    attachment = await networks.acquire(container)
    namespace = Namespace()
    started = replace(container, endpoints=attachment.endpoints, ports=attachment.ports, state=State("running", os.getpid()))
    await carry_out(networks, started, namespace, attachment)
    return Running(started, namespace)


async def stop(networks, running):
    await networks.release(running.record.id)
    running.namespace.close()


async def carry_out(networks, container, namespace, attachment):
    """What launcher and child would do."""
    with Netlink() as netlink:
        for step in attachment.parent_steps:
            match step:
                case ("veth", host_name, bridge, guest, mac, mtu, _):
                    netlink.create_veth(host_name, bridge, guest, mac, mtu, netns=namespace.fd)
                case ("bridge-port", name, hairpin, isolated):
                    netlink.set_port(name, hairpin, isolated)
    with Netlink() as host:
        sockets = namespace.run(child_steps, attachment.child_steps, host)
    if attachment.resolves:
        await networks.serve_names(container, sockets)


def child_steps(steps, host=None):
    sockets = []
    with Netlink() as netlink, Channel(NETLINK_NETFILTER) as netfilter:
        for step in steps:
            match step:
                case ("link-up", name):
                    netlink.set_up(name)
                case ("address", name, ip, prefix):
                    netlink.add_address(name, ip, prefix)
                case ("route", destination, gateway, name):
                    netlink.add_route(destination, gateway, name)
                case ("sysctl", key, value):
                    with open("/proc/sys/" + key, "w", encoding="ascii") as file:
                        file.write(value)
                case ("carrier", names):
                    for name in names:
                        host.settle_carrier(name)
                case ("nft", batch):
                    netfilter.replay(batch)
                case ("sockets", wanted):
                    sockets = [_socket(*one).detach() for one in wanted]
                case _:
                    raise AssertionError(f"unknown step {step}")
    return sockets


def _socket(kind, ip, port):
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM)
    made.bind((ip, port))
    if kind == "tcp":
        made.listen()
    return made


async def open_networks(path, **config):
    """A `Networks` with roots under `path`, not settled."""
    layout = Layout(str(path / "data"), str(path / "exec"))
    for root in (layout.data_root, layout.exec_root):
        os.makedirs(root, exist_ok=True)
    return await Networks.open(layout, DaemonConfig(**config), "an-engine")


async def engine(path, **config):
    networks = await open_networks(path, **config)
    await networks.settle()
    return networks


# --- traffic -------------------------------------------------------------------------------------------------------
async def serve_tcp(where, port, ip="0.0.0.0", name=b""):
    """A server in `where` that tells each client the client's own address, after `name`."""

    async def answer(reader, writer):
        writer.write(name + writer.get_extra_info("peername")[0].encode())
        await writer.drain()
        writer.close()

    def listener():
        made = socket.socket(socket.AF_INET6 if ":" in ip else socket.AF_INET)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((ip, port))
        return made

    return await asyncio.start_server(answer, sock=await where.arun(listener))


async def ask_tcp(where, ip, port, source="", timeout=1.5):
    """What such a server says to a client in `where`; None if it cannot be reached."""

    def client():
        try:
            with socket.create_connection((ip, port), timeout, source_address=(source, 0) if source else None) as made:
                return made.recv(100).decode() or None
        except OSError:
            return None

    return await where.arun(client)


async def serve_udp(where, port, ip="0.0.0.0"):
    """The same over UDP."""

    class Answer(asyncio.DatagramProtocol):
        def connection_made(self, transport):
            self.transport = transport

        def datagram_received(self, data, addr):
            self.transport.sendto(addr[0].encode(), addr)

    def bound():
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        made.bind((ip, port))
        made.setblocking(False)
        return made

    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(Answer, sock=await where.arun(bound))
    return transport


async def ask_udp(where, ip, port, source_port=0, timeout=1.5):
    def client():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
            made.settimeout(timeout)
            made.bind(("0.0.0.0", source_port))
            try:
                made.connect((ip, port))
                made.send(b"who am I")
                return made.recv(100).decode()
            except OSError:
                return None

    return await where.arun(client)
