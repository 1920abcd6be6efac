"""Seccomp profiles in Docker's format, resolved for one container: which system calls it may make.

A profile's rules may depend on the machine's architecture, the kernel's version and the container's capabilities; what
is left after `resolve` is an OCI filter without conditions. The default profile (profiles/default.json, same format)
allows what programs need and refuses the rest with EPERM. It differs from Docker's in one point: socketcall(2) is
refused (ENOSYS), for through it a 32-bit program could open the AF_ALG and AF_VSOCK sockets that are refused otherwise.

Source: moby/profiles seccomp/ (format and semantics), Docker's "Seccomp security profiles for Docker".
"""

from __future__ import annotations

import functools
import os

from firkin.errors import Invalid
from firkin.oci import json_text
from firkin.oci.runtime_linux import Seccomp, SeccompArg, SeccompRule
from firkin.oci.runtime_value import Value
from firkin.runtime.seccomp_library import NATIVE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firkin.oci.runtime_value import UInt32

DEFAULT_PATH = os.path.join(os.path.dirname(__file__), "profiles/default.json")

_WORDS = {"x86_64": "amd64", "aarch64": "arm64"}  # for uname(2)'s word, the one that conditions use


class _Conditions(Value):
    """Of `caps`, `includes` wants all and `excludes` wants none; of `arches`, the machine's."""

    arches: tuple[str, ...] = ()
    caps: tuple[str, ...] = ()
    min_kernel: str = ""


class _Rule(Value):
    """A `SeccompRule` with conditions."""

    action: str
    errno_ret: UInt32 | None = None
    args: tuple[SeccompArg, ...] = ()
    names: tuple[str, ...] = ()
    name: str = ""  # the form of old profiles
    includes: _Conditions = _Conditions()
    excludes: _Conditions = _Conditions()


class _ArchitectureMap(Value):
    architecture: str
    sub_architectures: tuple[str, ...] | None = ()


class _Profile(Value):
    default_action: str = ""
    default_errno_ret: UInt32 | None = None
    architectures: tuple[str, ...] | None = ()
    arch_map: tuple[_ArchitectureMap, ...] | None = ()
    flags: tuple[str, ...] = ()
    listener_path: str = ""
    listener_metadata: str = ""
    syscalls: tuple[_Rule, ...] | None = ()


@functools.lru_cache(maxsize=64)
def resolve(profile: str, capabilities: tuple[str, ...]) -> Seccomp | None:
    """The filter that `profile` (JSON; "" for the default one) means here for a container bounded by `capabilities`.

    None if the profile says nothing at all, which Docker takes for unconfined. Raises `Invalid`.
    """
    parsed = _default() if not profile else _parse(profile)
    if not parsed.default_action and not parsed.syscalls:
        return None
    machine = os.uname().machine
    word, native = _WORDS[machine], NATIVE[machine]
    held = frozenset(capabilities)
    return Seccomp(
        default_action=parsed.default_action,
        default_errno_ret=parsed.default_errno_ret,
        architectures=parsed.architectures or _with_compatible(native, parsed.arch_map or ()),
        flags=parsed.flags,
        listener_path=parsed.listener_path,
        listener_metadata=parsed.listener_metadata,
        syscalls=tuple(_plain(rule) for rule in parsed.syscalls or () if _applies(rule, word, held)),
    )


@functools.cache
def _default() -> _Profile:
    with open(DEFAULT_PATH, encoding="utf-8") as file:
        return _parse(file.read())


def _parse(text: str) -> _Profile:
    try:
        profile = _Profile.from_dict(json_text.loads(text))
    except Invalid as error:
        raise Invalid(f"decode seccomp profile: {error.message}") from None
    if profile.architectures and profile.arch_map:
        raise Invalid("decode seccomp profile: use either 'architectures' or 'archMap', not both")
    for rule in profile.syscalls or ():
        if rule.name and rule.names:
            raise Invalid(f"decode seccomp profile: use either 'name' or 'names', not both: {rule.name}")
    return profile


def _with_compatible(native: str, maps: tuple[_ArchitectureMap, ...]) -> tuple[str, ...]:
    """`native` and the architectures whose programs the same kernel runs."""
    return next(((one.architecture, *(one.sub_architectures or ())) for one in maps if one.architecture == native), ())


def _applies(rule: _Rule, architecture: str, held: frozenset[str]) -> bool:
    wanted, refused = rule.includes, rule.excludes
    return not (
        (wanted.arches and architecture not in wanted.arches)
        or not held.issuperset(wanted.caps)
        or not _kernel_is(wanted.min_kernel, otherwise=True)
        or architecture in refused.arches
        or not held.isdisjoint(refused.caps)
        or _kernel_is(refused.min_kernel, otherwise=False)
    )


def _kernel_is(version: str, *, otherwise: bool) -> bool:
    """Whether this kernel is at least "MAJOR.MINOR"; `otherwise` for ""."""
    if not version:
        return otherwise
    try:
        major, minor = map(int, version.split("."))
    except ValueError:
        raise Invalid(f"decode seccomp profile: invalid kernel version: {version}")
    release = os.uname().release.split(".")
    return (int(release[0]), int("".join(filter(str.isdigit, release[1])))) >= (major, minor)


def _plain(rule: _Rule) -> SeccompRule:
    return SeccompRule(rule.names or (rule.name,), rule.action, rule.errno_ret, rule.args)
