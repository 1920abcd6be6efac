"""Exec: one more process in a running container, in two steps as the API has them: create, then start.

Source: Docker Engine API, `POST /containers/{id}/exec` and `POST /exec/{id}/start`.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from firkin.engine import failures, links, userns
from firkin.engine.detach import parse_keys
from firkin.engine.engine import Engine, ExecSession
from firkin.engine.states import require
from firkin.engine.streams import Streams, pipe_pair
from firkin.engine.table import Live, StdinPipe
from firkin.engine.validate_text import check_exec_text
from firkin.errors import Conflict, FirkinError, Invalid, NotFound, reason
from firkin.ids import new_id
from firkin.model import Container, Exec, ExecRequest
from firkin.oci.runtime_config import OCI_VERSION
from firkin.runtime import plan_seccomp, seccomp_compile, spec_linux
from firkin.runtime.client import SpawnFailed
from firkin.runtime.plan_joining import exec_plan
from firkin.runtime.sandbox import Sandbox
from firkin.runtime.spec import build_exec, seccomp_of
from firkin.runtime.spec_security import bounding_set

_TRACING = "CAP_SYS_PTRACE"
_REMEMBERED = 1000  # ended sessions whose exit code can still be asked for


async def create(engine: Engine, ref: str, request: ExecRequest) -> str:
    """Remember what is to run; returns its id. Raises `Conflict` when the container is not running."""
    entry = engine.containers.find(ref)
    require("exec", entry.record, ref)
    if not request.cmd:
        raise Invalid("No exec command specified")
    check_exec_text(request)
    parse_keys(request.detach_keys)
    _forget_old(engine)
    exec_id = new_id()
    engine.execs[exec_id] = ExecSession(Exec(exec_id, entry.id, request))
    engine.events.container(_action("exec_create", request), entry.record, execID=exec_id)
    return exec_id


def inspect(engine: Engine, exec_id: str) -> Exec:
    return _session(engine, exec_id).record


def claim(engine: Engine, exec_id: str, console_size: tuple[int, int] = (0, 0)) -> ExecSession:
    """The session, about to be started by the caller and by nobody else; raises `Conflict` when it has run before."""
    session = _session(engine, exec_id)
    entry = engine.containers.find(session.record.container_id)
    if session.record.running:
        raise Conflict(f"exec command {exec_id} is already running")
    if session.record.exit_code is not None:
        raise Conflict(f"exec command {exec_id} has already run")
    require("exec", entry.record)
    request = session.record.request
    if console_size != (0, 0):
        request = replace(request, console_size=console_size)
    session.record = replace(session.record, request=request, running=True)
    return session


async def start(engine: Engine, session: ExecSession) -> Streams:
    """Run what was claimed. Returns the client's streams, or if that fails streams which say so."""
    try:
        outputs = await _launch(engine, session, detach=False)
    except FirkinError as error:
        return _words(error.message)
    return _streams(engine, session, outputs)


async def start_detached(engine: Engine, session: ExecSession) -> None:
    """Run what was claimed with nobody on its streams (but a terminal is read from); raises what the failing step says."""
    if outputs := await _launch(engine, session, detach=True):
        _read_on(session, outputs)


def _read_on(session: ExecSession, outputs: dict[int, int]) -> None:
    """Nobody is attached, or nobody any more. A program would soon wait for room in a terminal that nobody reads, and die of
    writing into a pipe; its input ends."""
    session.stdin.close_write()
    session.unheard = asyncio.create_task(_discard(Streams(outputs)))


async def _discard(streams: Streams) -> None:
    while await streams.read() is not None:  # noqa: ASYNC110 - not a wait: one that writes without pause lets others in
        await asyncio.sleep(0)
    await streams.close()


async def _launch(engine: Engine, session: ExecSession, detach: bool) -> dict[int, int]:
    entry = engine.containers.find(session.record.container_id)
    request = session.record.request
    engine.events.container(_action("exec_start", request), entry.record, execID=session.record.id)
    try:
        if entry.live is None:
            raise Conflict(f"container {entry.id} is not running")
        return await _spawn(engine, session, request, entry.live, detach)
    except FirkinError:
        session.record = replace(session.record, running=False, exit_code=session.record.exit_code or 126)
        raise


def _session(engine: Engine, exec_id: str) -> ExecSession:
    session = engine.execs.get(exec_id)
    if session is None:
        raise NotFound(f"No such exec instance: {exec_id}")
    return session


def _action(kind: str, request: ExecRequest) -> str:
    """The event's name, with Docker's space after a command that has no arguments."""
    return f"{kind}: {request.cmd[0]} {' '.join(request.cmd[1:])}"


def _forget_old(engine: Engine) -> None:
    if len(engine.execs) > _REMEMBERED:
        ended = [exec_id for exec_id, session in engine.execs.items() if session.record.exit_code is not None]
        for exec_id in ended[: len(engine.execs) - _REMEMBERED]:
            del engine.execs[exec_id]


async def _spawn(engine: Engine, session: ExecSession, request: ExecRequest, live: Live, detach: bool) -> dict[int, int]:
    """Start the process with pipes (or a terminal) of its own; returns descriptors to read from."""
    record = engine.containers.find(session.record.container_id).record
    outputs: dict[int, int] = {}
    with ExitStack() as child_side, ExitStack() as undo:
        fds = {"pidfd": live.pidfd, **_group(engine, live)}
        for fd in list(fds.values())[1:]:
            child_side.callback(os.close, fd)
        if not request.tty and not detach:
            _make_pipes(session, request, fds, outputs, child_side, userns.root_of(record.id_maps))
            undo.callback(session.stdin.close)
            for fd in outputs:
                undo.callback(os.close, fd)
        plan = _plan(engine, record, session.record.id, request, live, fds)
        try:
            spawned = await engine.shepherds.spawn(plan, fds)
        except SpawnFailed as error:
            session.record = replace(session.record, exit_code=failures.exit_code(error, plan, otherwise=126))
            raise failures.exec_error(error, plan) from None
        undo.pop_all()
    os.close(spawned.pidfd)
    session.record = replace(session.record, pid=spawned.pid)
    if spawned.console is not None:
        os.set_blocking(spawned.console, False)
        session.console = spawned.console
        outputs[os.dup(spawned.console)] = 1
        if session.ended.is_set():  # it was quicker than we are
            session.close_console()
    return outputs


def _plan(
    engine: Engine, record: Container, exec_id: str, request: ExecRequest, live: Live, fds: dict[str, int]
) -> dict[str, Any]:
    surroundings = Sandbox(rootfs="/", cgroup=live.cgroup, environment=links.environment(engine, record))
    process = build_exec(record, request, engine.machine, surroundings)
    seccomp = seccomp_of(record, engine.machine)
    stdin, stdout, stderr = (name if name in fds else "null" for name in ("stdin", "stdout", "stderr"))
    return exec_plan(
        exec_id,
        process,
        join_files=engine.cgroups.join_files(live.cgroup),
        cgroup="cgroup" if "cgroup" in fds else "",
        user=request.user or record.config.user,
        groups=record.host.group_add,
        stdio=(stdin, stdout, stderr),
        seccomp=engine.filters.program(seccomp) if seccomp else b"",
        seccomp_flags=seccomp_compile.flags(seccomp) if seccomp else 0,
        listener=plan_seccomp.listener(seccomp, OCI_VERSION, _state(record)),
        own_users=record.id_maps is not None,
        left_out=spec_linux.not_to_be_joined(record.host, engine.machine),
        watched=_is_watched(engine, record),
    )


def _is_watched(engine: Engine, record: Container) -> bool:
    """Whether any process that sees this container's may trace them: the container's own, those of a privileged exec, or
    another container's in the same pid namespace. An ordinary user's launcher could not step back from a pid namespace."""
    return (
        engine.machine.user_namespace
        or _TRACING in bounding_set(record.host, engine.machine.capabilities)
        or record.host.pid_mode not in ("", "private")
        or any(one.record.host.pid_mode == f"container:{record.id}" for one in engine.containers)
        or any(s.record.container_id == record.id and s.record.request.privileged for s in engine.execs.values())
    )


def _state(record: Container) -> tuple[str]:
    return plan_seccomp.running(OCI_VERSION, record.id, record.state.pid, record.host.annotations)


def _group(engine: Engine, live: Live) -> dict[str, int]:
    """Where there is version 2 alone, a descriptor of the group to be born in."""
    if not engine.cgroups.unified:
        return {}
    try:
        return {"cgroup": engine.cgroups.open_group(engine.cgroups.leaf(live.cgroup, live.pid))}
    except OSError as error:
        raise Conflict(f"join cgroup {live.cgroup}: {reason(error)}") from None


def _make_pipes(
    session: ExecSession,
    request: ExecRequest,
    fds: dict[str, int],
    outputs: dict[int, int],
    child_side: ExitStack,
    owner: tuple[int, int] | None,
) -> None:
    """Pipes for each stream asked for; the child's ends are ours only until it has its own. They belong to `owner`, root in
    a user namespace, whose users may reopen them then."""
    if request.attach_stdin:
        session.stdin = StdinPipe.make()
        fds["stdin"] = session.stdin.read  # type: ignore[assignment]
        child_side.callback(session.stdin.close_read)
    for name, stream, wanted in (("stdout", 1, request.attach_stdout), ("stderr", 2, request.attach_stderr)):
        if wanted:
            read, fds[name] = pipe_pair()
            child_side.callback(os.close, fds[name])
            outputs[read] = stream
    for name in ("stdin", "stdout", "stderr"):
        if owner and name in fds:
            os.fchown(fds[name], *owner)


def _words(message: str) -> Streams:
    """What dockerd sends instead of output when the process cannot be started; the exit code tells clients the rest."""
    read, write = pipe_pair()
    os.write(write, message.encode()[:4096] + b"\r\n")
    os.close(write)
    return Streams({read: 1})


def _streams(engine: Engine, session: ExecSession, outputs: dict[int, int]) -> Streams:
    request = session.record.request

    async def stdin() -> int | None:
        return session.console if request.tty else session.stdin.write

    return Streams(
        outputs,
        stdin if request.attach_stdin else None,
        tty=request.tty,
        detach_keys=request.detach_keys,
        on_close_stdin=session.stdin.close_write,
        on_detach=lambda: _tell_detached(engine, session),
        on_leave=lambda left: _read_on(session, left),
        finished=session.ended.wait,
    )


def _tell_detached(engine: Engine, session: ExecSession) -> None:
    if entry := engine.containers.get(session.record.container_id):
        engine.events.container("exec_detach", entry.record, execID=session.record.id)
