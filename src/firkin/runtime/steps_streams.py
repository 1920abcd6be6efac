"""Steps of a plan that give a child its standard streams: a terminal of the container's own, or descriptors handed over.

Source: pty(7), devpts in mount(8), setsid(2), credentials(7).
"""

from __future__ import annotations

import os

from firkin.linux import mount, null, tty
from firkin.runtime.state import State


def exec_console(state: State, rows: int, columns: int, plain: bool = False) -> None:
    """A new terminal of the container's own; the launcher gets the master. `plain`: newlines are left as they are."""
    slave = _new_terminal(state, rows, columns, plain)
    os.close(slave)


def console(state: State, rows: int, columns: int, plain: bool = False) -> None:
    """The same for a container's first process: /dev/console is this terminal too."""
    slave = _new_terminal(state, rows, columns, plain)
    tree = mount.tree(slave, recursive=False)
    place = state.place("/dev/console", "file")
    mount.attach(tree, place)
    for fd in (slave, tree, place):
        os.close(fd)


def _new_terminal(state: State, rows: int, columns: int, plain: bool) -> int:
    master, slave = tty.open_pty(state.root)
    if plain:
        tty.leave_newlines(slave)
    if rows and columns:
        tty.set_size(master, rows, columns)
    tty.control(slave)
    state.send("console", [master])
    os.close(master)
    return slave


def stdio(state: State, *names: str) -> None:
    """Standard input, output and error; "null" is the null device. One that somebody else has opened is not lent either: that
    is how callers of a runtime say that there is nothing."""
    own = null.open_again(state.proc, state.handed["null"])
    for number, name in enumerate(names):
        handed = state.handed[name]
        os.dup2(own if null.is_null(handed) else handed, number)
    os.close(own)


def setsid(state: State) -> None:
    if os.getsid(0) != os.getpid():
        os.setsid()


STEPS = {"console": console, "exec-console": exec_console, "stdio": stdio, "setsid": setsid}
