"""`--publish` and `--expose`: port mappings as the API's `ExposedPorts` and `PortBindings`.

`[[HOST-IP:]HOST-PORT:]CONTAINER-PORT[/PROTOCOL]`, ports single or ranges, or docker's long form
`published=8080,target=80,protocol=tcp`. Source: docker/go-connections `nat.ParsePortSpec`.
"""

from __future__ import annotations

from firkin.cli.errors import Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from firkin.cli.flags import Options

PROTOCOLS = ("tcp", "udp", "sctp")


def apply(body: dict[str, Any], options: Options) -> None:
    exposed, bindings = body.setdefault("ExposedPorts", {}), body["HostConfig"].setdefault("PortBindings", {})
    for text in options["publish"]:
        for port, binding in published(text):
            exposed[port] = {}
            bindings.setdefault(port, []).append(binding)
    for text in options["expose"]:
        first, last, protocol = _exposed(text)
        for number in range(first, last + 1):
            exposed[f"{number}/{protocol}"] = {}


def published(text: str) -> Iterator[tuple[str, dict[str, str]]]:
    """("80/tcp", {"HostIp", "HostPort"}) for each port of one `--publish`."""
    address, host, container, protocol = _long_form(text) if "target=" in text else _short_form(text)
    first, last = _range(container, "containerPort", container)
    if not host:
        for number in range(first, last + 1):
            yield f"{number}/{protocol}", {"HostIp": address, "HostPort": ""}
        return
    host_first, host_last = _range(host, "hostPort", host)
    if host_last - host_first != last - first:
        if first != last:
            raise Failure(f"invalid ranges specified for container and host Ports: {container} and {host}")
        yield f"{first}/{protocol}", {"HostIp": address, "HostPort": host}  # any free one of the range
        return
    for number in range(first, last + 1):
        yield f"{number}/{protocol}", {"HostIp": address, "HostPort": str(host_first + number - first)}


def _short_form(text: str) -> tuple[str, str, str, str]:
    mapping, _, protocol = text.partition("/")
    rest, _, container = mapping.rpartition(":")
    address, _, host = rest.rpartition(":")
    if ":" in address and not address.startswith("["):
        raise Failure(f"invalid IP address: {address}")
    if not container:
        raise Failure(f"no port specified: {text}<empty>")
    return address.strip("[]"), host, container, _protocol(protocol)


def _long_form(text: str) -> tuple[str, str, str, str]:
    fields = dict(field.partition("=")[::2] for field in text.split(","))
    unknown = set(fields) - {"target", "published", "protocol", "mode"}
    if unknown:
        raise Failure(f"invalid field key {unknown.pop()}")
    if "target" not in fields:
        raise Failure(f"no port specified: {text}")
    return "", fields.get("published", ""), fields["target"], _protocol(fields.get("protocol", ""))


def _protocol(text: str) -> str:
    protocol = text.lower() or "tcp"
    if protocol not in PROTOCOLS:
        raise Failure(f"invalid proto: {text}")
    return protocol


def _range(text: str, what: str, shown: str) -> tuple[int, int]:
    first, dash, last = text.partition("-")
    last = last if dash else first
    if not all(word.isdecimal() and len(word) < 6 for word in (first, last)) or not int(first) <= int(last) <= 65535:
        raise Failure(f"invalid {what}: {shown}")
    return int(first), int(last)


def _exposed(text: str) -> tuple[int, int, str]:
    if ":" in text:
        raise Failure(f"invalid port format for --expose: {text}")
    ports, _, protocol = text.partition("/")
    return *_range(ports, f"range format for --expose: {text}, error: invalid port", ports), _protocol(protocol)
