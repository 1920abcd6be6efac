"""What a runtime writes to /proc for a container, led elsewhere by a /proc that is none (CVE-2025-52881, CVE-2019-16884); and
what containers write to it themselves."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from firkin.runtime.state import State
from tests.attacks.rig import Rig, image
from tests.runtime.box import Box

# A /proc of files, into which the runtime's writes would fall without effect, or of links, which would lead them on.
FAKE = {
    "file": ("write", "/proc/self/oom_score_adj", "0", 0o666),
    "link": ("symlink", "/proc/sys/kernel/core_pattern", "/proc/self/oom_score_adj"),
}


def faked(box: Box, kind: str) -> list[tuple[Any, ...]]:
    """A container whose /proc is a tmpfs with a file that the runtime writes to; the real one is at /real."""
    return [
        *box.root(),
        ("mount", "tmpfs", "tmpfs", "/proc", 0, [], "dir"),
        ("mkdir", "/proc/self", 0o755),
        FAKE[kind],
        ("mount", "proc", "proc", "/real", 0, [], "dir"),
    ]


def naive_write(state: State, path: str, text: str) -> None:
    """To whatever is called /proc from where the process stands."""
    fd = os.open("/proc/" + path, os.O_WRONLY)
    os.write(fd, text.encode())
    os.close(fd)


def score(box: Box, kind: str, before: list[tuple[Any, ...]], after: list[tuple[Any, ...]]) -> str:
    show = box.become("sh", "-c", "cat /real/self/oom_score_adj")
    return box.run([*faked(box, kind), *before, *box.into(), *after, *show]).output.strip()


@pytest.mark.parametrize("kind", FAKE)
def test_the_score_is_written_to_the_kernel(box: Box, kind: str) -> None:
    """Whichever side of the change of root it stands on."""
    step = ("oom-score-adj", 321)
    assert score(box, kind, [step], []) == "321"
    assert score(box, kind, [], [step]) == "321"


def test_a_naive_write_goes_into_the_containers_file(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(State, "write_proc", naive_write)
    own = Path("/proc/self/oom_score_adj").read_text().strip()
    assert score(box, "file", [], [("oom-score-adj", 321)]) == own


def test_a_parameter_is_written_to_the_kernel(box: Box) -> None:
    fake = [("mkdir", "/proc/sys/net/ipv4", 0o755), ("write", "/proc/sys/net/ipv4/ip_forward", "0", 0o666)]
    result = box.run(
        [
            *faked(box, "file"),
            *fake,
            ("sysctl", "net/ipv4/ip_forward", "1"),
            *box.into(),
            *box.become("cat", "/real/sys/net/ipv4/ip_forward"),
        ]
    )
    assert result.output.strip() == "1", result


IN_THE_WAY = """
import errno, sys
from firkin.linux import mount
from firkin.runtime.state import State
mount.mount(sys.argv[1], "/proc/self/oom_score_adj", None, mount.MS_BIND)
try:
    State({}, None, False).write_proc("self/oom_score_adj", "1")
except OSError as error:
    print(errno.errorcode[error.errno])
"""


def test_a_mount_in_the_way_is_refused(tmp_path: Path) -> None:
    """In the host's own /proc, as a runtime inside another container may find it: a file over the one to write to."""
    fake = tmp_path / "fake"
    fake.write_text("")
    argv = ["unshare", "-m", "--propagation", "private", sys.executable, "-c", IN_THE_WAY, str(fake)]
    assert subprocess.run(argv, capture_output=True, text=True, check=True, timeout=20).stdout == "EXDEV\n"
    assert fake.read_text() == ""


# --- what the container itself may write ---------------------------------------------------------------------------
PARAMETERS = ("kernel/core_pattern", "kernel/modprobe", "kernel/hostname", "vm/panic_on_oom", "fs/binfmt_misc/register")


def test_parameters_cannot_be_written_from_inside(rig: Rig) -> None:
    script = "".join(f"echo x > /proc/sys/{name} || echo kept\n" for name in PARAMETERS)
    found = rig.shell(script + "echo b > /proc/sysrq-trigger || echo kept")
    assert found.count("kept") == len(PARAMETERS) + 1, found


HIDDEN = (
    "/proc/acpi /proc/asound /proc/interrupts /proc/kcore /proc/keys /proc/latency_stats /proc/sched_debug /proc/scsi "
    "/proc/timer_list /proc/timer_stats /sys/devices/virtual/powercap /sys/firmware"
)
READONLY = "/proc/bus /proc/fs /proc/irq /proc/sys /proc/sysrq-trigger"
LOOK = """
for path in %s; do
    test -e $path || continue
    if test -d $path; then ls -A $path; else cat $path; fi | head -c1 | grep -q . && echo seen: $path
done
for path in %s; do test ! -e $path || grep -q " $path ro" /proc/self/mountinfo || echo writable: $path; done
"""


def test_what_is_hidden_and_what_is_read_only_is_what_docker_says_today(rig: Rig) -> None:
    """moby's lists as of version 29: daemon/pkg/oci/defaults.go. Without them there is something to see."""
    throttles = map(str, Path("/sys/devices/system/cpu").glob("cpu[0-9]*/thermal_throttle"))
    look = LOOK % (" ".join([HIDDEN, *throttles]), READONLY)
    assert rig.shell(look) == ""
    naked = rig.shell(look, "--security-opt", "systempaths=unconfined")
    assert "seen: /proc/timer_list" in naked and "writable: /proc/sys" in naked


def test_links_in_an_image_do_not_uncover_anything(rig: Rig) -> None:
    """Other names for hidden files lead to what hides them."""
    name = image(rig, "names:1", {"/keys": "/proc/keys", "/core": "/proc/./kcore", "/self": "/proc/self/root/proc/kcore"})
    done = rig.run(name, "sh", "-c", "cat /keys /core /self | wc -c")
    assert done.stdout == "0\n", done.stderr
