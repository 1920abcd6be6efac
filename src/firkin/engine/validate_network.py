"""What cannot be said of a container that has no network of its own: it would be ignored, or break another container.

Source: moby `runconfig/hostconfig_unix.go` (validateNetMode); texts are Docker's.
"""

from __future__ import annotations

from firkin.errors import Invalid
from firkin.model import ContainerConfig, HostConfig

_NO_LINKS = "can't be used with links. This would result in undefined behavior"


def check_network_mode(asked: ContainerConfig, host: HostConfig) -> None:
    """`asked` is the client's configuration alone, for an image may expose ports. Raises `Invalid`."""
    if host.network_mode == "host" and host.links:
        raise Invalid(f"conflicting options: host type networking {_NO_LINKS}")
    if not host.network_mode.startswith("container:"):
        return
    for wanted, what in (
        (asked.hostname or asked.domainname, "hostname and the network mode"),
        (host.links, "container type network " + _NO_LINKS),
        (host.dns, "dns and the network mode"),
        (host.extra_hosts, "custom host-to-IP mapping and the network mode"),
        (asked.mac_address, "mac-address and the network mode"),
        (host.port_bindings or host.publish_all_ports, "port publishing and the container type network mode"),
        (asked.exposed_ports, "port exposing and the container type network mode"),
    ):
        if wanted:
            raise Invalid(f"conflicting options: {what}")
