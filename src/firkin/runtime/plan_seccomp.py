"""The step that installs the system call filter, and what its listener's agent is to be told. Part of `plan`.

Source: runtime-spec config-linux.md "Seccomp", "The Container Process State".
"""

from __future__ import annotations

from firkin.errors import Invalid
from firkin.linux.seccomp import NEW_LISTENER
from firkin.oci import json_text
from firkin.runtime import seccomp_compile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firkin.oci.runtime_linux import Seccomp
    from firkin.runtime.plan_terms import Step

    Listener = tuple[str, list[str]]  # the agent's socket, and the report in parts (see `seccomp_listener.install`)


def steps(program: bytes, flags: int, listener: Listener | None) -> list[Step]:
    if not program:
        return []
    return [("seccomp-notify", program, flags | NEW_LISTENER, *listener)] if listener else [("seccomp", program, flags)]


def listener(seccomp: Seccomp | None, version: str, state: tuple[str, ...]) -> Listener | None:
    """For a filter with SCMP_ACT_NOTIFY; else None. `version` of the specification; `state`: the container's state as
    JSON, in the parts between which the new process's id belongs. Raises `Invalid` if the agent is not named."""
    if seccomp is None or not seccomp_compile.notifies(seccomp):
        return None
    if not seccomp.listener_path:
        raise Invalid("linux.seccomp.listenerPath: required by SCMP_ACT_NOTIFY, and not given")
    metadata = f',"metadata":{json_text.dumps(seccomp.listener_metadata)}' if seccomp.listener_metadata else ""
    first = f'{{"ociVersion":{json_text.dumps(version)},"fds":["seccompFd"],"pid":'
    parts = [first, f'{metadata},"state":{state[0]}', *state[1:]]
    parts[-1] += "}"
    return seccomp.listener_path, parts


def creating(version: str, container_id: str, bundle: str, annotations: dict[str, str]) -> tuple[str, str]:
    """The state of a container whose first process is on its way, before and after the id."""
    before = {"ociVersion": version, "id": container_id, "status": "creating"}
    after = {"bundle": bundle, **({"annotations": dict(annotations)} if annotations else {})}
    return json_text.dumps(before).removesuffix("}") + ',"pid":', "," + json_text.dumps(after).removeprefix("{")


def running(version: str, container_id: str, pid: int, annotations: dict[str, str]) -> tuple[str]:
    """The state of a container without a bundle, whose first process is `pid`."""
    content = {"ociVersion": version, "id": container_id, "status": "running", "pid": pid, "bundle": ""}
    return (json_text.dumps({**content, **({"annotations": dict(annotations)} if annotations else {})}),)
