"""Restart policies: whether an exit is final, and how long to wait before the next start.

Source: moby `restartmanager/restartmanager.go`: 100 ms, doubled up to a minute, reset by ten seconds of life.
"""

from __future__ import annotations

from firkin.model import RestartPolicy

_FIRST_DELAY = 0.1
_LONGEST_DELAY = 60.0
LONG_ENOUGH = 10.0  # seconds of life after which a failure is a new one


def should_restart(policy: RestartPolicy, exit_code: int, restarts: int, stopped: bool) -> bool:
    """Whether a container that exited with `exit_code` starts again, having done so `restarts` times."""
    if stopped or policy.name in ("", "no"):
        return False
    if policy.name in ("always", "unless-stopped"):
        return True
    return exit_code != 0 and (not policy.maximum_retry_count or restarts < policy.maximum_retry_count)


def should_start_with_daemon(policy: RestartPolicy, exit_code: int, manually_stopped: bool) -> bool:
    """Whether the daemon, starting anew, starts a container that is down."""
    if policy.name == "always":
        return True
    if policy.name == "unless-stopped":
        return not manually_stopped
    return policy.name == "on-failure" and exit_code != 0 and not manually_stopped


def delay(failures: int) -> float:
    """Seconds before the next start after `failures` quick exits in a row."""
    return min(_FIRST_DELAY * (1 << min(failures, 16)), _LONGEST_DELAY)
