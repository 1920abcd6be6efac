"""HTTP to one registry endpoint: authorised, redirected, retried and bounded in time.

Invariants: credentials go to the endpoint's own origin only; a redirect never leads from TLS to plain HTTP; a request
is repeated only if its failure may pass (a broken or stalled connection, 429, 5xx) and at most `Retry.attempts` times.
Source: OCI distribution spec; RFC 9110 (Retry-After, redirects).
"""

from __future__ import annotations

import asyncio
import os
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from yarl import URL

from firkin.errors import Unavailable
from firkin.images.auth import ANONYMOUS, Challenge, Credentials, Token, fetch_token, parse_challenges
from firkin.images.endpoints import Endpoint
from firkin.images.proxies import Proxies
from firkin.images.retry import PATIENT, Retry, explain
from firkin.images.tls import tls_context

_REDIRECTS = (301, 302, 303, 307, 308)
_MOST_REDIRECTS = 5
_PASSING = (408, 429, 500, 502, 503, 504)
_READ_BUFFER = 1 << 20

# Why a first connection could not be had; asking again at once would not change it.
_HOPELESS = (aiohttp.ClientConnectorError, aiohttp.ClientConnectorDNSError, aiohttp.ClientSSLError, aiohttp.InvalidURL)


class Transport:
    """A session with one endpoint. Use as an async context manager; `scopes` are the token scopes to ask for."""

    def __init__(
        self,
        endpoint: Endpoint,
        credentials: Credentials = ANONYMOUS,
        scopes: tuple[str, ...] = (),
        *,
        certificates: str = "",
        retry: Retry = PATIENT,
    ) -> None:
        self.endpoint, self.retry = endpoint, retry
        self.challenge: Challenge | None = None
        self._credentials = ANONYMOUS if endpoint.is_mirror else credentials
        self._scopes, self._certificates = scopes, certificates
        self._proxies = Proxies(os.environ)
        self._reached = False
        self._token: Token | None = None
        self._token_lock = asyncio.Lock()

    async def __aenter__(self) -> Transport:
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=self.retry.connect, sock_read=self.retry.stall)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=await self._ssl(), limit=16),
            timeout=timeout,
            auto_decompress=False,
            read_bufsize=_READ_BUFFER,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": "firkin", "Accept-Encoding": "identity"},
        )
        try:
            await self._ping()
        except BaseException:
            await self._session.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def _ssl(self) -> ssl.SSLContext | bool:
        if self.endpoint.url.scheme == "http":
            return False
        return await asyncio.to_thread(tls_context, self.endpoint, self._certificates)

    async def _ping(self) -> None:
        """Learn whether the endpoint answers at all, and what it wants to know of whoever asks."""
        async with self.send("GET", "/v2/", authorise=False) as response:
            self._reached = True
            if response.status == 401:
                self.challenge = parse_challenges(response.headers.getall("WWW-Authenticate", []))

    @asynccontextmanager
    async def send(
        self,
        method: str,
        target: str | URL,
        *,
        headers: dict[str, str] | None = None,
        body: Callable[[], Any] | None = None,
        authorise: bool = True,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """The response to one request, whatever its status once passing failures are over. `target` is a path below the
        endpoint or a whole URL; `body` makes a fresh body for every attempt. Raises `Unavailable`."""
        url = self.url(target)
        response = await self._persist(method, url, headers or {}, body, authorise)
        try:
            yield response
        finally:
            if response.content.at_eof():
                response.release()
            else:
                response.close()

    def url(self, target: str | URL) -> URL:
        """`target` as an absolute URL; a path is taken below the endpoint (a mirror may have a path of its own). Raises
        `Unavailable` for plain HTTP where the endpoint itself has TLS."""
        if isinstance(target, str) and target.startswith("/v2/"):
            return URL(str(self.endpoint.url).rstrip("/") + target, encoded=True)
        return _checked(URL(target), self.endpoint.url)

    def joined(self, base: URL, told: str) -> URL:
        """Where `told`, which the server at `base` sent as a place, leads; raises `Unavailable` for what is no place."""
        try:
            target = base.join(URL(told))
            target.origin()
        except ValueError as error:
            raise Unavailable(f'"{self.endpoint.url}": it leads to {told[:200]!r}: {error}') from None
        return target

    async def _persist(
        self, method: str, url: URL, headers: dict[str, str], body: Callable[[], Any] | None, authorise: bool
    ) -> aiohttp.ClientResponse:
        attempt = 0
        while True:
            attempt += 1
            asked = None
            try:
                response = await self._follow(method, url, headers, body, authorise)
            except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
                if attempt >= self.retry.attempts or (isinstance(error, _HOPELESS) and not self._reached):
                    raise Unavailable(f'{method.capitalize()} "{url.with_query(None)}": {explain(error)}')
            else:
                if attempt >= self.retry.attempts or response.status not in _PASSING:
                    return response
                asked = response.headers.get("Retry-After")
                response.close()
            await asyncio.sleep(self.retry.delay(attempt, asked))

    async def _follow(
        self, method: str, url: URL, headers: dict[str, str], body: Callable[[], Any] | None, authorise: bool
    ) -> aiohttp.ClientResponse:
        """One attempt: the request, once more with a fresh token if the first was refused, then its redirects."""
        response = await self._once(method, url, headers, body, authorise)
        if response.status == 401 and authorise and self._token is not None:
            response.close()
            self._token = None
            response = await self._once(method, url, headers, body, authorise)
        for _ in range(_MOST_REDIRECTS):
            location = response.headers.get("Location")
            if response.status not in _REDIRECTS or not location or method not in ("GET", "HEAD"):
                return response
            response.close()
            target = self.joined(url, location)
            if target.scheme not in ("https", url.scheme) or not target.host:
                raise Unavailable(
                    f'{method.capitalize()} "{url}": redirected to {target.scheme}://{target.host}, which is not safe'
                )
            url = target
            response = await self._once(method, url, headers, body, authorise)
        response.close()
        raise Unavailable(f'{method.capitalize()} "{url}": redirected more than {_MOST_REDIRECTS} times')

    async def _once(
        self, method: str, url: URL, headers: dict[str, str], body: Callable[[], Any] | None, authorise: bool
    ) -> aiohttp.ClientResponse:
        if authorise and url.origin() == self.endpoint.url.origin():
            headers = {**headers, **await self._authorization()}
        return await self._request(method, url, headers=headers, data=body() if body else None)

    async def _request(self, method: str, url: URL, *, headers: dict[str, str], data: Any = None) -> aiohttp.ClientResponse:
        """By way of a proxy, if the environment names one. (The session is not told to trust that: it would take passwords
        out of ~/.netrc, for whatever host is asked for.)"""
        proxy = self._proxies.of(url)
        return await self._session.request(method, url, headers=headers, data=data, proxy=proxy, allow_redirects=False)

    async def _authorization(self) -> dict[str, str]:
        if self._credentials.registry_token:
            return {"Authorization": f"Bearer {self._credentials.registry_token}"}
        if self.challenge is None:
            return {}
        if self.challenge.scheme == "basic":
            return {"Authorization": self._credentials.basic} if self._credentials.username else {}
        return {"Authorization": f"Bearer {(await self.token()).value}"}

    async def token(self, offline: bool = False) -> Token:
        """The current bearer token, fetched when there is none or it is about to expire."""
        assert self.challenge is not None
        async with self._token_lock:
            if self._token is None or self._token.expires < time.monotonic():
                plain = self.endpoint.url.scheme == "http"
                self._token = await fetch_token(
                    self._request, self.challenge, self._credentials, self._scopes, plain_http=plain, offline=offline
                )
            return self._token


def _checked(url: URL, origin: URL) -> URL:
    """`url`, where a server at `origin` sends us, unless that would be from TLS to plain HTTP or to no HTTP at all."""
    if url.scheme not in ("https", origin.scheme) or not url.host:
        raise Unavailable(f'"{origin}": it leads to {url.scheme or "no"}://{url.host}, which is not safe')
    return url
