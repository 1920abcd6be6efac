"""Registry credentials: from `config.json` or the helper programs it names, to the `X-Registry-Auth` header.

Passwords lie in the file in base64 unless a helper (`credsStore`, `credHelpers`: programs `docker-credential-NAME`
speaking JSON on their standard streams) keeps them. Source: docker's client and docker/docker-credential-helpers.
"""

from __future__ import annotations

import binascii
import os

from firkin.cli import jsontext, names
from firkin.cli.errors import Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from firkin.cli.settings import Settings

TOKEN_USER = "<token>"  # a helper's user name when the secret is an identity token


def registry_header(settings: Settings, reference: str) -> dict[str, str]:
    """The header that carries the user's credentials for the registry of an image reference; none when there are none."""
    found = find(settings, names.credentials_key(reference))
    return {"X-Registry-Auth": encode(found)} if found else {}


def encode(auth: dict[str, str]) -> str:
    """An `AuthConfig` as the header wants it: JSON in URL-safe base64."""
    text = binascii.b2a_base64(jsontext.dumps(auth).encode(), newline=False).decode()
    return text.replace("+", "-").replace("/", "_")


def find(settings: Settings, registry: str) -> dict[str, str]:
    """The stored `AuthConfig` of a registry, empty when unknown."""
    if helper := _helper(settings, registry):
        return _from_helper(helper, registry)
    for key, entry in (settings.values.get("auths") or {}).items():
        if _host(key) == _host(registry):
            return _decoded(entry, registry)
    return {}


def store(settings: Settings, registry: str, auth: dict[str, str]) -> None:
    """Keep what `login` was given, in the helper where one is configured."""
    entry: dict[str, str] = {}
    if helper := _helper(settings, registry):
        user, secret = auth.get("username", ""), auth.get("password", "")
        if "identitytoken" in auth:
            user, secret = TOKEN_USER, auth["identitytoken"]
        _run_helper(helper, "store", jsontext.dumps({"ServerURL": registry, "Username": user, "Secret": secret}))
    else:
        pair = f"{auth.get('username', '')}:{auth.get('password', '')}"
        entry["auth"] = binascii.b2a_base64(pair.encode(), newline=False).decode()
        if "identitytoken" in auth:
            entry["identitytoken"] = auth["identitytoken"]
    settings.values.setdefault("auths", {})[registry] = entry
    save(settings)


def erase(settings: Settings, registry: str) -> bool:
    """Forget a registry's credentials; False when there were none."""
    if helper := _helper(settings, registry):
        _run_helper(helper, "erase", registry)
    known = settings.values.get("auths", {}).pop(registry, None) is not None
    save(settings)
    return known


def save(settings: Settings) -> None:
    """Write `config.json` back, readable by its owner only, replacing it in one step."""
    os.makedirs(settings.directory, mode=0o700, exist_ok=True)
    path = os.path.join(settings.directory, "config.json")
    temporary = f"{path}.{os.getpid()}"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:
        file.write(jsontext.indent(jsontext.dumps(settings.values), "\t"))
    os.replace(temporary, path)


def _host(registry: str) -> str:
    """`https://index.docker.io/v1/` and `index.docker.io` are the same registry."""
    return registry.partition("://")[2].partition("/")[0] if "://" in registry else registry.partition("/")[0]


def _decoded(entry: dict[str, str], registry: str) -> dict[str, str]:
    auth = {"serveraddress": registry}
    if entry.get("auth"):
        user, _, password = binascii.a2b_base64(entry["auth"]).decode().partition(":")
        auth.update(username=user, password=password.rstrip("\0"))
    if entry.get("identitytoken"):
        auth["identitytoken"] = entry["identitytoken"]
    return auth


def _helper(settings: Settings, registry: str) -> str:
    helpers = settings.values.get("credHelpers") or {}
    return str(helpers.get(_host(registry)) or settings.values.get("credsStore") or "")


def _from_helper(helper: str, registry: str) -> dict[str, str]:
    answer = _run_helper(helper, "get", registry)
    if not answer:
        return {}
    found: dict[str, Any] = jsontext.loads(answer)
    if found["Username"] == TOKEN_USER:
        return {"serveraddress": registry, "identitytoken": found["Secret"]}
    return {"serveraddress": registry, "username": found["Username"], "password": found["Secret"]}


def _run_helper(helper: str, action: str, text: str) -> str:
    """What the helper printed, "" when it knows no such credentials. Raises `Failure` when it cannot run or refuses."""
    import subprocess

    try:
        done = subprocess.run(["docker-credential-" + helper, action], input=text, capture_output=True, text=True)
    except OSError as error:
        raise Failure(f"error getting credentials: exec docker-credential-{helper}: {error.strerror}") from None
    if done.returncode == 0:
        return done.stdout
    if "credentials not found" in done.stdout:
        return ""
    raise Failure(f"error getting credentials - docker-credential-{helper}: {done.stdout.strip()}")
