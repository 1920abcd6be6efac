"""JSON that others wrote: whatever is wrong with it is one kind of error.

msgspec alone has three for it: its own, one for text that is not UTF-8, and RecursionError for nesting that is too deep.
"""

from __future__ import annotations

from typing import Any

import msgspec


def loads(data: bytes | str, kind: Any = Any) -> Any:
    """The value in `data`, as a `kind`; raises ValueError saying what is wrong."""
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ValueError(str(error)) from None
    except UnicodeError:
        raise ValueError("it is not UTF-8") from None
