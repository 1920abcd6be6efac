"""Image references: `nginx`, `ghcr.io/owner/tool:v1`, `localhost:5000/a@sha256:...`.

Parsed once at the edge into four parts, always with a domain, because two spellings of one image must be equal.
Source: the grammar at the top of distribution/reference `reference.go`, and Docker's normalisation (`normalize.go`):
no domain means docker.io, a single name there means library/NAME.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from firkin.errors import Invalid
from firkin.oci.digest import Digest, parse_digest

DEFAULT_DOMAIN = "docker.io"
DEFAULT_TAG = "latest"
_LEGACY_DOMAIN = "index.docker.io"
_OFFICIAL = "library/"
_LONGEST_NAME = 255
_ABSENT = Digest("")

_COMPONENT = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_DOMAIN = rf"(?:{_COMPONENT}(?:\.{_COMPONENT})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?"
_PATH_PART = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_REFERENCE = re.compile(
    rf"(?P<domain>{_DOMAIN})/(?P<path>{_PATH_PART}(?:/{_PATH_PART})*)(?::(?P<tag>[0-9A-Za-z_][0-9A-Za-z_.-]{{0,127}}))?(?:@(?P<digest>[a-z0-9]+:[0-9a-f]{{32,}}))?"
)
_BARE_ID = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, order=True)
class Reference:
    """A repository (`domain`/`path`), perhaps with a tag, perhaps with a digest; "" is an absent part."""

    domain: str
    path: str
    tag: str = ""
    digest: Digest = _ABSENT

    @property
    def name(self) -> str:
        """The repository in full: `docker.io/library/nginx`."""
        return f"{self.domain}/{self.path}"

    @property
    def familiar_name(self) -> str:
        """The repository as people write it, in the shortest form that leads back to it: `nginx`."""
        for short in (self.path.removeprefix(_OFFICIAL), self.path):
            if _split_domain(short) == (self.domain, self.path):
                return short
        return self.name

    @property
    def familiar(self) -> str:
        """The whole reference as people write it and as tables and messages show it."""
        return self.familiar_name + self._suffix

    @property
    def _suffix(self) -> str:
        return (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")

    def __str__(self) -> str:
        return self.name + self._suffix

    def with_default_tag(self) -> Reference:
        """With tag `latest` where neither tag nor digest was given."""
        return self if self.tag or self.digest else replace(self, tag=DEFAULT_TAG)

    def with_digest(self, digest: Digest) -> Reference:
        """This repository at exactly `digest`, without a tag: a repository digest."""
        return Reference(self.domain, self.path, "", digest)


def parse_reference(text: str) -> Reference:
    """`text` normalised as Docker does; raises `Invalid` with Docker's wording."""
    if _BARE_ID.fullmatch(text):
        raise Invalid(f"invalid repository name ({text}), cannot specify 64-byte hexadecimal strings")
    domain, remote = _split_domain(text)
    repository = remote.partition("@")[0].partition(":")[0]
    if repository != repository.lower():
        raise Invalid(f"invalid reference format: repository name ({repository}) must be lowercase")
    match = _REFERENCE.fullmatch(f"{domain}/{remote}")
    if not match:
        raise Invalid("invalid reference format")
    if len(match["path"]) > _LONGEST_NAME:
        raise Invalid(f"invalid reference format: repository name must not be more than {_LONGEST_NAME} characters")
    digest = parse_digest(match["digest"]) if match["digest"] else _ABSENT
    return Reference(match["domain"], match["path"], match["tag"] or "", digest)


def _split_domain(text: str) -> tuple[str, str]:
    """The domain (docker.io unless the first part can only be a host) and all that follows it."""
    first, slash, rest = text.partition("/")
    if not slash:
        domain, remote = DEFAULT_DOMAIN, text
    elif first == _LEGACY_DOMAIN:
        domain, remote = DEFAULT_DOMAIN, rest
    elif first == "localhost" or "." in first or ":" in first or first != first.lower():
        domain, remote = first, rest
    else:
        domain, remote = DEFAULT_DOMAIN, text
    if domain == DEFAULT_DOMAIN and "/" not in remote:
        remote = _OFFICIAL + remote
    return domain, remote
