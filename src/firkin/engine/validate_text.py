"""Text that cannot reach the kernel: to it, a null byte is the end. Clients cannot type one, but JSON can hold it, and so
can an image's configuration. What comes after it would be checked here and lost there, so it is refused by name.
"""

from __future__ import annotations

from collections.abc import Iterable

from firkin.errors import Invalid
from firkin.model import ContainerConfig, ExecRequest, HostConfig


def check_text(config: ContainerConfig, host: HostConfig) -> None:
    """Raises `Invalid` naming the field."""
    refuse_null_bytes("Cmd", config.cmd or ())
    refuse_null_bytes("Entrypoint", config.entrypoint or ())
    refuse_null_bytes("Env", config.env)
    refuse_null_bytes("Volumes", config.volumes)
    refuse_null_bytes("Binds", host.binds)
    refuse_null_bytes("Tmpfs", (*host.tmpfs, *host.tmpfs.values()))
    refuse_null_bytes("Mounts", (text for mount in host.mounts for text in (mount.target, mount.source)))
    refuse_null_bytes("Sysctls", (*host.sysctls, *host.sysctls.values()))
    refuse_null_bytes("GroupAdd", host.group_add)
    refuse_null_bytes("Devices", (text for one in host.resources.devices for text in (one.path_on_host, one.path_in_container)))
    for field, text in (
        ("CgroupParent", host.resources.cgroup_parent),
        ("WorkingDir", config.working_dir),
        ("User", config.user),
        ("Hostname", config.hostname),
        ("Domainname", config.domainname),
    ):
        refuse_null_bytes(field, [text])


def check_exec_text(request: ExecRequest) -> None:
    refuse_null_bytes("Cmd", request.cmd)
    refuse_null_bytes("Env", request.env)
    refuse_null_bytes("WorkingDir", [request.working_dir])
    refuse_null_bytes("User", [request.user])


def refuse_null_bytes(field: str, texts: Iterable[str]) -> None:
    if any("\0" in text for text in texts):
        raise Invalid(f"invalid {field}: it holds a null byte")
