"""`--change` of import and commit: single Dockerfile instructions applied to an image's configuration. Pure.

Source: Dockerfile reference; docker-commit(1) lists which instructions may stand here.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterable

import msgspec

from firkin.errors import Invalid
from firkin.oci.image import Healthcheck, RunConfig

_SHELL = ("/bin/sh", "-c")
_UNITS = {"h": 3600e9, "m": 60e9, "s": 1e9, "ms": 1e6, "us": 1e3, "ns": 1.0}
_PORT = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?(?:/(tcp|udp|sctp))?", re.IGNORECASE)


def apply_changes(config: RunConfig, changes: Iterable[str]) -> RunConfig:
    """`config` after the instructions `changes`, in order; raises `Invalid` for any that does not belong here."""
    for line in changes:
        name, _, rest = line.strip().partition(" ")
        instruction = _INSTRUCTIONS.get(name.upper())
        if instruction is None:
            raise Invalid(f"{name.upper()} is not a valid change command")
        if not rest.strip():
            raise Invalid(f"{name.upper()} requires at least one argument")
        config = instruction(config, rest.strip())
    return config


def _command(config: RunConfig, text: str) -> tuple[str, ...]:
    """The JSON list in `text`, or `text` for the shell to run."""
    words = _json_list(text)
    return words if words is not None else (*(config.shell or _SHELL), text)


def _json_list(text: str) -> tuple[str, ...] | None:
    try:
        return msgspec.json.decode(text, type=tuple[str, ...])
    except (msgspec.DecodeError, UnicodeEncodeError):
        return None


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as error:
        raise Invalid(f"parse {text!r}: {error}")


def _pairs(name: str, text: str) -> dict[str, str]:
    """`KEY=value KEY="other value"`, or the old form `KEY all the rest`."""
    first, _, rest = text.partition(" ")
    if "=" not in first:
        if not rest:
            raise Invalid(f"{name} must have two arguments")
        return {first: rest.strip()}
    pairs = {}
    for word in _words(text):
        key, equals, value = word.partition("=")
        if not equals or not key:
            raise Invalid(f"Syntax error - can't find = in {word!r}. Must be of the form: name=value")
        pairs[key] = value
    return pairs


def _env(config: RunConfig, text: str) -> RunConfig:
    merged = {entry.partition("=")[0]: entry for entry in config.env}
    merged.update({key: f"{key}={value}" for key, value in _pairs("ENV", text).items()})
    return msgspec.structs.replace(config, env=tuple(merged.values()))


def _expose(config: RunConfig, text: str) -> RunConfig:
    ports = dict(config.exposed_ports)
    for word in _words(text):
        match = _PORT.fullmatch(word)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
        if not match or not 0 < first <= last < 65536:
            raise Invalid(f"invalid containerPort: {word}")
        ports.update({f"{port}/{(match[3] or 'tcp').lower()}": {} for port in range(first, last + 1)})
    return msgspec.structs.replace(config, exposed_ports=ports)


def _volume(config: RunConfig, text: str) -> RunConfig:
    paths = _json_list(text) or tuple(_words(text))
    if not all(path.strip() for path in paths):
        raise Invalid("VOLUME specified can not be an empty string")
    return msgspec.structs.replace(config, volumes={**config.volumes, **{path: {} for path in paths}})


def _workdir(config: RunConfig, text: str) -> RunConfig:
    path = text if text.startswith("/") else f"{config.working_dir or '/'}/{text}".replace("//", "/")
    return msgspec.structs.replace(config, working_dir=path)


def _onbuild(config: RunConfig, text: str) -> RunConfig:
    trigger = text.partition(" ")[0].upper()
    if trigger in ("ONBUILD", "MAINTAINER", "FROM"):
        raise Invalid(f"{trigger} isn't allowed as an ONBUILD trigger")
    return msgspec.structs.replace(config, on_build=(*config.on_build, text))


def _healthcheck(config: RunConfig, text: str) -> RunConfig:
    """`NONE`, or `[--interval=30s ...] CMD command`."""
    words = text.split(" ")
    options: dict[str, int] = {}
    while words and words[0].startswith("--"):
        name, _, value = words.pop(0)[2:].partition("=")
        field = name.replace("-", "_")
        if field not in ("interval", "timeout", "start_period", "start_interval", "retries"):
            raise Invalid(f"Unknown flag: {name}")
        options[field] = _count(name, value) if field == "retries" else _duration(name, value)
    kind, rest = (words[0].upper() if words else "", " ".join(words[1:]).strip())
    if kind == "NONE":
        test: tuple[str, ...] = ("NONE",)
    elif kind == "CMD" and rest:
        words_of = _json_list(rest)
        test = ("CMD", *words_of) if words_of is not None else ("CMD-SHELL", rest)
    else:
        raise Invalid(f"Unknown type {kind!r} in HEALTHCHECK (try CMD)")
    return msgspec.structs.replace(config, healthcheck=Healthcheck(test=test, **options))


def _count(name: str, text: str) -> int:
    if not re.fullmatch("[0-9]{1,9}", text):
        raise Invalid(f"invalid number for --{name}: {text[:100]!r}")
    return int(text)


def _duration(name: str, text: str) -> int:
    parts = re.findall(r"([0-9]{1,18}(?:\.[0-9]{1,9})?)(h|ms|us|ns|m|s)", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise Invalid(f"invalid duration for --{name}: {text[:100]!r}")
    return int(sum(float(number) * _UNITS[unit] for number, unit in parts))


_INSTRUCTIONS: dict[str, Callable[[RunConfig, str], RunConfig]] = {
    "CMD": lambda config, text: msgspec.structs.replace(config, cmd=_command(config, text)),
    "ENTRYPOINT": lambda config, text: msgspec.structs.replace(config, entrypoint=_command(config, text)),
    "ENV": _env,
    "EXPOSE": _expose,
    "HEALTHCHECK": _healthcheck,
    "LABEL": lambda config, text: msgspec.structs.replace(config, labels={**config.labels, **_pairs("LABEL", text)}),
    "ONBUILD": _onbuild,
    "STOPSIGNAL": lambda config, text: msgspec.structs.replace(config, stop_signal=text),
    "USER": lambda config, text: msgspec.structs.replace(config, user=text),
    "VOLUME": _volume,
    "WORKDIR": _workdir,
}
