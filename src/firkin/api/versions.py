"""API versions: which ones are served, and every difference between them.

A version is its minor number (all are 1.x). Each property of `Dialect` is one line of Docker's change log
(moby, `api/docs/CHANGELOG.md`); nothing outside this file compares version numbers.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass

from firkin.errors import Invalid

OLDEST = 24
NEWEST = 54

_PREFIX = re.compile(r"/v([0-9]{1,9})\.([0-9]{1,9})(?=/)")


@dataclass(frozen=True)
class Dialect:
    """How one API version differs from its neighbours."""

    minor: int

    def __str__(self) -> str:
        return f"1.{self.minor}"

    @property
    def names_stream_media_type(self) -> bool:
        """1.42: streams say whether they are raw or multiplexed."""
        return self.minor >= 42

    @property
    def removes_containers_itself(self) -> bool:
        """1.25: `AutoRemove` is the engine's work; before, the client removed the container."""
        return self.minor >= 25

    @property
    def shares_ipc_by_default(self) -> bool:
        """Until 1.39 a container's IPC namespace could be joined by others unless it said otherwise."""
        return self.minor < 40

    @property
    def joins_host_cgroupns_by_default(self) -> bool:
        """Until 1.40 there were no cgroup namespaces to choose."""
        return self.minor < 41

    @property
    def sizes_consoles_at_create(self) -> bool:
        """1.42: `ConsoleSize` is respected."""
        return self.minor >= 42

    @property
    def has_annotations(self) -> bool:
        """1.43: containers have annotations."""
        return self.minor >= 43

    @property
    def refuses_unknown_wait_condition(self) -> bool:
        """1.30: `wait` takes a condition and answers before the container ends."""
        return self.minor >= 30

    @property
    def prunes_only_anonymous_volumes(self) -> bool:
        """1.42: volume prune spares named volumes unless the filter `all` is set."""
        return self.minor >= 42

    @property
    def names_dangling_images(self) -> bool:
        """Until 1.42 an image without a name was called `<none>:<none>`."""
        return self.minor < 43

    @property
    def has_image_virtual_size(self) -> bool:
        """Until 1.43 an image's size was given twice."""
        return self.minor < 44

    @property
    def has_image_container_config(self) -> bool:
        """Until 1.44 an image showed the container that a build had used."""
        return self.minor < 45

    @property
    def counts_containers_of_images(self) -> bool:
        """1.51: the image list says how many containers use each image."""
        return self.minor >= 51

    @property
    def has_container_fields_in_image_config(self) -> bool:
        """Until 1.49 an image's configuration had the (empty) fields of a container's."""
        return self.minor < 50

    @property
    def omits_empty_image_fields(self) -> bool:
        """1.52: an image's empty fields are left out."""
        return self.minor >= 52

    @property
    def has_bridge_nf_fields(self) -> bool:
        """Until 1.49 `info` told whether bridged traffic passes iptables."""
        return self.minor < 50

    @property
    def has_expected_commits(self) -> bool:
        """Until 1.48 `info` told which commits of its helpers the engine was made for."""
        return self.minor < 49

    @property
    def has_legacy_network_settings(self) -> bool:
        """Until 1.51 the first network's addresses stood directly in a container's `NetworkSettings`."""
        return self.minor < 52

    @property
    def has_legacy_event_fields(self) -> bool:
        """Until 1.51 events repeated `status`, `id` and `from`."""
        return self.minor < 52

    @property
    def negotiates_event_type(self) -> bool:
        """1.52: `events` answers in the media type that the client accepts."""
        return self.minor >= 52

    @property
    def has_empty_on_build(self) -> bool:
        """Until 1.51 a container's `OnBuild` was shown even when empty."""
        return self.minor < 52

    @property
    def has_container_mac_address(self) -> bool:
        """Until 1.51 a MAC address could be given for the container instead of an endpoint."""
        return self.minor < 52

    @property
    def has_kernel_memory_tcp(self) -> bool:
        """Until 1.51 TCP buffer memory could be limited."""
        return self.minor < 52

    @property
    def has_containers_in_network_list(self) -> bool:
        """Until 1.51 the list of networks had the (empty) `Containers` of inspect."""
        return self.minor < 52

    @property
    def has_network_status(self) -> bool:
        """1.52: network inspect counts the addresses in use."""
        return self.minor >= 52

    @property
    def has_stats_os_type(self) -> bool:
        """1.52: statistics name the operating system."""
        return self.minor >= 52

    @property
    def has_legacy_disk_usage(self) -> bool:
        """Until 1.52 `system df` listed every object at the top level."""
        return self.minor < 53

    @property
    def has_disk_usage_summaries(self) -> bool:
        """1.52: `system df` sums up each kind of object."""
        return self.minor >= 52

    @property
    def has_legacy_progress_fields(self) -> bool:
        """Until 1.47 progress came twice: as text and as `progressDetail`."""
        return self.minor < 48


@functools.cache
def dialect(minor: int) -> Dialect:
    return Dialect(minor)


def split_version(path: str) -> tuple[Dialect, str]:
    """(version asked for, the path without it); without a prefix the newest. Raises `Invalid` for one that is not served."""
    match = _PREFIX.match(path)
    if not match:
        return dialect(NEWEST), path
    major, minor = int(match[1]), int(match[2])
    if (major, minor) > (1, NEWEST):
        raise Invalid(f"client version {major}.{minor} is too new. Maximum supported API version is 1.{NEWEST}")
    if (major, minor) < (1, OLDEST):
        raise Invalid(
            f"client version {major}.{minor} is too old. Minimum supported API version is 1.{OLDEST}, "
            "please upgrade your client to a newer version"
        )
    return dialect(minor), path[match.end() :]
