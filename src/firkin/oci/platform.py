"""Platforms: `linux/arm64/v8`, and which of an index's offers a machine runs best.

Source: OCI image spec, image-index.md; the aliases and the order of preference are containerd's (`platforms` package).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable

import msgspec

from firkin.errors import Invalid

_PART = re.compile(r"[A-Za-z0-9_.-]+")
_ARCHITECTURES = {
    "x86_64": ("amd64", ""),
    "x86-64": ("amd64", ""),
    "i386": ("386", ""),
    "i686": ("386", ""),
    "aarch64": ("arm64", ""),
    "armhf": ("arm", "v7"),
    "armv7l": ("arm", "v7"),
    "armv6l": ("arm", "v6"),
    "armel": ("arm", "v6"),
}
_ALSO_RUNS = {
    "amd64": [("386", "")],
    "arm64": [("arm", "v8"), ("arm", "v7"), ("arm", "v6"), ("arm", "v5")],
    "arm/v8": [("arm", "v7"), ("arm", "v6"), ("arm", "v5")],
    "arm/v7": [("arm", "v6"), ("arm", "v5")],
    "arm/v6": [("arm", "v5")],
}


class Platform(msgspec.Struct, frozen=True, omit_defaults=True):
    """What an image was built for; "" means not said."""

    architecture: str = ""
    os: str = ""
    variant: str = ""
    os_version: str = msgspec.field(default="", name="os.version")
    os_features: tuple[str, ...] = msgspec.field(default=(), name="os.features")

    def __str__(self) -> str:
        return "/".join(part for part in (self.os or "unknown", self.architecture or "unknown", self.variant) if part)


def normalise(platform: Platform) -> Platform:
    """Aliases resolved and the variant everybody leaves out dropped (`arm64/v8`, `amd64/v1`), `arm` being `arm/v7`."""
    architecture, variant = platform.architecture.lower(), platform.variant.lower()
    architecture, implied = _ARCHITECTURES.get(architecture, (architecture, ""))
    variant = variant or implied
    if variant.isdecimal():
        variant = "v" + variant
    if (architecture, variant) in (("arm64", "v8"), ("amd64", "v1")):
        variant = ""
    if architecture == "arm" and not variant:
        variant = "v7"
    return Platform(architecture, platform.os.lower() or "linux", variant)


def host_platform() -> Platform:
    """The platform of this machine."""
    return normalise(Platform(os.uname().machine, "linux"))


def parse_platform(text: str) -> Platform:
    """`linux/amd64`, `linux/arm/v7`, `arm64` or `linux` (this machine's architecture); raises `Invalid`."""
    parts = text.split("/")
    if len(parts) > 3 or not all(_PART.fullmatch(part) for part in parts):
        raise Invalid(f'"{text}" is an invalid OS or platform: want OS/ARCHITECTURE[/VARIANT]')
    if len(parts) > 1:
        return normalise(Platform(parts[1], parts[0], "".join(parts[2:])))
    if parts[0].lower() == "linux":
        return host_platform()
    return normalise(Platform(parts[0], "linux"))


def preference(wanted: Platform) -> list[Platform]:
    """Every platform that serves `wanted`, best first."""
    wanted = normalise(wanted)
    key = f"{wanted.architecture}/{wanted.variant}" if wanted.variant else wanted.architecture
    others = [Platform(architecture, wanted.os, variant) for architecture, variant in _ALSO_RUNS.get(key, [])]
    plain = [Platform(wanted.architecture, wanted.os)] if wanted.variant and wanted.architecture != "arm" else []
    return [wanted, *plain, *others]


def serves(offered: Platform, wanted: Platform) -> bool:
    """Whether an image for `offered` may stand where `wanted` was asked for."""
    return normalise(offered) in preference(wanted)


def choose(offered: Iterable[Platform | None], wanted: Platform) -> int | None:
    """Position of the best of `offered` for `wanted` (None inside: an entry without a platform, never chosen)."""
    order = preference(wanted)
    ranked = [
        (order.index(normalise(platform)), position)
        for position, platform in enumerate(offered)
        if platform is not None and normalise(platform) in order
    ]
    return min(ranked)[1] if ranked else None
