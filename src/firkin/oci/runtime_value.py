"""What all parts of an OCI runtime configuration share: immutability, the spelling of their JSON, and reading it with
checks that name the offending field.

A part declares its fields as a dataclass does, and mypy treats it as one. Neither `dataclasses` nor a library stands
behind it, because importing those takes longer than all of `firkin-oci run` may (decision 12).
"""

from __future__ import annotations

import sys

from firkin.errors import Invalid

TYPE_CHECKING = False  # as typing has it; importing that takes a quarter of a start
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import MappingProxyType
    from typing import Any, ClassVar, Self, TypeVar, dataclass_transform

    T = TypeVar("T", bound="Value")
    Read = Callable[[object, str], object]  # (what the JSON holds, the field's name for messages) -> the value
    UInt16 = int
    UInt32 = int
    UInt64 = int
    Int32 = int
    Int64 = int
else:
    MappingProxyType = type(type.__dict__)  # as types has it, which takes longer to import

    def dataclass_transform(**_):
        return lambda cls: cls


EMPTY: Any = MappingProxyType({})  # what a map is when not given

# Words the specification does not write in plain camel case.
_SPELLINGS = {
    "class_": "class",
    "class_id": "classID",
    "container_id": "containerID",
    "host_id": "hostID",
    "clos_id": "closID",
    "exec_cpu_affinity": "execCPUAffinity",
    "block_io": "blockIO",
    "throttle_read_iops_device": "throttleReadIOPSDevice",
    "throttle_write_iops_device": "throttleWriteIOPSDevice",
    "disable_oom_killer": "disableOOMKiller",
    "kernel_tcp": "kernelTCP",
}
_KINDS = {dict: "an object", list: "an array", str: "a string", bool: "a boolean", int: "an integer", float: "a fraction"}


def _spelled(name: str) -> str:
    """The specification's word for a field: `oom_score_adj` -> `oomScoreAdj`."""
    head, *rest = name.split("_")
    return _SPELLINGS.get(name) or head + "".join(word.capitalize() for word in rest)


@dataclass_transform(frozen_default=True)
class Value:
    """Base of all parts: compared by content; a field at its default is absent from the JSON, and None means "not given"
    wherever zero would mean something. A field that was not given is not stored: its default is the class's."""

    # Made when they are first asked for: a container's configuration has a dozen of the sixty parts.
    _words: ClassVar[dict[str, str] | None]  # name -> the JSON's word
    _readers: ClassVar[dict[str, tuple[str, Read]] | None]  # the JSON's word -> (name, how to read it)

    if not TYPE_CHECKING:

        def __init_subclass__(cls):
            cls._words = cls._readers = None

        def __init__(self, *args, **given):
            fields, stored = type(self).__annotations__, self.__dict__
            if args:
                stored.update(zip(fields, args, strict=False))
            stored.update(given)
            if len(stored) != len(args) + len(given) or not stored.keys() <= fields.keys():
                raise TypeError(f"{type(self).__name__}: unknown field among {sorted(stored)}, or one given twice")
            for name in fields:
                if name not in stored and not hasattr(type(self), name):
                    raise TypeError(f"{type(self).__name__}: no {name}")

        def __setattr__(self, name, value):
            raise AttributeError(f"{type(self).__name__} is immutable")

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self._content() == other._content()

    def __hash__(self) -> int:
        return hash(self._content())

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.__dict__.items())})"

    def _content(self) -> tuple[object, ...]:
        return tuple([getattr(self, name) for name in type(self).__annotations__])

    @classmethod
    def fields(cls) -> dict[str, str]:
        """Name -> the JSON's word."""
        if cls._words is None:
            cls._words = {name: _spelled(name) for name in cls.__annotations__}
        return cls._words

    def replace(self, **changes: Any) -> Self:
        """The same with other values in some fields."""
        return type(self)(**{**self.__dict__, **changes})

    def to_dict(self) -> dict[str, object]:
        """As the JSON has it."""
        found = {}
        for name, word in self.fields().items():
            if name in self.__dict__ and self.__dict__[name] != getattr(type(self), name, _REQUIRED):
                found[word] = _plain(self.__dict__[name])
        return found

    @classmethod
    def from_dict(cls, content: object, where: str = "") -> Self:
        """The part that `content`, a JSON object, describes; `where` is its own name. Raises `Invalid` naming the field."""
        if cls._readers is None:
            scope = vars(sys.modules[cls.__module__])
            cls._readers = {word: (name, _reader(cls.__annotations__[name], scope)) for name, word in cls.fields().items()}
        if not isinstance(content, dict):
            raise _misfit(where, "an object", content)
        given = {}
        prefix = where + "." if where else ""
        for word, value in content.items():
            # A property the specification does not know is ignored, as it demands; null is "not given", as in Go.
            if value is not None and word in cls._readers:
                name, read = cls._readers[word]
                given[name] = read(value, prefix + word)
        for name, word in cls.fields().items():
            if name not in given and not hasattr(cls, name):
                raise Invalid(f"{prefix}{word}: required, and not given")
        return cls(**given)


_REQUIRED = object()


def _plain(value: object) -> object:
    if isinstance(value, Value):
        return value.to_dict()
    if isinstance(value, (tuple, list)):
        return [_plain(one) for one in value]
    if isinstance(value, (dict, MappingProxyType)):
        return {key: _plain(one) for key, one in value.items()}
    return value


# --- reading -------------------------------------------------------------------------------------------------------
def _reader(annotation: str, scope: dict[str, Any]) -> Read:
    """How to read what `annotation` says: "str", "UInt32 | None", "tuple[Mount, ...]", "dict[str, Rdma]", a `Value`'s name.
    `scope` is what the names in it stand for."""
    annotation = annotation.removesuffix(" | None")
    outer, bracket, inner = annotation.partition("[")
    if outer == "tuple":
        return _array(_reader(inner.removesuffix(", ...]"), scope))
    if bracket:
        return _map(_reader(inner.removesuffix("]").partition(", ")[2], scope))
    if annotation in _SIMPLE:
        return _SIMPLE[annotation]
    part: type[Value] = scope[annotation]
    return part.from_dict


def _array(read: Read) -> Read:
    def array(value: object, where: str) -> tuple[object, ...]:
        if not isinstance(value, list):
            raise _misfit(where, "an array", value)
        return tuple([read(one, f"{where}[{index}]") for index, one in enumerate(value)])

    return array


def _map(read: Read) -> Read:
    def mapping(value: object, where: str) -> dict[str, object]:
        if not isinstance(value, dict):
            raise _misfit(where, "an object", value)
        return {_text(key, where): read(one, f"{where}.{key}") for key, one in value.items()}

    return mapping


def _exactly(kind: type) -> Read:
    def exact(value: object, where: str) -> object:
        if type(value) is not kind:  # True is no integer here
            raise _misfit(where, _KINDS[kind], value)
        return value

    return exact


def _text(value: object, where: str) -> str:
    """JSON can spell half a character ("\\ud800"), of which no system call could be told."""
    if type(value) is not str:
        raise _misfit(where, "a string", value)
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise Invalid(f"{where}: not a text: {value.encode('ascii', 'backslashreplace').decode()[:100]}") from None
    return value


def _within(low: int, high: int) -> Read:
    def number(value: object, where: str) -> int:
        if type(value) is not int:
            raise _misfit(where, "an integer", value)
        if not low <= value <= high:
            raise Invalid(f"{where}: want an integer from {low} to {high}, got {value}")
        return value

    return number


_SIMPLE: dict[str, Read] = {
    "str": _text,
    "bool": _exactly(bool),
    "int": _exactly(int),
    "UInt16": _within(0, (1 << 16) - 1),
    "UInt32": _within(0, (1 << 32) - 1),
    "UInt64": _within(0, (1 << 64) - 1),
    "Int32": _within(-(1 << 31), (1 << 31) - 1),
    "Int64": _within(-(1 << 63), (1 << 63) - 1),
}


def _misfit(where: str, wanted: str, value: object) -> Invalid:
    return Invalid(f"{where or 'the document'}: want {wanted}, got {_KINDS.get(type(value), 'null')}")
