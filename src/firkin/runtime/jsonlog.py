"""Docker's json-file log format: bytes of output -> lines of JSON, a whole batch at a time.

One entry a line: {"log":"TEXT\\n","stream":"stdout","attrs":{...},"time":"RFC3339Nano"}, "attrs" only if there are any. A
line longer than 16 KiB becomes several entries, all but the last without the newline. Escapes are those of Go's encoder
(`<`, `>`, `&`, U+2028, U+2029 and control characters as \\u00XX; each byte that is not UTF-8 as \\ufffd), so `docker logs`
reads our files and we read its.
The usual batch costs a few scans in C: nothing here looks at single lines unless one is too long.
Source: moby daemon/logger/copier.go, jsonfilelog/jsonlog/jsonlogbytes.go.
"""

from __future__ import annotations

import time

PARTIAL = 16384  # bytes of the longest entry
_ESCAPES = {b"\\": b"\\\\", b'"': b'\\"', b"\r": b"\\r"} | {
    bytes([byte]): b"\\u%04x" % byte for byte in (*range(0x20), *b"<>&") if byte not in b"\n\r"
}
_SPECIAL = b"".join(_ESCAPES)
_NOT_UTF8 = {0xDC00 + byte: "\\ufffd" for byte in range(0x80, 0x100)}


def split(data: bytes, last: bool) -> tuple[list[bytes], bytes]:
    """Cut output into pieces: each either whole lines or one part (without newline) of a line that is too long.

    Returns them and the unfinished line at the end, shorter than PARTIAL; at the `last` of a stream that is a piece, too.
    """
    pieces = []
    start = 0  # up to here, data is in pieces
    whole = 0  # up to here, every line fits
    while len(data) - whole >= PARTIAL:
        newline = data.rfind(b"\n", whole, whole + PARTIAL)
        if newline >= 0:
            whole = newline + 1
            continue
        pieces.append(data[start:whole])
        start = _before_character(data, whole + PARTIAL)
        pieces.append(data[whole:start])
        whole = start
    whole = max(data.rfind(b"\n") + 1, start)
    pieces.append(data[start:whole])
    if last:
        pieces.append(data[whole:])
        whole = len(data)
    return [piece for piece in pieces if piece], data[whole:]


def encode(pieces: list[bytes], stream: str, when: int, attributes: bytes = b"") -> bytes:
    """The log entries of some pieces of one stream, all of the same time (ns since the epoch) and attributes (JSON)."""
    attributes = b'"attrs":%b,' % attributes if attributes else b""
    tail = b'","stream":"%b",%b"time":"%b"}\n' % (stream.encode(), attributes, timestamp(when))
    between = b"\\n" + tail + b'{"log":"'
    entries = []
    for piece in pieces:
        whole = piece.endswith(b"\n")
        text = _escape(piece[:-1] if whole else piece).replace(b"\n", between)
        entries.append(b'{"log":"%b%b%b' % (text, b"\\n" if whole else b"", tail))
    return b"".join(entries)


def timestamp(when: int) -> bytes:
    """Nanoseconds since the epoch as Go's RFC3339Nano: UTC, trailing zeros of the fraction dropped."""
    seconds, nanoseconds = divmod(when, 1_000_000_000)
    fraction = f".{nanoseconds:09}".rstrip("0").rstrip(".")
    year, month, day, hour, minute, second = time.gmtime(seconds)[:6]
    return f"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}Z".encode()


def _escape(text: bytes) -> bytes:
    """Text as the inside of a JSON string; newlines stay as they are."""
    if len(text.translate(None, _SPECIAL)) != len(text):
        for special, escape in _ESCAPES.items():
            if special in text:
                text = text.replace(special, escape)
    if text.isascii():
        return text
    try:
        text.decode()
    except UnicodeDecodeError:
        text = text.decode(errors="surrogateescape").translate(_NOT_UTF8).encode()
    return text.replace(b"\xe2\x80\xa8", b"\\u2028").replace(b"\xe2\x80\xa9", b"\\u2029")


def _before_character(data: bytes, end: int) -> int:
    """`end`, or up to three bytes less if it would cut a UTF-8 character in two (each half would be lost)."""
    for back in (1, 2, 3):
        byte = data[end - back]
        if byte & 0xC0 != 0x80:
            size = 1 if byte < 0xC0 else 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return end - back if size > back else end
    return end
