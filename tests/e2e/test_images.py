"""Images from a real registry, with real clients, and a whole Debian."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from tests.e2e.conftest import IMAGE
from tests.lab import Engine, Lab, wait_until


@pytest.fixture(scope="module")
def registry(lab: Lab) -> str:
    return lab.registry(5000)


@pytest.fixture(scope="module")
def debian(lab: Lab, registry: str) -> str:
    """A Debian root file system made by mmdebstrap, pushed by skopeo as an OCI image of one layer."""
    layout = lab.dir / "debian-oci"
    tar = lab.dir / "debian.tar"
    done = subprocess.run(
        ["mmdebstrap", "--variant=essential", "--include=busybox-static", "--quiet", "bookworm", str(tar)],
        capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    if done.returncode:
        pytest.skip(f"mmdebstrap could not make a Debian: {done.stderr[-300:]}")
    subprocess.run(["python3", str(Path(__file__).parent / "oci_layout.py"), str(tar), str(layout)], check=True)
    lab.run("skopeo", "copy", "--dest-tls-verify=false", f"oci:{layout}:latest", f"docker://{registry}/debian:12", timeout=120)
    return f"{registry}/debian:12"


def test_debian_from_registry_to_running_limited_published(client, debian: str, engine: Engine) -> None:
    """The whole of it: pull, run with a limit that is enforced and a port that answers, remove."""
    out = client("pull", debian, timeout=120).stdout
    assert "Digest: sha256:" in out and f"Status: Downloaded newer image for {debian}" in out
    assert client("run", "--rm", debian, "cat", "/etc/debian_version").stdout.startswith("12")
    assert client("run", "--rm", debian, "dpkg-query", "-W", "-f", "${Status}", "bash").stdout == "install ok installed"
    client("run", "-d", "--name", "web", "-m", "64m", "-p", "127.0.0.1:8085:80", debian, "sh", "-c",
           "mkdir /w; echo from debian > /w/index.html; exec busybox httpd -f -p 80 -h /w")  # fmt: skip
    wait_until(lambda: engine.lab.run("curl", "-s", "http://127.0.0.1:8085/", check=False).stdout == "from debian\n")
    assert json.loads(client("inspect", "web").stdout)[0]["HostConfig"]["Memory"] == 64 << 20
    hog = client("exec", "web", "tail", "/dev/zero", check=False)
    assert hog.returncode == 137
    client("rm", "-f", "web")
    client("rmi", debian)
    assert client("images", "-q", debian).stdout == ""
    wait_until(lambda: len(os.listdir(engine.dir / "data/layers")) == 1)  # the base image's own


def test_push_and_pull_by_another_client(client, registry: str, engine: Engine) -> None:
    name = f"{registry}/team/tool:v1"
    client("tag", IMAGE, name)
    pushed = client("push", name).stdout
    assert "digest: sha256:" in pushed
    remote = json.loads(engine.lab.run("skopeo", "inspect", "--tls-verify=false", f"docker://{name}").stdout)
    digest = remote["Digest"]
    assert digest in pushed
    client("rmi", name)
    client("pull", f"{registry}/team/tool@{digest}")
    assert client("run", "--rm", f"{registry}/team/tool@{digest}", "echo", "back").stdout == "back\n"
    client("rmi", f"{registry}/team/tool@{digest}")


def test_save_and_load(client, tmp_path: Path) -> None:
    before = client("image", "inspect", "--format", "{{.Id}}", IMAGE).stdout
    client("tag", IMAGE, "saved:1")
    client("save", "-o", str(tmp_path / "saved.tar"), "saved:1")
    client("rmi", "saved:1")
    assert "Loaded image: saved:1" in client("load", "-i", str(tmp_path / "saved.tar")).stdout
    assert client("image", "inspect", "--format", "{{.Id}}", "saved:1").stdout == before
    client("rmi", "saved:1")


def test_history_commit_and_diff(client) -> None:
    client("run", "--name", "change", IMAGE, "sh", "-c", "echo new > /made; rm /etc/group; echo x >> /etc/passwd")
    assert sorted(client("diff", "change").stdout.splitlines()) == ["A /made", "C /etc", "C /etc/passwd", "D /etc/group"]
    client("commit", "-c", 'CMD ["cat", "/made"]', "-m", "a change", "change", "changed:1")
    client("rm", "change")
    assert client("run", "--rm", "changed:1").stdout == "new\n"
    assert client("run", "--rm", "changed:1", "ls", "/etc").stdout.split() == ["hostname", "hosts", "mtab", "passwd", "resolv.conf"] \
        or "group" not in client("run", "--rm", "changed:1", "ls", "/etc").stdout.split()  # fmt: skip
    assert "a change" in client("history", "changed:1").stdout
    client("rmi", "changed:1")


def test_an_unknown_image_and_a_registry_that_is_not_there(client) -> None:
    done = client("pull", "127.0.0.1:9/nothing", check=False)
    assert done.returncode == 1 and "connection refused" in done.stderr.lower()
    done = client("rmi", "nosuch", check=False)
    assert done.returncode == 1 and "No such image: nosuch" in done.stderr


def test_an_image_in_use_is_kept(client) -> None:
    container = client("create", IMAGE, "true").stdout.strip()
    done = client("rmi", IMAGE, check=False)
    assert done.returncode == 1 and "conflict" in done.stderr
    client("rm", container)


def test_from_host_and_tiny(engine: Engine) -> None:
    assert engine.firkin("run", "--rm", "firkin/tiny", "echo", "hello").stdout == "hello\n"
    engine.firkin("image", "from-host", "bash", "/usr/bin/python3", "-t", "tools")
    assert engine.firkin("run", "--rm", "tools", "bash", "-c", "echo $BASH_VERSION").stdout.strip()
    out = engine.docker("run", "--rm", "tools", "python3", "-c", "import json, ssl; print(json.dumps([1]))")
    assert out.stdout == "[1]\n"
