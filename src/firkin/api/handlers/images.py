"""Images that are here: list, inspect, history, tag, remove, prune, commit."""

from __future__ import annotations

from collections import Counter

from aiohttp import web

from firkin.api import answers, shape_image
from firkin.api.call import Call
from firkin.api.decode import decode
from firkin.engine import commit as verbs
from firkin.errors import Invalid, Unsupported
from firkin.images.listing import matching_references
from firkin.model import ContainerConfig
from firkin.oci import foreign_json


async def list_(call: Call) -> web.StreamResponse:
    wanted = call.filters()
    images = call.engine.images.list(wanted, call.flag("all"))
    shared = call.engine.images.shared_sizes() if call.flag("shared-size") else {}
    users = Counter(entry.record.image_id for entry in call.engine.containers)
    return answers.json(
        [
            shape_image.summary(
                image, matching_references(image, wanted), users[image.id], shared.get(image.id, -1), call.dialect
            )
            for image in images
        ]
    )


async def inspect(call: Call) -> web.StreamResponse:
    image = call.engine.images.resolve(call.params["name"], platform(call))
    return answers.json(shape_image.inspect(image, call.dialect))


def platform(call: Call) -> str:
    """The `platform` parameter: `os/arch[/variant]`, or an OCI platform as JSON since version 1.48."""
    return _platform_text(call.text("platform"))


def _platform_text(text: str) -> str:
    if not text.startswith("{"):
        return text
    try:
        parts: dict[str, object] = foreign_json.loads(text, dict[str, object])
    except ValueError as error:
        raise Invalid(f"invalid platform: {error}") from None
    return "/".join(str(parts[key]) for key in ("os", "architecture", "variant") if parts.get(key))


async def history(call: Call) -> web.StreamResponse:
    return answers.json([shape_image.history(entry) for entry in call.engine.images.history(call.params["name"])])


async def tag(call: Call) -> web.StreamResponse:
    repository, name = call.text("repo"), call.text("tag")
    call.engine.images.tag(call.params["name"], f"{repository}:{name}" if name else repository)
    return answers.empty(201)


async def remove(call: Call) -> web.StreamResponse:
    """An image here is of one platform: naming others (version 1.50) leaves nothing to remove."""
    wanted = [text for text in call.many("platforms") if text]
    if wanted:
        call.engine.images.resolve(call.params["name"], _platform_text(wanted[0]))
    removed = await call.engine.images.remove(call.params["name"], call.flag("force"), not call.flag("noprune"))
    return answers.json([shape_image.removed(item) for item in removed])


async def prune(call: Call) -> web.StreamResponse:
    removed, freed = await call.engine.images.prune(call.filters())
    return answers.json({"ImagesDeleted": [shape_image.removed(item) for item in removed] or None, "SpaceReclaimed": freed})


async def search(call: Call) -> web.StreamResponse:
    raise Unsupported("search for images: Docker Hub's search is not supported")


async def commit(call: Call) -> web.StreamResponse:
    """A container's root as an image; the body may replace parts of its configuration."""
    repository, name, document = call.text("repo"), call.text("tag"), await call.json(required=False)
    image_id = await verbs.commit(
        call.engine,
        call.text("container"),
        f"{repository}:{name}" if repository and name else repository,
        comment=call.text("comment"),
        author=call.text("author"),
        pause=call.flag("pause", True),
        changes=call.many("changes"),
        config=decode(ContainerConfig, document) if document else None,
    )
    return answers.json({"Id": image_id}, 201)
