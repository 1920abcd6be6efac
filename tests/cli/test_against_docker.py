"""What Firkin's client prints is what Docker's prints, byte for byte, on the same real dockerd."""

from __future__ import annotations

import base64
import json
import re
import shlex
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from firkin.cli import catalog
from tests.cli.conftest import IMAGE, Reference

pytestmark = pytest.mark.reference

COMMANDS = [
    "ps --no-trunc -q",
    "ps -a",
    "ps -aq --no-trunc",
    "ps -a --no-trunc",
    "ps -as",
    "ps -n 2",
    "ps -l",
    "ps -a -f name=up -f label=a=b",
    "ps -a -f status=exited",
    "ps -a -f nonsense=1",
    "ps -a --format '{{.ID}} {{.Names}}: {{.Image}} {{.Command}} {{.Label \"a\"}} {{.Mounts}} {{.State}} {{.Size}}'",
    "ps -a --format 'table {{.ID}}\\t{{.Names}}\\t{{.Label \"c.d\"}}'",
    "ps -a --format json",
    "ps --format '{{json .}}'",
    "ps --format '{{range $i, $e := split .Ports \",\"}}{{$i}}={{$e}};{{end}}'",
    "container ls -a",
    "ps x",
    "ps --foo",
    "images",
    "images -q",
    "images --no-trunc",
    "images --digests",
    "images --format json",
    "images bb",
    "images nothing",
    "images --format 'table {{.Repository}}:{{.Tag}}\\t{{.Size}}'",
    "inspect up",
    "inspect up done",
    "inspect nothing",
    "inspect up nothing",
    "inspect -f '{{.State.Status}} {{.State.Pid}}' up",
    "inspect -f '{{json .Config}}' up",
    "inspect --format json up",
    "inspect --type image bb",
    "inspect --type image up",
    "inspect -s done",
    "inspect -f '{{range $k, $v := .NetworkSettings.Networks}}{{$k}}={{$v.IPAddress}} {{end}}' up",
    "inspect -f '{{range .Mounts}}{{.Source}}:{{.Destination}}{{\"\\n\"}}{{end}}' up",
    "inspect -f '{{.Config.Labels}} {{len .Config.Cmd}} {{index .Config.Cmd 0}} {{join .Config.Cmd \",\"}}' up",
    "inspect -f '{{if .State.Running}}run{{else}}stop{{end}}' up done",
    "inspect -f '{{if eq .State.ExitCode 3}}three{{else if eq .State.ExitCode 0}}zero{{end}}' up done",
    "inspect -f '{{if and .State.Running (not .State.Paused)}}both{{end}}' up done",
    "inspect -f '{{.Nonsense}}' up",
    "inspect -f '{{(index (index .NetworkSettings.Ports \"80/tcp\") 0).HostPort}}' up",
    'inspect -f \'{{printf "%s-%d" .Name .State.ExitCode}} {{upper .Name}} {{println "x" 1}}\' done',
    "inspect -f '{{with .State}}{{.Status}}{{end}} {{- .State.StartedAt }}' up",
    "image inspect bb",
    "image inspect nothing",
    "network inspect bridge",
    "network inspect nothing",
    "volume inspect vol nothing",
    "logs up",
    "logs -t up",
    "logs --tail 1 up",
    "logs -n 0 up",
    "logs --since 1h --until 1s up",
    "logs nothing",
    "port up",
    "port up 80",
    "port up 53/udp",
    "port up 99",
    "top up",
    "top up -o pid,args",
    "top done",
    "volume ls",
    "volume ls -q --filter name=vol",
    "volume ls --format json",
    "network ls",
    "network ls --no-trunc -f driver=bridge",
    "network ls --format json",
    "history bb",
    "history --no-trunc --format json bb",
    "history -H=false bb",
    "system df",
    "info -f '{{.ServerVersion}} {{.NCPU}}'",
    "version -f '{{.Server.Version}} {{.Server.Os}}'",
    "wait done",
    "kill done",
    "stop nothing done",
    "start nothing",
    "rename nothing x",
    "rm nothing",
    "rm up",
    "rmi nothing",
    "exec up sh -c 'echo out; echo err >&2; exit 4'",
    "exec -e A=b -w /tmp -u 5 up sh -c 'echo $A; pwd; id -u'",
    "exec done ls",
    "exec up nothing",
    "exec up /etc/passwd",
    "exec up",
    "run --rm bb sh -c 'echo out; echo err >&2; exit 7'",
    "run --rm bb /nothing",
    "run --rm bb /etc/passwd",
    "run --rm --network nothing bb true",
    "run --rm -w relative bb true",
    "run --restart no:x bb",
    "run --mount type=bind bb",
    "run --pull=sometimes bb",
    "run -it bb true",
    "run --pull=never absent:1",
    "run",
    "create --name x/y bb true",
    "cp a b",
    "cp up:/nothing /tmp/",
    "cp nothing:/x /tmp/",
    "commit nothing",
    "export nothing",
    "attach done",
    "update up",
    "update --memory x up",
    "tag nothing x",
    "volume rm nothing",
    "network rm",
    "network connect nothing up",
]


@pytest.fixture(scope="module")
def stage(reference: Reference) -> Iterator[Reference]:
    """One container that runs, one that has ended, one that was never started."""
    ports = ["-p", "8080:80", "-p", "127.0.0.1:9000-9002:9000-9002", "-p", "53:53/udp"]
    script = "echo one; echo two >&2; sleep 1000"
    labels = ["--label", "a=b", "--label", "c.d=e"]
    reference.docker("run", "-d", "--name", "up", *ports, *labels, "-v", "vol:/v", IMAGE, "sh", "-c", script, check=True)
    reference.docker("run", "--name", "done", IMAGE, "sh", "-c", "echo hi > /tmp/x; exit 3")
    reference.docker("create", "--name", "fresh", "-t", IMAGE, "sh", check=True)
    yield reference
    reference.docker("rm", "-fv", "up", "done", "fresh")


@pytest.mark.parametrize("command", COMMANDS)
def test_same_bytes_same_exit_code(command: str, stage: Reference) -> None:
    words = shlex.split(command)
    for _ in range(3):  # ages such as "3 seconds ago" may tick over between the two
        theirs, ours = stage.docker(*words), stage.firkin(*words)
        if theirs.stdout == ours.stdout:
            break
    assert ours.stdout == theirs.stdout
    assert ours.stderr.replace("firkin", "docker") == theirs.stderr
    assert ours.returncode == theirs.returncode


def test_help_has_every_flag_of_dockers_help(reference: Reference) -> None:
    """Flag by flag, for every command both have; left out is what belongs to swarm or to experiments."""
    absent = {"use-api-socket", "tree", "cluster", "availability", "group", "limit-bytes", "required-bytes", "scope", "secret"}
    absent |= {"sharing", "topology-preferred", "topology-required", "type", "help"}
    for entry in catalog.ENTRIES:
        name = entry.names[-1]
        if name in ("daemon", "completion", "help", "__complete", "image from-host", "rootless setup"):
            continue
        theirs, ours = (run(*name.split(), "--help").stdout for run in (reference.docker, reference.firkin))
        flags = [set(re.findall(r"^  (-\w, |    )--([\w-]+)", text, re.MULTILINE)) for text in (theirs, ours)]
        missing = {flag for flag in flags[0] - flags[1] if flag[1] not in absent}
        assert not missing, name


def test_events_are_shown_alike(stage: Reference) -> None:
    since = str(int(time.time()))
    stage.firkin("exec", "up", "true")
    stage.firkin("kill", "-s", "USR1", "up")
    until = str(int(time.time()) + 1)
    for words in (
        [],
        ["--format", "json"],
        ["--format", "{{.Type}} {{.Action}} {{.Actor.ID}} {{.TimeNano}}"],
        ["-f", "event=kill"],
    ):
        command = ["events", "--since", since, "--until", until, *words]
        theirs, ours = stage.docker(*command), stage.firkin(*command)
        assert ours.stdout == theirs.stdout
        assert "kill" in ours.stdout


def test_copies_land_in_the_same_places(stage: Reference, tmp_path: Path) -> None:
    source = tmp_path / "src"
    (source / "sub").mkdir(parents=True)
    (source / "f").write_text("f\n")
    (source / "sub/g").write_text("g\n")
    (source / "link").symlink_to("f")
    (source / "hard").hardlink_to(source / "f")
    trees = []
    for number, run in enumerate((stage.docker, stage.firkin)):
        stage.docker("exec", "up", "sh", "-c", "rm -rf /t; mkdir -p /t/dir")
        refused = []
        for to in (
            "src t/dir", "src/. t/dir/inner", "src t/new", "src/f t/f", "src/f t/dir/", "src/link t/link", "-L src/link t/file",
            "src t/f", "src/f t/none/", "src/f t/none/x",
        ):  # fmt: skip
            *flags, what, where = to.split()
            done = run("cp", *flags, str(tmp_path) + "/" + what, "up:/" + where)
            refused.append((to, done.returncode, done.stderr.splitlines()[-1:]))
        out = tmp_path / f"out{number}"
        out.mkdir()
        for back in (
            "t/dir .",
            "t/dir/. e",
            "t/dir new",
            "t/f f",
            "t/f .",
            "t/dir f",
            "t/f none/",
            "-L t/link real",
            "-L bin/ls .",
        ):
            *flags, what, where = back.split()
            done = run("cp", *flags, "up:/" + what, f"{out}/{where}")
            refused.append((back, done.returncode, done.stderr.splitlines()[-1:]))
        inside = stage.docker("exec", "up", "sh", "-c", "cd /t; find . | sort | xargs stat -c '%n %F %a %u %s'").stdout
        outside = [(str(p.relative_to(out)), p.lstat().st_mode, p.is_symlink()) for p in sorted(out.rglob("*"))]
        trees.append((inside, outside, refused))
    assert trees[1] == trees[0]


def test_archives_make_the_round_trip(stage: Reference, tmp_path: Path) -> None:
    saved, exported = tmp_path / "saved.tar", tmp_path / "exported.tar"
    assert stage.firkin("save", "-o", str(saved), IMAGE).returncode == 0
    assert stage.firkin("export", "-o", str(exported), "done").returncode == 0
    assert stage.firkin("load", "-i", str(saved)).stdout == stage.docker("load", "-i", str(saved)).stdout
    imported = stage.firkin("import", "-c", "CMD true", "-m", "mine", str(exported), "copy:1")
    assert re.fullmatch(r"sha256:[0-9a-f]{64}\n", imported.stdout), imported.stderr
    committed = stage.firkin("commit", "-m", "note", "-a", "me", "-c", "ENV A=b", "done", "copy:2").stdout.strip()
    assert stage.docker("inspect", "-f", "{{.Comment}} {{.Author}} {{.Config.Env}}", committed).stdout == "note me [A=b]\n"
    assert stage.firkin("rmi", "copy:1", "copy:2").returncode == 0


def test_a_registry_and_its_credentials(stage: Reference, tmp_path: Path) -> None:
    """tag, push, pull as docker shows it, login and logout as docker keeps them."""
    name = stage.lab.registry() + "/team/bb"
    assert stage.firkin("tag", IMAGE, name).returncode == 0
    pushed = stage.firkin("push", name)
    assert pushed.returncode == 0, pushed.stderr
    assert pushed.stdout.startswith(f"Using default tag: latest\nThe push refers to repository [{name}]\n")
    stage.firkin("rmi", name)
    theirs = stage.docker("pull", name).stdout
    stage.firkin("rmi", name)
    ours = stage.firkin("pull", name).stdout
    assert sorted(ours.splitlines()) == sorted(theirs.splitlines())
    assert stage.firkin("login", "-u", "me", "--password-stdin", name.split("/")[0], input="secret\n").returncode == 0
    stored = json.loads((stage.config / "config.json").read_text())["auths"][name.split("/")[0]]
    assert base64.b64decode(stored["auth"]) == b"me:secret"
    assert stage.firkin("logout", name.split("/")[0]).stdout == f"Removing login credentials for {name.split('/')[0]}\n"


def test_update_networks_and_volumes(stage: Reference) -> None:
    assert stage.firkin("update", "--memory", "64m", "--memory-swap", "-1", "fresh").stdout == "fresh\n"
    assert stage.docker("inspect", "-f", "{{.HostConfig.Memory}}", "fresh").stdout == f"{64 << 20}\n"
    made = stage.firkin("network", "create", "--subnet", "10.99.0.0/24", "--gateway", "10.99.0.1", "--label", "x=y", "net1")
    assert made.returncode == 0, made.stderr
    assert stage.firkin("network", "connect", "--ip", "10.99.0.9", "--alias", "me", "net1", "up").returncode == 0
    form = '{{(index .NetworkSettings.Networks "net1").IPAddress}}'
    assert stage.firkin("inspect", "-f", form, "up").stdout == "10.99.0.9\n"
    assert stage.firkin("network", "disconnect", "net1", "up").returncode == 0
    assert stage.firkin("network", "rm", "net1").stdout == "net1\n"
    assert stage.firkin("volume", "create", "--label", "a=b", "v9").stdout == "v9\n"
    assert stage.firkin("volume", "rm", "v9").stdout == "v9\n"


def test_stats_and_prune(stage: Reference) -> None:
    lines = stage.firkin("stats", "--no-stream", "up").stdout.splitlines()
    assert lines[0].split() == stage.docker("stats", "--no-stream", "up").stdout.splitlines()[0].split()
    assert re.search(r"up +\d+\.\d\d% +[\d.]+\w+ / [\d.]+GiB", lines[1])
    useless = stage.firkin("create", "--label", "useless", IMAGE, "true").stdout
    pruned = stage.firkin("container", "prune", "-f", "--filter", "label=useless")
    assert pruned.stdout == f"Deleted Containers:\n{useless}\nTotal reclaimed space: 0B\n"
    refused = stage.firkin("volume", "prune", input="n\n")
    assert refused.returncode == 1 and "Are you sure you want to continue? [y/N]" in refused.stdout
