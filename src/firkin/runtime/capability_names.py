"""Names of capabilities, in the order of their numbers. Source: linux/capability.h, capabilities(7)."""

from __future__ import annotations

from firkin.errors import Invalid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_IN_ORDER = """
    CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE
    NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN
    SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE
    MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE
"""
NAMES = tuple("CAP_" + name for name in _IN_ORDER.split())
_BITS = {name: 1 << number for number, name in enumerate(NAMES)}


def mask(names: Iterable[str]) -> int:
    """Bit n for capability n; raises `Invalid` for a name that is none."""
    bits = 0
    for name in names:
        if name not in _BITS:
            raise Invalid(f'unknown capability: "{name}"')
        bits |= _BITS[name]
    return bits


def mask_of_known(names: Iterable[str]) -> int:
    """The same, but a name that is none counts for nothing: a configuration may ask for what only a newer kernel has."""
    return mask(name for name in names if name in _BITS)


def names(bits: int) -> tuple[str, ...]:
    """Names of the bits set, as far as there are any."""
    return tuple(name for name, bit in _BITS.items() if bits & bit)
