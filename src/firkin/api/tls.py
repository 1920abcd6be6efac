"""TLS that keeps a half-closed connection open.

asyncio's own TLS ends a connection as soon as the client has sent `close_notify`, and the rest of the output of
`docker run -i` with it. TLS 1.3 allows what Docker needs: each direction is closed by itself (RFC 8446, section 6.1).
A `TlsConnection` stands between the socket's transport and the HTTP protocol, as a protocol to one and a transport to
the other.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import Any

from firkin.errors import Invalid, reason

_CHUNK = 1 << 16
_HANDSHAKE_SECONDS = 10.0
_MOST_UNKNOWN = 128


def server_context(ca: str, certificate: str, key: str) -> ssl.SSLContext:
    """TLS 1.2 or newer, for clients with a certificate that `ca` has signed; all three are paths of PEM files."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_REQUIRED
    try:
        context.load_cert_chain(certificate, key)
        context.load_verify_locations(ca)
    except ssl.SSLError as error:
        raise Invalid(f"load TLS certificates {certificate}, {key}, {ca}: {error.reason}") from None
    except OSError as error:
        raise Invalid(f"load TLS certificates {certificate}, {key}, {ca}: {reason(error)}") from None
    return context


class TlsServer:
    """Makes a connection for each client. Of those whose certificate has not been seen yet few are kept, for anybody may
    connect, and the engine needs its descriptors: the one that has taken longest makes room."""

    def __init__(self, context: ssl.SSLContext, make_protocol: Callable[[], asyncio.Protocol]) -> None:
        self._context, self._make_protocol = context, make_protocol
        self._unknown: dict[TlsConnection, None] = {}  # in the order of their coming

    def __call__(self) -> TlsConnection:
        return TlsConnection(self._context, self._make_protocol, self)

    def come(self, connection: TlsConnection) -> None:
        self._unknown[connection] = None
        if len(self._unknown) > _MOST_UNKNOWN:
            oldest = next(iter(self._unknown))
            self.known(oldest)
            oldest.socket_transport.abort()

    def known(self, connection: TlsConnection) -> None:
        """It has shown its certificate, or is gone."""
        self._unknown.pop(connection, None)


class TlsConnection(asyncio.Protocol):
    """The socket's protocol: decrypts what comes in and hands it on once the handshake is done."""

    def __init__(self, context: ssl.SSLContext, make_protocol: Callable[[], asyncio.Protocol], server: TlsServer) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._make_protocol, self._server = make_protocol, server
        self._inner: asyncio.Protocol | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._ended = False  # the client will send no more
        self.tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.socket_transport = transport
        self._deadline = asyncio.get_running_loop().call_later(_HANDSHAKE_SECONDS, transport.abort)
        self._server.come(self)

    def data_received(self, data: bytes) -> None:
        self._incoming.write(data)
        try:
            if self._inner is None:
                self._shake_hands()
            while data := self.tls.read(_CHUNK):
                self._deliver(data)
            self._end()  # the client said `close_notify`
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError:
            self.flush()  # the alert that tells the client why
            self.socket_transport.close()
        self.flush()

    def _shake_hands(self) -> None:
        self.tls.do_handshake()
        assert self._deadline is not None
        self._deadline.cancel()
        self._server.known(self)
        self._inner = self._make_protocol()
        self._inner.connection_made(TlsTransport(self))

    def _deliver(self, data: bytes) -> None:
        assert self._inner is not None
        self._inner.data_received(data)

    def _end(self) -> None:
        if not self._ended:
            self._ended = True
            if self._inner is None or not self._inner.eof_received():
                self.socket_transport.close()

    def eof_received(self) -> bool:
        """The TCP half-close; without a `close_notify` before it the stream was cut off."""
        self._end()
        return True

    def flush(self) -> None:
        if self._outgoing.pending and not self.socket_transport.is_closing():
            self.socket_transport.write(self._outgoing.read())

    def pause_writing(self) -> None:
        if self._inner is not None:
            self._inner.pause_writing()

    def resume_writing(self) -> None:
        if self._inner is not None:
            self._inner.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._server.known(self)
        if self._deadline is not None:
            self._deadline.cancel()
        if self._inner is not None:
            self._inner.connection_lost(exc)


class TlsTransport(asyncio.Transport):
    """The HTTP protocol's transport: encrypts what goes out."""

    def __init__(self, connection: TlsConnection) -> None:
        super().__init__({"ssl_object": connection.tls, "sslcontext": connection.tls.context})
        self._connection = connection
        self._socket = connection.socket_transport

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return super().get_extra_info(name, None) or self._socket.get_extra_info(name, default)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if data:
            self._connection.tls.write(data)
            self._connection.flush()

    def close(self) -> None:
        """Say `close_notify`, send what is buffered, then close."""
        try:
            self._connection.tls.unwrap()
        except ssl.SSLError:
            pass  # the client need not answer it
        self._connection.flush()
        self._socket.close()

    def abort(self) -> None:
        self._socket.abort()

    def is_closing(self) -> bool:
        return self._socket.is_closing()

    def can_write_eof(self) -> bool:
        return False

    def is_reading(self) -> bool:
        return self._socket.is_reading()

    def pause_reading(self) -> None:
        self._socket.pause_reading()

    def resume_reading(self) -> None:
        self._socket.resume_reading()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._socket.set_write_buffer_limits(high, low)

    def get_write_buffer_size(self) -> int:
        return self._socket.get_write_buffer_size()
