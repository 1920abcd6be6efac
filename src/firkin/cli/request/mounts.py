"""`--volume`, `--mount` and `--tmpfs`.

`--volume [SOURCE:]TARGET[:OPTIONS]` stays a string in `HostConfig.Binds` (the daemon takes it apart), except that a
source that starts with a dot is a path of this client's; `--mount` is parsed into `HostConfig.Mounts`.
"""

from __future__ import annotations

import os

from firkin.cli import kinds
from firkin.cli.errors import FlagError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

    from firkin.cli.flags import Options


def apply(body: dict[str, Any], options: Options) -> None:
    host = body["HostConfig"]
    for text in options["volume"]:
        source, given, rest = text.partition(":")
        if not given:
            body.setdefault("Volumes", {})[text] = {}
        else:
            host.setdefault("Binds", []).append(_absolute(source) + ":" + rest)
    if mounts := [mount(text) for text in options["mount"]]:
        host["Mounts"] = mounts
    for text in options["tmpfs"]:
        target, _, flags = text.partition(":")
        host.setdefault("Tmpfs", {})[target] = flags


def _absolute(source: str) -> str:
    return os.path.abspath(source) if source.startswith(".") else source


def _truth(text: str) -> bool:
    return text == "" or kinds.boolean(text)


def _recursive(options: dict[str, Any], text: str) -> None:
    settings = {"enabled": {}, "disabled": {"NonRecursive": True}}
    settings |= {"writable": {"ReadOnlyNonRecursive": True}, "readonly": {"ReadOnlyForceRecursive": True}}
    if text not in settings:
        raise ValueError('must be one of "enabled", "disabled", "writable", or "readonly"')
    options.update(settings[text])


def _keep(key: str, convert: Callable[[str], Any] = str) -> Callable[[dict[str, Any], str], None]:
    """Store a value under `key`."""

    def store(options: dict[str, Any], text: str) -> None:
        options[key] = convert(text)

    return store


def _collect(key: str) -> Callable[[dict[str, Any], str], None]:
    """Add a `KEY=VALUE` to the object under `key`."""

    def store(options: dict[str, Any], text: str) -> None:
        name, _, value = text.partition("=")
        options.setdefault(key, {})[name] = value

    return store


def _driver(key: str, collect: bool = False) -> Callable[[dict[str, Any], str], None]:
    def store(options: dict[str, Any], text: str) -> None:
        (_collect(key) if collect else _keep(key))(options.setdefault("DriverConfig", {}), text)

    return store


def _idmap(entry: dict[str, Any], text: str) -> None:
    entry.setdefault("BindOptions", {})["IDMap"] = f"idmap={text}" if text else "idmap"


_MOUNT = {
    "idmap": _idmap,
    "type": _keep("Type", str.lower),
    "source": _keep("Source", _absolute),
    "target": _keep("Target"),
    "readonly": _keep("ReadOnly", _truth),
    "consistency": _keep("Consistency", str.lower),
}
_ALIASES = {"src": "source", "dst": "target", "destination": "target", "ro": "readonly"}
_SECTIONS = {
    "bind": (
        "BindOptions",
        {
            "bind-propagation": _keep("Propagation", str.lower),
            "bind-nonrecursive": _keep("NonRecursive", _truth),
            "bind-recursive": _recursive,
            "bind-create-src": _keep("CreateMountpoint", _truth),
        },
    ),
    "volume": (
        "VolumeOptions",
        {
            "volume-nocopy": _keep("NoCopy", _truth),
            "volume-label": _collect("Labels"),
            "volume-driver": _driver("Name"),
            "volume-opt": _driver("Options", collect=True),
            "volume-subpath": _keep("Subpath"),
        },
    ),
    "image": ("ImageOptions", {"image-subpath": _keep("Subpath")}),
    "tmpfs": (
        "TmpfsOptions",
        {"tmpfs-size": _keep("SizeBytes", kinds.size), "tmpfs-mode": _keep("Mode", lambda text: int(text, 8))},
    ),
}


def mount(text: str) -> dict[str, Any]:
    """One `--mount type=bind,source=/a,target=/b,readonly` as an entry of `HostConfig.Mounts`. Raises `Failure`."""
    entry: dict[str, Any] = {"Type": "volume"}
    for field in _fields(text):
        name, given, value = field.partition("=")
        name = _ALIASES.get(name.lower(), name.lower())
        if not given and name not in ("readonly", "volume-nocopy", "bind-nonrecursive", "bind-create-src", "idmap"):
            _refuse(text, f"invalid field '{field}' must be a key=value pair")
        try:
            _store(entry, name, value)
        except ValueError as error:
            _refuse(
                text, f"invalid value for {name}: {value} ({error})" if str(error) else f"unexpected key '{name}' in '{field}'"
            )
    if not entry.get("Target"):
        _refuse(text, "target is required")
    for kind, (section, _) in _SECTIONS.items():
        if section in entry and kind != entry["Type"]:
            _refuse(text, f"cannot mix '{kind}-*' options with mount type '{entry['Type']}'")
    return entry


def _store(entry: dict[str, Any], name: str, value: str) -> None:
    """Store one field. Raises a `ValueError` without text for a name that does not exist."""
    if name in _MOUNT:
        _MOUNT[name](entry, value)
        return
    section, fields = _SECTIONS.get(name.partition("-")[0], ("", {}))
    if name not in fields:
        raise ValueError
    fields[name](entry.setdefault(section, {}), value)


def _fields(text: str) -> list[str]:
    """Comma-separated, with CSV quoting for values that hold a comma."""
    if '"' not in text:
        return text.split(",")
    import csv

    try:
        return next(csv.reader([text]))
    except csv.Error as error:
        _refuse(text, str(error))


def _refuse(text: str, problem: str) -> NoReturn:
    raise FlagError(f'invalid argument "{text}" for "--mount" flag: {problem}')
