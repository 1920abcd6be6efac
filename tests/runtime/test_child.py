"""What a container finds, and what it cannot do: every step of a plan against the real kernel."""

from __future__ import annotations

import errno
import os
import select
import shutil
import socket
import stat
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from tests.lab import SLOWNESS
from tests.runtime.box import DOCKER_CAPABILITIES, NAMESPACES, NO_EXEC, Box, layer, reap

from firkin.linux import mount as m
from firkin.linux import process as p
from firkin.linux.syscalls import NUMBERS


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path)


def missing(*names: str) -> bytes:
    """A filter for which these system calls do not exist, as on an old kernel."""
    load, allow, refuse = (0x20, 0, 0, 0), (6, 0, 0, 0x7FFF0000), (6, 0, 0, 0x50000 | errno.ENOSYS)
    jumps = [(0x15, len(names) - index, 0, NUMBERS[name]) for index, name in enumerate(names)]
    return b"".join(struct.pack("=HBBI", *one) for one in (load, *jumps, allow, refuse))


# --- root file system ----------------------------------------------------------------------------------------------
def test_a_container_sees_its_own_world(box: Box) -> None:
    script = "hostname; echo $$; ls /; mount | grep -c ' / '; id -u; ls /proc/self/fd; ip -o link | grep -c link"
    result = box.shell(script, ("hostname", "box"))
    assert result.failure is None
    # The last descriptor is the directory that ls reads.
    assert result.output.split() == ["box", "1", "bin", "dev", "proc", "1", "0", "0", "1", "2", "3", "1"]


def test_what_it_writes_lands_in_the_upper_directory(box: Box) -> None:
    assert box.shell("echo kept > /kept; touch /bin/new").status == 0
    assert (box.base / "upper/kept").read_text() == "kept\n"
    assert not (box.image / "bin/new").exists()


def test_masks_and_readonly_paths(box: Box) -> None:
    script = "cat /proc/interrupts; ls /proc/acpi /proc/driver; (echo 1 > /proc/sys/kernel/domainname) 2>&1 | grep -o Read-only"
    masks = [("mask", f"/proc/{name}") for name in ("interrupts", "acpi", "driver", "nowhere")]
    result = box.shell(script, *masks, ("readonly-path", "/proc/sys"))
    assert result.output.split() == ["/proc/acpi:", "/proc/driver:", "Read-only"]


def test_masks_use_the_real_null_device_whatever_the_image_has(box: Box) -> None:
    """CVE-2025-31133: a null device replaced by the image must not be what is bound over a file."""
    (box.image / "dev").mkdir()
    (box.image / "dev/null").write_text("fake")
    (box.image / "secret").write_text("secret")
    child = [*box.root(), ("mask", "/secret"), *box.into(), *box.become("sh", "-c", "cat /secret; stat -c %t:%T /secret")]
    assert box.run(child).output == "1:3\n"


def test_the_hosts_null_device_cannot_be_changed_from_inside(box: Box) -> None:
    before = os.stat("/dev/null").st_mode
    result = box.shell("chmod 600 /proc/self/fd/0 /proc/interrupts 2>&1 | grep -c Read-only", ("mask", "/proc/interrupts"))
    assert result.output == "2\n"
    assert os.stat("/dev/null").st_mode == before


def test_links_in_an_image_lead_nowhere_outside(box: Box, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    for name in ("data", "etc", "absolute"):
        (box.image / name).symlink_to(f"../../../../../../../..{outside}" if name != "absolute" else outside)
    steps = [
        ("mkdir", "/data/made", 0o755),
        ("write", "/etc/hostname", "box", 0o644),
        ("mount", "tmpfs", "tmpfs", "/absolute/tmp", NO_EXEC, [], "dir"),
        ("mknod", "/data/made/null", 0o20666, 1, 3, 0, 0),
        ("symlink", "x", "/data/made/link"),
        ("mask", "/etc/hostname"),
    ]
    result = box.shell(f"ls {outside}", *steps)
    assert result.failure is None
    assert result.output.split() == ["hostname", "made", "tmp"]
    assert list(outside.iterdir()) == []


def test_a_dangling_link_gets_its_target_made(box: Box) -> None:
    (box.image / "var").mkdir()
    (box.image / "var/run").symlink_to("/run")
    result = box.shell("ls -d /run/app && mount | grep -c /run/app", ("mount", "tmpfs", "shm", "/var/run/app", 0, [], "dir"))
    assert result.output.split() == ["/run/app", "1"]


def test_a_tmpfs_takes_over_the_mode_it_covers(box: Box) -> None:
    (box.image / "tmp").mkdir()
    (box.image / "tmp").chmod(0o1777)
    tmpfs = [
        ("mount", "tmpfs", "tmpfs", f"/{name}", 0, options, "dir") for name, options in (("tmp", []), ("own", ["mode=700"]))
    ]
    assert box.shell("stat -c %a /tmp /own", *tmpfs).output.split() == ["1777", "700"]


def test_a_refused_mount_is_explained_by_the_kernel(box: Box) -> None:
    result = box.shell("true", ("mount", "tmpfs", "tmpfs", "/x", 0, ["sise=3"], "dir"))
    assert result.failure is not None
    step, number, detail = result.failure
    assert (step, number, detail) == (7, errno.EINVAL, "tmpfs: Unknown parameter 'sise'")
    assert result.output == ""


@pytest.mark.parametrize("old_kernel", [False, True], ids=["lowerdir+", "mount(2)"])
def test_125_layers(box: Box, tmp_path: Path, old_kernel: bool) -> None:
    deep = tmp_path / ("d" * 200) / ("e" * 200)  # longer than one option may be
    layers = [deep / f"{number:064x}" for number in range(124)]
    for number, one in enumerate(layers):
        one.mkdir(parents=True)
        (one / f"file{number}").touch()
        (one / "top").write_text(str(number))
    box.layers = [*layers, box.image]
    before = [("no-new-privileges",), ("seccomp", missing("fsopen"), 0)] if old_kernel else []
    child = [*before, *box.root(), *box.into(), *box.become("sh", "-c", "ls / | grep -c file; cat /top; echo > /new")]
    result = box.run(child)
    assert result.failure is None
    assert result.output.split() == ["124", "0"]
    assert (box.base / "upper/new").exists()


def test_a_directory_as_root(box: Box, tmp_path: Path) -> None:
    plain = layer(tmp_path / "plain")
    for readonly, expected in ((True, "no"), (False, "yes")):
        root = [("root-propagation", m.MS_REC | m.MS_PRIVATE), ("rootfs", f"{box.base}/staging", str(plain), readonly)]
        child = [*root, *box.into(), *box.become("sh", "-c", "touch /new 2>&- && echo yes || echo no")]
        assert box.run(child).output.strip() == expected


def test_readonly_root(box: Box) -> None:
    assert box.shell("touch /x", ("readonly-root",)).status == 1
    assert box.shell("touch /dev/x", ("readonly-root",)).status == 0


# --- binds ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("old_kernel", [False, True], ids=["mount_setattr", "remount"])
def test_bind_read_only(box: Box, tmp_path: Path, old_kernel: bool) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/file").write_text("hello")
    before = [("no-new-privileges",), ("seccomp", missing("mount_setattr"), 0)] if old_kernel else []
    binds = [
        ("bind", f"{tmp_path}/data", "/rw", True, 0, 0, m.MS_PRIVATE | m.MS_REC, "auto"),
        (
            "bind",
            f"{tmp_path}/data",
            "/ro",
            True,
            m.MOUNT_ATTR_RDONLY | m.MOUNT_ATTR_NOSUID,
            0,
            m.MS_PRIVATE | m.MS_REC,
            "auto",
        ),
        ("bind", f"{tmp_path}/data/file", "/file", False, m.MOUNT_ATTR_RDONLY, 0, 0, "auto"),
    ]
    script = "cat /ro/file /file; touch /ro/x /file 2>&- || echo refused; touch /rw/new; grep /ro /proc/mounts"
    child = [*before, *box.root(), *box.mounts(), *binds, *box.into(), *box.become("sh", "-c", script)]
    result = box.run(child)
    assert result.failure is None
    assert result.output.startswith("hellohellorefused\n")
    assert " ro,nosuid" in result.output
    assert (tmp_path / "data/new").exists()


def test_recursive_attributes_and_top_only(box: Box, tmp_path: Path) -> None:
    (tmp_path / "data/below").mkdir(parents=True)
    inner = ("bind", f"{tmp_path}/data", "/outer", False, 0, 0, 0, "auto")
    below = ("mount", "tmpfs", "tmpfs", "/outer/below", 0, [], "")
    rdonly = m.MOUNT_ATTR_RDONLY
    outer, rdonly = f"{box.base}/staging/outer", m.MOUNT_ATTR_RDONLY
    again = [("bind", outer, f"/{name}", True, rdonly, 0, 0, "dir", top) for name, top in (("all", False), ("top", True))]
    script = (
        "touch /all/x 2>&- ; touch /all/below/x 2>&- || echo no; touch /top/x 2>&- || echo no; touch /top/below/x && echo yes"
    )
    assert box.shell(script, inner, below, *again).output.split() == ["no", "no", "yes"]


def test_missing_sources_and_targets_are_named(box: Box) -> None:
    gone = box.shell("true", ("bind", "/nowhere/at/all", "/x", True, 0, 0, 0, "auto"))
    assert gone.failure is not None and gone.failure[1:] == (errno.ENOENT, "/nowhere/at/all")
    no_target = box.shell("true", ("bind", "/tmp", "/not/there", True, 0, 0, 0, ""))
    assert no_target.failure is not None and no_target.failure[1:] == (errno.ENOENT, "/not/there")


SHARED = """
import sys
from pathlib import Path
from firkin.linux import mount as m
from tests.runtime.box import Box
base = Path(sys.argv[1])
for directory in (base, base / "data"):  # the new root shows on neither
    directory.mkdir(exist_ok=True)
    m.mount("none", str(directory), "tmpfs", 0)
    m.mount(None, str(directory), None, m.MS_SHARED)
box = Box(base / "box")
root = [("root-propagation", m.MS_SHARED), *box.root()[1:]]
bind = ("bind", f"{base}/data", "/data", True, 0, 0, m.MS_SHARED | m.MS_REC, "auto")
script = "mkdir /data/sub; mount -t tmpfs none /data/sub; echo done"
caps = (1 << 41) - 1
finish = [("user", "", [], True), ("identity", caps, caps, caps, 0, 0), ("exec", ["sh", "-c", script], ["PATH=/bin"])]
before = Path("/proc/self/mountinfo").read_text().count("\\n")
result = box.run([*root, bind, ("pivot", m.MS_SHARED), ("stdio", "null", "out", "out"), *finish])
lines = Path("/proc/self/mountinfo").read_text().splitlines()
print(result.output.strip(), result.failure, len(lines) - before, f"{base}/data/sub" in "".join(lines))
"""


def test_shared_propagation_reaches_the_host_and_nothing_else_does(tmp_path: Path) -> None:
    """One mount appears outside, the one made in the shared volume; the host's own mounts survive the pivot."""
    command = ["unshare", "-m", "--propagation", "private", sys.executable, "-c", SHARED, str(tmp_path)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=30 * SLOWNESS, cwd=Path(__file__).parents[2])
    assert run.stdout == "done None 1 True\n", run.stderr


# --- process -------------------------------------------------------------------------------------------------------
def test_privileges(box: Box) -> None:
    child = [*box.root(), *box.mounts(), *box.into(), ("no-new-privileges",), ("seccomp", missing("keyctl"), 0)]
    result = box.run([*child, *box.become("cat", "/proc/self/status")])
    status = dict(line.split(":\t", 1) for line in result.output.splitlines() if ":\t" in line)
    assert int(status["CapBnd"], 16) == int(status["CapPrm"], 16) == int(status["CapEff"], 16) == DOCKER_CAPABILITIES
    assert (status["NoNewPrivs"], status["Seccomp"], status["Umask"]) == ("1", "2", "0022")
    assert int(status["SigIgn"], 16) == int(status["SigBlk"], 16) == int(status["CapAmb"], 16) == 0


def test_ambient_capabilities_stay_with_a_user(box: Box) -> None:
    bind_low = 1 << 10
    user = [("user", "1000", [], True), ("identity", bind_low, bind_low, bind_low, bind_low, bind_low)]
    child = [*box.root(), *box.mounts(), *box.into(), *user, ("exec", ["grep", "CapEff", "/proc/self/status"], ["PATH=/bin"])]
    assert int(box.run(child).output.split()[1], 16) == bind_low


def test_user_groups_home_and_stdio(box: Box) -> None:
    (box.image / "etc").mkdir()
    (box.image / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\nweb:x:33:34:Web:/srv:/bin/sh\n")
    (box.image / "etc/group").write_text("web:x:34:\nlog:x:4:web,other\naudio:x:29:\n")
    script = "id -u; id -g; id -G; echo $HOME; echo seen > /dev/fd/1"
    child = [*box.root(), *box.mounts(), *box.into(), ("user", "web", ["audio", "77"], True), ("identity", 0, 0, 0, 0, 0)]
    result = box.run([*child, ("exec", ["sh", "-c", script], ["PATH=/bin"])])
    assert result.output.split("\n") == ["33", "34", "34 4 29 77", "/srv", "seen", ""]


def test_an_unknown_user_is_named(box: Box) -> None:
    result = box.shell("true", user="nobody-here")
    assert result.failure is not None
    assert result.failure[2] == "unable to find user nobody-here: no matching entries in passwd file"


def test_a_fifo_for_a_passwd_file_does_not_hang(box: Box) -> None:
    (box.image / "etc").mkdir()
    os.mkfifo(box.image / "etc/passwd")
    result = box.shell("true", user="root")
    assert result.failure is not None and result.failure[1:] == (errno.EINVAL, "/etc/passwd")


@pytest.mark.parametrize(
    ("command", "number", "detail"),
    [
        ("nope", errno.ENOENT, 'exec: "nope": executable file not found in $PATH'),
        ("/nope", errno.ENOENT, 'exec: "/nope": stat /nope: no such file or directory'),
        ("/bin/busybox/x", errno.ENOTDIR, 'exec: "/bin/busybox/x": stat /bin/busybox/x: not a directory'),
        ("/bin", errno.EISDIR, 'exec: "/bin": is a directory'),
        ("/plain", errno.EACCES, 'exec: "/plain": permission denied'),
        ("plain", errno.ENOENT, 'exec: "plain": executable file not found in $PATH'),
        ("/orphan", errno.ENOENT, "exec /orphan: no such file or directory"),
        ("orphan", errno.ENOENT, "exec /orphan: no such file or directory"),
        ("/garbage", errno.ENOEXEC, "exec /garbage: exec format error"),
    ],
)
def test_what_is_wrong_with_a_command(box: Box, command: str, number: int, detail: str) -> None:
    for name, text, mode in (("plain", "", 0o644), ("orphan", "#!/no/such/shell\n", 0o755), ("garbage", "\x01\x02", 0o755)):
        (box.image / name).write_text(text)
        (box.image / name).chmod(mode)
    child = [*box.root(), *box.into(), *box.become(command, env=("PATH=/bin:/nowhere::/",))]
    failure = box.run(child).failure
    assert failure == (len(child) - 1, number, detail)


def test_the_environment_is_exactly_what_was_asked_for(box: Box) -> None:
    child = [*box.root(), *box.into(), *box.become("env", env=("PATH=/bin", "A=1", "EMPTY=", "HOME=", "BYTES=\udcff"))]
    assert sorted(box.run(child).output.splitlines()) == ["A=1", "BYTES=\ufffd", "EMPTY=", "HOME=/", "PATH=/bin"]


@pytest.mark.parametrize("path", ["/proc/self/fd/3", "/proc/self/fd/5/..", "/proc/1/cwd"])
def test_no_working_directory_outside_the_root(box: Box, path: str) -> None:
    """CVE-2024-21626: a working directory that is one of the engine's own descriptors."""
    (box.image / "link").symlink_to(path)
    for asked in (path, "/link"):
        child = [*box.root(), *box.mounts(), *box.into(), ("cwd", asked, False), *box.become("true")]
        failure = box.run(child).failure
        assert failure is not None and failure[1] in (errno.ELOOP, errno.ENOTDIR, errno.EXDEV, errno.ENOENT), failure


def test_a_missing_working_directory_is_made_if_asked(box: Box) -> None:
    pwd = [("exec", ["sh", "-c", "pwd; stat -c %a:%u ."], ["PATH=/bin"])]
    made = box.run([*box.root(), *box.into(), ("cwd", "/a/b/c", True), *pwd])
    assert made.output.split() == ["/a/b/c", "755:0"]
    refused = box.run([*box.root(), *box.into(), ("cwd", "/z", False), *pwd])
    assert refused.failure is not None and refused.failure[1:] == (errno.ENOENT, "/z")


def test_a_program_cannot_be_reached_through_the_engines_descriptors(box: Box) -> None:
    child = [*box.root(), *box.mounts(), *box.into(), ("close-fds",)]
    for fd in range(3, 12):
        failure = box.run([*child, ("exec", [f"/proc/self/fd/{fd}/bin/sh"], [])]).failure
        assert failure is not None and failure[1] in (errno.ENOENT, errno.ENOTDIR)


def test_limits(box: Box) -> None:
    steps = [("rlimit", 7, 64, 128), ("rlimit", 4, -1, -1), ("oom-score-adj", 500), ("umask", 0o027), ("personality", 8)]
    child = [*box.root(), *box.mounts(), *box.into(), *steps]
    script = "ulimit -n; ulimit -Hn; cat /proc/self/oom_score_adj; umask; uname -m"
    output = box.run([*child, *box.become("sh", "-c", script)]).output.split()
    assert output[:4] == ["64", "128", "500", "0027"]
    assert output[4] != os.uname().machine  # PER_LINUX32


def test_a_hard_limit_that_may_not_be_raised_stays(box: Box) -> None:
    """Without CAP_SYS_RESOURCE, as in `docker run` inside an unprivileged service."""
    caps = ((1 << 41) - 1) & ~(1 << 24)
    steps = [("rlimit", 7, 50, 100), ("identity", caps, caps, caps, 0, 0), ("rlimit", 7, 200, -1)]
    child = [*box.root(), *box.into(), *steps, ("exec", ["sh", "-c", "ulimit -n; ulimit -Hn"], ["PATH=/bin"])]
    assert box.run(child).output.split() == ["100", "100"]


# --- namespaces ----------------------------------------------------------------------------------------------------
def test_sysctls_are_the_containers_own(box: Box) -> None:
    steps = [("sysctl", "net/ipv4/ip_forward", "1"), ("sysctl", "kernel/shmmni", "77"), ("domainname", "example")]
    before = Path("/proc/sys/kernel/shmmni").read_text()
    output = box.shell("cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/shmmni /proc/sys/kernel/domainname", *steps).output
    assert output.split() == ["1", "77", "example"]
    assert Path("/proc/sys/kernel/shmmni").read_text() == before


def test_a_sysctl_is_nothing_else(box: Box) -> None:
    for path in ("../../etc/passwd", "../self/root/etc/passwd", "nothing/here"):
        failure = box.shell("true", ("sysctl", path, "x")).failure
        assert failure is not None and failure[1] in (errno.EXDEV, errno.ELOOP, errno.ENOENT)


def test_a_user_namespace(box: Box, tmp_path: Path) -> None:
    for directory in (tmp_path, *list(tmp_path.parents)[:-2]):
        directory.chmod(directory.stat().st_mode | 0o011)
    box.clone = NAMESPACES | p.CLONE_NEWUSER
    box.parent = [("uid-map", "0 100000 65536"), ("setgroups", "allow"), ("gid-map", "0 200000 65536"), ("oom-score-adj", 5)]
    home = tmp_path / "home"
    home.mkdir()
    os.chown(home, 100000, 200000)
    bind = ("bind", str(home), "/home", False, 0, 0, 0, "dir")
    image = shutil.copytree(box.image, tmp_path / "owned", symlinks=True)
    for path in (image, *image.rglob("*")):
        os.chown(path, 100000, 200000, follow_symlinks=False)
    root = [("wait-parent",), ("root-propagation", m.MS_REC | m.MS_SLAVE), ("rootfs", f"{box.base}/staging", str(image), False)]
    mounts = [one for one in box.mounts() if one[0] != "mknod"]
    script = "cat /proc/self/uid_map /proc/self/oom_score_adj; id -u; touch /home/mine"
    result = box.run([*root, *mounts, bind, *box.into(), *box.become("sh", "-c", script)])
    assert result.failure is None
    assert result.output.split() == ["0", "100000", "65536", "5", "0"]
    assert (home / "mine").stat().st_uid == 100000


def test_joining_a_container(box: Box) -> None:
    start = [*box.root(), *box.mounts(), ("hostname", "joined"), ("pivot", 0), ("stdio", "null", "null", "null")]
    first, outcome = box.start([*start, *box.become("sleep", "60")])
    try:
        assert outcome.failure is None
        box.clone, box.pidns = 0, "target"
        kinds = NAMESPACES & ~p.CLONE_NEWPID
        child = [("setns-pidfd", "target", kinds), ("stdio", "null", "out", "out"), ("setsid",)]
        script = "hostname; readlink /proc/self/root; ps -o comm | grep -c sleep; echo $$"
        joined = box.run([*child, *box.become("sh", "-c", script)], target=first.pidfd)
        assert joined.failure is None
        assert joined.output.split() == ["joined", "/", "1", "2"]
    finally:
        p.pidfd_send_signal(first.pidfd, 9)
        assert reap(first) == -9


# --- terminals -----------------------------------------------------------------------------------------------------
def read_terminal(master: int) -> str:
    text = b""
    while select.select([master], [], [], 5)[0]:
        try:
            text += os.read(master, 4096)
        except OSError:  # EIO: no slave is open any more
            break
    return text.decode()


def test_a_terminal_of_its_own(box: Box) -> None:
    script = (
        "tty; stty size; ls -l /dev/console | cut -c1; stat -c %t:%T /dev/console $(tty) | uniq | wc -l; echo hi > /dev/tty"
    )
    tty = ("mknod", "/dev/tty", 0o20666, 5, 0, 0, 0)
    child = [*box.root(), *box.mounts(), tty, ("pivot", 0), ("console", 33, 120), *box.become("sh", "-c", script)]
    spawned, outcome = box.start(child)
    assert outcome.failure is None and outcome.console is not None
    assert not os.get_inheritable(outcome.console)
    assert read_terminal(outcome.console).split("\r\n") == ["/dev/pts/0", "33 120", "c", "1", "hi", ""]
    os.close(outcome.console)
    assert reap(spawned) == 0


def test_a_fake_terminal_multiplexer_is_refused(box: Box) -> None:
    (box.image / "dev/pts").mkdir(parents=True)
    (box.image / "dev/pts/ptmx").write_text("")
    result = box.run([*box.root(), ("pivot", 0), ("exec-console", 1, 1), *box.become("true")])
    assert result.failure is not None and result.failure[1:] == (errno.ENOTTY, "dev/pts/ptmx")


# --- network -------------------------------------------------------------------------------------------------------
def test_loopback_and_sockets_for_the_daemon(box: Box) -> None:
    wanted = [("udp", "127.0.0.1", 5353), ("tcp", "127.0.0.1", 5353)]
    script = "nc 127.0.0.1 5353 < /dev/null"
    child = [*box.root(), *box.mounts(), ("link-up", "lo"), ("sockets", wanted), *box.into(), *box.become("sh", "-c", script)]
    reading, writing = os.pipe()
    spawned, outcome = box.start(child, out=writing)
    os.close(writing)
    udp, tcp = (socket.socket(fileno=fd) for fd in outcome.sockets)
    with udp, tcp:
        assert udp.type == socket.SOCK_DGRAM and udp.getsockname() == ("127.0.0.1", 5353)
        tcp.settimeout(10)
        connection, _ = tcp.accept()  # accepted out here, connected in there
        connection.sendall(b"from outside")
        connection.close()
    with open(reading) as stream:
        assert stream.read() == "from outside"
    assert reap(spawned) == 0


def test_the_kernels_explanation_comes_through(box: Box) -> None:
    result = box.shell("true", ("link-up", "eth7"))
    assert result.failure is not None and result.failure[1:] == (errno.ENODEV, "eth7")
    gateway = box.shell("true", ("link-up", "lo"), ("route", "0.0.0.0/0", "10.1.2.3", "lo"))
    assert gateway.failure is not None and gateway.failure[2] == "Nexthop has invalid gateway"


def test_device_nodes_have_their_owner_and_mode(box: Box) -> None:
    box.shell("true", ("mkdir", "/nodes", 0o700), ("mknod", "/nodes/zero", 0o20640, 1, 5, 7, 8))
    status = (box.base / "upper/nodes/zero").stat()
    assert (stat.S_IMODE(status.st_mode), status.st_rdev, status.st_uid, status.st_gid) == (0o640, os.makedev(1, 5), 7, 8)


def test_a_directory_covered_by_a_mount_is_looked_up_again(box: Box) -> None:
    zero = ("mknod", "/nodes/zero", 0o20640, 1, 5, 0, 0)
    covered = ("mount", "tmpfs", "tmpfs", "/nodes", 0, [], "dir")
    assert box.shell("ls /nodes", ("symlink", "x", "/nodes/link"), covered, zero).output == "zero\n"
    assert os.listdir(box.base / "upper/nodes") == ["link"]


def test_cgroup_views_show_one_group_each(box: Box, tmp_path: Path) -> None:
    for name in ("cpu", "memory"):
        (tmp_path / name / "below").mkdir(parents=True)
    views = [("cpu,cpuacct", f"{tmp_path}/cpu"), ("memory", f"{tmp_path}/memory")]
    step = ("cgroup-views", "/sys/fs/cgroup", NO_EXEC | m.MOUNT_ATTR_RDONLY, views, [("cpu", "cpu,cpuacct")])
    script = (
        "cd /sys/fs/cgroup; touch x cpu/x 2>&1 | grep -c Read-only; ls; ls cpu memory; mount | grep -c 'cgroup.*(ro,nosuid'"
    )
    shown = box.shell(script, step)
    assert shown.failure is None
    assert shown.output.split() == ["2", "cpu", "cpu,cpuacct", "memory", "cpu:", "below", "memory:", "below", "3"]


def test_an_unknown_step_is_a_failure_not_a_hang(box: Box) -> None:
    failure = box.run([("no-such-step",)]).failure
    assert failure == (0, 0, "KeyError: 'no-such-step'")


# --- imports -------------------------------------------------------------------------------------------------------
def test_a_child_imports_nothing_from_files() -> None:
    """By then they may be the container's."""
    script = """
from firkin.runtime import child
try:
    child._forget_launcher([])
    import wave
except ModuleNotFoundError:
    print("not found")
"""
    done = subprocess.run([sys.executable, "-c", script], env={"PYTHONPATH": "src"}, capture_output=True, text=True)
    assert done.stdout == "not found\n", done.stderr
