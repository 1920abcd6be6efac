"""What must outlive a killed keeper: the batch of output in flight, and unfinished lines.

Two objects, held by both processes: a pipe with the bytes of the one batch under way, and a memfd with notes. A batch
goes container -> in-flight pipe -> log -> out of the in-flight pipe, and every step is one system call that SIGKILL
either lets happen or not:

1. `begin` notes the stream, the log's size, the time and the stream's unfinished line;
2. splice(2) moves bytes from the container into the in-flight pipe (pipe to pipe: under both locks, uninterruptible);
3. tee(2) and read: a private copy to work on;
4. the entries are appended to the log; the new unfinished line goes to the bank not in use, then `hold` switches banks;
5. `drain` empties the in-flight pipe with one splice(2) into a private pipe (to /dev/null it could stop half-way; a read
   ends with the first packet, if the container's program has put its pipe into packet mode, see pipe(2), O_DIRECT).

So a successor that finds the in-flight pipe empty has nothing to do. If it is not empty, the noted batch may have been
appended in part or whole: truncating the log to the noted size and repeating from step 3 with the noted time and
unfinished line gives the very same bytes. No line is lost and none is written twice.

Layout of the memfd: the batch at 0; the held line's (bank, length) of each slot from HEADERS; two banks a slot from
BANKS. It is sparse: a page costs memory only once a line was cut there.
"""

from __future__ import annotations

import os
import struct

from firkin.linux.fds import tee

BATCH = 65536  # bytes; the capacity of a pipe
BANK = 16384  # bytes; an unfinished line is always shorter
HEADERS = 4096
BANKS = 1 << 20
_BATCH = struct.Struct("<IBHQQ?")
_HEADER = struct.Struct("<BH")


class Journal:
    """The in-flight pipe and the notes. `slot` numbers a stream as long as it is open."""

    def __init__(self, fds: list[int] | None = None) -> None:
        """Make a new one, or take over the descriptors of another process's (`fds`)."""
        self.fds = fds or [*_pipe(), os.memfd_create("journal", os.MFD_CLOEXEC), *_pipe()]
        # The private pipe, empty between any two calls of a method, goes with the other: of one that a successor made it may
        # hold less (an ordinary user who has many pipes gets small ones, see pipe(7)), and a batch must be read in one piece.
        self._source, self.target, self._notes, *self._scratch = self.fds

    def begin(self, slot: int, bank: int, held: int, log_size: int, when: int, last: bool) -> None:
        os.pwrite(self._notes, _BATCH.pack(slot, bank, held, log_size, when, last), 0)

    def begun(self) -> tuple[int, int, int, int, int, bool]:
        """The arguments of the last `begin`."""
        return _BATCH.unpack(os.pread(self._notes, _BATCH.size, 0))

    def take(self, source: int, count: int) -> int:
        """Move up to `count` bytes from a pipe or a pty into flight: 0 at the end, BlockingIOError for none yet."""
        return os.splice(source, self.target, count, flags=os.SPLICE_F_NONBLOCK)

    def peek(self) -> bytes:
        """A copy of what is in flight, b"" for nothing."""
        try:
            return self._read(tee(self._source, self._scratch[1], BATCH))
        except BlockingIOError:
            return b""

    def drain(self) -> None:
        """The batch is done with."""
        self._read(os.splice(self._source, self._scratch[1], BATCH))

    def _read(self, count: int) -> bytes:
        """All `count` bytes that the private pipe holds, be they one packet or many: what stayed behind would be taken for
        output of the next container."""
        data = os.read(self._scratch[0], BATCH)
        while len(data) < count:
            data += os.read(self._scratch[0], BATCH)
        return data

    def take_over(self) -> None:
        """Empty the private pipe of what its last user was killed over: that is in flight still."""
        try:
            while os.read(self._scratch[0], BATCH):
                pass
        except BlockingIOError:
            pass

    def hold(self, slot: int, bank: int, line: bytes) -> None:
        """Make `line`, put into a bank that was not in use, the slot's unfinished line."""
        if line:
            os.pwrite(self._notes, line, BANKS + (2 * slot + bank) * BANK)
        os.pwrite(self._notes, _HEADER.pack(bank, len(line)), HEADERS + slot * _HEADER.size)

    def held(self, slot: int) -> tuple[int, bytes]:
        """The bank in use and the unfinished line in it."""
        header = os.pread(self._notes, _HEADER.size, HEADERS + slot * _HEADER.size)
        bank, length = _HEADER.unpack(header)
        return bank, self.line(slot, bank, length)

    def line(self, slot: int, bank: int, length: int) -> bytes:
        return os.pread(self._notes, length, BANKS + (2 * slot + bank) * BANK)


def _pipe() -> tuple[int, int]:
    return os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
