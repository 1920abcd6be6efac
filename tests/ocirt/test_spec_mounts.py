"""Mounts, devices and propagation as a configuration asks for them: what the mount table inside says, beside runc's.

What Debian's runc (1.1) does not know (recursive attributes on top of others, remounts) is read from the kernel alone.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from firkin.runtime import mount_options
from tests.ocirt.conftest import FIRKIN_OCI, Bundle, Runtime

SHOW = "while read id parent dev from to options rest; do case $to in /m*) echo $to $options ${rest##* - };; esac; done < /proc/self/mountinfo"


@pytest.fixture(autouse=True)
def own_cgroup(bundle: Bundle) -> None:
    """Whoever else runs a container called "box" on this machine has another."""
    bundle.config["linux"]["cgroupsPath"] = f"/firkin-spec-{os.getpid()}"


def mounted(runtime: Runtime, bundle: Bundle, *mounts: dict[str, Any], script: str = "true") -> list[str]:
    kept = bundle.config["mounts"]
    bundle.config["mounts"] = [*kept, *mounts]
    done = runtime.run(bundle.sh(f"{SHOW}; {script}"))
    bundle.config["mounts"] = kept
    return done.stdout.splitlines()


def refused(runtime: Runtime, bundle: Bundle, *mounts: dict[str, Any]) -> str:
    kept = bundle.config["mounts"]
    bundle.config["mounts"] = [*kept, *mounts]
    done = runtime.run(bundle.sh("true"), check=1)
    bundle.config["mounts"] = kept
    assert runtime.ids() == []
    return done.stderr


def tmpfs(*options: str, to: str = "/m") -> dict[str, Any]:
    return {"destination": to, "type": "tmpfs", "source": "tmpfs", "options": list(options)}


def bind(source: Path, *options: str, to: str = "/m") -> dict[str, Any]:
    return {"destination": to, "type": "none", "source": str(source), "options": list(options)}


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    volume = tmp_path / "volume"
    (volume / "sub").mkdir(parents=True)
    return volume


@pytest.fixture
def nested(volume: Path) -> Iterator[Path]:
    """A directory with another file system below it. Its mount is the test's, and taken down again."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "nosuid", "below", volume / "sub"], check=True)
    yield volume
    subprocess.run(["umount", volume / "sub"], check=True)


# --- every word of the table ---------------------------------------------------------------------------------------
PLAIN = """
    async atime defaults dev diratime dirsync exec lazytime loud noatime nodev nodiratime noexec nolazytime norelatime
    nostrictatime nosuid relatime ro rw silent strictatime suid sync nosymfollow iversion noiversion mand nomand
"""
RECURSIVE = """
    rro rrw rnosuid rsuid rnodev rdev rnoexec rexec rnodiratime rdiratime rrelatime rnorelatime rnoatime ratime
    rstrictatime rnostrictatime rnosymfollow rsymfollow
"""


def test_every_word_of_the_specification_is_known() -> None:
    """config.md, "Linux mount options"; what is not known would be handed to the file system."""
    others = "bind rbind private rprivate shared rshared slave rslave unbindable runbindable remount tmpcopyup symfollow idmap ridmap"
    words = (*PLAIN.split(), *RECURSIVE.split(), *others.split())
    assert len(words) == 62 and set(words) == set(mount_options.WORDS)
    for word in words:
        assert mount_options.parse((word,)).data == ()


@pytest.mark.parametrize("word", PLAIN.split())
def test_a_word_means_what_runc_makes_of_it(oci: Runtime, runc: Runtime, bundle: Bundle, volume: Path, word: str) -> None:
    mounts = [tmpfs(word, "size=64k"), bind(volume, "bind", word, to="/mbound")]
    if word in ("defaults", "iversion", "mand", "nosymfollow"):  # runc 1.1 passes them to file systems that refuse them
        mounted(oci, bundle, *mounts)
        return
    ours, theirs = ([line.replace(",mode=755", "") for line in mounted(one, bundle, *mounts)] for one in (oci, runc))
    # A read-only file system: runc's option is of the super block too. Here it is the mount's, which nobody inside can lift.
    assert ours == [line.replace("tmpfs tmpfs ro", "tmpfs tmpfs rw") for line in theirs]


@pytest.mark.parametrize("word", RECURSIVE.split())
def test_a_recursive_word_reaches_the_mounts_below(oci: Runtime, bundle: Bundle, nested: Path, word: str) -> None:
    top, below = (line.split()[1].split(",") for line in mounted(oci, bundle, bind(nested, "rbind", word)))
    flag, _, _ = word[1:].partition(" ")
    expected = {"ro", "nosuid", "nodev", "noexec", "nodiratime", "noatime", "nosymfollow"} & {flag}
    for options in (top, below):
        assert expected <= set(options)
        assert {"suid": "nosuid", "rw": "ro", "dev": "nodev", "exec": "noexec"}.get(flag) not in options
    if word == "rstrictatime":
        assert "relatime" not in top + below


def test_words_for_the_top_and_words_for_all(oci: Runtime, bundle: Bundle, nested: Path) -> None:
    found = mounted(oci, bundle, bind(nested, "rbind", "ro", "noexec", "rnodev", "rsuid", "rexec"))
    top, below = (set(line.split()[1].split(",")) for line in found)
    assert {"ro", "nodev"} <= top and {"rw", "nodev"} <= below
    assert not {"nosuid", "noexec"} & (top | below)  # where both speak, the one for all does so last, as in runc


@pytest.mark.parametrize(
    ("word", "tag"),
    [
        ("shared", "shared:"),
        ("slave", ""),
        ("private", ""),
        ("unbindable", "unbindable"),
        ("rshared", "shared:"),
        ("rslave", ""),
    ],
)
def test_propagation_of_any_mount(oci: Runtime, bundle: Bundle, volume: Path, word: str, tag: str) -> None:
    show = "grep -o ' /m[a-z]* .* - ' /proc/self/mountinfo"
    bundle.config["mounts"] += [tmpfs(word, to="/mtmpfs"), bind(volume, "bind", word, to="/mbound")]
    found = oci.run(bundle.sh(show)).stdout.splitlines()
    assert len(found) == 2
    for line in found:
        assert line.split()[2].startswith(tag) if tag else line.split()[2] == "-", line


def test_a_remount_changes_what_is_there(oci: Runtime, bundle: Bundle) -> None:
    again = {"destination": "/m", "type": "none", "source": "none", "options": ["remount", "nosuid", "size=128k"]}
    found = mounted(
        oci, bundle, tmpfs("size=64k", "ro"), again, script="echo x > /m/x && df -k /m | tail -1 | awk '{print $2}'"
    )
    assert found[0].split()[1].startswith("rw,nosuid") and found[1] == "128"


def test_a_remount_of_a_bind(oci: Runtime, runc: Runtime, bundle: Bundle, volume: Path) -> None:
    again = {"destination": "/m", "type": "none", "source": str(volume), "options": ["bind", "remount", "ro", "nodev"]}
    found = mounted(oci, bundle, bind(volume, "bind"), again)
    assert len(found) == 1 and {"ro", "nodev"} <= set(found[0].split()[1].split(","))


def test_a_tmpfs_begins_with_what_it_hides(oci: Runtime, runc: Runtime, bundle: Bundle, rootfs: Path) -> None:
    hidden = rootfs / "m"
    shutil.rmtree(hidden, ignore_errors=True)
    (hidden / "deep/er").mkdir(parents=True)
    (hidden / "deep/file").write_text("x" * 5000)
    os.chown(hidden / "deep/file", 7, 8)
    (hidden / "deep/file").chmod(0o4751)
    os.utime(hidden / "deep/file", (1000, 2000))
    (hidden / "link").symlink_to("/etc/passwd")
    os.mkfifo(hidden / "deep/er/fifo", 0o600)
    hidden.chmod(0o1750)
    look = "find /m -exec stat -c '%N %F %a %u %g' {} \\; | sort; stat -c '%Y %s' /m/deep/file"
    ours = mounted(oci, bundle, tmpfs("tmpcopyup", "ro"), script=look)
    assert ours[0].startswith("/m ro,")
    assert "/m/deep/file regular file 4751 7 8" in ours and "/m/deep/er/fifo fifo 600 0 0" in ours
    assert ours[-1] == "2000 5000" and "/m directory 1750 0 0" in ours
    os.unlink(hidden / "deep/er/fifo")  # runc 1.1 waits at a FIFO for ever
    assert (
        mounted(oci, bundle, tmpfs("tmpcopyup"), script=look)[1:-1]
        == mounted(runc, bundle, tmpfs("tmpcopyup"), script=look)[1:-1]
    )


def test_a_copy_that_does_not_fit_is_refused(oci: Runtime, bundle: Bundle, rootfs: Path) -> None:
    (rootfs / "m").mkdir(exist_ok=True)
    (rootfs / "m/big").write_bytes(bytes(1 << 18))
    assert "no space left on device" in refused(oci, bundle, tmpfs("tmpcopyup", "size=64k"))


# --- the kernel's own file systems ---------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("mount", "complaint"),
    [
        (tmpfs(to="/proc/sys/kernel"), "cannot be mounted because it is inside /proc"),
        (tmpfs(to="/proc"), "cannot be mounted because it is not of type proc"),
        (bind(Path("/tmp"), "bind", to="/proc"), "cannot be mounted because it is not of type proc"),
        (bind(Path("/etc/hostname"), "bind", to="/proc/self/attr/exec"), "cannot be mounted because it is inside /proc"),
        (tmpfs(to="/to-proc/sys"), "cannot be mounted because it is inside /proc"),
        (bind(Path("/etc"), "bind", to="/to-proc/self"), "cannot be mounted because it is inside /proc"),
    ],
)
def test_nothing_is_mounted_inside_proc(
    oci: Runtime, runc: Runtime, bundle: Bundle, rootfs: Path, mount: dict[str, Any], complaint: str
) -> None:
    """CVE-2019-16884: /to-proc is a link of the image's."""
    (rootfs / "to-proc").symlink_to("proc")
    assert complaint in refused(oci, bundle, mount)
    if mount["type"] == "none":  # runc 1.1 looks at bind mounts only
        assert complaint in refused(runc, bundle, mount)


def test_harmless_files_of_proc_may_be_replaced(oci: Runtime, runc: Runtime, bundle: Bundle, volume: Path) -> None:
    (volume / "cpuinfo").write_text("a fine processor\n")
    one = bind(volume / "cpuinfo", "bind", "ro", to="/proc/cpuinfo")
    for runtime in (oci, runc):
        assert mounted(runtime, bundle, one, script="cat /proc/cpuinfo") == ["a fine processor"]


def test_another_proc_may_take_its_place(oci: Runtime, runc: Runtime, bundle: Bundle) -> None:
    for runtime in (oci, runc):
        found = mounted(runtime, bundle, bind(Path("/proc"), "rbind", to="/proc"), script="ls -d /proc/self/ns")
        assert found == ["/proc/self/ns"], runtime.name


# --- devices -------------------------------------------------------------------------------------------------------
DEVICES = [
    {"path": "/dev/mine/null", "type": "c", "major": 1, "minor": 3, "fileMode": 0o600, "uid": 5, "gid": 6},
    {"path": "/dev/unbuffered", "type": "u", "major": 1, "minor": 5, "fileMode": 0o20640},
    {"path": "/dev/block", "type": "b", "major": 7, "minor": 200},
    {"path": "/dev/pipe", "type": "p", "fileMode": 0o622},
    {"path": "/run/null", "type": "c", "major": 1, "minor": 3},
]


def test_devices_of_all_types(oci: Runtime, runc: Runtime, bundle: Bundle, rootfs: Path) -> None:
    (rootfs / "run").mkdir(exist_ok=True)
    bundle.config["linux"]["devices"] = DEVICES
    bundle.sh("cd /dev && stat -c '%n %F %a %t:%T %u:%g' mine/null unbuffered block pipe /run/null null tty")
    ours = oci.run(bundle).stdout
    os.unlink(rootfs / "run/null")
    assert ours == runc.run(bundle).stdout and ours.count("\n") == 7


def test_a_device_in_the_place_of_another_file_is_refused(oci: Runtime, bundle: Bundle, rootfs: Path) -> None:
    """The specification has it so. (runc 1.1 overlooks it.)"""
    (rootfs / "file").write_text("")
    os.mknod(rootfs / "node", stat.S_IFCHR | 0o600, os.makedev(1, 5))
    for path in ("/file", "/node"):
        bundle.config["linux"]["devices"] = [{"path": path, "type": "c", "major": 1, "minor": 3}]
        assert f"{path}: file exists" in oci.run(bundle.sh("true"), check=1).stderr
    bundle.config["linux"]["devices"] = [{"path": "/node", "type": "c", "major": 1, "minor": 5}]
    oci.run(bundle.sh("true"))


def test_a_root_with_a_dev_of_its_own(oci: Runtime, runc: Runtime, bundle: Bundle, rootfs: Path) -> None:
    """Without a mount at /dev the nodes are made in the root; what is there already stays. Twice, for they are there then."""
    (rootfs / "dev").mkdir(exist_ok=True)
    (rootfs / "dev/ptmx").write_text("")
    bundle.config["mounts"] = [one for one in bundle.config["mounts"] if not one["destination"].startswith("/dev")]
    bundle.sh("cd /dev && stat -c '%N %F %a %t:%T' * && echo seen >> /dev/stdout")
    first, second, reference = oci.run(bundle).stdout, oci.run(bundle).stdout, runc.run(bundle).stdout
    assert first == second == reference and "'ptmx' -> 'pts/ptmx'" in first and first.endswith("seen\n")


# --- propagation of the root ---------------------------------------------------------------------------------------
PROPAGATION = """
import json, subprocess, sys
program, root, bundle, target = sys.argv[1:]
subprocess.run(["mount", "--bind", target, target], check=True)
subprocess.run(["mount", "--make-shared", target], check=True)
child = subprocess.Popen([program, "--root", root, "run", "--bundle", bundle, "box"], stdin=-1, stdout=-1, text=True)
print(child.stdout.readline().strip())
subprocess.run(["mount", "-t", "tmpfs", "fresh", target + "/m"], check=True)
child.stdin.write("x\\n"); child.stdin.close()
print(child.stdout.read().strip(), child.wait())
"""


def propagated(program: str, tmp_path: Path, bundle: Bundle, rootfs: Path) -> list[str]:
    """("root's tags", "how often a later mount of the host's in the root is seen inside"), in a mount namespace of its own."""
    bundle.write()
    command = [
        "unshare",
        "-m",
        sys.executable,
        "-c",
        PROPAGATION,
        program,
        str(tmp_path / "state"),
        str(bundle.path),
        str(rootfs),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize(
    ("word", "tag", "seen"),
    [("", "master", 1), ("private", "", 0), ("slave", "master", 1), ("shared", "shared", 0), ("unbindable", "unbindable", 0)],
)
def test_the_roots_propagation(tmp_path: Path, bundle: Bundle, rootfs: Path, word: str, tag: str, seen: int) -> None:
    (rootfs / "m").mkdir(exist_ok=True)
    bundle.config["root"]["readonly"] = False
    bundle.config["linux"].update(rootfsPropagation=word) if word else None
    bundle.sh(
        "while read a b c d e f g h; do [ $e = / ] && echo $g; done < /proc/self/mountinfo | sed 's/:.*//; s/^-$//';"
        "read x; grep -c ' /m ' /proc/self/mountinfo; true"
    )
    ours = propagated(FIRKIN_OCI, tmp_path / "ours", bundle, rootfs)
    assert ours == [tag, f"{seen} 0"]
    program = shutil.which("runc")
    if program and word in ("", "private"):  # with the other three runc 1.1 leaves a root that is a mount private
        assert propagated(program, tmp_path / "theirs", bundle, rootfs) == ours
