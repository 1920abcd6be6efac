"""From an OCI filter to the BPF program that seccomp(2) installs, through libseccomp.

Source: runtime-spec config-linux.md "Seccomp"; runc libcontainer/seccomp (rules on one argument, ENOSYS).
"""

from __future__ import annotations

import errno
import os

from firkin.errors import Internal, Invalid, Unsupported
from firkin.linux.seccomp import NEW_LISTENER, TSYNC, TSYNC_ESRCH
from firkin.oci.runtime_linux import Seccomp, SeccompArg, SeccompRule
from firkin.runtime import seccomp_library as lib
from firkin.runtime import seccomp_newer

# Not asked otherwise, a filter does not switch off speculation, which kernels before 5.16 would do, at the cost of tenths
# of the speed. runc's default too.
DEFAULT_FLAGS = lib.FLAGS["SECCOMP_FILTER_FLAG_SPEC_ALLOW"]

_LARGEST_ERRNO = 4095  # MAX_ERRNO: beyond it a return value is no error


def flags(seccomp: Seccomp) -> int:
    """SECCOMP_FILTER_FLAG_* for the installation."""
    bits = 0 if seccomp.flags else DEFAULT_FLAGS
    for name in seccomp.flags:
        if name not in lib.FLAGS:
            raise Invalid(f"compile seccomp profile: unknown flag {name!r}")
        bits |= lib.FLAGS[name]
    if not notifies(seccomp):
        return bits & ~lib.FLAGS["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"]  # the kernel knows it with a listener only
    return bits | NEW_LISTENER | (TSYNC_ESRCH if bits & TSYNC else 0)


def notifies(seccomp: Seccomp) -> bool:
    """Whether an agent decides some of the calls."""
    return "SCMP_ACT_NOTIFY" in (seccomp.default_action, *(rule.action for rule in seccomp.syscalls))


def compile_filter(seccomp: Seccomp) -> bytes:
    """The program, as an array of struct sock_filter. Raises `Invalid` for words unknown to the specification,
    `Unsupported` for those unknown to us."""
    library = lib.library()
    architectures = seccomp.architectures or (lib.NATIVE[os.uname().machine],)
    default = _action(seccomp.default_action, seccomp.default_errno_ret)
    context = library.seccomp_init(default)
    if not context:
        raise Internal("compile seccomp profile: libseccomp has no memory")
    try:
        _add_architectures(context, architectures)
        # Half the work for the kernel when it installs the program. A library older than 2.5 makes a list all the same.
        library.seccomp_attr_set(context, lib.OPTIMIZE, lib.BINARY_TREE)
        for rule in seccomp.syscalls:
            # libseccomp refuses a rule that says what the default says anyhow.
            if (action := _action(rule.action, rule.errno_ret)) != default:
                _add_rule(context, rule, action)
        return _prologue(seccomp, architectures, default) + _export(context)
    finally:
        library.seccomp_release(context)


def _action(word: str, number: int | None) -> int:
    """`number` is the errno, EPERM if not given, or what a tracer gets to see."""
    if word not in lib.ACTIONS:
        raise Invalid(f"compile seccomp profile: unknown action {word!r}")
    action = lib.ACTIONS[word]
    if action == lib.ERRNO and number is not None and number > _LARGEST_ERRNO:
        raise Invalid(f"compile seccomp profile: errno {number}: want at most {_LARGEST_ERRNO}")
    return action | ((1 if number is None else number) & 0xFFFF) if action in (lib.ERRNO, lib.TRACE) else action


def _add_architectures(context: int, architectures: tuple[str, ...]) -> None:
    """To the native one, with which a context starts."""
    for name in architectures:
        if name not in lib.ARCHITECTURES:
            raise Invalid(f"compile seccomp profile: unknown architecture {name!r}")
        status = lib.library().seccomp_arch_add(context, lib.ARCHITECTURES[name])
        if status == -errno.EINVAL:
            raise Unsupported(f"compile seccomp profile: libseccomp {lib.version()} does not know architecture {name}")
        if status == -errno.EDOM:
            raise Invalid(f"compile seccomp profile: architecture {name} has another byte order than this machine")
        if status not in (0, -errno.EEXIST):
            raise Internal(f"compile seccomp profile: add architecture {name}: {os.strerror(-status)}")


def _add_rule(context: int, rule: SeccompRule, action: int) -> None:
    library = lib.library()
    for name in rule.names:
        number = library.seccomp_syscall_resolve_name(name.encode())
        if number == lib.UNKNOWN_CALL:
            continue  # newer than libseccomp (see `_prologue`), or of another architecture
        for comparisons in _conjunctions(rule.args):
            array = (lib.Comparison * len(comparisons))(*comparisons)
            status = library.seccomp_rule_add_array(context, action, number, len(comparisons), array)
            if status not in (0, -errno.EEXIST):
                raise Invalid(f"compile seccomp profile: add rule for {name}: {os.strerror(-status)}")


def _conjunctions(args: tuple[SeccompArg, ...]) -> list[list[lib.Comparison]]:
    """The rules to add: one with all conditions, or, if two concern one argument (which libseccomp cannot express), one
    each, so that any condition is enough."""
    comparisons = [_comparison(arg) for arg in args]
    if len({arg.index for arg in args}) < len(args):
        return [[comparison] for comparison in comparisons]
    return [comparisons]


def _comparison(arg: SeccompArg) -> lib.Comparison:
    if arg.op not in lib.OPERATORS:
        raise Invalid(f"compile seccomp profile: unknown operator {arg.op!r}")
    return lib.Comparison(arg.index, lib.OPERATORS[arg.op], arg.value, arg.value_two)


def _export(context: int) -> bytes:
    fd = os.memfd_create("seccomp", os.MFD_CLOEXEC)
    try:
        status = lib.library().seccomp_export_bpf(context, fd)
        if status:
            raise Internal(f"compile seccomp profile: export: {os.strerror(-status)}")
        return os.pread(fd, os.fstat(fd).st_size, 0)
    finally:
        os.close(fd)


def _prologue(seccomp: Seccomp, architectures: tuple[str, ...], default: int) -> bytes:
    """Our own instructions for calls newer than libseccomp; see seccomp_newer."""
    decided: dict[str, dict[int, int]] = {}
    newest: dict[str, int] = {}
    for architecture in architectures:
        known, unknown = _numbers(seccomp, architecture)
        if unknown:
            decided[architecture] = unknown
        if default not in (lib.ALLOW, lib.LOG, lib.NOTIFY) and default & 0xFFFF0000 != lib.TRACE and (known or unknown):
            newest[architecture] = max((*known, *unknown))
    return seccomp_newer.prologue(decided, newest)


def _numbers(seccomp: Seccomp, architecture: str) -> tuple[set[int], dict[int, int]]:
    """(numbers libseccomp knows, number -> action of those only we know) of the calls that the rules name. Conditions on
    arguments of the latter are not understood: then a call is refused that might have been allowed."""
    token = lib.ARCHITECTURES[architecture]
    known: set[int] = set()
    unknown: dict[int, int] = {}
    for rule in seccomp.syscalls:
        for name in rule.names:
            number = lib.library().seccomp_syscall_resolve_name_arch(token, name.encode())
            if 0 <= number < seccomp_newer.PRIVATE_CALLS:
                known.add(number)
            elif number == lib.UNKNOWN_CALL and (newer := seccomp_newer.number_of(name, architecture)) > 0:
                action = _action(rule.action, rule.errno_ret)
                if not rule.args or action != lib.ALLOW:
                    unknown[newer] = action
    return known, unknown
