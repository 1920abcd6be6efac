"""What a container's group has read and written, in the shape of runc's `events` ("blkio").

Source: runc types/events.go; kernel cgroup-v1/blkio-controller.rst, cgroup-v2.rst "IO Interface Files".
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firkin.linux.cgroup import Cgroups

_BYTES, _REQUESTS = "ioServiceBytesRecursive", "ioServicedRecursive"
_FILES_V1 = {
    _BYTES: ("blkio.throttle.io_service_bytes_recursive", "blkio.throttle.io_service_bytes"),
    _REQUESTS: ("blkio.throttle.io_serviced_recursive", "blkio.throttle.io_serviced"),
}
_KEYS_V2 = {"rbytes": (_BYTES, "Read"), "wbytes": (_BYTES, "Write"), "rios": (_REQUESTS, "Read"), "wios": (_REQUESTS, "Write")}


def figures(cgroups: Cgroups, path: str) -> dict[str, object]:
    """Kinds of which there is nothing are left out."""
    found = _version_1(cgroups, path) if cgroups.version("blkio") == 1 else _version_2(cgroups, path)
    return {word: entries for word, entries in found.items() if entries}


def _version_1(cgroups: Cgroups, path: str) -> dict[str, list[object]]:
    found: dict[str, list[object]] = {}
    for word, names in _FILES_V1.items():
        text = next(filter(None, (cgroups.read(path, "blkio", name) for name in names)), "")
        rows = [line.split() for line in text.splitlines()]
        found[word] = [_entry(row[0], row[1], row[2]) for row in rows if len(row) == 3]
    return found


def _version_2(cgroups: Cgroups, path: str) -> dict[str, list[object]]:
    """A line a device: `8:0 rbytes=90112 wbytes=0 rios=2 ...`."""
    found: dict[str, list[object]] = {_BYTES: [], _REQUESTS: []}
    for line in cgroups.read(path, "io", "io.stat").splitlines():
        device, *pairs = line.split()
        for key, _, value in (pair.partition("=") for pair in pairs):
            if key in _KEYS_V2:
                word, operation = _KEYS_V2[key]
                found[word].append(_entry(device, operation, value))
    return found


def _entry(device: str, operation: str, value: str) -> dict[str, object]:
    major, _, minor = device.partition(":")
    entry = {"major": int(major), "minor": int(minor), "op": operation, "value": int(value)}
    return {word: one for word, one in entry.items() if one}
