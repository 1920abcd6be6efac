"""What the machine of the lane is made of: Debian's stock kernel, a small Debian, this checkout, as a bootable disk.

Nothing of it is installed here. The packages come from the archive that this machine is set up for, are unpacked below
one scratch directory, and end as an ext4 disk. Version strings of kernel and distribution are the archive's.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.vm.kinds import KINDS, ROOT

SUITE = "bookworm"
KERNEL = "linux-image-cloud-amd64"
# What all tests inside use. `extract` runs no maintainer script, so these are files and nothing else.
PACKAGES = (
    "python3 busybox-static dash coreutils sed grep findutils tar gzip procps util-linux mount kmod login iproute2 libseccomp2"
)
_TOOLS = ("qemu-system-x86_64", "mmdebstrap", "mke2fs", "debugfs", "apt-get", "dpkg-deb", "setpriv")
_PYTHON = (3, 11)  # of the suite: what is compiled in the environment is for one version only
# Libraries of the environment that nothing inside imports.
_NOT_NEEDED = ("mypy", "mypyc", "pip", "setuptools", "ruff", "yaml", "*__mypyc*")
_NEVER_IMPORTED = "/(lib2to3|pydoc_data|idlelib|ensurepip|distutils|tkinter|turtledemo|encodings/(cp|iso|mac_|koi))"
_SECONDS = 600.0  # for one command, beside many that are not as nice
# Just enough to find the disk; the kernel loads all else itself, by modprobe.
_DISK_MODULES = ("virtio_pci.ko", "virtio_blk.ko")


class NotHere(Exception):
    """This machine lacks something that the lane is made of."""


@dataclass(frozen=True)
class Image:
    """Files for qemu."""

    kernel: Path
    initrd: Path
    disk: Path


def missing() -> str:
    """What this machine lacks for the lane, "" for nothing."""
    if os.uname().machine != "x86_64":
        return f"the lane's kernel is for x86_64, this is {os.uname().machine}"
    if sys.version_info[:2] != _PYTHON:
        return f"the lane's Python is {_PYTHON[0]}.{_PYTHON[1]}, that of this environment {sys.version_info[0]}.{sys.version_info[1]}"
    absent = [tool for tool in _TOOLS if not shutil.which(tool)]
    return f"not installed: {', '.join(absent)}" if absent else ""


def build(scratch: Path) -> Image:
    """Make all of it below `scratch`; raises `NotHere`."""
    if lacking := missing():
        raise NotHere(lacking)
    root = _system(scratch / "root")
    kernel, modules = _kernel(scratch)
    shutil.copytree(modules, root / "lib/modules" / modules.name)
    _run("chroot", str(root), "/sbin/depmod", "-a", modules.name)
    _checkout(root / "firkin")
    _selinux(root)
    (root / "lanes").mkdir()
    for kind in KINDS:
        (root / "lanes" / kind.name).write_text("".join(" ".join(arguments) + "\n" for arguments in kind.arguments))
    initrd = scratch / "initrd"
    _initrd(initrd, root, root / "lib/modules" / modules.name)
    disk = scratch / "disk.ext4"
    _run("mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-E", "lazy_itable_init=1", "-d", str(root), str(disk), "2000M")
    shutil.rmtree(root)
    return Image(kernel, initrd, disk)


def _run(*argv: str, cwd: Path | None = None) -> str:
    said = subprocess.PIPE
    with subprocess.Popen(
        argv, cwd=cwd, stdin=subprocess.DEVNULL, stdout=said, stderr=said, text=True, process_group=0
    ) as process:
        try:
            out, err = process.communicate(timeout=_SECONDS)
        except BaseException:  # one that ends the lane too: what the command started must not write on
            os.killpg(process.pid, signal.SIGKILL)
            raise
    assert process.returncode == 0, f"{argv}: exit {process.returncode}\n{out}\n{err}"
    return out


def _from_archive(what: str, *argv: str, cwd: Path | None = None) -> str:
    try:
        return _run(*argv, cwd=cwd)
    except AssertionError as error:
        raise NotHere(f"{what} cannot be had: {str(error)[-300:]}") from error


def _system(root: Path) -> Path:
    packages = sorted({package for some in (PACKAGES, *(kind.packages for kind in KINDS)) for package in some.split()})
    include = "--include=" + ",".join(packages)
    _from_archive("a small Debian", "mmdebstrap", "--variant=extract", "--quiet", include, SUITE, str(root))
    for directory in ("proc", "sys", "dev", "run", "tmp", "var/tmp", "root"):
        (root / directory).mkdir(parents=True, exist_ok=True)
    for directory in ("tmp", "var/tmp"):
        (root / directory).chmod(0o1777)
    if not (root / "bin/sh").exists():
        (root / "bin/sh").symlink_to("dash")
    _accounts(root / "etc")
    (root / "etc/hosts").write_text("127.0.0.1 localhost\n")
    (root / "etc/machine-id").write_text(f"{1:032x}\n")  # machine-id(5): without one systemd asks what a new machine is to be
    _run("ldconfig", "-r", str(root))
    # Emulated, compiling takes longer than running.
    compiling = ("-m", "compileall", "-q", "-j2", "--invalidation-mode", "unchecked-hash", "-x", _NEVER_IMPORTED)
    _run(sys.executable, *compiling, "-s", str(root), str(root / "usr/lib/python3.11"))
    shutil.copy(shutil.which("docker") or "/usr/bin/docker", root / "usr/bin/docker")
    return root


def _accounts(etc: Path) -> None:
    """Root, who the system has a use for, and an ordinary user with subordinate ids."""
    users = "root:x:0:0:root:/root:/bin/sh\nmessagebus:x:100:100::/:/bin/false\nnobody:x:65534:65534:nobody:/:/bin/false\n"
    (etc / "passwd").write_text(users + "ordinary:x:1000:1000::/tmp:/bin/sh\n")
    (etc / "group").write_text("root:x:0:\nmessagebus:x:100:\ntty:x:5:\nnogroup:x:65534:\nordinary:x:1000:\n")
    (etc / "shadow").write_text("root:*:20000::::::\nordinary:*:20000::::::\n")
    for name in ("subuid", "subgid"):
        (etc / name).write_text("ordinary:100000:65536\n")
    for kind in (
        "account",
        "auth",
        "password",
        "session",
        "session-noninteractive",
    ):  # pam.d(5): what `pam-auth-update` would have made
        (etc / f"pam.d/common-{kind}").write_text(f"{kind.partition('-')[0]} required pam_permit.so\n")


def _selinux(root: Path) -> None:
    """The policy of the kind "older", where selinux(8) says that policies are."""
    home = root / "etc/selinux"
    for directory in ("contexts", "policy"):
        (home / "lane" / directory).mkdir(parents=True)
    (home / "config").write_text("SELINUX=enforcing\nSELINUXTYPE=lane\n")
    contexts = 'process = "system_u:system_r:lane_t:s0"\nfile = "system_u:object_r:lane_file_t:s0"\n'
    (home / "lane/contexts/lxc_contexts").write_text(contexts)
    into = ("-c", "33", "-o", "/etc/selinux/lane/policy/policy.33", "-f", "/dev/null")
    _run("chroot", str(root), "secilc", *into, "/firkin/tests/vm/guest/policy.cil")


def _kernel(scratch: Path) -> tuple[Path, Path]:
    """(the bootable file, the directory of modules)."""
    depends = _from_archive("the kernel", "apt-cache", "depends", KERNEL)
    package = next((line.split()[-1] for line in depends.splitlines() if "Depends: linux-image-" in line), KERNEL)
    _from_archive("the kernel", "apt-get", "download", "-q", package, cwd=scratch)
    unpacked = scratch / "kernel"
    for deb in scratch.glob(package + "_*.deb"):
        _run("dpkg-deb", "-x", str(deb), str(unpacked))
        deb.unlink()
    return next(unpacked.glob("boot/vmlinuz-*")), next(unpacked.glob("lib/modules/*"))


def _checkout(to: Path) -> None:
    """This tree with its environment; not the caches."""
    for name in ("src", "tests", "docs"):
        shutil.copytree(ROOT / name, to / name, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ROOT.iterdir():
        if file.is_file():
            shutil.copy2(file, to / file.name)
    venv = ROOT / ".venv"
    shutil.copytree(venv / "lib", to / ".venv/lib", ignore=shutil.ignore_patterns(*_NOT_NEEDED))
    (to / ".venv/bin").mkdir()
    (to / ".venv/bin/python").symlink_to("/usr/bin/python3")
    shutil.copy2(venv / "pyvenv.cfg", to / ".venv/pyvenv.cfg")
    (to / ".venv/.ready").touch()  # later than anything that a checkout has just written
    _run(sys.executable, "-m", "compileall", "-q", "-j2", "--invalidation-mode", "unchecked-hash", str(to / "src"))


def _initrd(path: Path, root: Path, modules: Path) -> None:
    """A cpio archive (kernel Documentation/driver-api/early-userspace/buffer-format.rst) of busybox, modules, init."""
    entries = [(name, 0o40755, b"") for name in ("dev", "proc", "root", "modules")]
    entries.append(("init", 0o100755, (Path(__file__).parent / "guest/init").read_bytes()))
    entries.append(("busybox", 0o100755, (root / "bin/busybox").read_bytes()))
    for number, module in enumerate(_in_order(modules / "modules.dep")):
        entries.append((f"modules/{number:02}", 0o100644, (modules / module).read_bytes()))
    archive = b"".join(_cpio(number, *entry) for number, entry in enumerate(entries, 1))
    path.write_bytes(archive + _cpio(0, "TRAILER!!!", 0, b""))


def _in_order(dependencies: Path) -> list[str]:
    """The disk's modules after what they need (modules.dep(5): what is needed first stands last)."""
    found: list[str] = []
    for line in dependencies.read_text().splitlines():
        module, _, needed = line.partition(":")
        if module.endswith(_DISK_MODULES):
            found += [*reversed(needed.split()), module]
    return list(dict.fromkeys(found))


def _cpio(inode: int, name: str, mode: int, data: bytes) -> bytes:
    fields = (inode, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0)
    header = b"070701" + b"".join(b"%08X" % field for field in fields) + name.encode() + b"\0"
    return header + b"\0" * (-len(header) % 4) + data + b"\0" * (-len(data) % 4)
