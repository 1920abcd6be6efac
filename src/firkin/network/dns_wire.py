"""DNS messages as bytes: what a container may ask, and whether what comes from outside is the answer. Pure.

Invariant: of a message only the header, the one question, and how much the asker takes are looked at; so reading it takes
microseconds, whatever it is made of: no record is parsed and no compression followed. What is let through is what moby's
resolver takes (miekg/dns, `DefaultMsgAcceptFunc`). Source: RFC 1035, section 4.1; RFC 6891, 6.1.2; RFC 5452, 9.1.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from dnslib import QTYPE, DNSHeader, DNSLabel, DNSQuestion, DNSRecord

_HEADER = struct.Struct("!6H")  # id, flags, and how many questions, answers, authorities, additional records
_IS_ANSWER, _RCODE = 0x8000, 0x000F
_MOST = (1, 1, 1, 2)  # of each: a NOTIFY has an answer, IXFR an authority, EDNS and TSIG are additional
_LONGEST_LABEL, _LONGEST_NAME, _LONGEST_QUERY = 63, 255, 4096
_QUESTION_END = struct.Struct("!HH")  # type, class
_OPT = struct.Struct("!BHH")  # the root, type, class: a length
_SMALLEST_DATAGRAM = 512


@dataclass(frozen=True)
class Query:
    """One question. `datagram_size`: how long an answer over UDP may be."""

    id: int
    flags: int
    labels: tuple[bytes, ...]
    kind: int
    qclass: int
    datagram_size: int

    @property
    def name(self) -> str:
        """In lower case, without a final dot."""
        return b".".join(self.labels).decode("ascii", errors="replace").lower()

    @property
    def label(self) -> DNSLabel:
        return DNSLabel(self.labels)

    def reply(self, rcode: int = 0) -> DNSRecord:
        """An answer without records yet."""
        header = DNSHeader(id=self.id, bitmap=self.flags, qr=1, ra=1, aa=0)
        header.rcode = rcode
        return DNSRecord(header, q=DNSQuestion(self.label, self.kind, self.qclass))

    def fitting(self, answer: bytes) -> bytes:
        """`answer` if the asker takes it as a datagram; else word that it is to be had by TCP."""
        return answer if len(answer) <= self.datagram_size else bytes(self.reply().truncate().pack())


def parse_query(message: bytes) -> Query | None:
    """None for what is no query of one question."""
    end = _question_end(message)
    if not end or len(message) > _LONGEST_QUERY:
        return None
    message_id, flags, *counts = _HEADER.unpack_from(message)
    if flags & _IS_ANSWER or any(count > most for count, most in zip(counts, _MOST, strict=True)):
        return None
    kind, qclass = _QUESTION_END.unpack_from(message, end - _QUESTION_END.size)
    return Query(message_id, flags, _labels(message), kind, qclass, _datagram_size(message[end:]))


def is_answer(query: bytes, message: bytes) -> bool:
    """Whether `message` answers `query`: the same id and question, or an error of a server that could not read it."""
    if len(message) < _HEADER.size or message[:2] != query[:2]:
        return False
    _, flags, questions, *_ = _HEADER.unpack_from(message)
    if not questions:
        return bool(flags & _IS_ANSWER and flags & _RCODE)
    return bool(flags & _IS_ANSWER) and questions == 1 and _question(message) == _question(query)


def _question_end(message: bytes) -> int:
    """Where the first question ends; 0 if there is none, or its name is compressed or longer than names are."""
    at = _HEADER.size
    if len(message) < at or not int.from_bytes(message[4:6], "big"):
        return 0
    while at < len(message) and 0 < message[at] <= _LONGEST_LABEL:
        at += message[at] + 1
    end = at + 1 + _QUESTION_END.size
    return end if end <= len(message) and not message[at] and at < _HEADER.size + _LONGEST_NAME else 0


def _question(message: bytes) -> tuple[bytes, bytes]:
    """Name, in lower case as far as it has letters, and type and class."""
    end = _question_end(message)
    return message[_HEADER.size : end - _QUESTION_END.size].lower(), message[end - _QUESTION_END.size : end]


def _labels(message: bytes) -> tuple[bytes, ...]:
    found, at = [], _HEADER.size
    while message[at]:
        found.append(message[at + 1 : at + 1 + message[at]])
        at += message[at] + 1
    return tuple(found)


def _datagram_size(additional: bytes) -> int:
    """512, unless EDNS says more, which is the first additional record then."""
    if len(additional) < _OPT.size:
        return _SMALLEST_DATAGRAM
    root, kind, size = _OPT.unpack_from(additional)
    return max(_SMALLEST_DATAGRAM, size) if not root and kind == QTYPE.OPT else _SMALLEST_DATAGRAM
