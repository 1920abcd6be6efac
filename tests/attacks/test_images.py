"""Images that mean harm, taken in and run: what their configuration says, what lies where the engine looks, how their layers
are put together. CVE-2026-17106, CVE-2021-41190, CVE-2024-3727."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import tarfile
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.attacks.hostile_images import archive, file, layer, load, run, tar_of
from tests.attacks.rig import IMAGE, SECRET, Rig
from tests.storage.hoards import links_to_nowhere, packed

LONG = "x" * (3 << 20)

# What it says -> what is said of it, when it is taken in or started.
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a user and a new line": ({"User": "0\n"}, "unable to find user 0\n"),
    "a user that is a path": ({"User": "../../etc/passwd"}, "unable to find user"),
    "a user below zero": ({"User": "-1"}, "must be in range"),
    "a user that wraps around": ({"User": str(2**32)}, "must be in range"),
    "a user of many digits": ({"User": "9" * 5000}, "must be in range"),
    "a user cut short": ({"User": "0\0x"}, "invalid User: it holds a null byte"),
    "a digit of another script": ({"User": "\u0660"}, "unable to find user"),
    "two groups": ({"User": "0:0:0"}, "unable to find group 0:0"),
    "a variable cut short": ({"Env": ["A=x\0LD_PRELOAD=y"]}, "invalid Env: it holds a null byte"),
    "a huge variable": ({"Env": ["A=" + LONG]}, "argument list too long"),
    "variables without end": ({"Env": [f"A{number}=1" for number in range(200_000)]}, "argument list too long"),
    "half a character": ({"Env": ["A=\ud800"]}, "JSON is malformed"),
    "a directory above the root": ({"WorkingDir": "../../../.."}, "needs to be an absolute path"),
    "a directory cut short": ({"WorkingDir": "/tmp\0/x"}, "invalid WorkingDir: it holds a null byte"),
    "a directory of the engine's": ({"WorkingDir": "/proc/self/fd/3"}, "/proc/self/fd/3"),
    "a directory with a long name": ({"WorkingDir": "/" + "a" * 300}, "file name too long"),
    "no program": ({"Entrypoint": [""], "Cmd": []}, "executable file not found"),
    "a program cut short": ({"Entrypoint": ["/bin/sh\0x"]}, "invalid Entrypoint: it holds a null byte"),
    "a program that is a descriptor": ({"Entrypoint": ["/proc/self/fd/3"]}, "no such file"),
    "a huge argument": ({"Entrypoint": ["sh", "-c", LONG]}, "argument list too long"),
    "arguments without end": ({"Entrypoint": ["sh"] * 500_000}, "argument list too long"),
    "a program that is a number": ({"Entrypoint": [1]}, "Entrypoint[0]"),
    "labels without end": ({"Labels": {f"label{number}": "x" for number in range(1_000_000)}}, "more than the limit"),
    "a volume over everything": ({"Volumes": {"/": {}}}, "destination can't be '/'"),
    "a volume over everything, by way of": ({"Volumes": {"../..": {}}}, "destination can't be '/'"),
    "a volume cut short": ({"Volumes": {"/a\0b": {}}}, "invalid Volumes: it holds a null byte"),
    "a volume in proc": ({"Volumes": {"/proc/self/attr": {}}}, "inside /proc"),
    "a volume instead of proc": ({"Volumes": {"/proc": {}}}, "inside /proc"),
    "a signal with more to it": ({"StopSignal": "9; reboot"}, "invalid signal"),
    "a check too often": ({"Healthcheck": {"Test": ["CMD", "x"], "Interval": 1}}, "cannot be less than 1ms"),
}


@pytest.mark.parametrize(("config", "words"), REFUSED.values(), ids=REFUSED)
def test_a_configuration_is_refused_in_words(rig: Rig, config: dict[str, Any], words: str) -> None:
    said = load(rig, archive(config, layer())) or run(rig)[0]
    assert said and words in said and not re.search("Traceback|[a-z]Error", said), said
    assert rig.engine.firkin("ps", "-aq").stdout == ""


HARMLESS: dict[str, tuple[dict[str, Any], str]] = {
    "a plus sign": ({"User": "+0"}, "uid=0"),
    "a variable without a name": ({"Env": ["=x", "PATH=/bin"]}, "uid=0"),
    "a volume named from nowhere": ({"Volumes": {"../../made": {}}}, "made"),
    "a volume instead of the devices": ({"Volumes": {"/dev": {}}}, "uid=0"),
    "a port that is none": ({"ExposedPorts": {"../x/tcp": {}, "99999999/tcp": {}}}, "uid=0"),
    "a host name": ({"Hostname": "../../evil"}, "uid=0"),
}


@pytest.mark.parametrize(("config", "prints"), HARMLESS.values(), ids=HARMLESS)
def test_a_configuration_is_harmless(rig: Rig, config: dict[str, Any], prints: str) -> None:
    assert load(rig, archive(config, layer())) == ""
    said, output = run(rig, Cmd=["sh", "-c", "id; ls /"])
    assert not said and prints in output


# --- files where the engine looks ----------------------------------------------------------------------------------
ACCOUNTS = {
    "a queue": file("etc/passwd", type=tarfile.FIFOTYPE),
    "a device": file("etc/passwd", type=tarfile.CHRTYPE, devmajor=1, devminor=5),
    "a directory": file("etc/passwd", type=tarfile.DIRTYPE),
    "a giant": file("etc/passwd", b"root:x:0:0::/:/bin/sh\n" * 900_000),
    "a link to an endless file": file("etc/passwd", type=tarfile.SYMTYPE, linkname="/dev/zero"),
    "a link to memory": file("etc/passwd", type=tarfile.SYMTYPE, linkname="/proc/self/mem"),
    "a link to a descriptor": file("etc/passwd", type=tarfile.SYMTYPE, linkname="/proc/self/fd/3"),
    "a link to itself": file("etc/passwd", type=tarfile.SYMTYPE, linkname="passwd"),
}


@pytest.mark.parametrize("accounts", ACCOUNTS.values(), ids=ACCOUNTS)
def test_a_file_of_users_that_is_none(rig: Rig, accounts: tuple[tarfile.TarInfo, bytes]) -> None:
    assert load(rig, archive({"User": "bob"}, layer(accounts))) == ""
    said, output = run(rig, Cmd=["id"])
    assert said and not output and not re.search("Traceback|[a-z]Error", said), said
    assert rig.alive()


def test_a_file_of_users_of_the_hosts(rig: Rig) -> None:
    """A link to it leads to the container's own, where there is no such user."""
    victim = rig.dir / "passwd"
    victim.write_text("bob:x:0:0::/:/bin/sh\n")
    link = file("etc/passwd", type=tarfile.SYMTYPE, linkname="../" * 30 + str(victim))
    assert load(rig, archive({"User": "bob"}, layer(link))) == ""
    assert "unable to find user bob" in run(rig, Cmd=["id"])[0]


# --- archives ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("manifest", "words"),
    [
        ({"Config": "../../../../../../etc/hostname"}, ""),
        ({"Config": "/proc/self/environ"}, ""),
        ({"Layers": ["../../layer.tar", "/etc/passwd"]}, ""),
        ({"Layers": ["sha256:../../../x"]}, ""),
        ({"RepoTags": ["../../x:1"]}, "invalid reference"),
        ({"Layers": []}, ""),
    ],
)
def test_a_name_in_an_archive_is_no_name_on_disk(rig: Rig, manifest: dict[str, Any], words: str) -> None:
    said = load(rig, archive({}, layer(), "refused:1", **manifest))
    assert said and words in said and "Traceback" not in said, said
    assert rig.engine.api().call("GET", "/images/refused:1/json")[0] == 404


@pytest.mark.parametrize("digest", ["sha256:../../../../../x", "sha256:" + "A" * 64, "md5:" + "0" * 32, "sha256:" + "0" * 63])
def test_a_digest_is_a_digest_wherever_it_stands(rig: Rig, digest: str) -> None:
    """In an OCI layout it names a file; in a configuration, a layer; in a request, an image."""
    index = {"schemaVersion": 2, "manifests": [{"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest}]}
    index["manifests"][0]["size"] = 2  # type: ignore[index]
    members = [file("oci-layout", b'{"imageLayoutVersion": "1.0.0"}'), file("index.json", json.dumps(index).encode())]
    assert load(rig, tar_of(members))
    assert rig.engine.api().call("GET", f"/images/{digest.replace('/', '%2F')}/json")[0] in (400, 404)
    assert rig.engine.api().call("POST", f"/images/create?fromImage=127.0.0.1:1/x@{digest.replace('/', '%2F')}")[0] == 400


def test_a_layer_unpacked_through_links_stays_inside(rig: Rig) -> None:
    """An absolute link, then a file below it; and as real images have it: no entries for parents, /var/run -> /run."""
    content = layer(
        file("out", type=tarfile.SYMTYPE, linkname=str(rig.dir)),
        file("out/secret", b"overwritten"),
        file("up", type=tarfile.SYMTYPE, linkname="../" * 30 + str(rig.dir)),
        file("up/planted", b"planted"),
        file("var/run", type=tarfile.SYMTYPE, linkname="/run"),
        file("var/run/deep/down/file", b"fine\n"),
    )
    before = set(os.listdir(rig.dir))
    assert load(rig, archive({}, content)) == ""
    said, output = run(rig, Cmd=["sh", "-c", "cat /run/deep/down/file; cat /out/secret"])
    assert (said, output) == ("", "fine\noverwritten")
    assert rig.secret.read_text() == SECRET and set(os.listdir(rig.dir)) == before


def test_a_naive_unpacker_is_led_outside(tmp_path: Path) -> None:
    """One entry after the other, by path."""
    (tmp_path / "layer").mkdir()
    (tmp_path / "victim").mkdir()
    link = file("out", type=tarfile.SYMTYPE, linkname=str(tmp_path / "victim"))
    with tarfile.open(fileobj=io.BytesIO(tar_of([link, file("out/planted", b"planted")]))) as tar:
        tar.extraction_filter = lambda member, path: member  # newer versions of Python would refuse it otherwise
        tar.extractall(tmp_path / "layer")
    assert os.listdir(tmp_path / "victim") == ["planted"]


# --- files that a container may change between its starts -----------------------------------------------------------
@pytest.mark.parametrize("name", ["hosts", "hostname", "resolv.conf"])
def test_files_of_the_engine_swapped_for_links_between_starts(rig: Rig, name: str) -> None:
    """A container with the mount right removes what is bound there; one with the engine's directory could do this."""
    script = f"umount /etc/{name}; rm -f /etc/{name}; ln -s {rig.secret} /etc/{name}"
    made = rig.engine.firkin("create", "--privileged", IMAGE, "sh", "-c", script).stdout.strip()
    try:
        for _ in range(2):
            rig.engine.firkin("start", "-a", made, check=False)
        assert rig.secret.read_text() == SECRET
        own = rig.engine.dir / "data/containers" / made / name
        own.unlink()
        own.symlink_to(rig.secret)
        done = rig.engine.firkin("start", made, check=False)
        assert done.returncode and "symbolic links" in done.stderr and rig.secret.read_text() == SECRET
    finally:
        rig.engine.firkin("rm", "-f", made)


def test_a_part_of_a_volume_that_is_a_link(rig: Rig, tmp_path: Path) -> None:
    """`volume-subpath`, to a link that the last user of the volume left there."""
    mount = "type=volume,source=shared,target=/v"
    rig.shell(f"ln -s {rig.dir} /v/link; ln -s / /v/root; ln -s ../../../../.. /v/up", "--mount", mount)
    for part in ("link", "root", "up", "root/etc", "up/../up/root"):
        done = rig.run("--mount", f"{mount},volume-subpath={part}", IMAGE, "ls", "/v")
        # Either it leads nowhere, or to the volume itself, which is all there is.
        refused = done.returncode and f"open '{part}' in volume shared" in done.stderr
        assert refused or done.stdout.split() == ["link", "root", "up"], done
    rig.engine.firkin("volume", "rm", "shared")


def test_a_layer_of_names_alone_does_not_eat_the_hosts_memory(rig: Rig) -> None:
    """A few megabytes, of which six hundred would have to be kept."""
    content = packed(links_to_nowhere(150_000))
    assert len(content) < 32 << 20
    peaks: dict[str, int] = {}
    over = threading.Event()
    watching = threading.Thread(target=_watch, args=(rig.engine.process.pid, peaks, over))
    watching.start()
    try:
        assert "more than the 536870912 bytes of memory allowed" in load(rig, archive({}, content))
    finally:
        over.set()
        watching.join()
    assert 100 << 20 < peaks["worker"] < 640 << 20 and peaks["engine"] < 256 << 20
    assert rig.alive()


def _watch(engine: int, peaks: dict[str, int], over: threading.Event) -> None:
    """The most resident bytes that the engine, and any one process it has started, have had."""
    while not over.wait(0.05):
        children = Path(f"/proc/{engine}/task/{engine}/children").read_text().split()
        for kind, pid in (("engine", str(engine)), *(("worker", child) for child in children)):
            with contextlib.suppress(OSError):
                pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
                peaks[kind] = max(peaks.get(kind, 0), pages * os.sysconf("SC_PAGE_SIZE"))
