"""User namespaces on a real kernel: layers that are mapped, older kernels' way too, and OCI configurations beside crun."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.lab import FIRKIN, SLOWNESS
from tests.runtime.box import APPLETS

FIRST = 100000
FIRKIN_OCI = FIRKIN + "-oci"

# One overlay made the way of each kernel, in a mount namespace of the test's own. Prints what is seen in it, and what it
# leaves mounted.
OVERLAY = """
import atexit, errno, json, os, signal, sys
from firkin.linux import mount, overlay, overlay_idmapped, process, userns
base, way = sys.argv[1:]
process.unshare(process.CLONE_NEWNS)
mount.mount(None, "/", None, mount.MS_PRIVATE | mount.MS_REC)
child, _ = process.clone3(process.CLONE_NEWUSER | process.CLONE_NEWNS)
if child == 0:
    signal.pause()
    os._exit(0)
atexit.register(os.kill, child, 9)
userns.write_maps(child, "0 100000 65536\\n", "0 200000 65536\\n")
real, calls = overlay.make, []
def refusing(*arguments):
    calls.append(1)
    if way == "mount(2)" or (way == "attached" and len(calls) == 1):
        raise OSError(errno.EINVAL, "", "as an old kernel")
    return real(*arguments)
overlay.make = refusing
before = open("/proc/self/mountinfo").read(), open(f"/proc/{child}/mountinfo").read(), len(os.listdir("/proc/self/fd"))
layers = overlay_idmapped.Layers([base + "/layers/b/diff", base + "/layers/a/diff"], base + "/snap/upper", base + "/snap/work")
users = userns.of_process(child)
root = overlay_idmapped.detached(layers, users, (100000, 200000), [], child)
os.close(users)
def owner(name):
    found = os.stat(name, dir_fd=root)
    return [found.st_uid, found.st_gid]
seen = {name: owner(name) for name in (".", "f", "g")}
userns.act_as(100000, 200000)
os.close(os.open("new", os.O_CREAT | os.O_WRONLY, dir_fd=root))
os.chmod("f", 0o600, dir_fd=root)  # copied up
userns.act_as(0, 0)
os.close(root)
after = open("/proc/self/mountinfo").read(), open(f"/proc/{child}/mountinfo").read(), len(os.listdir("/proc/self/fd"))
print(json.dumps({"seen": seen, "clean": before == after, "cwd": os.getcwd()}))
"""


@pytest.fixture
def layers(tmp_path: Path) -> Path:
    for name in ("layers/a/diff", "layers/b/diff", "snap/upper", "snap/work", "staging"):
        (tmp_path / name).mkdir(parents=True)
    for name, owner in (("layers/a/diff/f", 5), ("layers/b/diff/g", 0)):
        (tmp_path / name).touch()
        os.chown(tmp_path / name, owner, owner + 1)
    return tmp_path


@pytest.mark.parametrize("way", ["detached", "attached", "mount(2)"])
def test_layers_are_mapped_on_every_kernel(layers: Path, way: str) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", OVERLAY, str(layers), way], capture_output=True, text=True, env=environment, cwd="/usr",
                          check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found == {
        "seen": {".": [FIRST, 200000], "f": [FIRST + 5, 200006], "g": [FIRST, 200001]},
        "clean": True,
        "cwd": "/usr",
    }
    new, copied = (layers / "snap/upper/new").stat(), (layers / "snap/upper/f").stat()
    assert (new.st_uid, new.st_gid) == (0, 0)  # as it would be without any mapping
    assert (copied.st_uid, copied.st_gid, copied.st_mode & 0o777) == (5, 6, 0o600)


def test_a_layer_that_is_covered_is_noticed(layers: Path) -> None:
    """A mount over a layer is not in the copy of what lies below it: no other layer is used instead."""
    script = OVERLAY.replace("\nbefore =", "\nmount.mount('none', base + '/layers/b/diff', 'tmpfs', 0)\nbefore =")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", script, str(layers), "detached"], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 1 and "Invalid cross-device link" in done.stderr


# --- OCI configurations --------------------------------------------------------------------------------------------
SCRIPT = """
id; cat /proc/self/uid_map /proc/self/gid_map; stat -c '%n %u:%g' / /dev /mapped /mapped/f /own/f /plain/f; touch /mapped/new
hostname; ls /dev; cut -d' ' -f2 /proc/mounts | grep -v ^/dev/ | sort; cat /proc/self/oom_score_adj; ulimit -n
stat -c %t:%T /dev/null /dev/zero; echo x > /dev/null && ping -c1 -W1 127.0.0.1 | tail -1 | cut -c1-5; ls -d /proc/1
"""


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """Its root belongs to the mapped root, as such a configuration's owner sees to."""
    for directory in (tmp_path, *list(tmp_path.parents)[:-2]):
        directory.chmod(directory.stat().st_mode | 0o011)
    rootfs, source = tmp_path / "rootfs", tmp_path / "source"
    for name in ("bin", "proc", "sys", "dev", "etc", "mapped", "own", "plain"):
        (rootfs / name).mkdir(parents=True)
    shutil.copy("/bin/busybox", rootfs / "bin/busybox")
    for applet in (*APPLETS.split(), "sort", "tail", "cut"):
        if not (rootfs / "bin" / applet).is_symlink():
            (rootfs / "bin" / applet).symlink_to("busybox")
    for path in (rootfs, *rootfs.rglob("*")):
        os.chown(path, FIRST, FIRST, follow_symlinks=False)
    source.mkdir()
    (source / "f").touch()
    os.chown(source / "f", 5, 6)
    return tmp_path


def config(bundle: Path, script: str = SCRIPT, **linux: Any) -> dict[str, Any]:
    def mapping(inside: int, outside: int, count: int) -> list[dict[str, int]]:
        return [{"containerID": inside, "hostID": outside, "size": count}]

    whole, source = mapping(0, FIRST, 65536), str(bundle / "source")
    capabilities = ["CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_NET_RAW"]
    return {
        "ociVersion": "1.0.2",
        "root": {"path": "rootfs"},
        "hostname": "box",
        "process": {
            "args": ["/bin/sh", "-c", script], "env": ["PATH=/bin"], "cwd": "/", "user": {"uid": 0, "gid": 0}, "oomScoreAdj": 10,
            "capabilities": dict.fromkeys(("bounding", "permitted", "effective"), capabilities),
            "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 300, "hard": 400}],
        },
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]},
            {"destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": ["newinstance", "ptmxmode=0666", "gid=5"]},
            {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["ro"]},
            {"destination": "/mapped", "type": "bind", "source": source, "options": ["rbind", "idmap"],
             "uidMappings": whole, "gidMappings": whole},
            {"destination": "/own", "type": "bind", "source": source, "options": ["rbind", "idmap"],
             "uidMappings": mapping(5, FIRST + 1, 1), "gidMappings": mapping(6, FIRST + 2, 1)},
            {"destination": "/plain", "type": "bind", "source": source, "options": ["rbind"]},
        ],
        "linux": {
            "uidMappings": whole, "gidMappings": whole,
            "namespaces": [{"type": kind} for kind in ("user", "mount", "pid", "ipc", "uts", "network")], **linux,
        },
    }  # fmt: skip


def run(runtime: str, bundle: Path, wanted: dict[str, Any], name: str = "") -> subprocess.CompletedProcess[str]:
    """Not with the null device as a stream: crun gives that to the container's root, the host's as it is."""
    (bundle / "config.json").write_text(json.dumps(wanted))
    (bundle / "source/new").unlink(missing_ok=True)
    name = name or f"users-{os.getpid()}-{Path(runtime).name}"
    command = (
        f"umount /sys/fs/cgroup/unified 2>/dev/null; exec {runtime} --root {bundle}/state-{Path(runtime).name} run -b . {name}"
    )
    argv = ["unshare", "-m", "--propagation", "private", "sh", "-c", command]
    return subprocess.run(argv, capture_output=True, text=True, input="", cwd=bundle, timeout=60 * SLOWNESS, check=False)


def test_a_process_finds_what_crun_would_have_given_it(bundle: Path) -> None:
    ours = run(FIRKIN_OCI, bundle, config(bundle))
    assert ours.returncode == 0, ours.stderr
    new = (bundle / "source/new").stat()
    assert (new.st_uid, new.st_gid) == (0, 0)
    assert [line for line in ours.stdout.splitlines() if "/f " in line] == [
        "/mapped/f 5:6",
        "/own/f 1:2",
        "/plain/f 65534:65534",
    ]
    if not shutil.which("crun"):
        pytest.skip("no crun on this machine to compare with")
    theirs = run("crun", bundle, config(bundle))
    if theirs.returncode and "idmap" in theirs.stderr:
        pytest.skip(f"this crun cannot: {theirs.stderr}")
    assert ours.stdout == theirs.stdout


def test_the_containers_own_map_is_the_default_for_mounts(bundle: Path) -> None:
    wanted = config(bundle, "stat -c %u:%g /mapped/f")
    for mount in wanted["mounts"]:
        mount.pop("uidMappings", None)
        mount.pop("gidMappings", None)
    assert run(FIRKIN_OCI, bundle, wanted).stdout == "5:6\n"


def test_joining_a_user_namespace(bundle: Path) -> None:
    """By path, with namespaces of its own that then belong to it: it may mount proc and name the host."""
    holder = subprocess.Popen(["unshare", "--user", "--net", "sh", "-c", "echo; exec sleep 60"], stdout=subprocess.PIPE)
    try:
        assert holder.stdout and holder.stdout.readline()
        for name in ("gid_map", "uid_map"):
            Path(f"/proc/{holder.pid}/{name}").write_text(f"0 {FIRST} 65536\n")
        joined = [
            {"type": kind, "path": f"/proc/{holder.pid}/ns/{path}"} for kind, path in (("user", "user"), ("network", "net"))
        ]
        fresh = [{"type": kind} for kind in ("mount", "pid", "ipc", "uts")]
        script = "readlink /proc/self/ns/user; readlink /proc/self/ns/net; echo $$; hostname; stat -c %u /; touch /mapped/x; stat -c %u /mapped/x"
        found = run(FIRKIN_OCI, bundle, config(bundle, script, namespaces=[*joined, *fresh], uidMappings=[], gidMappings=[]))
        assert found.returncode == 0, found.stderr
        expected = [os.readlink(f"/proc/{holder.pid}/ns/{kind}") for kind in ("user", "net")]
        assert found.stdout.split() == [*expected, "1", "box", "0", "0"]
    finally:
        holder.kill()
        holder.wait()


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda c: c["mounts"][4].pop("options"), "idmap"),
        (lambda c: c["mounts"][4].pop("gidMappings"), "gidMappings"),
        (lambda c: c["mounts"][1].update(options=["idmap"]), "idmap"),
        (lambda c: c["mounts"][4].update(source="/proc"), "idmapped mount of /proc"),
    ],
)
def test_a_mapping_that_cannot_be_is_refused(bundle: Path, change: Any, complaint: str) -> None:
    wanted = config(bundle, "true")
    change(wanted)
    found = run(FIRKIN_OCI, bundle, wanted)
    assert found.returncode != 0 and complaint in found.stderr
    assert not list((bundle / "state-firkin-oci").glob("users-*"))
