"""`linux.seccomp` of an OCI configuration. Part of `validate`.

Source: runtime-spec config-linux.md "Seccomp".
"""

from __future__ import annotations

from firkin.errors import Invalid
from firkin.runtime import seccomp_compile
from firkin.runtime import seccomp_library as lib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firkin.oci.runtime_linux import Seccomp, SeccompRule

_WITH_NUMBER = ("SCMP_ACT_ERRNO", "SCMP_ACT_TRACE")
_ARGUMENTS = 6


def validate(seccomp: Seccomp) -> None:
    _action("linux.seccomp.defaultAction", seccomp.default_action, "linux.seccomp.defaultErrnoRet", seccomp.default_errno_ret)
    for index, name in enumerate(seccomp.architectures):
        if name not in lib.ARCHITECTURES:
            raise Invalid(f"linux.seccomp.architectures[{index}]: unknown architecture {name!r}")
    for index, name in enumerate(seccomp.flags):
        if name not in lib.FLAGS:
            raise Invalid(f"linux.seccomp.flags[{index}]: unknown flag {name!r}")
    if seccomp.listener_metadata and not seccomp.listener_path:
        raise Invalid("linux.seccomp.listenerMetadata: without a listenerPath")
    if seccomp_compile.notifies(seccomp) and not seccomp.listener_path:
        raise Invalid("linux.seccomp.listenerPath: required by SCMP_ACT_NOTIFY, and not given")
    for index, rule in enumerate(seccomp.syscalls):
        _rule(f"linux.seccomp.syscalls[{index}]", rule)


def _rule(field: str, rule: SeccompRule) -> None:
    if not rule.names:
        raise Invalid(f"{field}.names: must not be empty")
    _action(f"{field}.action", rule.action, f"{field}.errnoRet", rule.errno_ret)
    for index, argument in enumerate(rule.args):
        if argument.op not in lib.OPERATORS:
            raise Invalid(f"{field}.args[{index}].op: unknown operator {argument.op!r}")
        if argument.index >= _ARGUMENTS:
            raise Invalid(f"{field}.args[{index}].index: a system call has {_ARGUMENTS} arguments, counted from 0")


def _action(field: str, action: str, number_field: str, number: int | None) -> None:
    if action not in lib.ACTIONS:
        raise Invalid(f"{field}: unknown action {action!r}")
    if number is not None and action not in _WITH_NUMBER:
        raise Invalid(f"{number_field}: {action} does not return an error number")
