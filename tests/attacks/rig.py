"""What attacks are made with: containers that run a shell or Python, and the marks by which a break-out is known."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.lab import Engine
from tests.runtime.box import Box

IMAGE = "busybox:test"
SECRET = "the host's own secret 5736"

# The host's Python, to make system calls with: nothing of it can be changed from inside.
_SYSTEM = [path for path in ("/usr", "/lib", "/lib64") if os.path.isdir(path)]
PYTHON = [f"-v{path}:{path}:ro" for path in _SYSTEM]
PYTHON3 = os.path.realpath(shutil.which("python3", path="/usr/bin") or "/usr/bin/python3")

# For code that makes calls by number: `call(number, arguments...)` is 0 or an errno's name, in a child of its own.
CALL = """
import ctypes, errno, os
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *arguments):
    pid = os.fork()
    if pid == 0:
        ctypes.set_errno(0)
        words = [ctypes.c_long(word) for word in (*arguments, *[0] * (6 - len(arguments)))]
        os._exit(ctypes.get_errno() if libc.syscall(ctypes.c_long(number), *words) == -1 else 0)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return errno.errorcode.get(code, code)
"""


class Rig:
    """An engine under attack. `secret`: a file of the host's that holds `SECRET`."""

    def __init__(self, engine: Engine, secret: Path) -> None:
        self.engine, self.secret = engine, secret
        self.dir = secret.parent

    def run(self, *words: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """`firkin run --rm`; fails only if told to `check`."""
        return self.engine.firkin("run", "--rm", *words, **{"check": False, **options})

    def shell(self, script: str, *flags: str, image: str = IMAGE) -> str:
        """What a shell says, on both streams."""
        done = self.run(*flags, image, "sh", "-c", f"exec 2>&1\n{script}")
        assert done.returncode in (0, 1), done.stderr
        return done.stdout

    def python(self, code: str, *flags: str) -> Any:
        """What Python says, read as JSON."""
        done = self.run(*flags, *PYTHON, IMAGE, PYTHON3, "-IS", "-c", code)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    @contextlib.contextmanager
    def held(self, *words: str) -> Iterator[str]:
        """A container in the background, by its id; removed at the end, whatever happens."""
        name = self.engine.firkin("run", "-d", *words).stdout.strip()
        try:
            yield name
        finally:
            self.engine.firkin("rm", "-f", name)

    def pid(self, container: str) -> int:
        status, found = self.engine.api().call("GET", f"/containers/{container}/json")
        assert status == 200
        return int(found["State"]["Pid"])

    def logs(self, container: str) -> str:
        return self.engine.firkin("logs", container).stdout

    def alive(self) -> bool:
        """The engine answers and starts containers, as if nothing had happened."""
        return self.shell("echo alive") == "alive\n"


def with_python(box: Box) -> list[tuple[Any, ...]]:
    """Steps that give a `box` the host's Python."""
    return [("bind", path, path, True, 1, 0, 0, "auto") for path in _SYSTEM]


def image(rig: Rig, name: str, links: dict[str, str], *, texts: dict[str, str] | None = None) -> str:
    """An image of busybox, in which these paths are symbolic links, and these files."""
    archive = rig.dir / (name.replace(":", "-") + ".tar")
    with tarfile.open(archive, "w") as tar:
        tar.add("/bin/busybox", "bin/busybox")
        for applet in ("sh", "cat", "echo", "grep", "id", "ls", "stat", "sleep", "true", "wc", "tty", "readlink", "cut"):
            add_link(tar, f"bin/{applet}", "busybox")
        for path, target in links.items():
            add_link(tar, path, target)
        for path, text in (texts or {}).items():
            member = tarfile.TarInfo(path)
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text.encode()))
    rig.engine.firkin("import", str(archive), name)
    return name


def add_link(tar: tarfile.TarFile, path: str, target: str) -> None:
    member = tarfile.TarInfo(path)
    member.type, member.linkname = tarfile.SYMTYPE, target
    tar.addfile(member)


@contextlib.contextmanager
def swapping(one: Path, other: Path) -> Iterator[None]:
    """Two names exchanged, over and over, as fast as can be (renameat2(2), RENAME_EXCHANGE). Both exist at any time."""
    code = (
        "import ctypes, sys\nlibc = ctypes.CDLL(None)\none, other = map(str.encode, sys.argv[1:])\n"
        "print('ready', flush=True)\nwhile True: libc.renameat2(-100, one, -100, other, 2)"
    )
    swapper = subprocess.Popen([PYTHON3, "-IS", "-c", code, str(one), str(other)], stdout=subprocess.PIPE)
    try:
        assert swapper.stdout and swapper.stdout.readline() == b"ready\n"
        yield
    finally:
        swapper.kill()
        swapper.wait()
