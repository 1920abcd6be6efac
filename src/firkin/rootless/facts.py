"""Looking at the machine, and trying out in a process of its own what no file tells. Changes nothing; see `checks`."""

from __future__ import annotations

import marshal
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping

from firkin import userdirs
from firkin.errors import reason
from firkin.linux import fs, mount, overlay, process
from firkin.paths import text_of
from firkin.rootless import delegation, helpers
from firkin.rootless.checks import Facts

_PROGRAMS = ("newuidmap", "newgidmap", "nft", *helpers.PROGRAMS)
_SYSCTLS = (
    "kernel.unprivileged_userns_clone",
    "user.max_user_namespaces",
    "kernel.apparmor_restrict_unprivileged_userns",
)
_TUN = "/dev/net/tun"
_RULES = """table inet firkin_probe {
  map ports { type inet_proto . inet_service : ipv4_addr . inet_service; }
  chain nat { type nat hook prerouting priority dstnat; fib daddr type local dnat ip to meta l4proto . th dport map @ports; }
  chain out { type nat hook postrouting priority srcnat; oifname "lo" masquerade; }
  chain marks { type filter hook output priority mangle; meta mark 1 ct mark set 1; }
}
"""


def gather(environ: Mapping[str, str]) -> Facts:
    """Of this machine and this user."""
    uid = os.getuid()
    path = environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin"
    found = {name: where for name in _PROGRAMS if (where := shutil.which(name, path=path))}
    runtime_dir, data_root = environ.get("XDG_RUNTIME_DIR", ""), userdirs.data_root(environ)
    directory = delegation.here()
    return Facts(
        user=_name(uid),
        uid=uid,
        subuid=text_of("/etc/subuid"),
        subgid=text_of("/etc/subgid"),
        programs={name: (where, os.stat(where).st_mode, os.stat(where).st_uid) for name, where in found.items()},
        capable=frozenset(name for name, where in found.items() if _has_capabilities(where)),
        sysctls={name: text for name in _SYSCTLS if (text := text_of("/proc/sys/" + name.replace(".", "/")).strip())},
        tun="" if os.access(_TUN, os.R_OK | os.W_OK) else "closed" if os.path.exists(_TUN) else "missing",
        runtime_dir=runtime_dir if os.path.isdir(runtime_dir) and os.stat(runtime_dir).st_uid == uid else "",
        exec_root=userdirs.exec_root(environ, uid),
        data_root=data_root,
        unified=bool(directory),
        delegated=delegation.is_ours(directory),
        probes=_probe(data_root, found.get("nft", "")),
    )


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _has_capabilities(path: str) -> bool:
    return "security.capability" in os.listxattr(path)


def _probe(data_root: str, nft: str) -> dict[str, str]:
    """Try, in namespaces of a process of its own, what the engine is going to do."""
    read, write = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            os.write(write, marshal.dumps(_tried(data_root, nft)))
        finally:
            os._exit(0)
    os.close(write)
    with open(read, "rb") as file:
        said = file.read()
    os.waitpid(pid, 0)
    found: dict[str, str] = marshal.loads(said) if said else {"namespaces": "the process that tried it was killed"}
    return found


def _tried(data_root: str, nft: str) -> dict[str, str]:
    uid, gid = os.getuid(), os.getgid()
    try:
        process.unshare(process.CLONE_NEWUSER | process.CLONE_NEWNS | process.CLONE_NEWNET)
        fs.write_file("/proc/self/setgroups", "deny")
        fs.write_file("/proc/self/uid_map", f"0 {uid} 1")
        fs.write_file("/proc/self/gid_map", f"0 {gid} 1")
    except OSError as error:
        return {"namespaces": reason(error)}
    return {"overlay": _why(lambda: _mount_overlay(data_root)), "nftables": _why(lambda: _make_rules(nft)) if nft else ""}


def _why(work: Callable[[], None]) -> str:
    try:
        work()
    except OSError as error:
        return f"{error.filename}: {reason(error)}" if error.filename else reason(error)
    return ""


def _mount_overlay(data_root: str) -> None:
    """On the file system that is to hold the data."""
    above = data_root
    while not os.path.isdir(above):
        above = os.path.dirname(above)
    with tempfile.TemporaryDirectory(prefix=".firkin-", dir=above) as directory:
        lower, upper, work, target = (os.path.join(directory, name) for name in ("lower", "upper", "work", "target"))
        for path in (lower, upper, work, target):
            os.mkdir(path)
        os.close(overlay.attach(target, [lower], upper, work, ["userxattr"]))
        mount.umount(target)
        shutil.rmtree(work, ignore_errors=True)


def _make_rules(nft: str) -> None:
    done = subprocess.run([nft, "-f", "-"], input=_RULES, capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(0, (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[0])
