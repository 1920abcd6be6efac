"""Steps of a plan that choose the world a child is in: cgroup, namespaces, names, kernel settings.

Each is a function of (state, *arguments) and raises OSError. Source: namespaces(7), cgroups(7), sethostname(2), proc(5).
"""

from __future__ import annotations

import marshal
import os

from firkin.linux import fds, fs, process
from firkin.runtime.state import State

_LONGEST_MESSAGE = 1 << 16


def cgroup(state: State, path: str) -> None:
    """Join the group whose `tasks` or `cgroup.procs` file this is. Moving oneself spares a 10 ms wait in the kernel."""
    fs.write_file(path, "0")


def setns(state: State, name: str, kinds: int) -> None:
    """Enter the namespace (or, through a pidfd, the process's namespaces) handed over as `name`."""
    process.setns(state.handed[name], kinds)
    if kinds & process.CLONE_NEWUSER:
        state.become_root_user()
    if kinds & process.CLONE_NEWNS:
        state.enter_root(os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))


def unshare(state: State, kinds: int) -> None:
    process.unshare(kinds)
    if kinds & process.CLONE_NEWNS:
        state.open_host_files()


def reborn(state: State, first: int) -> None:
    """Go on as another child of the same parent, born in the pid namespace that was entered.

    A process of the container's that may trace others (CAP_SYS_PTRACE) can look into it from then on. So by now the root
    is the container's, and descriptors from `first` up are closed, the host's /proc among them. The first one ends when
    it has said who is to take its place, and not before that may its successor go on."""
    reading, writing = os.pipe()
    fds.close_all_but([*range(3, first), state.status.fileno(), state.root, reading, writing])
    state.proc = state.null = -1
    pid, pidfd = process.clone3(process.CLONE_PARENT)
    if pid:
        state.send(("reborn", pid), [pidfd])
        os.write(writing, b"\0")
        os._exit(0)
    os.close(writing)
    if not os.read(reading, 1):
        os._exit(1)
    os.close(reading)


def wait_parent(state: State) -> None:
    """Until the launcher has done its part, and take what it has made. If it died instead, nobody would know of this
    process: end it."""
    while (message := fds.recv_fds(state.status, _LONGEST_MESSAGE))[0] != b"\0":
        if not message[0]:
            os._exit(1)
        state.handed.update(zip(marshal.loads(message[0]), message[1], strict=True))
    if state.own_users:
        state.become_root_user()


def hostname(state: State, name: str) -> None:
    process.set_hostname(name)


def domainname(state: State, name: str) -> None:
    process.set_domainname(name)


def sysctl(state: State, path: str, value: str) -> None:
    """`path` as in "net/ipv4/ip_forward"."""
    state.write_proc("sys/" + path, value)


def session_keyring(state: State, name: str) -> None:
    process.join_session_keyring(name)


STEPS = {
    "cgroup": cgroup,
    "setns": setns,
    "setns-pidfd": setns,
    "unshare": unshare,
    "reborn": reborn,
    "wait-parent": wait_parent,
    "hostname": hostname,
    "domainname": domainname,
    "sysctl": sysctl,
    "session-keyring": session_keyring,
}
