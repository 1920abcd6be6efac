"""AppArmor: having the kernel know the default profile, and choosing the profile of a container.

Source: apparmor_parser(8), apparmor(7); moby daemon/apparmor_default.go, container_linux.go (saveAppArmorConfig).
"""

from __future__ import annotations

import asyncio

from firkin.errors import Unavailable
from firkin.model import HostConfig
from firkin.runtime.apparmor_profile import NAME, TEXT
from firkin.runtime.machine import Machine
from firkin.runtime.spec_security import security_options

_DOCKERS_NAME = "docker-default"  # of the default profile: who asks for that means ours
UNCONFINED = "unconfined"
_PATIENCE = 20.0  # seconds; it takes a tenth of one


async def load() -> str:
    """Load (or replace) the default profile; returns its name. Raises `Unavailable` saying why it cannot be."""
    what = f"load AppArmor profile {NAME}"
    try:
        parser = await asyncio.create_subprocess_exec(
            *("apparmor_parser", "--replace", "--skip-cache"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
    except OSError as error:
        hint = " (apt-get install apparmor)" if isinstance(error, FileNotFoundError) else ""
        raise Unavailable(f"{what}: run apparmor_parser: {error.strerror}{hint}") from None
    try:
        _, said = await asyncio.wait_for(parser.communicate(TEXT.encode()), _PATIENCE)
    except TimeoutError:
        parser.kill()
        raise Unavailable(f"{what}: apparmor_parser does not end") from None
    if parser.returncode:
        raise Unavailable(f"{what}: apparmor_parser: {said.decode(errors='replace').strip()}")
    return NAME


def profile_of(host: HostConfig, machine: Machine) -> str:
    """The profile for a container's processes; "" where the kernel has no AppArmor, or our default could not be loaded.
    `--privileged` is unconfined unless a profile is asked for."""
    if not machine.apparmor:
        return ""
    wanted = security_options(host.security_opt).apparmor
    if wanted in ("", _DOCKERS_NAME):
        return UNCONFINED if host.privileged and not wanted else machine.apparmor_profile
    return wanted
