"""Strings of the API that have a syntax of their own: binds, ports, security options, instructions, hosts, signals."""

from __future__ import annotations

from ipaddress import ip_address

from hypothesis import strategies as st

from firkin.engine import mounts
from firkin.errors import Invalid
from firkin.images.changes import apply_changes
from firkin.model import Endpoint, PortBinding
from firkin.network import files
from firkin.network.model import Forward
from firkin.network.ports import HeldPorts
from firkin.oci.image import RunConfig
from firkin.runtime import spec_security
from firkin.runtime.spec import stop_signal
from tests.fuzz.rig import fuzzed, passes, remembered
from tests.fuzz.samples import clean_text, mutated_text


# --- strings with a syntax of their own ----------------------------------------------------------------------------
@fuzzed(mutated_text("/a:/b:ro,z", "vol:/b", "/b", "vol:/b:nocopy,rshared", "/a:/../..", "a:b:c:d"))
def test_binds(text: str) -> None:
    """Whatever `-v` says, its target is an absolute path that is not the root, and its source a path or a name; or it is
    Invalid."""
    found = passes(lambda: mounts.parse_bind(text), Invalid)
    if found:
        assert found[1].startswith("/") and (not found[0] or found[0].startswith("/") or "/" not in found[0])


class Unheld(HeldPorts):
    """Decides, and holds nothing."""

    def _hold(self, forward: Forward) -> Forward:
        return forward


@fuzzed(
    mutated_text("80/tcp", "53/udp", "8000-8010/tcp", "65535/sctp", "0/tcp"),
    mutated_text("8080", "8000-8010", ""),
    mutated_text("127.0.0.1", "::1", ""),
)
@remembered("9" * 5000 + "/tcp", "1", "")
@remembered("80/tcp", "9" * 5000, "")
@remembered("80/tcp", "80", "some.name.example")
def test_ports(port: str, host: str, address: str) -> None:
    """Whatever ports are to be published, they are ports of this world, or Invalid."""
    bindings = [(port, PortBinding(address, host))]
    found = passes(lambda: Unheld().publish(bindings, Endpoint("n", "i", ip_address="10.0.0.2"), "0.0.0.0"), Invalid) or []
    for forward in found:
        assert 0 < forward.port < 65536 and 0 < forward.host_port < 65536 and ip_address(forward.host_ip)


@fuzzed(
    st.lists(
        mutated_text(
            "seccomp=unconfined",
            'seccomp={"defaultAction":"SCMP_ACT_ALLOW"}',
            "apparmor=x",
            "label:disable",
            "no-new-privileges",
            "no-new-privileges:false",
            "writable-cgroups=1",
        ),
        max_size=3,
    ).map(tuple)
)
def test_security_options(options: tuple[str, ...]) -> None:
    """Whatever security options are given, they are understood whole, or Invalid."""
    passes(lambda: spec_security.security_options(options), Invalid)


@fuzzed(mutated_text("SIGTERM", "term", "9", "RTMIN+3", "SIGRTMAX-14"))
@remembered("9" * 5000)
@remembered("RTMIN+" + "9" * 5000)
@remembered("RTMIN+٣")
def test_signals(text: str) -> None:
    """Whatever signal is named, it is one of the kernel's, or it is Invalid."""
    found = passes(lambda: stop_signal(text), Invalid)
    assert found is None or 0 < found <= 64


CHANGES = ("CMD a b", 'CMD ["a", "b"]', "ENV A=1 B='2 3'", "EXPOSE 80/tcp 1000-2000", "HEALTHCHECK --interval=1m30s --retries=3 CMD x", "LABEL a=b", "ONBUILD RUN x", "VOLUME /a /b", "WORKDIR x", "USER a", "STOPSIGNAL 9", "ENTRYPOINT x")  # fmt: skip


@fuzzed(st.lists(mutated_text(*CHANGES), max_size=3))
@remembered(["EXPOSE " + "9" * 5000])
@remembered(["HEALTHCHECK --interval=" + "9" * 400 + "h CMD x"])
@remembered(["HEALTHCHECK --retries=" + "9" * 5000 + " CMD x"])
@remembered(['CMD ["' + "\udcff" + '"]'])
def test_changes(lines: list[str]) -> None:
    """Whatever `--change` says, it is an instruction that changes a configuration, or Invalid."""
    passes(lambda: apply_changes(RunConfig(), lines), Invalid)


@fuzzed(
    st.lists(mutated_text("a:10.0.0.1", "b=::1", "c:host-gateway", "d:[::1]"), max_size=3),
    clean_text("nameserver 10.0.0.1\nsearch a b\noptions ndots:5\n# x\n", "domain a\nnameserver 127.0.0.53%lo\n"),
)
@remembered(["\n:10.0.0.1"], "")
def test_hosts_and_resolvers(entries: list[str], text: str) -> None:
    """Whatever hosts are added and whatever resolv.conf says, what is written for the container reads as it was meant: no
    line more than there are entries."""
    found = passes(lambda: files.extra_hosts(entries, "172.17.0.1"), Invalid)
    if found is not None:
        lines = files.hosts_file("h", "", ["172.17.0.2"], found).split("\n")
        assert len(lines) == len(files.hosts_file("h", "", ["172.17.0.2"], []).split("\n")) + len(entries)
    resolver = files.Resolver.parse(text)
    assert files.Resolver.parse(resolver.text()) == resolver
    assert resolver.without_loopback().embedded().text().startswith("nameserver 127.0.0.11\n")
