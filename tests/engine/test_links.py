"""What a link says; the figures are dockerd's own for the same containers."""

from __future__ import annotations

from firkin.engine.links import variables


def test_variables_are_dockerds() -> None:
    said = variables("my-link", "/l2/my-link", "172.17.0.2", ("80/tcp", "53/udp"), ("AA=1 2", "PATH=/bin", "HOME=/", "BARE"))
    assert said == [
        "MY_LINK_PORT=udp://172.17.0.2:53",
        "MY_LINK_PORT_53_UDP=udp://172.17.0.2:53",
        "MY_LINK_PORT_53_UDP_ADDR=172.17.0.2",
        "MY_LINK_PORT_53_UDP_PORT=53",
        "MY_LINK_PORT_53_UDP_PROTO=udp",
        "MY_LINK_PORT_80_TCP=tcp://172.17.0.2:80",
        "MY_LINK_PORT_80_TCP_ADDR=172.17.0.2",
        "MY_LINK_PORT_80_TCP_PORT=80",
        "MY_LINK_PORT_80_TCP_PROTO=tcp",
        "MY_LINK_NAME=/l2/my-link",
        "MY_LINK_ENV_AA=1 2",
    ]
