"""`userns-remap`: every container runs as a user's subordinate ids, as dockerd does it; dockerd beside it where it runs."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.conftest import IMAGE
from tests.e2e.test_like_docker import Docker
from tests.e2e.traces import remove_cgroups
from tests.lab import Engine, Lab, busybox_tar, wait_until

PARENT = f"/firkin-remap-{os.getpid()}"
FIRST = 300000

# What both engines must say alike: (exit code, output, error) of each, in one container of their own making.
ALIKE = """
docker run --rm box sh -c 'id; cat /proc/self/uid_map /proc/self/gid_map'
docker run --rm -u nobody box sh -c 'id -u; echo x > /dev/stdout'
docker run --rm --userns host box cat /proc/self/uid_map
docker run --rm -v named:/v box sh -c 'touch /v/x; stat -c %u:%g /v /v/x'
docker run --rm -v /etc:/bound:ro box stat -c %u:%g /bound
docker run --rm -h box box sh -c 'hostname other; ping -c1 -W1 127.0.0.1 | tail -2 | head -1'
docker run --rm box sh -c 'stat -c %u:%g / /bin/busybox /tmp; touch /tmp/x; stat -c %u:%g /tmp/x'
docker run --rm --privileged box true
docker run --rm --network host box true
docker run --rm --network host --userns host box cat /proc/self/uid_map
docker run --rm --pid host box true
docker run -d --name up box sleep 1000
docker run --rm --privileged --network container:up box true
docker run --rm --pid host --network container:up box true
docker run --rm --network container:up box sh -c 'cat /proc/self/uid_map; ping -c1 -W1 127.0.0.1 | tail -2 | head -1'
docker run --rm --pid container:up box sh -c 'cat /proc/1/uid_map'
docker exec up sh -c 'id; stat -c %u:%g /proc/self/fd'
docker inspect -f '{{json .HostConfig.UsernsMode}}' up
docker cp up:/etc/passwd /dev/null; docker exec up stat -c %u:%g /etc/passwd
docker rm -f up
docker run --rm --userns bogus box true
""".strip().splitlines()


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """With an /etc of its own, in which ids can be given to users."""
    lab = Lab()
    etc = lab.dir / "etc"
    shutil.copytree("/etc", etc, symlinks=True, ignore_dangling_symlinks=True)
    for name in ("subuid", "subgid"):
        (etc / name).write_text(f"somebody:100000:65536\ndaemon:{FIRST}:65536\n2:500000:100\nbin:600000:200\n")
    lab.run("mount", "--bind", str(etc), "/etc")
    yield lab
    lab.close()
    remove_cgroups(PARENT)


def _etc(lab: Lab, name: str) -> str:
    return (lab.dir / "etc" / name).read_text()


def _images(engine: Engine, lab: Lab) -> None:
    engine.docker("import", str(busybox_tar(lab.dir)), "box")
    engine.docker("tag", "box", IMAGE)


@pytest.fixture(scope="module")
def remapped(lab: Lab) -> Iterator[Engine]:
    engine = Engine(lab, "remapped", "--cgroup-parent", PARENT, "--userns-remap", "daemon").start()
    _images(engine, lab)
    yield engine
    engine.stop()


def test_everybody_is_somebody_else(remapped: Engine, lab: Lab) -> None:
    remapped.docker("run", "-d", "--name", "one", IMAGE, "sleep", "1000")
    pid = json.loads(remapped.docker("inspect", "one").stdout)[0]["State"]["Pid"]
    assert os.stat(f"/proc/{pid}").st_uid == FIRST
    assert "name=userns" in remapped.docker("info", "-f", "{{.SecurityOptions}}").stdout
    # `host` opts out, `auto` asks for ids of one's own, `private` for what the daemon gives everybody.
    maps = {mode: remapped.firkin("run", "--rm", f"--userns={mode}", IMAGE, "cat", "/proc/self/uid_map").stdout.split()[1]
            for mode in ("host", "auto", "private")}  # fmt: skip
    assert maps["host"] == "0" and maps["private"] == str(FIRST)
    assert int(maps["auto"]) not in range(FIRST, FIRST + 65536)
    remapped.docker("rm", "-f", "one")


def test_like_dockerd(remapped: Engine, tmp_path_factory: pytest.TempPathFactory) -> None:
    lab = Lab()
    try:
        lab.run("mount", "--bind", str(remapped.lab.dir / "etc"), "/etc")
        docker = RemappedDocker(lab, "dockerd")
        for path in (lab.dir, docker.dir):
            path.chmod(0o711)  # for the remapped root, as dockerd wants it
        docker.start()
        docker.docker("import", str(busybox_tar(lab.dir)), "box")
        for command in ALIKE:
            ours, theirs = (_answer(engine, command) for engine in (remapped, docker))
            assert ours == theirs, command
        docker.process.terminate()  # type: ignore[union-attr]
        docker.process.wait(30)  # type: ignore[union-attr]
    finally:
        lab.run("sh", "-c", f"umount -l {lab.dir}/dockerd/data/*.*/ 2>/dev/null; true")
        lab.close()


class RemappedDocker(Docker):
    def start(self) -> Docker:
        self.lab.run("sh", "-c", "umount /sys/fs/cgroup/unified 2>/dev/null; sysctl -qw net.ipv4.ip_forward=1")
        self.lab.run("mount", "-t", "tmpfs", "none", "/run")  # a dockerd of another test is none of its business
        self.process = self.lab.start(
            "dockerd", "--userns-remap", "daemon", "--data-root", str(self.dir / "data"), "--exec-root", str(self.dir / "exec"),
            "--host", f"unix://{self.sock}", "--pidfile", str(self.dir / "pid"), log="engine.log",
        )  # fmt: skip
        self.process.poll()
        wait_until(lambda: (self.process and self.process.poll() is not None) or self._up(), 60, self.log)
        if self.process.poll() is not None:
            pytest.skip("dockerd does not run with --userns-remap here: " + self.log()[-300:])
        return self


def _answer(engine: Engine, command: str) -> tuple[int, str, str]:
    """Without ids, and without what Docker's words for an error begin with."""
    done = engine.lab.run("sh", "-c", command, env=engine.env, check=False)
    error = re.sub(r"^docker: (Error response from daemon: )?", "", done.stderr.partition("\n")[0])
    return done.returncode, re.sub(r"\b[0-9a-f]{64}\b", "ID", done.stdout), error.rstrip(".")


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("daemon:daemon", [0, FIRST, 65536]),
        ("1:1", [0, FIRST, 65536]),
        ("bin", [0, 500000, 100, 100, 600000, 200]),  # by number and by name, one after the other
    ],
)
def test_who_is_named_how(lab: Lab, setting: str, expected: list[int]) -> None:
    engine = Engine(lab, "named", "--cgroup-parent", PARENT, "--userns-remap", setting).start()
    _images(engine, lab)
    out = engine.docker("run", "--rm", "-u", "0:0", IMAGE, "cat", "/proc/self/uid_map").stdout.split()
    assert list(map(int, out)) == expected
    engine.stop()


@pytest.mark.parametrize(
    ("setting", "complaint"),
    [
        ("nosuchuser", "no such user: nosuchuser"),
        ("daemon:nosuchgroup", "no such group: nosuchgroup"),
        ("99999", "no such user: 99999"),
        ("games", "no subordinate ids for games in /etc/subuid"),
        ("root", "root cannot be remapped"),
    ],
)
def test_a_bad_setting_keeps_the_daemon_from_starting(lab: Lab, setting: str, complaint: str) -> None:
    engine = Engine(lab, "bad", "--userns-remap", setting)
    done = lab.run(
        str(Path(__file__).parents[2] / "firkin"), "daemon", "--data-root", str(engine.dir / "data"), "--exec-root",
        str(engine.dir / "exec"), "--host", f"unix://{engine.sock}", "--userns-remap", setting, check=False,
    )  # fmt: skip
    assert done.returncode == 1 and "userns-remap" in done.stderr and complaint in done.stderr


def test_default_makes_its_user(lab: Lab) -> None:
    """A system user `dockremap` with ranges after everybody's, from the configuration file's key."""
    assert "dockremap" not in _etc(lab, "subuid")
    config = lab.dir / "daemon.json"
    config.write_text('{"userns-remap": "default"}')
    for _ in range(2):  # the second finds it
        engine = Engine(lab, "default", "--cgroup-parent", PARENT, "--config-file", str(config)).start()
        _images(engine, lab)
        first = int(engine.docker("run", "--rm", IMAGE, "cat", "/proc/self/uid_map").stdout.split()[1])
        assert f"dockremap:{first}:65536" in _etc(lab, "subuid") and "dockremap" in _etc(lab, "passwd")
        assert first >= 600200 and _etc(lab, "subuid").count("dockremap") == 1
        engine.stop()


def test_each_its_own(lab: Lab) -> None:
    """`userns-remap: auto`, for those who want the wall between containers too and no option to each."""
    engine = Engine(lab, "each", "--cgroup-parent", PARENT, "--userns-remap", "auto").start()
    _images(engine, lab)
    firsts = set()
    for name in ("aa", "bb"):
        engine.docker("run", "-d", "--name", name, IMAGE, "sleep", "1000")
        firsts.add(engine.docker("exec", name, "cat", "/proc/self/uid_map").stdout.split()[1])
    assert len(firsts) == 2 and "name=userns" in engine.docker("info", "-f", "{{.SecurityOptions}}").stdout
    refused = engine.docker("run", "--rm", "--privileged", IMAGE, "true", check=False)
    assert "privileged mode is incompatible with user namespaces" in refused.stderr
    engine.docker("rm", "-f", "aa", "bb")
    engine.stop()


def test_ids_for_auto_can_be_given_and_run_out(lab: Lab) -> None:
    for name in ("subuid", "subgid"):
        with open(lab.dir / "etc" / name, "a") as file:
            file.write("firkin:700000:150000\n")
    engine = Engine(lab, "given", "--cgroup-parent", PARENT).start()
    _images(engine, lab)
    for name, first in (("aa", 700000), ("bb", 765536)):
        engine.firkin("run", "-d", "--name", name, "--userns", "auto", IMAGE, "sleep", "1000")
        assert engine.firkin("exec", name, "cat", "/proc/self/uid_map").stdout.split() == ["0", str(first), "65536"]
    done = engine.firkin("run", "--rm", "--userns=auto", IMAGE, "true", check=False)
    assert done.returncode == 125 and "no 65536 user and group ids are free" in done.stderr
    engine.firkin("kill", "aa")
    taken = engine.firkin("run", "--rm", "--userns=auto", IMAGE, "cat", "/proc/self/uid_map").stdout  # one that is down waives
    assert taken.split()[1] == "700000"
    engine.firkin("rm", "-f", "aa", "bb")
    engine.stop()
