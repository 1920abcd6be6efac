"""An engine for tests of user namespaces, with an image in which programs have privileges, and ways to ask about ids."""

from __future__ import annotations

import json
import os
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.e2e.conftest import IMAGE
from tests.lab import Engine, Lab, busybox_tar

PARENT = f"/firkin-userns-{os.getpid()}"
MAP = "0:200000:65536"
CAP_NET_RAW = 13


@contextmanager
def users_engine(lab: Lab) -> Iterator[Engine]:
    engine = Engine(lab, "users", "--cgroup-parent", PARENT).start()
    root = busybox_tar(lab.dir).with_name("rootfs")
    _add_programs(root)
    archive = lab.dir / "users.tar"
    subprocess.run(["tar", "--xattrs", "--xattrs-include=*", "-C", str(root), "-cf", str(archive), "."], check=True)
    engine.firkin("import", str(archive), IMAGE)
    yield engine
    engine.stop()


def _add_programs(root: Path) -> None:
    """Ones that have privileges by their files: `cat` that is setuid and of group 10, and a busybox with a capability."""
    libraries = subprocess.check_output(["/bin/cat"], env={"LD_TRACE_LOADED_OBJECTS": "1"}, text=True).split()  # ld.so(8)
    for path in ("/bin/cat", *(word for word in libraries if word.startswith("/"))):
        target = root / path.lstrip("/") if path != "/bin/cat" else root / "bin/setuid-cat"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(Path(path).read_bytes())
        target.chmod(0o755)
    os.chown(root / "bin/setuid-cat", 7, 10)
    (root / "bin/setuid-cat").chmod(0o6755)
    capable = root / "bin/busybox-capable"
    capable.write_bytes(Path("/bin/busybox").read_bytes())
    capable.chmod(0o755)
    version_2, effective = 0x02000000, 1
    os.setxattr(capable, "security.capability", struct.pack("<5I", version_2 | effective, 1 << CAP_NET_RAW, 0, 0, 0))


def run(engine: Engine, *argv: str, userns: str = "auto", **options: Any) -> str:
    out: str = engine.firkin("run", "--rm", f"--userns={userns}", *argv, **options).stdout
    return out


def refused(engine: Engine, *argv: str) -> str:
    done = engine.firkin("run", "--rm", *argv, check=False)
    assert done.returncode == 125, done.stdout
    complaint: str = done.stderr
    return complaint


def inspect(engine: Engine, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(engine.firkin("inspect", name).stdout)[0]
    return found


def outside(engine: Engine, name: str) -> range:
    """The machine's user ids of a container, as the kernel has them."""
    inside, first, count = Path(f"/proc/{inspect(engine, name)['State']['Pid']}/uid_map").read_text().split()
    assert inside == "0"
    return range(int(first), int(first) + int(count))


def remove_all(engine: Engine) -> None:
    """No test finds containers of another."""
    if left := engine.firkin("ps", "-aq").stdout.split():
        engine.firkin("rm", "-fv", *left)
