"""Steps of a plan that choose the world a child is in: cgroup, namespaces, names, kernel settings.

Each is a function of (state, *arguments) and raises OSError. Source: namespaces(7), cgroups(7), sethostname(2), proc(5).
"""

from __future__ import annotations

import os

from firkin.linux import fs, process
from firkin.runtime.state import State


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


def wait_parent(state: State) -> None:
    """Until the launcher has done its part. If it died instead, nobody would know of this process: end it."""
    if not state.status.recv(1):
        os._exit(1)
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
    "wait-parent": wait_parent,
    "hostname": hostname,
    "domainname": domainname,
    "sysctl": sysctl,
    "session-keyring": session_keyring,
}
