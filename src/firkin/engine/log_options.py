"""`--log-opt`: which there are, and what `tag`, `labels` and `env` have written beside each line of a container's log.

Invariant: what `check` lets pass, `attributes` can make something of, for any container.
Source: Docker's documentation "Configure logging drivers", "Customize log driver output"; moby `daemon/logger/loginfo.go`
(ExtraAttributes), `daemon/logger/loggerutils/log_tag.go`, `daemon/logger/jsonfilelog/jsonfilelog.go`.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable

from firkin.engine.bounded import thinking
from firkin.errors import Invalid
from firkin.ids import short_id
from firkin.model import Container, LogConfig

_OF_ALL = frozenset(("max-size", "max-file", "compress", "mode", "max-buffer-size"))
_OF_JSON_FILE = _OF_ALL | {"labels", "labels-regex", "env", "env-regex", "tag"}
_DRIVERS = {"json-file": _OF_JSON_FILE, "local": _OF_ALL, "none": _OF_JSON_FILE}
_MODES = ("", "blocking", "non-blocking")
_TRUE, _FALSE = ("1", "t", "T", "true", "TRUE", "True"), ("0", "f", "F", "false", "FALSE", "False")
_FIELD = re.compile(r"\{\{\s*\.(\w+)\s*\}\}")
_FIELDS: dict[str, Callable[[Container], str]] = {
    "ID": lambda record: short_id(record.id),
    "FullID": lambda record: record.id,
    "Name": lambda record: record.name,
    "ImageID": lambda record: record.image_id[:12],
    "ImageFullID": lambda record: record.image_id,
    "ImageName": lambda record: record.config.image,
    "DaemonName": lambda record: "firkin",
    "Hostname": lambda record: os.uname().nodename,
    "Command": lambda record: " ".join((record.path, *record.args)),
}


def check(log: LogConfig) -> None:
    """Raises `Invalid` for an option that its driver does not have, and for one with a value that makes no sense."""
    if log.type not in _DRIVERS:
        raise Invalid(f"logger: no log driver named '{log.type}' is registered")
    for key in log.config:
        if key not in _DRIVERS[log.type]:
            raise Invalid(f"unknown log opt '{key}' for {log.type} log driver")
    _check_mode(log.config)
    _check_compress(log.config)
    _check_tag(log.config.get("tag", ""))
    for key in ("labels-regex", "env-regex"):
        try:
            re.compile(log.config.get(key, ""))
        except (re.error, RecursionError, OverflowError) as error:
            raise Invalid(f"invalid log opt {key}: error parsing regexp: {error}") from None


def compresses(log: LogConfig) -> bool:
    """Whether rotated files are to be packed."""
    return log.config.get("compress") in _TRUE


def attributes(record: Container) -> str:
    """What each line of the log is to carry, as JSON; "" for nothing."""
    options = record.host.log_config.config
    if not options:  # as for most containers, whose start need not set a timer for this
        return ""
    env = dict(entry.split("=", 1) for entry in record.config.env if "=" in entry)
    with thinking("apply log options"):
        found = {**_chosen(record.config.labels, options, "labels"), **_chosen(env, options, "env")}
    if tag := options.get("tag"):
        found["tag"] = _FIELD.sub(lambda match: _FIELDS[match[1]](record), tag)
    text = json.dumps(found, sort_keys=True, ensure_ascii=False, separators=(",", ":")) if found else ""
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")  # as Go writes them


def _chosen(values: dict[str, str], options: dict[str, str], kind: str) -> dict[str, str]:
    """Those that are named, and those whose names match."""
    named, pattern = options.get(kind, "").split(","), options.get(f"{kind}-regex", "")
    return {key: value for key, value in values.items() if key in named or (pattern and re.search(pattern, key))}


def _check_mode(options: dict[str, str]) -> None:
    mode = options.get("mode", "")
    if mode not in _MODES:
        raise Invalid(f"logger: logging mode not supported: {mode}")
    if "max-buffer-size" in options and mode != "non-blocking":
        raise Invalid("logger: max-buffer-size option is only supported with 'mode=non-blocking'")


def _check_compress(options: dict[str, str]) -> None:
    compress = options.get("compress", "false")
    if compress not in (*_TRUE, *_FALSE):
        raise Invalid(f"invalid log opt compress: {compress!r} is neither true nor false")
    if compress in _TRUE and ("max-size" not in options or options.get("max-file", "1") == "1"):
        raise Invalid("compress cannot be true when max-file is less than 2 or max-size is not set")


def _check_tag(tag: str) -> None:
    unknown = [name for name in _FIELD.findall(tag) if name not in _FIELDS]
    if unknown:
        raise Invalid(f"invalid log opt tag: can't evaluate field {unknown[0]}: there are {', '.join(_FIELDS)}")
    if "{{" in _FIELD.sub("", tag):
        raise Invalid(f"invalid log opt tag: {tag!r}: between {{{{ and }}}} can only be a field, as in {{{{.Name}}}}")
