"""What a user of Docker sees is what a user of this engine sees: the same client, the same commands, two engines.

Real dockerd runs beside the engine, in a laboratory of its own. Values that differ by nature (ids, times, addresses,
directories) are made alike first; where dockerd 20.10 itself has changed since, the test does not ask.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.lab import Engine, Lab, UnixConnection, busybox_tar, wait_until

SETUP = """
docker volume create vol; docker network create net; docker tag box other:tag
docker run -d --name up -p 127.0.0.1:8081:80 --expose 99 -v vol:/v --ipc shareable -m 50m -l a=b box sleep 1000
docker run -d --name joined --network container:up --ipc container:up --volumes-from up:ro box sleep 1000
docker run -d --name onnet --network net --network-alias al -h me --domainname there.org box sleep 1000
docker run -d --name paused box sleep 1000; docker pause paused
docker run --name ended -l who=me -e NAME=x --log-opt labels=who,none --log-opt env=NAME box sh -c 'echo one; echo two >&2; printf three; exit 3'
docker create --name made -it -e A=1 -w /tmp -u nobody --entrypoint sh --stop-signal INT --restart on-failure:3 \
  --cap-add NET_ADMIN --cap-drop MKNOD --ulimit nofile=100:200 --dns 9.9.9.9 --add-host foo:1.2.3.4 --tmpfs /t:size=1m \
  --log-opt max-size=1m --init --read-only --shm-size 1m --security-opt no-new-privileges --sysctl net.core.somaxconn=99 \
  --mount type=volume,src=v2,dst=/v2,readonly --group-add 10 --oom-score-adj 10 --cpus 0.5 --pids-limit 50 box
docker run --name labelled -l who=me -l where='<&>' -l other=1 -e NAME=x -e NOTE=y --log-opt labels=other,none \
  --log-opt labels-regex='^wh' --log-opt env=NAME --log-opt env-regex='^NO|^PA' \
  --log-opt tag='{{.Name}}/{{ .ImageName }}/{{.Hostname}} {{.Command}}' box sh -c 'echo "a & b"'
docker create --name host --network host --pid host --uts host box true
"""

SAME = """
docker ps -a --format '{{.Names}} {{.Image}} {{.Command}} {{.State}} {{.Labels}} {{.Mounts}} {{.Networks}} {{.LocalVolumes}}'
docker ps -a --format '{{.Names}} {{.Status}} {{.Size}}' -f status=exited
docker ps -a --format '{{.Names}}' -f exited=3 -f label=a
docker ps -q --no-trunc -f name=^/up$
docker ps --format '{{.Names}}' -f publish=8081
docker ps --format '{{.Names}}' -f publish=80
docker ps --format '{{.Names}} {{.Ports}}'
docker ps -a --format '{{.Names}}' -f volume=vol -f network=bridge -f ancestor=box
docker port up
docker images --format '{{.Repository}} {{.Tag}} {{.Digest}}' box
docker history --format '{{.CreatedBy}}|{{.Comment}}' box
docker volume inspect -f '{{.Name}} {{.Driver}} {{.Mountpoint}} {{.Scope}}' vol v2
docker network ls --format '{{.Name}} {{.Driver}} {{.Scope}}'
docker inspect -f '{{json .State.Status}} {{json .State.ExitCode}} {{json .Args}} {{json .Mounts}}' ended up joined
docker inspect -f '{{json .HostConfig.NetworkMode}} {{json .HostConfig.IpcMode}} {{.Config.Hostname}}' joined host onnet
docker inspect -f '{{json .HostConfig.MaskedPaths}} {{json .HostConfig.MemorySwap}}' host up | sed 's/\\[[^]]*\\]/[PATHS]/'
docker exec up env
docker exec joined env
docker exec joined hostname
docker exec joined sh -c 'touch /dev/shm/seen; touch /v/x'
docker exec up ls /dev/shm
docker exec joined sh -c 'grep /dev/shm /proc/mounts; stat -c %a:%u /dev/shm'
docker exec onnet sh -c 'hostname; hostname -f; sed -n "s/^1.*\\t//p" /etc/hosts; grep -v nameserver.10 /etc/resolv.conf'
docker exec -e X=1 -w /tmp -u nobody up sh -c 'id; pwd; env; grep Cap /proc/self/status'
docker exec up sh -c 'exit 9'
docker run --rm box grep -E 'Uid|Gid|Groups|Cap|NoNew|Seccomp|Umask' /proc/self/status
docker run --rm -u 1000 --cap-drop ALL --security-opt no-new-privileges box grep -E 'Uid|Gid|Groups|Cap|NoNew' /proc/self/status
docker run --rm -u nobody:wheel --group-add 1234 box id
docker run --rm -u 4242 -e A=b box env
docker run --rm -h foo.bar --add-host x:1.2.3.4 box sed -n 's/^1.*\\t//p' /etc/hosts
docker run --rm --network none box cat /etc/hosts
docker run --rm --network host box sh -c 'hostname; cat /etc/hostname; env'
docker run --rm --ulimit nofile=100:200 box sh -c 'ulimit -a; ulimit -Ha'
docker run --rm --read-only --tmpfs /run box sh -c 'touch /x; touch /run/x; touch /dev/shm/x; touch /etc/hosts'
docker run --rm --tmpfs /t:exec,size=1m,mode=1700,uid=5 box sh -c 'grep " /t " /proc/mounts; ls -ld /t | cut -c-20'
docker run --rm box sh -c 'grep -E "^(proc|devpts|sysfs|mqueue|shm) " /proc/mounts'
docker run --rm -m 20m --cpus 0.3 --cpu-shares 300 box cat /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/1/oom_score_adj
docker run --rm -w /a/b box sh -c 'pwd; ls -ld /a | cut -c-20'
docker run --rm --entrypoint '' box echo c
echo hi | docker run --rm -i box cat
docker run --rm box sh -c 'echo out; echo err >&2; kill -9 $$'
docker logs --details labelled; tail -n 1 $(docker inspect -f '{{.LogPath}}' labelled)
docker logs ended
docker logs -n 1 ended
docker logs --until 2001-01-01 ended
docker logs -t ended
docker logs --details ended
docker logs -t --details made
docker create --rm --log-opt mode=x box
docker create --rm --log-opt max-buffer-size=1m box
docker create --rm --log-driver local --log-opt labels=who box 2>&1 | sed 's/for.*local.*/for local/'
docker start nope
docker rm nope
docker logs nope
docker exec nope true
docker attach ended
docker attach paused
docker start paused
docker rename up paused 2>&1 | sed 's/.*Conflict/Conflict/'
docker rename up up
docker run --name up box true
docker create --name 'bad name' box
docker run --rm --network nope box true
docker run --rm --network container:nope box true
docker run --rm --network container:up -p 1:1 box true
docker run --rm --network container:up -h foo box true
docker run --rm --ip 172.17.0.9 box true
docker run --rm -v a:b box true
docker run --rm -v /x:/b -v /y:/b box true
docker run --rm --mount type=bind,src=/nosuch,dst=/x box true
docker run --rm --restart always box true
docker run --rm -m 1m box true
docker run --rm --memory-reservation 1m box true
docker run --rm --cpu-rt-runtime 2000 --cpu-rt-period 1000 box true
docker rm $(docker create --oom-kill-disable box) >/dev/null
docker rm $(docker create --net host -p 1:1 box) >/dev/null
docker rm $(docker create --oom-kill-disable -m 50m --ulimit nofile=10:20 box) >/dev/null
docker info --format '{{json .Warnings}} {{.MemoryLimit}} {{.SwapLimit}} {{.CPUShares}} {{.CPUSet}} {{.PidsLimit}}'
docker run --rm -m 10m --memory-swap 5m box true
docker run --rm --cpu-period 1 box true
docker run --rm --log-opt bogus=1 box true
docker run --rm --device /dev/nope box true
docker run --rm --volumes-from nope box true
docker run --rm --oom-score-adj 5000 box true
docker run --rm -w rel box true
docker volume inspect nope
docker volume rm vol
docker network inspect nope
docker network rm bridge
docker network create net
docker network connect net nope
docker network connect net onnet
docker network connect host up
docker cp up:/nope -
docker cp nope:/x -
docker tag nope x
docker tag box sha256:abc
docker rmi nope
docker commit up BAD
docker update -m 1m up
docker diff nope
docker top nope
docker top up -o pid= | wc -l
docker top up -o comm
docker top up -o pid,nope
docker top up -o ppid=PID,pid
docker top up -bogus
docker wait nope
docker kill ended
docker pause paused
docker unpause up
docker exec ended true
docker exec paused true
docker kill -s BOGUS up
docker network ls -f bogus=1
""".strip().splitlines()

FAILS_ALIKE = """
docker exec -u nouser up true
docker exec -w /nodir up true
docker run --rm box nonexist
docker run --rm box /etc
docker run --rm -u nouser box true
docker run --rm --runtime bogus box true
docker create --pull never --platform linux/arm64 box
docker run --rm --cpus 1000 box true
docker run --rm --cpuset-cpus 99 box true
docker run --rm --cap-add BOGUS box true
docker run --rm --log-opt max-size=xx box true
docker run --rm --log-opt tag={{.Bogus}} box true
docker run --rm --log-opt tag={{.Name box true
docker run --rm --log-opt labels-regex='(' box true
docker run --rm --log-opt env-regex='[' box true
docker run --rm --log-opt compress=x box true
docker run --rm --log-opt compress=true box true
docker run --rm --log-opt compress=true --log-opt max-size=1m box true
docker run --rm --isolation bogus box true
docker run --rm --tmpfs rel box true
docker run --rm --ipc container:onnet box true
docker run --restart on-failure:-1 box true
docker update --cpus 1000 up
docker update --restart always:2 up
docker update -m 200m up
docker rm up
docker ps -f exited=abc
docker ps -f health=abc
docker volume ls -f dangling=xx
docker load -i /etc/passwd
""".strip().splitlines()

LIFE = """
since=$(date +%s.%N)
docker network create evn >/dev/null
docker run --name life --network evn -v ev:/v -l k=v box true; docker start life >/dev/null; docker wait life >/dev/null
docker rename life lived; docker rm lived >/dev/null; docker volume rm ev >/dev/null; docker network rm evn >/dev/null; sleep 1
docker events --since $since --until 0s --format '{{.Type}} {{.Action}} {{json .Actor.Attributes}}'
"""

VERBS = """
since=$(date +%s.%N)
docker run -d --name verbs -l k=v box sleep 1000 >/dev/null
docker exec verbs sh -c 'exit 3'; docker exec verbs nonexist >/dev/null; docker top verbs >/dev/null; docker top verbs -o comm
docker cp verbs:/etc/passwd - >/dev/null; tar -c -C /etc passwd | docker cp - verbs:/tmp
docker commit -m words verbs kept:one >/dev/null; docker tag kept:one kept:two; docker rmi kept:one >/dev/null
docker save kept:two | docker load >/dev/null; docker rmi kept:two >/dev/null
docker restart -t 0 verbs >/dev/null; docker stop -t 0 verbs >/dev/null
docker network create verbs >/dev/null; docker network connect verbs verbs; docker network disconnect verbs verbs
docker network rm verbs >/dev/null; docker export verbs >/dev/null; docker update --cpus 1 verbs >/dev/null
docker start verbs >/dev/null; docker rm -f verbs >/dev/null
docker create --name verbs -l k=v box >/dev/null
for kind in container network volume image; do docker $kind prune -f --filter label=k=v >/dev/null; done; sleep 1
docker events --since $since --until 0s --format '{{.Type}} {{.Action}} {{json .Actor.Attributes}}'
"""

DETACH = f"""
docker run -dit --name keys -l k=v box cat >/dev/null; docker run -di --name pipe box cat >/dev/null
since=$(date +%s.%N)
{sys.executable} -c '
import os, socket, time
def attach(name, keys, typed):
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(os.environ["DOCKER_HOST"].removeprefix("unix://"))
    path = "/v1.41/containers/" + name + "/attach?stdin=1&stdout=1&stream=1&detachKeys=" + keys
    sock.send(("POST " + path + " HTTP/1.1\\r\\nHost: x\\r\\nConnection: Upgrade\\r\\nUpgrade: tcp\\r\\n\\r\\n").encode())
    assert b"101" in sock.recv(999)
    time.sleep(0.5)
    sock.send(typed)
    time.sleep(0.5)
    sock.close()
attach("keys", "", b"\\x10\\x11"); attach("keys", "a,b", b"ab"); attach("pipe", "a,b", b"ab"); attach("keys", "a,b", b"\\x10\\x11")
'; sleep 1
docker events --since $since --until 0s --format '{{{{.Type}}}} {{{{.Action}}}} {{{{json .Actor.Attributes}}}}'
docker rm -f keys pipe >/dev/null
"""

PING = "curl -s --unix-socket ${DOCKER_HOST#unix://} -w '%{http_code}' http://engine/v1.41"
ANSWERS = """
-X POST /containers/up/resize?h=10&w=20
-X POST /containers/ended/resize?h=10&w=20
-X POST /containers/nope/resize?h=10&w=20
-X POST /exec/nope/resize?h=10&w=20
/containers/ended/top
/containers/nope/top
/containers/up/top?ps_args=-o%20pid,comm
/containers/up/top?ps_args=-o%20pid,comm%20-p%201
/events?since=200&until=100
/events?since=100.000000002&until=100.000000001
/events?since=100&until=100
/events?until=100
""".strip().splitlines()

ILL = """
health() { docker inspect -f '{{.State.Status}} {{.State.Health.Status}} {{.State.Health.FailingStreak}}' well; }
until() { for i in $(seq 300); do test "$(health)" = "$1" && break; sleep 0.1; done; health; }
docker run -d --name well --health-cmd true --health-interval 1s box sleep 1000 >/dev/null; until 'running healthy 0'
docker pause well; health; docker unpause well; until 'running healthy 0'
docker kill well; health; docker start well; health; until 'running healthy 0'; docker stop -t 0 well; health
docker rm well
"""


class Docker(Engine):
    """dockerd, as far as the laboratory's clients need it to be an engine."""

    def start(self) -> Docker:
        self.lab.run("sh", "-c", "umount /sys/fs/cgroup/unified 2>/dev/null; sysctl -qw net.ipv4.ip_forward=1")
        self.process = self.lab.start(
            "dockerd", "--data-root", str(self.dir / "data"), "--exec-root", str(self.dir / "exec"), "--host",
            f"unix://{self.sock}", "--pidfile", str(self.dir / "pid"), log="engine.log",
        )  # fmt: skip
        wait_until(lambda: (self.process and self.process.poll() is not None) or self._up(), 60, self.log)
        if self.process.poll() is not None:
            pytest.skip("dockerd does not run here: " + self.log()[-300:])
        return self

    def _up(self) -> bool:
        try:
            return UnixConnection(self.sock).call("GET", "/_ping")[0] == 200
        except OSError:
            return False


Answer = tuple[int, str, str]


def alike(text: str, engine: Engine) -> str:
    """Without what differs from engine to engine, or has another first letter since Docker 25."""
    text = text.replace(str(engine.dir / "data"), "DATA")
    text = re.sub(r"\b[0-9a-f]{12}\b|\b[0-9a-f]{64}\b", "ID", text)
    text = re.sub(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?Z?", "TIME", text)
    text = re.sub(r"(\d+|Less than a|About a) (second|minute)s?( ago)?", "AGO", text)
    text = re.sub(r'"execDuration":"\d+",|OCI runtime create failed: .*?: |, \[::\]:\d+->\d+/tcp', "", text)
    return re.sub(r"(?<=: )[A-Z]", lambda match: match[0].lower(), text)


def answer(engine: Engine, command: str) -> Answer:
    done = engine.lab.run("bash", "-c", command, env=engine.env, check=False)
    return done.returncode, alike(done.stdout, engine), alike(done.stderr, engine)


@pytest.fixture(scope="module")
def both() -> Iterator[list[Engine]]:
    """dockerd and this engine, holding the same image and the same containers."""
    for program in ("docker", "dockerd", "containerd"):
        if not shutil.which(program):
            pytest.skip(f"no {program} on this machine")
    labs = [Lab(), Lab()]
    try:
        with ThreadPoolExecutor() as pool:
            engines = list(pool.map(lambda make: make().start(), (lambda: Docker(labs[0]), lambda: Engine(labs[1]))))
            list(pool.map(fill, engines))
        yield engines
    finally:
        for lab in labs:
            lab.close()


def fill(engine: Engine) -> None:
    engine.docker("import", "-c", 'CMD ["sh"]', str(busybox_tar(engine.lab.dir)), "box:latest")
    engine.lab.run("bash", "-c", SETUP, env=engine.env)


def ask(both: list[Engine], command: str) -> list[Answer]:
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(lambda engine: answer(engine, command), both))


@pytest.mark.parametrize("command", SAME)
def test_says_the_same(both: list[Engine], command: str) -> None:
    docker, ours = ask(both, command)
    assert ours == docker


@pytest.mark.parametrize("command", FAILS_ALIKE)
def test_refuses_what_docker_refuses(both: list[Engine], command: str) -> None:
    """In other words, for newer Docker has other words too, but never silently and with the same exit code."""
    docker, ours = ask(both, command)
    assert docker[0] != 0 and ours[0] == docker[0]
    assert ours[1] or ours[2]
    assert "level=error" not in ours[2]


@pytest.mark.parametrize("script", [LIFE, VERBS, DETACH], ids=["life", "verbs", "detach"])
def test_announces_the_same_events(both: list[Engine], script: str) -> None:
    docker, ours = ask(both, script)
    assert ours[1].splitlines() == docker[1].splitlines()


@pytest.mark.parametrize("request_", ANSWERS)
def test_answers_the_same(both: list[Engine], request_: str) -> None:
    """Where the client would say it in other words."""
    *flags, path = request_.split()
    docker, ours = ask(both, f"{PING}'{path}' {' '.join(flags)}")
    assert ours[0] == docker[0] and document(ours[1]) == document(docker[1])


def document(text: str) -> tuple[object, str]:
    """(the JSON before it, status). Process ids are of the moment, first letters of the version."""
    body, code = text[:-3].replace('"message":"C', '"message":"c'), text[-3:]
    return json.loads(re.sub(r'"\d+"', '"N"', body)) if body.strip() else "", code


def test_is_as_well_as_docker_says(both: list[Engine]) -> None:
    docker, ours = ask(both, ILL)
    assert ours == docker


OPTIONAL = {  # in newer Docker only, or in older only
    "KernelMemory", "KernelMemoryTCP", "DNSNames", "GwPriority", "GraphDriver", "EnableIPv4",
}  # fmt: skip
OWN = {  # of the engine, of the moment, or of newer Docker
    "Runtime", "NetworkMode", "SandboxKey", "SandboxID", "Pid", "Aliases", "NetworkID", "ResolvConfPath", "HostnamePath",
    "HostsPath", "LogPath", "MaskedPaths", "ReadonlyPaths", "IPAddress", "MacAddress", "Ports", "Config.Image",
}  # fmt: skip


def flat(value: object, path: str = "") -> Iterator[tuple[str, object]]:
    """Every leaf of a JSON document by its path; what may differ keeps only its path."""
    if path.rpartition(".")[2] in OWN:
        yield path, "its own"
    elif isinstance(value, dict) and value:
        for key in value.keys() - OPTIONAL:
            yield from flat(value[key], f"{path}.{key}")
    else:
        yield path, value


@pytest.mark.parametrize("name", ["up", "joined", "onnet", "paused", "ended", "made", "host"])
def test_inspects_the_same(both: list[Engine], name: str) -> None:
    docker, ours = (dict(flat(json.loads(text)[0])) for _, text, _ in ask(both, f"docker inspect {name}"))
    assert ours == docker
