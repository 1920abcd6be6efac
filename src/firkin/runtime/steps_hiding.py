"""Steps of a plan that take parts of a container's finished file tree out of its sight or reach.

Each part is found through the root's descriptor and covered by descriptor, as everything is in `steps_mounts`.
Source: OCI runtime specification "Linux masked paths" and "Readonly paths", mount_setattr(2).
"""

from __future__ import annotations

import os

from firkin.linux import fs, mount, null
from firkin.runtime.state import State


def mask(state: State, path: str) -> None:
    """Hide a file behind the null device, a directory behind an empty one. What is not there needs no hiding."""
    try:
        place = state.place(path)
    except FileNotFoundError:
        return
    directory = fs.kind_of(place) == fs.S_IFDIR
    if directory in state.covers:
        cover = mount.tree(state.covers[directory], recursive=False)
        mount.attach(cover, place)
        os.close(cover)
    else:  # the first one, once attached, is the pattern of the others
        state.covers[directory] = _attach_blank(place) if directory else _attach_null(state, place)
    os.close(place)


def _attach_blank(place: int) -> int:
    blank = mount.filesystem("tmpfs", "tmpfs", mount.MOUNT_ATTR_RDONLY, ["nr_blocks=1", "nr_inodes=1"])
    mount.attach(blank, place)
    return blank


def _attach_null(state: State, place: int) -> int:
    sealed = mount.tree(state.null, recursive=False)
    mount.attach_with(sealed, place, [(null.SEALED, 0, 0, False)])
    return sealed


def readonly_path(state: State, path: str) -> None:
    try:
        place = state.place(path)
    except FileNotFoundError:
        return
    tree = mount.tree(place, recursive=True)
    mount.attach_with(tree, place, [(mount.MOUNT_ATTR_RDONLY, 0, 0, True)])
    os.close(tree)
    os.close(place)


def readonly_root(state: State) -> None:
    mount.change(state.root, (mount.MOUNT_ATTR_RDONLY, 0, 0, False))


STEPS = {"mask": mask, "readonly-path": readonly_path, "readonly-root": readonly_root}
