"""Who owns files in user namespaces: layers, volumes, bind mounts, copies, privileges that files give."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.e2e.conftest import IMAGE
from tests.e2e.userns.rig import CAP_NET_RAW, MAP, inspect, run
from tests.lab import Engine, Lab, wait_until

UNCONFINED = ("--security-opt", "seccomp=unconfined", "--security-opt", "apparmor=unconfined")  # may mount
MANY = Path(__file__).parent.parent / "many_layers.py"


def test_owners_on_the_disk_are_those_inside(engine: Engine) -> None:
    """In the writable layer and in volumes, so that no other container, and no other range, sees anything else."""
    script = "touch /f /v/f; chown 5:6 /f /v/f; chmod u+s /f; chown 9 /etc/passwd; rm /bin/cat; rmdir /home; mkdir /home"
    engine.firkin("run", "--name", "writer", "--userns", "auto", "-v", "files:/v", IMAGE, "sh", "-c", script)
    for path in (
        engine.dir / "data/snapshots" / inspect(engine, "writer")["Id"] / "upper/f",
        engine.dir / "data/volumes/files/_data/f",
    ):
        assert (path.stat().st_uid, path.stat().st_gid) == (5, 6)
    changes = sorted(engine.firkin("diff", "writer").stdout.splitlines())
    assert changes == ["A /f", "A /v", "C /bin", "C /etc", "C /etc/passwd", "C /home", "D /bin/cat"]
    engine.firkin("commit", "writer", "written")
    look = "stat -c '%n %u %g %a' /f /v/f /etc/passwd; which cat"
    expected = "/f 5 6 4644\n/v/f 5 6 644\n/etc/passwd 9 0 644\n"
    for mode in ("host", "auto", MAP):
        assert run(engine, "-v", "files:/v", "written", "sh", "-c", look + " || true", userns=mode) == expected, mode
    tar = engine.firkin("export", "writer", text=False).stdout
    listing = subprocess.run(["tar", "-tvf", "-", "--numeric-owner", "./f", "f"], input=tar, capture_output=True, check=False)
    assert b"-rwSr--r-- 5/6" in listing.stdout or b"5/6" in listing.stdout
    engine.firkin("rm", "writer")


def test_a_bind_mount_is_as_it_is_or_mapped(engine: Engine, lab: Lab) -> None:
    source = lab.dir / "bound"
    source.mkdir()
    source.chmod(0o700)  # closed to the mapped root: the engine opens it
    (source / "f").touch()
    os.chown(source / "f", 7, 8)
    script = "stat -c %u:%g /plain /mapped /mapped/f /mount/f /own; touch /mapped/new; chown 3:4 /mapped/new"
    own = "idmap=uids=7-200001-1;gids=8-200002-1"
    out = run(
        engine, "-v", f"{source}:/plain", "-v", f"{source}:/mapped:idmap", "--mount", f"type=bind,src={source},dst=/mount,idmap",
        "-v", f"{source}/f:/own:{own}", IMAGE, "sh", "-c", script, userns=MAP,
    )  # fmt: skip
    assert out.split() == ["65534:65534", "0:0", "7:8", "7:8", "1:2"]
    new = (source / "new").stat()
    assert (new.st_uid, new.st_gid) == (3, 4)
    # A map of one's own does without a user namespace.
    own = "idmap=uids=7-0-1;gids=8-9-1"
    assert run(engine, "-v", f"{source}/f:/own:{own}", IMAGE, "stat", "-c", "%u:%g", "/own", userns="host") == "0:9\n"


def test_read_only_binds_stay_so(engine: Engine, lab: Lab) -> None:
    source = lab.dir / "sealed"
    source.mkdir()
    flags = ["-v", f"{source}:/ro:ro,idmap", "-v", f"{source}:/shared:shared"]
    script = "touch /ro/x; mount -t tmpfs inside /shared && touch /shared/inside && echo mounted"
    done = engine.firkin("run", "--rm", "--userns=auto", "--cap-add", "SYS_ADMIN", *UNCONFINED, *flags,
                         IMAGE, "sh", "-c", script)  # fmt: skip
    assert "Read-only" in done.stderr and done.stdout == "mounted\n"
    assert list(source.iterdir()) == []  # nothing mounted inside shows on the host


def test_copying_in_and_out(engine: Engine, lab: Lab) -> None:
    file = lab.dir / "copied"
    file.write_text("content")
    os.chown(file, 12, 13)
    engine.firkin("run", "-d", "--name", "copies", "--userns", "auto", IMAGE, "sleep", "1000")
    for client in (engine.docker, engine.firkin):
        client("cp", "-a", str(file), "copies:/in")
        assert engine.firkin("exec", "copies", "stat", "-c", "%u:%g", "/in").stdout == "12:13\n"
        client("cp", "-a", "copies:/in", str(lab.dir / "out"))
        assert (lab.dir / "out").read_text() == "content"
        engine.firkin("exec", "copies", "rm", "/in")
    engine.firkin("kill", "copies")
    engine.firkin("cp", "-a", str(file), "copies:/in")  # the same to one that does not run
    engine.firkin("start", "copies")
    assert engine.firkin("exec", "copies", "stat", "-c", "%u:%g", "/in").stdout == "12:13\n"
    engine.firkin("rm", "-f", "copies")


def test_a_hundred_and_twenty_five_layers(engine: Engine, tmp_path: Path) -> None:
    subprocess.run([sys.executable, str(MANY), str(tmp_path / "deep.tar"), "125"], check=True)
    engine.firkin("load", "-i", str(tmp_path / "deep.tar"))
    assert run(
        engine, "deep", "sh", "-c", "ls /layers | wc -l; cat /layers/1 /layers/125; touch /layers/x; stat -c %u /layers/x"
    ) == ("125\n11250\n")


GIVE = """
import os, struct, sys
from firkin.linux import process
kinds = process.CLONE_NEWUSER | process.CLONE_NEWNS
process.setns(os.pidfd_open(int(sys.argv[1])), kinds)
os.setresgid(0, 0, 0)
os.setresuid(0, 0, 0)
os.setxattr("/bin/busybox-given", "security.capability", struct.pack("<5I", 0x02000001, 1 << 13, 0, 0, 0))
try:
    os.setxattr("/bin/busybox-given", "trusted.overlay.opaque", b"y")
except PermissionError:
    print("refused")
"""


def test_privileges_given_inside_count_in_every_container(engine: Engine) -> None:
    """A capability that the container's root has put on a file (setcap(8)); what only the machine's root may put, it cannot."""
    engine.firkin(
        "run", "-d", "--name", "giver", "--userns", "auto", IMAGE, "sh", "-c", "cp /bin/busybox /bin/busybox-given; sleep 1000"
    )
    wait_until(lambda: engine.firkin("exec", "giver", "cmp", "/bin/busybox", "/bin/busybox-given", check=False).returncode == 0)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    argv = [sys.executable, "-c", GIVE, str(inspect(engine, "giver")["State"]["Pid"])]
    assert subprocess.run(argv, capture_output=True, text=True, check=True, env=environment).stdout == "refused\n"
    engine.firkin("commit", "giver", "given")
    for mode in ("host", "auto", MAP):
        held = run(
            engine, "-u", "nobody", "given", "/bin/busybox-given", "grep", "CapEff", "/proc/self/status", userns=mode
        ).split()[1]
        assert int(held, 16) == 1 << CAP_NET_RAW, mode
