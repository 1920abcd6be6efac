"""A bundle: its directory, its configuration, and what both must have before anything is made for them.

Source: runtime-spec bundle.md, config.md "Root"; runc libcontainer/configs/validate.
"""

from __future__ import annotations

import errno
import os

from firkin.errors import Invalid
from firkin.oci.runtime_config import from_json
from firkin.runtime.oci import caller, own_users
from firkin.runtime.oci.record import read
from firkin.runtime.validate import validate

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firkin.oci.runtime_config import Config


class Bundle:
    """`data` is the configuration as it lay there; `path` and `rootfs` are absolute."""

    def __init__(self, path: str, data: bytes, config: Config, rootfs: str) -> None:
        self.path, self.data, self.config, self.rootfs = path, data, config, rootfs


def load(directory: str) -> Bundle:
    """Read it, having changed to it: hooks and relative paths start there."""
    if directory:
        _enter(directory)
    try:
        data = read("config.json")
    except FileNotFoundError:
        raise Invalid("JSON specification file config.json not found") from None
    config = from_json(data)
    here = os.getcwd()
    validate(config)
    _check(config)
    if caller.is_ordinary():
        own_users.check(config)
    return Bundle(here, data, config, _rootfs(config, here))


def _enter(directory: str) -> None:
    try:
        os.chdir(directory)
    except OSError as error:
        raise Invalid(f"chdir {directory}: {os.strerror(error.errno or 0).lower()}") from None


def _rootfs(config: Config, here: str) -> str:
    """The directory root.path names, without links in it, so that the mount goes where it is."""
    if config.root is None:
        raise Invalid("root: required, and not given")
    if not config.root.path:
        raise Invalid("root.path: required, and not given")
    path = os.path.realpath(os.path.join(here, config.root.path))
    if not os.path.isdir(path):
        number = errno.ENOTDIR if os.path.lexists(path) else errno.ENOENT
        raise Invalid(f"root.path: invalid rootfs: stat {path}: {os.strerror(number).lower()}")
    if path == "/":
        raise Invalid("root.path: invalid rootfs: it is the host's own root")
    return path


def _check(config: Config) -> None:
    """What more a runtime's own command needs."""
    if not any(one.type == "mount" for one in config.linux.namespaces):
        raise Invalid("linux.namespaces: a mount namespace is required")
