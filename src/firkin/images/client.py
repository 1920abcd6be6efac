"""The way to a registry: its endpoints tried in turn, one connection opened with the right credentials and scopes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from firkin.errors import FirkinError, Forbidden, Unavailable
from firkin.images.auth import Credentials
from firkin.images.endpoints import Endpoint, Registries, login_domain
from firkin.images.registry import Repository
from firkin.images.retry import PATIENT, Retry
from firkin.images.transport import Transport
from firkin.oci.reference import Reference

T = TypeVar("T")


class Client:
    """Opens repositories of any registry, as the configuration says."""

    def __init__(self, registries: Registries, retry: Retry = PATIENT) -> None:
        self.registries, self._retry = registries, retry

    async def pull(self, reference: Reference, credentials: Credentials, work: Callable[[Repository], Awaitable[T]]) -> T:
        """`work` done on the repository, for reading, at the first endpoint that serves it."""
        endpoints = self.registries.pull_endpoints(reference.domain)
        scopes = (f"repository:{reference.path}:pull",)
        return await self._reach(endpoints, credentials, scopes, lambda transport: work(Repository(transport, reference)))

    async def push(
        self, reference: Reference, credentials: Credentials, sources: list[str], work: Callable[[Repository], Awaitable[T]]
    ) -> T:
        """`work` done on the repository, for writing; `sources` are paths of repositories to mount blobs from."""
        endpoints = self.registries.push_endpoints(reference.domain)
        scopes = (f"repository:{reference.path}:pull,push", *(f"repository:{source}:pull" for source in sources))
        return await self._reach(endpoints, credentials, scopes, lambda transport: work(Repository(transport, reference)))

    async def login(self, server: str, credentials: Credentials) -> str:
        """Whether the registry takes the credentials: returns an identity token ("" if it gives none), raises `Forbidden`."""
        domain = login_domain(server)
        return await self._reach(self.registries.push_endpoints(domain), credentials, (), _log_in)

    async def _reach(
        self,
        endpoints: list[Endpoint],
        credentials: Credentials,
        scopes: tuple[str, ...],
        work: Callable[[Transport], Awaitable[T]],
    ) -> T:
        """An endpoint that cannot be reached is passed over, a mirror also when the work fails there."""
        problem: FirkinError = Unavailable("reach the registry: there is no endpoint to try")
        for endpoint in endpoints:
            reached = False
            try:
                async with Transport(
                    endpoint, credentials, scopes, certificates=self.registries.certificates, retry=self._retry
                ) as transport:
                    reached = True
                    return await work(transport)
            except FirkinError as error:
                problem = error
                if reached and not endpoint.is_mirror:
                    raise
        raise problem


async def _log_in(transport: Transport) -> str:
    if transport.challenge is None:
        return ""
    if transport.challenge.scheme == "bearer":
        return (await transport.token(offline=True)).refresh
    async with transport.send("GET", "/v2/") as response:
        if response.status != 200:
            raise Forbidden("login attempt failed: unauthorized: incorrect username or password")
    return ""
