"""TCP with TLS: certificates both ways, from the places and variables docker's client takes them from."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab import FIRKIN, Engine, Lab, busybox_tar

ADDRESS = "127.0.0.1:2376"


def certificates(directory: Path) -> None:
    """A certificate authority, a server and a client, in the file names docker gives them."""
    new = "openssl req -newkey rsa:2048 -nodes -keyout"
    steps = [f"{new} ca-key.pem -x509 -days 1 -subj /CN=ca -out ca.pem", "mkdir client; cp ca.pem client/"]
    for name, usage in (("server", "subjectAltName=IP:127.0.0.1"), ("client", "extendedKeyUsage=clientAuth")):
        steps += [
            f"{new} {name}-key.pem -subj /CN={name} -out {name}.csr; echo {usage} > {name}.ext",
            f"openssl x509 -req -days 1 -in {name}.csr -CA ca.pem -CAkey ca-key.pem -CAcreateserial -extfile {name}.ext -out {name}.pem",
        ]
    steps += ["cp client.pem client/cert.pem; cp client-key.pem client/key.pem"]
    for step in steps:
        subprocess.run(step, shell=True, check=True, cwd=directory, capture_output=True)


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    if not shutil.which("openssl"):
        pytest.skip("no openssl on this machine")
    lab = Lab()
    try:
        certificates(lab.dir)
        files = [f"--tlscacert={lab.dir}/ca.pem", f"--tlscert={lab.dir}/server.pem", f"--tlskey={lab.dir}/server-key.pem"]
        engine = Engine(lab, "engine", "--host", "tcp://" + ADDRESS, "--tlsverify", *files).start()
        engine.firkin("import", str(busybox_tar(lab.dir)), "bb")
        yield engine
    finally:
        lab.close()


def run(engine: Engine, *words: str, verify: str = "1", directory: str = "client", **options: str) -> tuple[int, str, str]:
    """A client that knows only the address: (exit code, standard output, standard error)."""
    settings = {
        "DOCKER_HOST": "tcp://" + ADDRESS,
        "DOCKER_TLS_VERIFY": verify,
        "DOCKER_CERT_PATH": f"{engine.lab.dir}/{directory}",
    }
    env = {name: value for name, value in engine.env.items() if name != "FIRKIN_HOST"} | settings
    done = engine.lab.run(FIRKIN, *words, env=env, check=False, timeout=30, **options)
    return done.returncode, done.stdout, done.stderr


def test_streams_work_and_end_by_halves(engine: Engine) -> None:
    assert run(engine, "run", "--rm", "bb", "echo", "hi") == (0, "hi\n", "")
    data = "x" * 500_000
    assert run(engine, "run", "--rm", "-i", "bb", "sh", "-c", "cat; echo end", input=data) == (0, data + "end\n", "")


def test_without_the_right_certificates_nothing_works_and_the_reason_is_said(engine: Engine) -> None:
    code, _, problem = run(engine, "ps", directory="nowhere")
    assert code == 1 and "load TLS files" in problem and "No such file or directory" in problem
    code, _, problem = run(engine, "--tls", "ps", verify="", directory="nowhere")
    assert code == 1 and "certificate required" in problem
