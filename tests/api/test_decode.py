"""Docker's JSON as values: what the real docker command sends, Go's leniencies, and errors that name the member."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from firkin.api import create_request
from firkin.api.decode import decode
from firkin.api.encode import encode
from firkin.api.versions import Dialect
from firkin.errors import Invalid
from firkin.model import (
    ContainerConfig,
    CreateRequest,
    DeviceMapping,
    EndpointRequest,
    ExecRequest,
    Healthcheck,
    HostConfig,
    LogConfig,
    MountRequest,
    PortBinding,
    Resources,
    RestartPolicy,
    ThrottleDevice,
    Ulimit,
    WeightDevice,
)
from firkin.network.model import NetworkRequest, Subnet

DATA = Path(__file__).parent.parent / "data"
SECOND = 1_000_000_000


def sent_by_docker(name: str) -> dict[str, Any]:
    """A body of `POST /containers/create`, recorded from docker 28.2.2."""
    return json.loads((DATA / f"docker-create-{name}.json").read_text())  # type: ignore[no-any-return]


def test_docker_create_with_every_flag() -> None:
    request = decode(CreateRequest, sent_by_docker("every-flag"))
    assert request.config == ContainerConfig(
        hostname="myhost",
        domainname="d.example",
        user="1000:1000",
        attach_stdin=True,
        exposed_ports=("53/udp", "80/tcp", "9000/tcp", "9001/tcp"),
        tty=True,
        open_stdin=True,
        stdin_once=True,
        env=("A=1", "B"),
        cmd=("-c", "echo hi"),
        healthcheck=Healthcheck(("CMD-SHELL", "true"), 5 * SECOND, SECOND, 2, SECOND, SECOND),
        image="alpine",
        working_dir="/w",
        entrypoint=("/bin/sh",),
        labels={"x": "y"},
        stop_signal="SIGINT",
        stop_timeout=5,
    )
    assert request.host == HostConfig(
        resources=Resources(
            cpu_shares=512,
            memory=64 << 20,
            nano_cpus=1_500_000_000,
            cgroup_parent="/x",
            blkio_weight=300,
            blkio_weight_device=(WeightDevice("/dev/null", 200),),
            blkio_device_read_bps=(ThrottleDevice("/dev/null", 1 << 20),),
            blkio_device_write_iops=(ThrottleDevice("/dev/null", 100),),
            cpuset_cpus="0,1",
            cpuset_mems="0",
            devices=(DeviceMapping("/dev/fuse", "/dev/fuse", "rw"),),
            device_cgroup_rules=("c 10:229 rwm",),
            memory_reservation=32 << 20,
            memory_swap=128 << 20,
            memory_swappiness=5,
            oom_kill_disable=True,
            init=True,
            pids_limit=100,
            ulimits=(Ulimit("nofile", 1024, 2048),),
        ),
        binds=("/tmp:/mnt:ro,rslave", "vol:/data"),
        log_config=LogConfig("json-file", {"max-size": "1m"}),
        network_mode="mynet",
        port_bindings={"53/udp": (PortBinding("127.0.0.1", ""),), "80/tcp": (PortBinding("", "8080"),)},
        restart_policy=RestartPolicy("on-failure", 3),
        volumes_from=("other",),
        mounts=(
            MountRequest("tmpfs", "/t", tmpfs_size=1 << 20, tmpfs_mode=0o1777),
            MountRequest("bind", "/e", "/etc", read_only=True, propagation="rslave"),
            MountRequest(
                "volume",
                "/v2",
                "v2",
                no_copy=True,
                labels={"a": "b"},
                subpath="sub",
                driver="local",
                driver_options={"type": "tmpfs"},
            ),
        ),
        annotations={"k": "v"},
        cap_add=("CAP_NET_ADMIN",),
        cap_drop=("CAP_MKNOD",),
        cgroupns_mode="private",
        dns=("1.1.1.1",),
        dns_options=("ndots:2",),
        dns_search=("example.com",),
        extra_hosts=("h:1.2.3.4",),
        group_add=("5",),
        ipc_mode="shareable",
        links=("other:o",),
        oom_score_adj=100,
        pid_mode="host",
        publish_all_ports=True,
        readonly_rootfs=True,
        security_opt=("no-new-privileges",),
        storage_opt={"size": "1G"},
        tmpfs={"/run": "size=2m"},
        uts_mode="host",
        userns_mode="host",
        shm_size=128 << 20,
        sysctls={"net.ipv4.ip_forward": "1"},
        runtime="runc",
        isolation="default",
    )
    assert request.endpoints == {
        "mynet": EndpointRequest(
            ipv4_address="10.1.2.3",
            ipv6_address="fd00::3",
            link_local_ips=("169.254.1.1",),
            links=("other:o",),
            mac_address="02:42:ac:11:00:02",
            aliases=("al1",),
        )
    }


@pytest.mark.parametrize("name", ["plain", "every-flag"])
def test_what_is_written_reads_back_the_same(name: str) -> None:
    request = decode(CreateRequest, sent_by_docker(name))
    assert decode(CreateRequest, json.loads(json.dumps(encode(request)))) == request


def test_every_spelling_docker_uses_is_written_back() -> None:
    """Member for member: what docker sends under a name is written under the same name."""
    sent = sent_by_docker("every-flag")
    for part in (sent, sent["HostConfig"], *sent["HostConfig"]["Mounts"]):
        part.pop("HostConfig", None), part.pop("NetworkingConfig", None)
    written = encode(decode(ContainerConfig, sent)) | {"OnBuild": None}
    assert sent.keys() <= written.keys()
    host = sent_by_docker("every-flag")["HostConfig"]
    on_windows = {"CpuCount", "CpuPercent", "IOMaximumIOps", "IOMaximumBandwidth"}
    assert host.keys() - on_windows <= encode(decode(HostConfig, host)).keys()


def test_letter_case_null_and_unknown_members_do_not_matter() -> None:
    document = {
        "image": "x",
        "ENV": None,
        "labels": {"a": None},
        "Surprise": [1],
        "hostconfig": {"MEMORY": 5, "PortBindings": {"1/tcp": None}},
    }
    request = decode(CreateRequest, document)
    assert request.config == ContainerConfig(image="x", labels={"a": ""}, attach_stdout=False, attach_stderr=False)
    assert request.host == HostConfig(resources=Resources(memory=5), port_bindings={"1/tcp": ()})


def test_one_string_is_a_command() -> None:
    assert decode(ContainerConfig, {"Cmd": "ls", "Entrypoint": ""}).cmd == ("ls",)
    assert decode(ContainerConfig, {"Entrypoint": [""]}).entrypoint == ("",)
    assert decode(ExecRequest, {"Cmd": ["ls", "-l"], "ConsoleSize": [24, 80]}) == ExecRequest(
        ("ls", "-l"), console_size=(24, 80)
    )


@pytest.mark.parametrize(
    "document, member",
    [
        ({"Env": 3}, "Env"),
        ({"Labels": {"a": 3}}, "Labels"),
        ({"StopTimeout": "soon"}, "StopTimeout"),
        ({"HostConfig": 3}, "HostConfig"),
        ({"HostConfig": {"Memory": "1g"}}, "HostConfig.Memory"),
        ({"HostConfig": {"Mounts": [{"Type": "volume", "Target": 3}]}}, "HostConfig.Mounts.Target"),
        ({"HostConfig": {"Mounts": [{"Type": "bind", "Target": "/", "BindOptions": 1}]}}, "BindOptions"),
        (
            {"HostConfig": {"Mounts": [{"Type": "volume", "Target": "/", "VolumeOptions": {"DriverConfig": {"Options": {"a": 1}}}}]}},
            "HostConfig.Mounts.VolumeOptions.DriverConfig.Options",
        ),
        ({"HostConfig": {"Ulimits": [{"Name": "nofile"}]}}, "HostConfig.Ulimits"),
        ({"NetworkingConfig": {"EndpointsConfig": {"n": {"IPAMConfig": {"IPv4Address": 1}}}}},
         "NetworkingConfig.EndpointsConfig.IPAMConfig.IPv4Address"),
    ],
)  # fmt: skip
def test_a_wrong_type_is_named_in_the_clients_words(document: dict[str, Any], member: str) -> None:
    with pytest.raises(Invalid, match=rf"^invalid JSON: .* - at `{member}`$"):
        decode(CreateRequest, document)


def test_what_docker_means_by_its_sentinels() -> None:
    sent = sent_by_docker("plain")
    assert (sent["HostConfig"]["PidsLimit"], sent["HostConfig"]["MemorySwappiness"]) == (0, -1)
    limits = create_request.read(sent, Dialect(50)).host.resources
    assert (limits.pids_limit, limits.memory_swappiness) == (None, None)


def test_old_versions_mean_other_defaults() -> None:
    document = {"Image": "x", "HostConfig": {"AutoRemove": True, "ConsoleSize": [24, 80], "Annotations": {"a": "b"}}}
    old, new = (create_request.read(document, Dialect(minor), "/name").host for minor in (24, 43))
    assert old == HostConfig(ipc_mode="shareable", cgroupns_mode="host")
    assert new == HostConfig(auto_remove=True, console_size=(24, 80), annotations={"a": "b"})


@pytest.mark.parametrize(
    "document, message",
    [
        ({}, "config cannot be empty in order to create a container"),
        (
            {"HostConfig": {"Mounts": [{"Type": "bind", "Target": "/x", "VolumeOptions": {}}]}},
            'invalid mount config for type "bind": field VolumeOptions must not be specified',
        ),
    ],
)
def test_requests_that_are_refused_at_once(document: dict[str, Any], message: str) -> None:
    with pytest.raises(Invalid, match=message):
        create_request.read(document, Dialect(50))


def test_network_request() -> None:
    document = {
        "Name": "n",
        "Driver": "bridge",
        "IPAM": {
            "Driver": "default",
            "Options": None,
            "Config": [
                {
                    "Subnet": "10.1.0.0/16",
                    "IPRange": "10.1.2.0/24",
                    "Gateway": "10.1.0.1",
                    "AuxiliaryAddresses": {"r": "10.1.0.2"},
                }
            ],
        },
        "EnableIPv6": False,
        "Options": {"com.docker.network.driver.mtu": "1400"},
        "ConfigFrom": {"Network": ""},
    }
    assert decode(NetworkRequest, document) == NetworkRequest(
        "n",
        "bridge",
        ipam_driver="default",
        subnets=(Subnet("10.1.0.0/16", "10.1.2.0/24", "10.1.0.1", {"r": "10.1.0.2"}),),
        options={"com.docker.network.driver.mtu": "1400"},
    )
