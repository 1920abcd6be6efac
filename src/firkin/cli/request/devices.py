"""`--device`, `--gpus` and the per-device block I/O limits."""

from __future__ import annotations

from firkin.cli import kinds
from firkin.cli.errors import Failure, FlagError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from firkin.cli.flags import Options

_RATES = {
    "device-read-bps": "BlkioDeviceReadBps",
    "device-write-bps": "BlkioDeviceWriteBps",
    "device-read-iops": "BlkioDeviceReadIOps",
    "device-write-iops": "BlkioDeviceWriteIOps",
}


def apply(body: dict[str, Any], options: Options) -> None:
    host = body["HostConfig"]
    if devices := options["device"]:
        host["Devices"] = [_device(text) for text in devices]
    if weights := options["blkio-weight-device"]:
        host["BlkioWeightDevice"] = [_throttle(text, "Weight", kinds.short_unsigned) for text in weights]
    for flag, key in _RATES.items():
        if values := options[flag]:
            host[key] = [_throttle(text, "Rate", kinds.size if flag.endswith("bps") else kinds.integer) for text in values]
    if requests := options["gpus"]:
        host["DeviceRequests"] = [_gpus(text) for text in requests]


def _device(text: str) -> dict[str, str]:
    """`/dev/fuse[:/dev/inside][:rwm]`."""
    parts = text.split(":")
    source, inside, permissions = parts[0], parts[0], "rwm"
    if len(parts) == 2 and _are_permissions(parts[1]):
        permissions = parts[1]
    elif len(parts) == 2:
        inside = parts[1]
    elif len(parts) == 3:
        _, inside, permissions = parts
    if not parts[0] or len(parts) > 3 or not _are_permissions(permissions):
        raise Failure(f"invalid device specification: {text}")
    return {"PathOnHost": source, "PathInContainer": inside, "CgroupPermissions": permissions}


def _are_permissions(text: str) -> bool:
    return bool(text) and len(set(text)) == len(text) and set(text) <= set("rwm")


def _throttle(text: str, key: str, convert: Any) -> dict[str, Any]:
    """`/dev/sda:1mb` as `{"Path": ..., key: ...}`."""
    path, given, value = text.partition(":")
    if not given or not path.startswith("/dev/"):
        raise Failure(f"bad format for device path: {text}")
    try:
        return {"Path": path, key: convert(value)}
    except ValueError:
        raise Failure(f"invalid {key.lower()} for device: {text}") from None


def _gpus(text: str) -> dict[str, Any]:
    """`all` or a number; the daemon has no driver for them and says so."""
    try:
        count = -1 if text == "all" else int(text)
    except ValueError:
        raise FlagError(f'invalid argument "{text}" for "--gpus" flag: neither `all` nor a number') from None
    return {"Driver": "", "Count": count, "DeviceIDs": None, "Capabilities": [["gpu"]], "Options": {}}
