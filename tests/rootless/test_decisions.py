"""What an ordinary user's engine decides from texts and facts alone."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from firkin import config, userdirs
from firkin.cli import hosts
from firkin.rootless import checks, delegation, helpers, subids

FACTS = checks.Facts(
    user="alice",
    uid=1000,
    subuid="alice:100000:65536\n",
    subgid="alice:100000:65536\n",
    programs={
        "newuidmap": ("/usr/bin/newuidmap", 0o104755, 0),
        "newgidmap": ("/usr/bin/newgidmap", 0o104755, 0),
        "pasta": ("/usr/bin/pasta", 0o100755, 0),
        "slirp4netns": ("/usr/bin/slirp4netns", 0o100755, 0),
        "nft": ("/usr/sbin/nft", 0o100755, 0),
    },
    runtime_dir="/run/user/1000",
    exec_root="/run/user/1000/firkin",
    data_root="/home/alice/.local/share/firkin",
)


def without(*programs: str) -> checks.Facts:
    return replace(FACTS, programs={name: about for name, about in FACTS.programs.items() if name not in programs})


def test_nothing_is_missing() -> None:
    findings = checks.examine(FACTS)
    assert {one.status for one in findings} == {"ok"} and checks.is_ready(findings)
    assert not any(one.mend for one in findings)


@pytest.mark.parametrize(
    ("facts", "name", "status", "mend"),
    [
        (replace(FACTS, subuid="bob:100000:65536\n"), "subordinate uids", "missing",
         "sudo usermod --add-subuids 165536-231071 alice"),
        (replace(FACTS, subgid=""), "subordinate gids", "missing", "sudo usermod --add-subgids 100000-165535 alice"),
        (replace(FACTS, subuid="alice:100000:1000\n"), "subordinate uids", "warning",
         "sudo usermod --add-subuids 101000-166535 alice"),
        (without("newuidmap"), "newuidmap", "missing", "sudo apt-get install uidmap"),
        (replace(FACTS, programs={**FACTS.programs, "newgidmap": ("/usr/bin/newgidmap", 0o100755, 0)}), "newgidmap", "missing",
         "sudo chmod u+s /usr/bin/newgidmap"),
        (without("pasta"), "network", "warning", "sudo apt-get install passt"),
        (without("pasta", "slirp4netns"), "network", "missing", "sudo apt-get install passt"),
        (without("nft"), "nftables", "missing", "sudo apt-get install nftables"),
        (replace(FACTS, tun="missing"), "/dev/net/tun", "missing", "sudo modprobe tun"),
        (replace(FACTS, tun="closed"), "/dev/net/tun", "missing", "sudo chmod 666 /dev/net/tun"),
        (replace(FACTS, probes={"namespaces": "operation not permitted"}, sysctls={"kernel.unprivileged_userns_clone": "0"}),
         "user namespaces", "missing", "sudo sysctl -w kernel.unprivileged_userns_clone=1"),
        (replace(FACTS, probes={"namespaces": "permission denied"}, sysctls={
            "user.max_user_namespaces": "1000", "kernel.apparmor_restrict_unprivileged_userns": "1"}),
         "user namespaces", "missing", "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"),
        (replace(FACTS, probes={"overlay": "overlay: operation not permitted"}), "overlay", "missing", ""),
        (replace(FACTS, runtime_dir=""), "runtime directory", "warning", "sudo loginctl enable-linger alice"),
        (replace(FACTS, delegated=False), "cgroups", "warning",
         "systemd-run --user --scope --property=Delegate=yes firkin daemon"),
        (replace(FACTS, delegated=False, unified=False), "cgroups", "warning", ""),
    ],
)  # fmt: skip
def test_what_is_missing_is_named_with_what_mends_it(facts: checks.Facts, name: str, status: str, mend: str) -> None:
    findings = checks.examine(facts)
    assert [(one.name, one.status, one.mend) for one in findings if one.status != "ok"] == [(name, status, mend)]
    assert checks.is_ready(findings) == (status != "missing")


def test_file_capabilities_do_instead_of_the_bit() -> None:
    programs = {**FACTS.programs, "newuidmap": ("/usr/bin/newuidmap", 0o100755, 0)}
    assert checks.is_ready(checks.examine(replace(FACTS, programs=programs, capable=frozenset(["newuidmap"]))))


def test_ranges_are_by_name_or_number_and_bad_lines_are_passed_over() -> None:
    text = "alice:100000:10\n# alice:1:1\n1000:300000:5\nalice:x:5\nalice:1\nbob:200000:7\nalice:400000:0\n"
    assert subids.ranges(text, "alice", 1000) == [(100000, 10), (300000, 5)]
    assert subids.mapping(1000, [(100000, 10), (300000, 5)]) == [(0, 1000, 1), (1, 100000, 10), (11, 300000, 5)]
    assert subids.arguments(7, [(0, 1000, 1), (1, 100000, 10)]) == ["7", "0", "1000", "1", "1", "100000", "10"]
    assert subids.next_free(text) == 400000


@pytest.mark.parametrize(
    ("host", "inside"),
    [
        ("nameserver 192.0.2.1\nsearch corp\n", None),
        ("nameserver 127.0.0.53\noptions edns0\nsearch corp\n", "options edns0\nsearch corp\nnameserver 10.0.2.3\n"),
        ("nameserver ::1\n", "nameserver 10.0.2.3\n"),
        ("nameserver 127.0.0.1\nnameserver 192.0.2.1\n", None),
        ("", "nameserver 10.0.2.3\n"),
    ],
)
def test_name_servers_on_the_hosts_loopback_are_asked_by_the_helper(host: str, inside: str | None) -> None:
    assert helpers.resolv_conf(host) == inside


def test_helpers_forward_nothing_by_themselves_and_keep_the_loopback_out() -> None:
    words = helpers.pasta(7, "/run/pid")
    for option in ("-t", "-u", "-T", "-U"):
        assert words[words.index(option) + 1] == "none"
    assert "--no-map-gw" in words
    assert "--disable-host-loopback" in helpers.slirp4netns(7, 5)


UNIFIED = "30 24 0:27 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw\n"
HYBRID = (
    "30 24 0:27 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n31 24 0:28 / /sys/fs/cgroup/memory rw - cgroup c memory\n"
)


def test_the_delegated_group_is_the_sessions_own() -> None:
    scope = "/user.slice/user-1000.slice/user@1000.service/app.slice/firkin.service"
    assert delegation.group_directory(f"0::{scope}\n", UNIFIED) == "/sys/fs/cgroup" + scope
    assert delegation.group_directory(f"4:memory:/x\n0::{scope}\n", HYBRID) == ""
    assert delegation.group_directory("4:memory:/x\n", UNIFIED) == ""


def test_where_things_are() -> None:
    environ = {"HOME": "/home/alice", "XDG_RUNTIME_DIR": "/run/user/1000"}
    assert userdirs.host(environ, 1000) == "unix:///run/user/1000/firkin/firkin.sock"
    assert userdirs.data_root(environ) == "/home/alice/.local/share/firkin"
    assert userdirs.config_file({**environ, "XDG_CONFIG_HOME": "/c"}) == "/c/firkin/daemon.json"
    assert userdirs.exec_root({"HOME": "/home/alice"}, 4000000000) == "/tmp/firkin-4000000000"


def test_a_users_daemon_has_defaults_that_its_file_and_flags_overrule(tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path), "XDG_RUNTIME_DIR": "/run/user/1000"}
    file = tmp_path / ".config/firkin/daemon.json"
    file.parent.mkdir(parents=True)
    file.write_text('{"debug": true, "bridge": "none"}')
    loaded = config.load(["--data-root", "/d"], config.rootless(environ, 1000), userdirs.config_file(environ))
    assert (loaded.data_root, loaded.exec_root, loaded.debug, loaded.bridge) == ("/d", "/run/user/1000/firkin", True, "none")
    assert loaded.rootless and loaded.group == ""
    assert not config.load([]).rootless


@pytest.mark.parametrize(
    ("own", "may_use_roots", "chosen"),
    [
        (False, False, "unix:///run/user/1000/firkin/firkin.sock"),  # which a first command brings to life
        (False, True, hosts.DEFAULT_HOST),
        (True, True, "unix:///run/user/1000/firkin/firkin.sock"),
    ],
)
def test_which_engine_a_user_means(monkeypatch: pytest.MonkeyPatch, own: bool, may_use_roots: bool, chosen: str) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(os.path, "exists", lambda path: own)
    monkeypatch.setattr(os, "access", lambda path, mode: may_use_roots)
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/1000")
    for name in ("FIRKIN_HOST", "DOCKER_HOST"):
        monkeypatch.delenv(name, raising=False)
    assert hosts.choose([], {}, os.environ).address == chosen
    monkeypatch.setenv("DOCKER_HOST", "unix:///elsewhere")
    assert hosts.choose([], {}, os.environ).address == "unix:///elsewhere"
