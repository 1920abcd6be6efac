"""How patient a transfer is, and what went wrong with it in words.

Source: RFC 9110, Retry-After (its form in seconds).
"""

from __future__ import annotations

import os
import random
from dataclasses import dataclass

import aiohttp


@dataclass(frozen=True)
class Retry:
    """How patient to be. Seconds; a wait doubles from `first` to `longest` and is jittered; Retry-After may ask for more."""

    attempts: int = 5
    first: float = 0.5
    longest: float = 15.0
    longest_asked: float = 60.0
    connect: float = 15.0
    stall: float = 30.0  # no byte for this long: the connection is broken

    def delay(self, attempt: int, asked: str | None = None) -> float:
        """Before attempt number `attempt` + 1; `asked` is a Retry-After header."""
        own = min(self.longest, self.first * 2.0 ** (attempt - 1)) * random.uniform(0.8, 1.2)
        return min(max(own, float(asked)), self.longest_asked) if asked and asked.isdecimal() else own


PATIENT = Retry()


def explain(error: BaseException) -> str:
    """What went wrong with a connection, in words a person has seen before."""
    if isinstance(error, TimeoutError):
        return "i/o timeout"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return f"lookup {error.host}: {(error.strerror or 'no such host').lower()}"
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return f"tls: failed to verify certificate: {error.certificate_error}"
    if isinstance(error, aiohttp.ClientPayloadError | aiohttp.ServerDisconnectedError):
        return "unexpected EOF"
    if isinstance(error, aiohttp.ClientOSError) and error.errno:
        return os.strerror(error.errno).lower() if error.errno > 0 else str(error)
    return str(error) or type(error).__name__
