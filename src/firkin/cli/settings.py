"""The user's docker configuration, `$DOCKER_CONFIG/config.json` or `~/.docker/config.json`.

Read by everyone, written only by `login` and `logout` (`credentials.py`). Keys Firkin does not know are kept.
"""

from __future__ import annotations

import os

from firkin.cli import jsontext
from firkin.cli.errors import Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_PROXIES = ("httpProxy", "httpsProxy", "noProxy", "ftpProxy", "allProxy")


class Settings:
    """The parsed file and where it is; an absent file is an empty one."""

    def __init__(self, directory: str, values: dict[str, Any]) -> None:
        self.directory = directory
        self.values = values

    @property
    def http_headers(self) -> dict[str, str]:
        return dict(self.values.get("HttpHeaders") or {})

    @property
    def detach_keys(self) -> str:
        return str(self.values.get("detachKeys") or "")

    def format(self, command: str) -> str:
        """The user's own default for `--format`: `psFormat`, `imagesFormat`, ..."""
        return str(self.values.get(command + "Format") or "")

    def proxy_environment(self, daemon: str) -> dict[str, str]:
        """Proxy variables that every new container gets, in both spellings, from the `proxies` section."""
        sections = self.values.get("proxies") or {}
        section = sections.get(daemon) or sections.get("default") or {}
        found: dict[str, str] = {}
        for key in _PROXIES:
            if value := section.get(key):
                name = key.removesuffix("Proxy") + "_proxy"
                found[name.upper()] = found[name] = value
        return found


def directory(environ: os._Environ[str]) -> str:
    return environ.get("DOCKER_CONFIG") or os.path.join(environ.get("HOME", "/root"), ".docker")


def read(where: str) -> Settings:
    """Read the file in directory `where`. Raises `Failure` when it is not JSON."""
    path = os.path.join(where, "config.json")
    try:
        with open(path, encoding="utf-8") as file:
            return Settings(where, jsontext.loads(file.read()))
    except ValueError as error:
        raise Failure(f"Error loading config file {path}: {error}") from None
    except OSError:
        return Settings(where, {})
