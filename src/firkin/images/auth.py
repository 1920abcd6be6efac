"""Who asks: credentials as clients send them, challenges as registries pose them, tokens that answer them.

Invariant: a password leaves this machine only towards the registry it was given for or the token service that registry
names over an equally safe channel.
Source: distribution spec's token authentication (`spec/auth/token`, `spec/auth/oauth`), RFC 7235, RFC 7617.
"""

from __future__ import annotations

import base64
import re
import time
from dataclasses import dataclass
from typing import Any, Protocol

import aiohttp
import msgspec
from yarl import URL

from firkin.errors import Forbidden, Invalid, Unavailable
from firkin.oci import foreign_json

CLIENT_ID = "firkin"
_LARGEST_REPLY = 1 << 20
_SHORTEST_LIFE = 60.0
_LONGEST_LIFE = 86400.0
_PARAMETER = re.compile(r'(?<![A-Za-z0-9_-])([A-Za-z0-9_-]{1,64})\s{0,8}=\s{0,8}(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')
_LONGEST_HEADER = 8192  # of a challenge: what is no parameter costs the square of its length


@dataclass(frozen=True)
class Credentials:
    """What a client sent in X-Registry-Auth; everything empty: anonymous."""

    username: str = ""
    password: str = ""
    identity_token: str = ""  # an OAuth refresh token, in place of a password
    registry_token: str = ""  # a bearer token, sent as it is

    def __repr__(self) -> str:
        return f"Credentials(username={self.username!r}, ...)"

    @property
    def basic(self) -> str:
        """The value of an Authorization header, "" without a user."""
        pair = f"{self.username}:{self.password}".encode()
        return "Basic " + base64.b64encode(pair).decode() if self.username else ""


ANONYMOUS = Credentials()


class _AuthConfig(msgspec.Struct, rename="lower"):
    username: str = ""
    password: str = ""
    auth: str = ""
    identitytoken: str = ""
    registrytoken: str = ""


def decode_registry_auth(header: str) -> Credentials:
    """The X-Registry-Auth header (base64url of Docker's `AuthConfig` as JSON; "" is anonymous); raises `Invalid`."""
    if not header:
        return ANONYMOUS
    try:
        config: _AuthConfig = foreign_json.loads(base64.urlsafe_b64decode(header + "=" * (-len(header) % 4)), _AuthConfig)
        if config.auth and not config.username:
            config.username, _, config.password = base64.b64decode(config.auth).decode().partition(":")
    except ValueError as error:
        raise Invalid(f"invalid X-Registry-Auth header: {error}")
    return Credentials(config.username, config.password, config.identitytoken, config.registrytoken)


@dataclass(frozen=True)
class Challenge:
    """One WWW-Authenticate header."""

    scheme: str  # "bearer" or "basic"
    realm: str
    service: str = ""


def parse_challenges(headers: list[str]) -> Challenge | None:
    """The challenge to answer: a bearer one if posed, else basic, else None."""
    found = {}
    for header in headers:
        scheme, _, rest = header[:_LONGEST_HEADER].strip().partition(" ")
        values = {name.lower(): re.sub(r"\\(.)", r"\1", quoted) or bare for name, quoted, bare in _PARAMETER.findall(rest)}
        found[scheme.lower()] = Challenge(scheme.lower(), values.get("realm", ""), values.get("service", ""))
    return found.get("bearer") or found.get("basic")


@dataclass(frozen=True)
class Token:
    value: str
    expires: float  # on the monotonic clock
    refresh: str = ""  # an identity token, if one was asked for


class Ask(Protocol):
    """Send one request; redirects are not followed."""

    async def __call__(self, method: str, url: URL, *, headers: dict[str, str], data: Any = None) -> aiohttp.ClientResponse: ...


async def fetch_token(
    ask: Ask,
    challenge: Challenge,
    credentials: Credentials,
    scopes: tuple[str, ...],
    *,
    plain_http: bool = False,
    offline: bool = False,
) -> Token:
    """A bearer token for `scopes` ("repository:library/nginx:pull"), for which `ask` asks the service that `challenge` names.

    `plain_http`: the registry itself is spoken to without TLS, so its token service may be as well. `offline` asks for an
    identity token too (docker login). Raises `Forbidden` when the service refuses."""
    realm = _checked_realm(challenge, plain_http)
    if credentials.identity_token:
        form = {"grant_type": "refresh_token", "refresh_token": credentials.identity_token, "client_id": CLIENT_ID}
        form |= {"service": challenge.service, "scope": " ".join(scopes)}
        response = await ask("POST", realm, headers={}, data=form)
    else:
        query = [("service", challenge.service), *(("scope", scope) for scope in scopes)]
        if credentials.username:
            query.append(("account", credentials.username))
        if offline:
            query += [("client_id", CLIENT_ID), ("offline_token", "true")]
        headers = {"Authorization": credentials.basic} if credentials.username else {}
        response = await ask("GET", realm.extend_query([pair for pair in query if pair[1]]), headers=headers)
    async with response:
        body = await response.content.read(_LARGEST_REPLY)
        return _parse_token(response.status, body, realm)


def _checked_realm(challenge: Challenge, plain_http: bool) -> URL:
    try:
        realm = URL(challenge.realm)
    except ValueError:
        realm = URL()
    if not realm.host or realm.user or realm.scheme not in (("http", "https") if plain_http else ("https",)):
        raise Forbidden(f"get a token from {challenge.realm!r}: the registry names no trustworthy token service")
    return realm


def _parse_token(status: int, body: bytes, realm: URL) -> Token:
    if status in (400, 401, 403):
        raise Forbidden(f"get a token from {realm.host}: unauthorized: incorrect username or password")
    if status != 200:
        raise Unavailable(f"get a token from {realm.host}: received unexpected HTTP status {status}")
    try:
        reply: dict[str, Any] = foreign_json.loads(body, dict[str, Any])
    except ValueError as error:
        raise Unavailable(f"get a token from {realm.host}: {error}")
    value, life = reply.get("token") or reply.get("access_token"), reply.get("expires_in")
    if not isinstance(value, str) or not value.isascii() or not value.isprintable():
        raise Unavailable(f"get a token from {realm.host}: the reply holds no token")
    seconds = min(max(life, _SHORTEST_LIFE), _LONGEST_LIFE) if isinstance(life, int | float) else _SHORTEST_LIFE
    return Token(value, time.monotonic() + seconds * 0.9, str(reply.get("refresh_token") or ""))
