"""The D-Bus client against a bus of the real dbus-daemon, and against peers that say anything."""

from __future__ import annotations

import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firkin.linux import sdbus_wire as wire
from firkin.linux.sdbus import Bus, BusError
from firkin.linux.systemd import Manager

BUS, BUS_PATH = "org.freedesktop.DBus", "/org/freedesktop/DBus"
LOGIN = b"\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n"
WELCOME = b"DATA\r\nOK 0123456789abcdef0123456789abcdef\r\n"
PATIENT, IMPATIENT = 30.0, 0.3


# --- the wire --------------------------------------------------------------------------------------------------------
def test_bytes_are_where_the_specification_has_them() -> None:
    """Its own examples, and padding: an array's length does not count what comes before its first element."""
    assert wire.pack("s", ["foo"]) == b"\3\0\0\0foo\0"
    assert wire.pack("yu", [1, 2]) == b"\1\0\0\0\2\0\0\0"
    assert wire.pack("at", [[5]]) == b"\x08\0\0\0\0\0\0\0\5\0\0\0\0\0\0\0"
    assert wire.pack("v", [("u", 7)]) == b"\1u\0\0\7\0\0\0"
    struct = b"\1\0\0\0A\0" + b"\1b\0" + b"\0\0\0" + b"\1\0\0\0"  # "A", the variant's type, padding, true
    assert wire.pack("a(sv)", [[("A", ("b", True))]]) == b"\x10\0\0\0" + b"\0\0\0\0" + struct


SCALARS = {
    "y": st.integers(0, 255),
    "b": st.integers(0, 1),
    "i": st.integers(-(1 << 31), (1 << 31) - 1),
    "u": st.integers(0, (1 << 32) - 1),
    "t": st.integers(0, (1 << 64) - 1),
    "d": st.floats(allow_nan=False),
    "s": st.text(st.characters(exclude_categories=("Cs",))),
    "g": st.sampled_from(("", "s", "a(sv)")),
}
TYPED = st.recursive(
    st.one_of([values.map(lambda value, kind=kind: (kind, value)) for kind, values in SCALARS.items()]),  # type: ignore[misc]
    lambda inner: st.one_of(
        inner.map(lambda one: ("v", one)),
        st.lists(inner, min_size=1, max_size=3).map(
            lambda all_: ("(" + "".join(k for k, _ in all_) + ")", tuple(v for _, v in all_))
        ),
        inner.flatmap(lambda one: st.integers(0, 3).map(lambda count: ("a" + one[0], [one[1]] * count))),
    ),
    max_leaves=6,
)


@given(st.lists(TYPED, max_size=4))
def test_what_is_packed_is_unpacked(typed: list[tuple[str, object]]) -> None:
    signature, values = "".join(kind for kind, _ in typed), [value for _, value in typed]
    assert wire.unpack(signature, wire.pack(signature, values)) == values


@given(st.sampled_from(("s", "as", "a(sv)", "v", "uoss", "ay", "(((s)))", "aat")), st.binary(max_size=200))
def test_any_bytes_are_values_or_an_error_in_words(signature: str, data: bytes) -> None:
    try:
        wire.unpack(signature, data)
    except ValueError as error:
        assert str(error)


@pytest.mark.parametrize("signature", ["z", "a", "(", "()", "(s", "a()", "s)", "a" * 40 + "s", "(" * 40 + "s" + ")" * 40])
def test_signatures_of_nothing(signature: str) -> None:
    with pytest.raises(ValueError, match="signature"):
        wire.unpack(signature, bytes(1000))


def test_variants_in_variants_have_an_end() -> None:
    with pytest.raises(ValueError, match="nested"):
        wire.unpack("v", b"\1v\0" * 5000 + b"\1y\0\0")


# --- a real bus ------------------------------------------------------------------------------------------------------
@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[str]:
    program = shutil.which("dbus-daemon")
    if not program:
        pytest.skip("dbus-daemon is not installed (package dbus-daemon)")
    address = tmp_path / "bus"
    argv = [program, "--session", "--nofork", "--print-address", f"--address=unix:path={address}"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as process:
        assert process.stdout and process.stdout.readline()
        yield str(address)
        process.terminate()


def test_calls_and_errors_of_a_real_bus(daemon: str) -> None:
    with Bus(daemon, direct=False, patience=PATIENT) as bus:
        (names,) = bus.call(BUS, BUS_PATH, BUS, "ListNames")
        assert BUS in names  # type: ignore[operator]
        assert bus.call(BUS, BUS_PATH, BUS, "RequestName", "su", ["org.example.One", 0]) == [1]
        assert bus.call(BUS, BUS_PATH, BUS, "NameHasOwner", "s", ["org.example.One"]) == [1]
        with pytest.raises(BusError, match=r"org\.freedesktop\.DBus\.Error\.NameHasNoOwner: .+"):
            bus.call(BUS, BUS_PATH, BUS, "GetNameOwner", "s", ["org.example.Two"])
        with pytest.raises(BusError) as caught:
            bus.call(BUS, BUS_PATH, BUS, "NoSuchMethod")
        assert caught.value.name == "org.freedesktop.DBus.Error.UnknownMethod"
        long = "x" * 100_000
        with pytest.raises(BusError, match="LimitsExceeded"):
            bus.call(BUS, BUS_PATH, BUS, "AddMatch", "s", [long])
        assert bus.call(BUS, BUS_PATH, BUS, "GetId")


def test_a_signal_that_came_before_the_reply_is_not_lost(daemon: str) -> None:
    """The bus sends NameOwnerChanged before it answers RequestName."""
    with Bus(daemon, direct=False, patience=PATIENT) as bus, Bus(daemon, direct=False, patience=PATIENT) as other:
        bus.listen(BUS, "NameOwnerChanged")
        bus.call(BUS, BUS_PATH, BUS, "RequestName", "su", ["org.example.Mine", 0])
        assert bus.wait(lambda values: values[0] == "org.example.Mine")[1] == ""
        other.call(BUS, BUS_PATH, BUS, "RequestName", "su", ["org.example.Others", 0])
        assert bus.wait(lambda values: values[0] == "org.example.Others")[2] != ""


# --- any peer --------------------------------------------------------------------------------------------------------
class Peer:
    """One end of a connection that says what a test wants it to."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.serial = 0

    def login(self, answer: bytes = WELCOME) -> None:
        assert self.connection.recv(len(LOGIN), socket.MSG_WAITALL) == LOGIN
        self.connection.sendall(answer)

    def hear(self) -> wire.Message:
        """The next call."""
        data = self.connection.recv(wire.FIXED, socket.MSG_WAITALL)
        message = wire.parse(data + self.connection.recv(wire.length(data) - len(data), socket.MSG_WAITALL))
        self.serial = int.from_bytes(data[8:12], "little")
        return message

    def say(self, kind: int, fields: dict[int, object], signature: str = "", values: tuple[object, ...] = ()) -> None:
        if signature:
            fields = {**fields, wire.SIGNATURE: signature}
        self.connection.sendall(wire.message(kind, 99, fields, wire.pack(signature, values)))

    def reply(self, signature: str = "", *values: object) -> None:
        self.say(wire.METHOD_RETURN, {wire.REPLY_SERIAL: self.serial}, signature, values)

    def fail(self, name: str, text: str) -> None:
        self.say(wire.ERROR, {wire.REPLY_SERIAL: self.serial, wire.ERROR_NAME: name}, "s", (text,))

    def job_removed(self, job: str, unit: str, result: str) -> None:
        name = {wire.PATH: "/", wire.INTERFACE: "org.freedesktop.systemd1.Manager", wire.MEMBER: "JobRemoved"}
        self.say(wire.SIGNAL, name, "uoss", (1, job, unit, result))


Script = Callable[[Peer], None]
Serve = Callable[[Script], str]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """An address where the script is what a caller meets. What goes wrong in it is the test's failure."""
    failures: list[BaseException] = []
    with ExitStack() as stack:

        def start(script: Script) -> str:
            address = str(tmp_path / "peer")
            listener = stack.enter_context(socket.socket(socket.AF_UNIX))
            listener.bind(address)
            listener.listen()

            def run() -> None:
                try:
                    connection, _ = listener.accept()
                    with connection:
                        connection.settimeout(PATIENT)
                        script(Peer(connection))
                except (BrokenPipeError, ConnectionResetError):
                    pass  # the caller has heard enough
                except BaseException as error:
                    failures.append(error)

            thread = threading.Thread(target=run, daemon=True)
            thread.start()
            stack.callback(thread.join, PATIENT)
            return address

        yield start
    assert not failures


def heard(peer: Peer) -> None:
    peer.login()
    peer.hear()


def refused(address: str, patience: float = PATIENT) -> str:
    """What a call says that has to fail, but not to wait for longer than it may."""
    start = time.monotonic()
    with pytest.raises(OSError) as caught, Bus(address, direct=True, patience=patience) as bus:
        bus.call("a.b", "/", "a.b", "Do", "s", ["x"])
    assert time.monotonic() - start < patience + 10
    assert caught.value.filename == address and caught.value.errno
    return str(caught.value.strerror)


def until_closed(peer: Peer) -> None:
    while peer.connection.recv(4096):
        pass


def garbage(data: bytes) -> Script:
    def script(peer: Peer) -> None:
        heard(peer)
        peer.connection.sendall(data)
        until_closed(peer)

    return script


HEADER = wire.message(wire.METHOD_RETURN, 1, {wire.REPLY_SERIAL: 1, wire.SIGNATURE: "s"}, wire.pack("s", ["fine"]))


def test_a_direct_peer_is_not_greeted_and_answers(serve: Serve) -> None:
    def script(peer: Peer) -> None:
        peer.login()
        call = peer.hear()
        assert call.fields[wire.MEMBER] == "Do" and wire.DESTINATION not in call.fields and call.values() == ["x"]
        peer.reply("sas", "fine", ["a", "b"])

    with Bus(serve(script), direct=True, patience=PATIENT) as bus:
        assert bus.call("a.b", "/", "a.b", "Do", "s", ["x"]) == ["fine", ["a", "b"]]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "no message of D-Bus"),
        (b"B" + HEADER[1:], "no message of D-Bus"),
        (HEADER[:4] + b"\xff\xff\xff\x7f" + HEADER[8:], "too long"),
        (HEADER[:12] + b"\xf0\xff\xff\xff" + HEADER[16:], "too long"),
        (HEADER[:12] + b"\x90\0\0\0" + HEADER[16:] + bytes(200), "not understood"),
        (HEADER[:-9] + b"\xff\xff\0\0" + HEADER[-5:], "outside"),
        (HEADER.replace(b"fine", b"f\xffne"), "not understood"),
        (HEADER.replace(b"\1g\0\1s\0", b"\1g\0\1z\0"), "signature"),
        (HEADER.replace(b"\5\1u\0", b"\5\1s\0"), "not understood"),
    ],
)
def test_what_is_no_answer(serve: Serve, data: bytes, words: str) -> None:
    assert data != HEADER
    assert words in refused(serve(garbage(data)))


@given(place=st.integers(0, len(HEADER) - 1), byte=st.integers(0, 255))
def test_a_byte_that_is_wrong(place: int, byte: int) -> None:
    """Without a connection: what is parsed is a message, or a ValueError."""
    data = HEADER[:place] + bytes([byte]) + HEADER[place + 1 :]
    try:
        if wire.length(data[: wire.FIXED]) == len(data):
            wire.parse(data).values()
    except ValueError as error:
        assert str(error)


@pytest.mark.parametrize("cut", [0, 1, 15, 16, 30, len(HEADER) - 1])
def test_an_answer_that_breaks_off(serve: Serve, cut: int) -> None:
    def script(peer: Peer) -> None:
        heard(peer)
        peer.connection.sendall(HEADER[:cut])

    assert "closed" in refused(serve(script))


@pytest.mark.parametrize("cut", [0, 15, len(HEADER) - 1])
def test_an_answer_that_does_not_come(serve: Serve, cut: int) -> None:
    assert "no answer within 0.3 seconds" in refused(serve(garbage(HEADER[:cut])), IMPATIENT)


def test_a_flood_of_others_messages_does_not_keep_anybody(serve: Serve) -> None:
    def script(peer: Peer) -> None:
        heard(peer)
        while True:
            peer.job_removed("/job/1", "x.scope", "done")

    assert "no answer within" in refused(serve(script), IMPATIENT)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"REJECTED EXTERNAL\r\nREJECTED EXTERNAL\r\n", "REJECTED EXTERNAL"),
        (b"DATA\r\nERROR \r\n", "ERROR"),
        (b"x" * 5000, "endless"),
        (b"DATA\r\n", "closed"),
        (b"", "closed"),
    ],
)
def test_logins_that_fail(serve: Serve, answer: bytes, words: str) -> None:
    assert words in refused(serve(lambda peer: peer.login(answer)))


def test_nobody_listens(tmp_path: Path) -> None:
    assert "No such file" in refused(str(tmp_path / "none"))


# --- systemd's manager, played -----------------------------------------------------------------------------------------
def manager(address: str, patience: float = PATIENT) -> Manager:
    return Manager(Bus(address, direct=True, patience=patience))


def test_starting_waits_for_its_own_job(serve: Serve) -> None:
    def script(peer: Peer) -> None:
        peer.login()
        call = peer.hear()
        assert call.fields[wire.MEMBER] == "StartTransientUnit"
        assert call.values() == ["x.scope", "replace", [("PIDs", ("au", [7]))], []]
        peer.job_removed("/job/1", "other.scope", "failed")
        peer.job_removed("/job/2", "x.scope", "done")  # before the reply that names it
        peer.reply("o", "/job/2")
        assert peer.hear().fields[wire.MEMBER] == "SetUnitProperties"
        peer.reply()

    with manager(serve(script)) as one:
        one.start_scope("x.scope", [("PIDs", ("au", [7]))])
        one.set_properties("x.scope", [("TasksMax", ("t", 5))])


@pytest.mark.parametrize("result", ["failed", "canceled", "timeout", "dependency"])
def test_a_job_that_does_not_get_done(serve: Serve, result: str) -> None:
    """And what is left of it is cleared away."""

    def script(peer: Peer) -> None:
        heard(peer)
        peer.reply("o", "/job/2")
        peer.job_removed("/job/2", "x.scope", result)
        assert peer.hear().fields[wire.MEMBER] == "ResetFailedUnit"
        peer.fail("org.freedesktop.systemd1.NoSuchUnit", "Unit x.scope not loaded.")

    with manager(serve(script)) as one, pytest.raises(OSError, match=f"not done but {result}"):
        one.start_scope("x.scope", [])


def test_a_job_that_nobody_hears_of_again(serve: Serve) -> None:
    def script(peer: Peer) -> None:
        heard(peer)
        peer.reply("o", "/job/2")
        until_closed(peer)

    with manager(serve(script), IMPATIENT) as one, pytest.raises(OSError, match="no answer within"):
        one.start_scope("x.scope", [])


@pytest.mark.parametrize("again", [True, False])
def test_a_unit_of_that_name(serve: Serve, again: bool) -> None:
    """Failed, it is reset and gives way; active, it stays, and nothing more is asked of systemd."""
    exists = "org.freedesktop.systemd1.UnitExists"

    def script(peer: Peer) -> None:
        heard(peer)
        peer.fail(exists, "Unit x.scope was already loaded.")
        assert peer.hear().fields[wire.MEMBER] == "ResetFailedUnit"
        peer.reply()
        assert peer.hear().fields[wire.MEMBER] == "StartTransientUnit"
        if again:
            peer.reply("o", "/job/9")
            peer.job_removed("/job/9", "x.scope", "done")
        else:
            peer.fail(exists, "Unit x.scope was already loaded.")
        assert peer.connection.recv(1) == b""

    with manager(serve(script)) as one:
        if again:
            one.start_scope("x.scope", [])
        else:
            with pytest.raises(BusError, match=exists):
                one.start_scope("x.scope", [])


def test_stopping_what_is_not_there_is_fine_and_what_is_forbidden_is_not(serve: Serve) -> None:
    def script(peer: Peer) -> None:
        heard(peer)
        peer.fail("org.freedesktop.systemd1.NoSuchUnit", "Unit x.scope not loaded.")
        peer.hear()
        peer.fail("org.freedesktop.systemd1.NoSuchUnit", "Unit x.scope not loaded.")
        assert peer.hear().fields[wire.MEMBER] == "StopUnit"
        peer.fail("org.freedesktop.DBus.Error.AccessDenied", "Permission denied")

    with manager(serve(script)) as one:
        one.stop("x.scope")
        with pytest.raises(BusError, match="AccessDenied: Permission denied"):
            one.stop("x.scope")
