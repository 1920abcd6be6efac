"""Records: one frozen dataclass, one JSON file, replaced whole.

Invariant: a reader sees the old record or the new one, never a mixture, because a record is written beside its
place and renamed into it (rename(2) is atomic within a directory). A crash of the machine may lose the newest
version unless it was written `durable`; a crash of the daemon never does.
"""

from __future__ import annotations

import functools
from collections.abc import Hashable
from typing import Any, TypeVar, cast

import msgspec

from firkin.errors import Internal, NotFound
from firkin.storage.files import write_file

T = TypeVar("T")

_encoder = msgspec.json.Encoder()


@functools.cache
def _decoder(cls: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(cls)


def write_record(path: str, obj: object, *, durable: bool = False) -> None:
    """Make `path` hold `obj` (a dataclass, or dicts and lists of them) as JSON, mode 0600; its directory must exist."""
    write_file(path, _encoder.encode(obj), durable=durable)


def read_record(path: str, cls: type[T]) -> T:
    """The record at `path` as a `cls`. Raises `NotFound`, or `Internal` when the file does not fit `cls`."""
    try:
        with open(path, "rb") as file:
            return cast(T, _decoder(cast(Hashable, cls)).decode(file.read()))
    except FileNotFoundError:
        raise NotFound(f"read record {path}: no such file")
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise Internal(f"read record {path}: {error}")
