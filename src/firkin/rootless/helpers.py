"""The programs that connect a user's network namespace with the network outside: pasta, or else slirp4netns. Pure.

Both get the same addresses, so nothing else depends on which it is. They carry what leaves the namespace; published ports
are not their business (see `porter`), and neither lets anybody inside reach the host's loopback.
Source: pasta(1), slirp4netns(1).
"""

from __future__ import annotations

INTERFACE = "tap0"
ADDRESS, PREFIX, GATEWAY, NAMESERVER = "10.0.2.100", 24, "10.0.2.2", "10.0.2.3"
MTU = 65520

PROGRAMS = ("pasta", "slirp4netns")  # the better one first
PACKAGES = {"pasta": "passt", "slirp4netns": "slirp4netns"}


def pasta(pid: int, pidfile: str) -> list[str]:
    """Goes to the background once all is set up. It forwards no port by itself, in either direction."""
    none = [word for option in ("-t", "-u", "-T", "-U") for word in (option, "none")]
    where = ["-I", INTERFACE, "-a", ADDRESS, "-n", str(PREFIX), "-g", GATEWAY, "-m", str(MTU), "--dns-forward", NAMESERVER]
    return ["pasta", "--config-net", "--quiet", "--no-map-gw", *none, *where, "-P", pidfile, str(pid)]


def slirp4netns(pid: int, ready: int) -> list[str]:
    """Stays in the foreground; writes to the descriptor `ready` once all is set up."""
    options = ["--configure", f"--mtu={MTU}", "--disable-host-loopback", f"--ready-fd={ready}"]
    return ["slirp4netns", *options, str(pid), INTERFACE]


def resolv_conf(text: str) -> str | None:
    """What to put in place of the host's resolv.conf(5): None if its servers can be asked from inside. One on the host's
    loopback (systemd-resolved, dnsmasq) cannot; the helper asks it for us."""
    lines = text.splitlines()
    servers = [line.split()[1] for line in lines if line.startswith("nameserver") and len(line.split()) > 1]
    if any(not server.startswith("127.") and server != "::1" for server in servers):
        return None
    others = [line for line in lines if not line.startswith("nameserver")]
    return "\n".join([*others, f"nameserver {NAMESERVER}"]) + "\n"
