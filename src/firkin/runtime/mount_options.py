"""mount(8)'s words, as OCI configurations and Docker's flags use them, to the kernel's terms.

A word is a flag of the mount ("ro", or "rro" for all mounts below as well), a propagation ("rslave"), a direction to the
runtime ("rbind"), or else an option of the file system itself ("size=64m").

Source: runtime-spec config.md, "Linux mount options"; mount_setattr(2), mount(2).
"""

from __future__ import annotations

from firkin.linux import mount
from firkin.oci.runtime_value import Value

# word -> (attributes to set, attributes to clear). The three atime modes are values of one field: each clears the others.
_ATTRIBUTES = {
    "ro": (mount.MOUNT_ATTR_RDONLY, 0),
    "rw": (0, mount.MOUNT_ATTR_RDONLY),
    "nosuid": (mount.MOUNT_ATTR_NOSUID, 0),
    "suid": (0, mount.MOUNT_ATTR_NOSUID),
    "nodev": (mount.MOUNT_ATTR_NODEV, 0),
    "dev": (0, mount.MOUNT_ATTR_NODEV),
    "noexec": (mount.MOUNT_ATTR_NOEXEC, 0),
    "exec": (0, mount.MOUNT_ATTR_NOEXEC),
    "nosymfollow": (mount.MOUNT_ATTR_NOSYMFOLLOW, 0),
    "symfollow": (0, mount.MOUNT_ATTR_NOSYMFOLLOW),
    "nodiratime": (mount.MOUNT_ATTR_NODIRATIME, 0),
    "diratime": (0, mount.MOUNT_ATTR_NODIRATIME),
    "relatime": (0, mount.MOUNT_ATTR__ATIME),
    "atime": (0, mount.MOUNT_ATTR__ATIME),
    "noatime": (mount.MOUNT_ATTR_NOATIME, mount.MOUNT_ATTR__ATIME),
    "strictatime": (mount.MOUNT_ATTR_STRICTATIME, mount.MOUNT_ATTR__ATIME),
    "norelatime": (0, 0),
    "nostrictatime": (0, 0),
    "defaults": (0, 0),
    # About what is logged, and a counter that file systems keep or not as they are made: no mount has either.
    "silent": (0, 0),
    "loud": (0, 0),
    "iversion": (0, 0),
    "noiversion": (0, 0),
}
_NEVER_RECURSIVE = ("defaults", "silent", "loud", "iversion", "noiversion")
_IDMAPS = ("idmap", "ridmap")
_DIRECTIONS = ("bind", "rbind", "remount", "tmpcopyup", *_IDMAPS)  # to the runtime

# Of the file system, whatever its type; a bind mount has no part in them.
_SUPERBLOCK = frozenset(("sync", "async", "dirsync", "lazytime", "nolazytime", "mand", "nomand"))

PROPAGATION = {
    "private": mount.MS_PRIVATE,
    "rprivate": mount.MS_PRIVATE | mount.MS_REC,
    "shared": mount.MS_SHARED,
    "rshared": mount.MS_SHARED | mount.MS_REC,
    "slave": mount.MS_SLAVE,
    "rslave": mount.MS_SLAVE | mount.MS_REC,
    "unbindable": mount.MS_UNBINDABLE,
    "runbindable": mount.MS_UNBINDABLE | mount.MS_REC,
}


# All that are not handed on to a file system.
WORDS = (
    *_DIRECTIONS,
    *PROPAGATION,
    *_ATTRIBUTES,
    *_SUPERBLOCK,
    *("r" + word for word in _ATTRIBUTES if word not in _NEVER_RECURSIVE),
)


class MountOptions(Value):
    """`recursive_set` and `recursive_clear` reach every mount of a bind's tree, `set` and `clear` only its top;
    `superblock` and `data` are for the file system, the former being words that any knows. `remount`: change what is
    there; `copy_up`: begin with what the mount hides; `idmap`: "idmap", or "ridmap" for the mounts below too."""

    bind: bool
    recursive: bool
    set: int
    clear: int
    recursive_set: int
    recursive_clear: int
    propagation: int
    data: tuple[str, ...]
    superblock: tuple[str, ...] = ()
    remount: bool = False
    copy_up: bool = False
    idmap: str = ""


_parsed: dict[tuple[str, ...], MountOptions] = {}  # the same few combinations come again and again
_MOST_REMEMBERED = 512


def parse(words: tuple[str, ...]) -> MountOptions:
    """What `words` ask for; a later word wins over an earlier one."""
    found = _parsed.get(words)
    if found is None:
        if len(_parsed) >= _MOST_REMEMBERED:
            _parsed.clear()
        found = _parsed[words] = _parse(words)
    return found


def _parse(words: tuple[str, ...]) -> MountOptions:
    changes = {"": (0, 0), "r": (0, 0)}
    propagation = 0
    data = []
    for word in words:
        if word in PROPAGATION:
            propagation = PROPAGATION[word]
        elif word in _ATTRIBUTES:
            changes[""] = _merge(changes[""], _ATTRIBUTES[word])
        elif word[:1] == "r" and word[1:] in _ATTRIBUTES and word[1:] not in _NEVER_RECURSIVE:
            changes["r"] = _merge(changes["r"], _ATTRIBUTES[word[1:]])
        elif word not in _SUPERBLOCK and word not in _DIRECTIONS:
            data.append(word)
    superblock = tuple(word for word in words if word in _SUPERBLOCK)
    bind, recursive, remount, copy_up = ("bind" in words, "rbind" in words, "remount" in words, "tmpcopyup" in words)
    return MountOptions(
        bind or recursive,
        recursive,
        *changes[""],
        *changes["r"],
        propagation,
        tuple(data),
        superblock,
        remount,
        copy_up,
        next((word for word in words if word in _IDMAPS), ""),
    )


def _merge(before: tuple[int, int], change: tuple[int, int]) -> tuple[int, int]:
    """`before`, then `change`: what is cleared is no longer set, and the other way round (except for the atime field,
    which is cleared to be set)."""
    add, clear = change
    return before[0] & ~clear | add, (before[1] | clear) & ~(add & ~mount.MOUNT_ATTR__ATIME)
