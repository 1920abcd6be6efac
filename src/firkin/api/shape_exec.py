"""An exec session as `GET /exec/{id}/json` shows it."""

from __future__ import annotations

from typing import Any

from firkin.model import Exec


def exec_inspect(session: Exec) -> dict[str, Any]:
    """`ExitCode` is null until it has ended."""
    request = session.request
    user = {"user": request.user} if request.user else {}
    return {
        "ID": session.id,
        "Running": session.running,
        "ExitCode": session.exit_code,
        "ProcessConfig": {
            "tty": request.tty,
            "entrypoint": request.cmd[0],
            "arguments": list(request.cmd[1:]),
            "privileged": request.privileged,
            **user,
        },
        "OpenStdin": request.attach_stdin,
        "OpenStderr": request.attach_stderr,
        "OpenStdout": request.attach_stdout,
        "CanRemove": False,
        "ContainerID": session.container_id,
        "DetachKeys": "",
        "Pid": session.pid,
    }
