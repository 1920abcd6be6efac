"""Inside a user namespace, where podman calls a runtime when it has no root: devices are shown, groups are not made."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.ocirt.conftest import Bundle, Runtime

NODES = ("null", "zero", "full", "random", "urandom", "tty")


class Inside(Runtime):
    """Called by root of a user namespace, who outside of it is the machine's root."""

    def argv(self, *words: str) -> list[str]:
        return ["unshare", "--user", "--map-root-user", "--mount", *super().argv(*words)]


@pytest.fixture
def inside(runtime: Runtime) -> Inside:
    return Inside(runtime.program, runtime.root)


def test_devices_are_the_hosts(inside: Inside, bundle: Bundle) -> None:
    """Nodes made there would open nothing, if they could be made."""
    terminals = next(one for one in bundle.config["mounts"] if one["type"] == "devpts")
    terminals["options"].remove("gid=5")  # there is no such group
    names = [name for name in NODES if Path(f"/dev/{name}").exists()]
    done = inside.run(bundle.sh(f"cd /dev; for one in {' '.join(names)}; do stat -c '%n %t:%T' $one; done; echo x > null"))
    numbers = [os.stat(f"/dev/{name}").st_rdev for name in names]
    assert done.stdout.splitlines() == [
        f"{name} {os.major(number):x}:{os.minor(number):x}" for name, number in zip(names, numbers, strict=True)
    ]
