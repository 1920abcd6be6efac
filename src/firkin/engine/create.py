"""Create: an image and a client's wishes become a container record, a writable layer and its volumes.

Nothing runs yet; all that can be refused is refused here, before anything is made.
Source: Docker Engine API, `POST /containers/create`.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import replace

from firkin.engine import links, userns, warnings
from firkin.engine.engine import Engine
from firkin.engine.host_defaults import with_defaults, with_hostname
from firkin.engine.merge import command_line, merge
from firkin.engine.mounts import decide_mounts
from firkin.engine.remove import delete_volumes
from firkin.engine.validate import validate
from firkin.engine.validate_network import check_network_mode
from firkin.engine.validate_text import check_text
from firkin.errors import Invalid, NotFound
from firkin.ids import NAME, is_name, new_id, suggest_name
from firkin.images.store import Image
from firkin.model import Container, ContainerConfig, Created, CreateRequest, Endpoint, EndpointRequest, HostConfig
from firkin.oci.reference import parse_reference

_SHARED_NETWORK = ("host", "none")


async def create(engine: Engine, request: CreateRequest) -> Created:
    """Make the container; raises `NotFound` (image), `Conflict` (name), `Invalid` (anything else)."""
    image = await _find_image(engine, request)
    config = merge(image.config.config, request.config)
    check_text(config, request.host)
    path, args = command_line(config)
    with _only_the_image_is_not_found():
        host = with_defaults(engine, request.host)
        validate(engine, config, host)
        check_network_mode(request.config, host)
        config = userns.with_user(config, request)
        host = replace(host, links=links.resolve(engine, host.links))
    container_id = new_id()
    async with AsyncExitStack() as undo:
        name = _take_name(engine, request.name, container_id)
        undo.callback(engine.containers.release_name, name)
        endpoints = _endpoints(engine, host, request.endpoints, config)
        with _only_the_image_is_not_found():
            mounts = decide_mounts(engine, replace(request, host=host), config.volumes)
            userns.check_mounts(engine, host, mounts)
        record = Container(
            id=container_id,
            name=name,
            created=time.time_ns(),
            config=with_hostname(engine, config, host, container_id),
            host=host,
            image_id=image.id,
            path=path,
            args=args,
            mounts=mounts,
            endpoints=endpoints,
            image_manifest_digest=image.manifest_digest,
        )
        undo.push_async_callback(delete_volumes, engine, record)
        undo.callback(engine.snapshots.remove, container_id)
        engine.snapshots.prepare(container_id, image.chain)
        undo.callback(shutil.rmtree, engine.layout.container(container_id), ignore_errors=True)
        engine.containers.add(record)
        undo.pop_all()
    engine.events.container("create", record)
    return Created(container_id, warnings.of_container(engine, request, host, image))


@contextmanager
def _only_the_image_is_not_found() -> Iterator[None]:
    """A client takes "not found" for the image's absence, and pulls it; anything else that is not there is a bad request."""
    try:
        yield
    except NotFound as error:
        raise Invalid(error.message) from error


async def _find_image(engine: Engine, request: CreateRequest) -> Image:
    try:
        image = await engine.images.find(request.config.image)
    except NotFound:
        reference = parse_reference(request.config.image).with_default_tag()
        raise NotFound(f"No such image: {reference.familiar}") from None
    return engine.images.resolve(request.config.image, request.platform) if request.platform else image


def _take_name(engine: Engine, asked: str, container_id: str) -> str:
    asked = asked.removeprefix("/")
    if not asked:
        attempt = 0
        while engine.containers.name_taken(asked := suggest_name(attempt)):
            attempt += 1
    if not is_name(asked):
        raise Invalid(f"Invalid container name ({asked}), only {NAME.pattern.removesuffix('+')} are allowed")
    engine.containers.reserve_name(asked, container_id)
    return asked


def _endpoints(
    engine: Engine, host: HostConfig, asked: dict[str, EndpointRequest], config: ContainerConfig
) -> dict[str, Endpoint]:
    """One endpoint, without addresses yet, for each network to join; the mode's own network comes first."""
    mode = host.network_mode
    if mode.startswith("container:") or config.network_disabled:
        return {}
    main, main_id = _network(engine, mode)
    endpoints: dict[str, Endpoint] = {}
    for ref, request in sorted(asked.items(), key=lambda item: item[0] not in (mode, "default", main, main_id)):
        name, network_id = (main, main_id) if ref == "default" else _network(engine, ref)
        if config.mac_address and name == main and not request.mac_address:
            request = replace(request, mac_address=config.mac_address)
        endpoints[name] = Endpoint(name, network_id, request)
    if main not in endpoints:
        endpoints = {main: Endpoint(main, main_id, EndpointRequest(mac_address=config.mac_address)), **endpoints}
    if len(endpoints) > 1 and mode in _SHARED_NETWORK:
        raise Invalid(f"conflicting options: cannot attach both {mode} network and user-defined networks")
    return endpoints


def _network(engine: Engine, ref: str) -> tuple[str, str]:
    """Its (name, id); the id is "" for one that is not there yet, as dockerd does not ask for it before the start."""
    try:
        network = engine.networks.find(ref)
    except NotFound:
        return ref, ""
    return network.name, network.id
