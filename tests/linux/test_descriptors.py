"""`linux.fds`: descriptors travel, and those that should not stay do not."""

from __future__ import annotations

import os
import socket

import pytest

from firkin.linux import fds


def test_descriptors_travel_with_their_message() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    reading, writing = os.pipe()
    with ours, theirs:
        fds.send_fds(ours, b"take this", [writing, reading])
        fds.send_fds(ours, b"and this", [])
        os.close(writing)
        os.close(reading)
        data, received = fds.recv_fds(theirs, 100)
        assert data == b"take this" and not any(os.get_inheritable(fd) for fd in received)
        os.write(received[0], b"through")
        assert os.read(received[1], 100) == b"through"
        assert fds.recv_fds(theirs, 100) == (b"and this", [])
        ours.close()
        assert fds.recv_fds(theirs, 100) == (b"", [])
        for fd in received:
            os.close(fd)


def test_a_cut_message_is_an_error_and_leaks_nothing() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        fds.send_fds(ours, b"x" * 200, [0, 0])
        before = os.listdir("/proc/self/fd")
        with pytest.raises(OSError, match="Message too long"):
            fds.recv_fds(theirs, 100)
        assert os.listdir("/proc/self/fd") == before


def test_closing_all_but_a_few() -> None:
    if (pid := os.fork()) == 0:
        for fd in (10, 11, 20, 30):
            os.dup2(0, fd)
        fds.close_all_but([11, 20, 20, 2])
        left = [fd for fd in range(100) if os.path.exists(f"/proc/self/fd/{fd}")]
        os._exit(0 if left == [0, 1, 2, 11, 20] else 1)
    assert os.waitpid(pid, 0)[1] == 0


def test_tee_copies_without_consuming() -> None:
    first, second = os.pipe(), os.pipe()
    os.write(first[1], b"hello")
    assert fds.tee(first[0], second[1], 100) == 5
    assert os.read(second[0], 100) == os.read(first[0], 100) == b"hello"
    for fd in (*first, *second):
        os.close(fd)
