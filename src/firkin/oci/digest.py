"""Digests: `sha256:` and 64 lower-case hex digits, the name of a blob.

Source: OCI image spec, descriptor.md, "Digests". Parsed once at the edge, because a digest becomes a file name.
"""

from __future__ import annotations

import hashlib
import re
from typing import NewType

from firkin.errors import Invalid

Digest = NewType("Digest", str)

_FORM = re.compile(r"sha256:[0-9a-f]{64}")


def parse_digest(text: str) -> Digest:
    """`text` as a digest. Only sha256, the one algorithm every registry has; raises `Invalid`."""
    if not _FORM.fullmatch(text):
        raise Invalid(f"invalid digest {text!r}: want sha256: and 64 hex digits")
    return Digest(text)


def digest_of(data: bytes) -> Digest:
    return Digest("sha256:" + hashlib.sha256(data).hexdigest())


def hex_of(digest: Digest) -> str:
    """The 64 digits alone, safe as a file name."""
    return digest.removeprefix("sha256:")
