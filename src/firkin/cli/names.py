"""Image references as people type them: `[HOST[:PORT]/]PATH[:TAG][@DIGEST]`, short forms meaning Docker Hub.

Only what a client needs to choose credentials and to fill tables; the daemon validates. Source: distribution/reference.
"""

from __future__ import annotations

HUB = "docker.io"
HUB_CREDENTIALS = "https://index.docker.io/v1/"


def split(reference: str) -> tuple[str, str, str, str]:
    """(registry, repository path, tag, digest): `alpine` is ("docker.io", "library/alpine", "", "")."""
    name, _, digest = reference.partition("@")
    first, slash, rest = name.partition("/")
    if not slash or not ("." in first or ":" in first or first == "localhost" or first != first.lower()):
        first, rest = HUB, name
    path, _, tag = rest.partition(":")
    if first in (HUB, "index.docker.io") and "/" not in path:
        path = "library/" + path
    return (HUB if first == "index.docker.io" else first), path, tag, digest


def familiar(registry: str, path: str) -> str:
    """The short form of a name: Docker Hub and its `library/` are not spelled out."""
    return path.removeprefix("library/") if registry == HUB else f"{registry}/{path}"


def with_tag(reference: str) -> str:
    """The familiar form with `:latest` added where neither tag nor digest is given."""
    registry, path, tag, digest = split(reference)
    tail = (":" + tag if tag else "") + ("@" + digest if digest else "")
    return familiar(registry, path) + (tail or ":latest")


def credentials_key(reference: str) -> str:
    """Under which key `config.json` keeps the credentials for this reference's registry."""
    registry = split(reference)[0]
    return HUB_CREDENTIALS if registry == HUB else registry


def short_id(identifier: str) -> str:
    """The first twelve digits of an id, its `sha256:` left out."""
    return identifier.removeprefix("sha256:")[:12]
