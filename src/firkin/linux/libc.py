"""The C library and memory for the kernel to write to, without the `ctypes` package, which takes longer to import than a
container to mount.

The names are that package's, as far as they are used here; beneath it lies the same `_ctypes`, in every Python from 3.11 on.
Source: ctypes in the Python library reference.
"""

from __future__ import annotations

import _ctypes
from _ctypes import addressof, get_errno

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ctypes import Array, c_char, c_int, c_long, c_void_p
else:
    # Letters as those of `struct`.
    class c_char(_ctypes._SimpleCData):
        _type_ = "c"

    class c_int(_ctypes._SimpleCData):
        _type_ = "i"

    class c_long(_ctypes._SimpleCData):
        _type_ = "l"

    class c_void_p(_ctypes._SimpleCData):
        """Takes an int, None, bytes (their address) and buffers, and is as wide as a register."""

        _type_ = "P"


__all__ = ["addressof", "c_int", "c_void_p", "create_string_buffer", "function", "get_errno", "locked_function"]

_program = _ctypes.dlopen(None, _ctypes.RTLD_LOCAL)  # type: ignore[arg-type] # None: what is loaded already


class _Function(_ctypes.CFuncPtr):
    _flags_ = _ctypes.FUNCFLAG_CDECL | _ctypes.FUNCFLAG_USE_ERRNO
    _restype_ = c_long


class _LockedFunction(_ctypes.CFuncPtr):
    _flags_ = _Function._flags_ | _ctypes.FUNCFLAG_PYTHONAPI
    _restype_ = c_long


def function(name: str, *arguments: type[c_int | c_long | c_void_p]) -> _Function:
    """A function of the C library's, its arguments' types fixed: that makes a call three times as quick as guessing them.
    It returns a long, and leaves errno for `get_errno`."""
    found = _Function(_ctypes.dlsym(_program, name))
    found.argtypes = arguments
    return found


def locked_function(name: str, *arguments: type[c_int | c_long | c_void_p]) -> _LockedFunction:
    """The same, or one of the interpreter's, called without letting go of the interpreter lock."""
    found = _LockedFunction(_ctypes.dlsym(_program, name))
    found.argtypes = arguments
    return found


def create_string_buffer(content: bytes | int) -> Array[c_char]:
    """Of just this size: zeros, or a copy of `content`."""
    size = content if isinstance(content, int) else len(content)
    kind = c_char * size
    return kind() if isinstance(content, int) else kind.from_buffer_copy(content)
