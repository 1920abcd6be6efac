"""COMPATIBILITY.md as a test: it names all of Docker's commands, options, routes and fields, and is right about them.

Docker's side is its client's own help (where the version that the ledger speaks of is installed) and the definition of
its API; ours are the tables that the code itself works from: the catalogue of commands, their flags, the routes, and
the words a route's handler knows.
"""

from __future__ import annotations

import asyncio
import functools
import importlib
import os
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any, get_type_hints

import pytest

from firkin import model
from firkin.api import names
from firkin.api.routes import ROUTES
from firkin.cli import catalog
from firkin.cli.flags import Flag
from firkin.cli.global_flags import GLOBAL_FLAGS
from firkin.errors import Unavailable, Unsupported
from tests.api.schema import document

LEDGER = Path(__file__).parent.parent / "COMPATIBILITY.md"
CLIENT = "28.2"  # the version of Docker's client that the ledger speaks of
STATUSES = {"done", "partial", "not done"}


# --- the ledger ----------------------------------------------------------------------------------------------------
def rows(heading: str) -> list[list[str]]:
    """The cells of the table under `heading`, without its head."""
    section = re.split(rf"^#+ {re.escape(heading)}$", LEDGER.read_text(), flags=re.MULTILINE)[1]
    section = re.split(r"^#", section, maxsplit=1, flags=re.MULTILINE)[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line[1:-1].split("|")] for line in lines[2:]]


def quoted(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def only(cell: str) -> str:
    (word,) = quoted(cell)
    return word


@pytest.mark.parametrize("heading", ["Commands", "Routes", "Config", "HostConfig", "HostConfig.Mounts", "EndpointSettings"])
def test_what_is_not_done_whole_says_what_is_missing(heading: str) -> None:
    for first, status, *rest in rows(heading):
        assert status in STATUSES, first
        assert status != "partial" or any(rest), f"{first} is partial, but what is missing is not said"


# --- commands ------------------------------------------------------------------------------------------------------
def flags_of(entry: catalog.Entry) -> tuple[Flag, ...]:
    module = importlib.import_module(f"firkin.cli.commands.{entry.module}")
    flags: tuple[Flag, ...] = module.COMMANDS[entry.names[0]].flags
    return flags


def commands() -> Iterator[tuple[list[str], str, set[str], set[str], str, set[str]]]:
    """(names, status, options there, options missing, remarks, Firkin's options) of each row; `docker` itself first."""
    for cells, status, there, missing, remarks in rows("Commands"):
        found = quoted(cells)
        entry = catalog.find(found[0])
        assert entry or found == ["docker"], f"{found[0]} is no command of Firkin's"
        assert entry is None or set(found) == set(entry.names)
        flags = flags_of(entry) if entry else GLOBAL_FLAGS
        yield found, status, set(quoted(there)), set(quoted(missing)), remarks, {"--" + flag.name for flag in flags}


def test_options_are_there_as_listed() -> None:
    for found, status, there, missing, remarks, ours in commands():
        assert there <= ours, f"{found}: listed, but not there"
        assert not missing & ours, f"{found}: listed as missing, but there"
        assert ours - there <= set(quoted(remarks)), f"{found}: there, but not listed"
        assert not missing or status == "partial", found


def test_every_command_of_firkins_is_listed_once() -> None:
    listed = Counter(name for cells, *_ in rows("Commands") + rows("Commands of Firkin's own") for name in quoted(cells))
    assert listed == Counter(["docker", *(name for entry in catalog.ENTRIES for name in entry.names if name[0] != "_")])


def test_commands_not_done_are_not_there() -> None:
    for cells, status, _ in rows("Commands that are not there"):
        assert status == "not done"
        assert [name for name in quoted(cells) if catalog.find(name)] == []


@functools.cache
def docker_help(name: str) -> str:
    """What docker says of a command, with no configuration and no daemon that could hide anything."""
    nowhere = {"PATH": os.environ["PATH"], "DOCKER_CONFIG": "/nonexistent", "DOCKER_HOST": "unix:///nonexistent"}
    done = subprocess.run(["docker", *name.split(), "--help"], capture_output=True, text=True, timeout=20, env=nowhere)
    return done.stdout


@pytest.fixture
def docker() -> None:
    """A docker client of the version in question."""
    if not shutil.which("docker"):
        pytest.skip("no docker command on this machine to compare with")
    version = subprocess.run(["docker", "--version"], capture_output=True, text=True, timeout=10).stdout
    if f" {CLIENT}." not in version:
        pytest.skip(f"the ledger speaks of docker {CLIENT}, not of {version.strip()}")


def docker_commands(group: str = "") -> Iterator[str]:
    """Every command of docker's client that does something itself, by its whole name."""
    for title, lines in re.findall(r"^([\w ]*)Commands:\n((?:  .*\n)+)", docker_help(group), re.MULTILINE):
        for last in re.findall(r"^  ([a-z][\w-]*)  ", lines, re.MULTILINE):
            name = f"{group} {last}".strip()
            yield from docker_commands(name) if title in ("Management ", "Swarm ") else (name,)


def docker_options(name: str) -> set[str]:
    return set(re.findall(r"^ +(?:-\w, )?(--[a-z][\w-]*)", docker_help(name), re.MULTILINE)) - {"--help"}


@pytest.mark.usefixtures("docker")
def test_every_command_of_dockers_is_listed_once() -> None:
    listed = Counter(name for cells, *_ in rows("Commands") + rows("Commands that are not there") for name in quoted(cells))
    assert {name: listed[name] for name in docker_commands() if listed[name] != 1} == {}


@pytest.mark.usefixtures("docker")
def test_options_are_dockers() -> None:
    listed = [(found[0].removeprefix("docker"), there | missing) for found, _, there, missing, *_ in commands()]
    with ThreadPoolExecutor(4) as pool:
        for (name, options), theirs in zip(listed, pool.map(docker_options, [name for name, _ in listed]), strict=True):
            assert options == theirs, f"{name or 'docker'}: not docker's options"


# --- routes --------------------------------------------------------------------------------------------------------
def anonymous(route: str) -> str:
    """With parameters of the path in no particular name."""
    return re.sub(r"\{\w+\}", "{}", route)


@functools.cache
def docker_routes() -> dict[str, set[str]]:
    """Every route of the definition, and its query parameters."""
    return {
        f"{method.upper()} {path}": {item["name"] for item in operation.get("parameters", []) if item["in"] == "query"}
        for path, operations in document()["paths"].items()
        for method, operation in operations.items()
        if method != "parameters"
    }


HANDLERS: dict[str, Any] = {anonymous(f"{method} {path}"): handler for method, path, handler in ROUTES}


def test_every_route_is_listed_once() -> None:
    assert Counter(only(cells) for cells, *_ in rows("Routes")) == Counter(docker_routes().keys())


def test_every_route_of_firkins_own_is_listed() -> None:
    listed = {only(cells) for cells, *_ in rows("Routes of Firkin's own")}
    assert listed == set(HANDLERS) - set(map(anonymous, docker_routes()))


def test_routes_are_there_as_marked() -> None:
    """One that is not done is not in the table, or refuses whatever it is given."""
    for cells, status, *_ in rows("Routes"):
        handler = HANDLERS.get(anonymous(only(cells)))
        if status != "not done":
            assert handler, f"{cells} is not there"
        elif handler:
            with pytest.raises((Unsupported, Unavailable)):
                asyncio.run(handler(None))


def test_query_parameters_are_read_as_listed() -> None:
    for cells, status, there, ignored, _ in rows("Routes"):
        route = only(cells)
        if status == "not done":
            continue
        read = docker_routes()[route] & words(HANDLERS[anonymous(route)])
        assert set(quoted(there)) == read, route
        assert set(quoted(ignored)) == docker_routes()[route] - read, route
        assert not ignored or status == "partial", route


def words(handler: FunctionType) -> set[str]:
    """Every string and name in a handler, and in the functions of handlers' modules that it uses."""
    found: set[str] = set()
    pending, seen = [handler], {handler}
    while pending:
        function = pending.pop()
        for code in codes(function.__code__):
            found |= {*code.co_names, *(value for value in code.co_consts if isinstance(value, str))}
            used = {value for name in code.co_names if isinstance(value := function.__globals__.get(name), FunctionType)}
            new = {value for value in used - seen if value.__module__.startswith("firkin.api.handlers.")}
            pending += new
            seen |= new
    return found


def codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield from codes(inner)


# --- container options ---------------------------------------------------------------------------------------------
def members(name: str) -> Iterator[str]:
    """The members of an object of the definition, in its order; those of a mount's options by their whole path."""
    schema = document()["definitions"][name]
    for part in schema.get("allOf", [schema]):
        if "$ref" in part:
            yield from members(part["$ref"].rpartition("/")[2])
        for key, value in part.get("properties", {}).items():
            inside = value.get("properties") if name == "Mount" and key.endswith("Options") else None
            yield from (f"{key}.{inner}" for inner in inside) if inside else (key,)


def places(cls: type) -> Iterator[str]:
    """Where the fields of one of our values lie in Docker's JSON."""
    for field in fields(cls):
        place = names.place(cls, field.name)
        yield from (".".join(place),) if place else places(get_type_hints(cls)[field.name])


@pytest.mark.parametrize(
    "heading,name,cls",
    [
        ("Config", "ContainerConfig", model.ContainerConfig),
        ("HostConfig", "HostConfig", model.HostConfig),
        ("HostConfig.Mounts", "Mount", model.MountRequest),
    ],
)
def test_every_field_is_listed_once_and_known_as_marked(heading: str, name: str, cls: type) -> None:
    known = [place + "." for place in places(cls)]
    assert Counter(only(cells) for cells, *_ in rows(heading)) == Counter(members(name))
    for cells, status, _ in rows(heading):
        if status != "not done":
            assert any(place.startswith(only(cells) + ".") for place in known), f"{cells} is not known"
