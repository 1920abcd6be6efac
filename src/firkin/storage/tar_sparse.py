"""Where the data of a sparse file belongs: the maps of the four ways in which GNU tar writes one.

Invariant: a map that leaves `checked` has its runs in order, within the file, and adding up to exactly the data stored.
Source: GNU tar manual, "Storing Sparse Files" (old GNU, pax 0.0, 0.1 and 1.0).
"""

from __future__ import annotations

from collections.abc import Callable

from firkin.errors import Invalid
from firkin.storage.tar_header import BLOCK, Entry, decimal, number, show

MAX_RUNS = 1 << 18

Runs = list[tuple[int, int]]  # offset in the file and length of each piece of data


def old_gnu(header: bytes, read_block: Callable[[], bytes]) -> Runs:
    """Four runs in the header itself, then 21 in each extension block while the one before says so."""
    runs = _octal_runs(header[386:482])
    more = header[482]
    while more:
        extension = read_block()
        if len(extension) < BLOCK or len(runs) > MAX_RUNS:
            raise Invalid("read tar: malformed sparse map")
        runs += _octal_runs(extension[:504])
        more = extension[504]
    return runs


def leading(read_block: Callable[[], bytes]) -> Runs:
    """Decimal lines ahead of the data, padded to a block: the number of runs, then offset and length of each."""
    blocks = [read_block()]
    count = decimal(blocks[0].partition(b"\n")[0])
    lines = blocks[0].count(b"\n")
    while lines < 2 * count + 1:
        if count > MAX_RUNS or len(blocks) > 1 + count:  # two numbers fit a block with much room to spare
            raise Invalid("read tar: malformed sparse map")
        blocks.append(read_block())
        lines += blocks[-1].count(b"\n")
    return pairs(b"".join(blocks).split(b"\n")[1 : 2 * count + 1])


def pairs(numbers: list[bytes]) -> Runs:
    """Offset, length, offset, length ... in decimal."""
    values = [decimal(text) for text in numbers if text]
    if len(values) % 2:
        raise Invalid("read tar: malformed sparse map")
    return list(zip(values[::2], values[1::2], strict=True))


def checked(runs: Runs, entry: Entry, stored: int) -> Runs:
    """`runs`, if they are true of `entry` and the `stored` bytes that follow."""
    end = 0
    for offset, length in runs:
        if offset < end or offset + length > entry.size:
            raise Invalid(f"read tar: sparse map of {show(entry.name)} is out of order or out of bounds")
        end = offset + length
    if sum(length for _, length in runs) != stored:
        raise Invalid(f"read tar: sparse map of {show(entry.name)} does not match its data")
    return runs


def _octal_runs(raw: bytes) -> Runs:
    fields = [(raw[at : at + 12], raw[at + 12 : at + 24]) for at in range(0, len(raw), 24)]
    return [(number(offset), number(length)) for offset, length in fields if offset[0]]
