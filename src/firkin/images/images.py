"""The images service: what the engine and the API ask of images, each a short way to the module that does it."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Sequence

from firkin.config import DaemonConfig
from firkin.errors import Conflict, NotFound
from firkin.images import listing, load, save
from firkin.images.auth import ANONYMOUS, Credentials
from firkin.images.changes import apply_changes
from firkin.images.client import Client
from firkin.images.embedded import archive_from_host, is_embedded
from firkin.images.endpoints import registries_of
from firkin.images.listing import Filters, HistoryEntry
from firkin.images.make import Recipe, make
from firkin.images.progress import Progress, Watcher, ignore
from firkin.images.pull import Puller, Wanted
from firkin.images.push import Pushed, push
from firkin.images.removal import Removal, Removed, Uses
from firkin.images.retry import PATIENT, Retry
from firkin.images.shelf import Shelf
from firkin.images.store import Image, find
from firkin.oci.digest import Digest
from firkin.oci.image import RunConfig
from firkin.oci.platform import host_platform, parse_platform, serves
from firkin.oci.reference import parse_reference
from firkin.paths import Layout
from firkin.storage.content import ContentStore
from firkin.storage.layers import Layers

Publish = Callable[[str, str, dict[str, str]], None]  # action, actor id, attributes


class Images:
    """All images of one engine. `uses` tells the containers made from an image, `layers_in_use` the chain ids that containers
    stand on, `publish` (action, actor id, attributes) tells the world what happened."""

    def __init__(
        self,
        layout: Layout,
        config: DaemonConfig,
        content: ContentStore,
        layers: Layers,
        *,
        uses: Uses,
        layers_in_use: Callable[[], Iterable[str]],
        publish: Publish,
        retry: Retry = PATIENT,
    ) -> None:
        self._config, self._uses, self._publish = config, uses, publish
        self._shelf = Shelf(layout, content, layers, layers_in_use)
        self._client = Client(registries_of(config), retry)
        self._puller = Puller(self._shelf, self._client, config.max_concurrent_downloads)

    def reconfigure(self, config: DaemonConfig) -> None:
        """Go by another configuration from the next pull and push on."""
        self._client.registries = registries_of(config)
        self._puller.allow(config.max_concurrent_downloads)

    # --- finding -----------------------------------------------------------------------------------------------
    def resolve(self, text: str, platform: str = "") -> Image:
        """The image called `text` (name, name@digest, id or its beginning); raises `NotFound`."""
        image = find(self._shelf.images, text)
        if platform and not serves(image.config.platform, parse_platform(platform)):
            raise NotFound(
                f"image with reference {text} was found but its platform ({image.config.platform}) "
                f"does not match the specified platform ({platform})"
            )
        return image

    async def find(self, text: str) -> Image:
        """As `resolve`; the embedded image is made when it is not here yet."""
        try:
            return self.resolve(text)
        except NotFound:
            if not is_embedded(text):
                raise
        await self.from_host([], "", ignore)
        return self.resolve(text)

    def list(self, filters: Filters, show_all: bool = False) -> Sequence[Image]:
        """Newest first; see `listing.select` for the filters."""
        return listing.select(self._shelf.images, filters, show_all)

    def history(self, text: str) -> Sequence[HistoryEntry]:
        """Newest step first."""
        image = self.resolve(text)
        return listing.history(self._shelf.images, image, [self._shelf.layers.get(chain).size for chain in image.chain])

    def shared_sizes(self) -> dict[Digest, int]:
        """For each image, the bytes of its layers that another image has too."""
        return listing.shared_sizes(self._shelf.images, lambda chain: self._shelf.layers.get(chain).size)

    def layers_size(self) -> int:
        """The bytes of all images' layers together."""
        return listing.layers_size(self._shelf.images, lambda chain: self._shelf.layers.get(chain).size)

    # --- naming and removing -----------------------------------------------------------------------------------
    def tag(self, text: str, name: str) -> None:
        """Give the image called `text` another name; the name is taken from whatever had it."""
        image, reference = self.resolve(text), listing.parsed(name)
        self._shelf.name(image.id, [reference])
        self._tell("tag", image.id, reference.familiar, image)

    async def remove(self, text: str, force: bool = False, prune: bool = True) -> Sequence[Removed]:
        """Docker's `rmi`: what was untagged and deleted, in order; raises `NotFound` or `Conflict`."""
        return (await self._remove(text, force, prune))[0]

    async def prune(self, filters: Filters) -> tuple[Sequence[Removed], int]:
        """Remove images no container uses: the untagged ones, or with the filter dangling=false all. (what, bytes freed)"""
        removed: Sequence[Removed] = ()
        freed = 0
        for name in listing.prunable(self._shelf.images, filters):
            try:
                items, size = await self._remove(name, False, True)
            except (Conflict, NotFound):
                continue
            removed, freed = (*removed, *items), freed + size
        self._publish("prune", "", {"reclaimed": str(freed)})
        return removed, freed

    async def _remove(self, text: str, force: bool, prune: bool) -> tuple[Sequence[Removed], int]:
        """Decide and write down what goes, then remove what nothing needs any more."""
        removal, named = Removal(self._shelf.images, self._uses, force=force, prune=prune), self.resolve(text)
        removal.run(text)
        removed, freed = removal.removed, 0
        for item in removed:
            if item.kind == "untagged":
                self._tell("untag", item.image, item.image, named)
            else:
                self._tell("delete", item.image, item.image)
        for image in removal.images:
            gone = await self._shelf.collector.collect_image(image)
            removed += [Removed("deleted", chain, image.id) for chain in gone.layers]
            freed += gone.freed
        return removed, freed

    async def sweep(self) -> None:
        """Remove blobs and layers that nothing needs: what a crash or a container removed after its image has left. Call it
        when nothing is under way."""
        await self._shelf.collector.collect_all()

    # --- registries --------------------------------------------------------------------------------------------
    async def pull(self, text: str, platform: str = "", credentials: Credentials = ANONYMOUS, watch: Watcher = ignore) -> Image:
        """Bring the image here and name it so; a name without tag means `latest`."""
        if is_embedded(text):
            return await self.from_host([], "", watch)
        reference = parse_reference(text).with_default_tag()
        wanted = Wanted(reference, parse_platform(platform) if platform else host_platform(), bool(platform))
        image = await self._puller.pull(wanted, credentials, watch)
        self._tell("pull", reference.familiar, reference.familiar_name, image)
        return image

    async def pull_all(
        self, text: str, platform: str = "", credentials: Credentials = ANONYMOUS, watch: Watcher = ignore
    ) -> Sequence[Image]:
        """Every tag that the repository `text` has."""
        reference = parse_reference(text)
        tags = await self._client.pull(reference, credentials, lambda repository: repository.tags())
        return [await self.pull(f"{reference.name}:{tag}", platform, credentials, watch) for tag in tags]

    async def push(self, text: str, credentials: Credentials = ANONYMOUS, watch: Watcher = ignore) -> Pushed:
        """Send the image to the registry its name names; raises `NotFound` for a name without image."""
        reference = parse_reference(text).with_default_tag()
        image_id = self._shelf.images.named(reference)
        if image_id is None:
            raise NotFound(f"An image does not exist locally with the tag: {reference.familiar_name}")
        image = self._shelf.images.get(image_id)
        pushed = await push(self._shelf, self._client, image, reference, credentials, watch)
        self._tell("push", reference.familiar, reference.familiar_name, image)
        return pushed

    async def push_all(self, text: str, credentials: Credentials = ANONYMOUS, watch: Watcher = ignore) -> Sequence[Pushed]:
        """Every tag that we have of the repository `text`."""
        name = parse_reference(text).name
        tagged = [reference for image in self._shelf.images for reference in image.references if reference.tag]
        return [await self.push(str(reference), credentials, watch) for reference in tagged if reference.name == name]

    async def login(self, server: str, credentials: Credentials) -> str:
        """Check credentials; an identity token to keep instead of the password, or "". Raises `Forbidden`."""
        return await self._client.login(server, credentials)

    # --- archives ----------------------------------------------------------------------------------------------
    def save(self, names: Sequence[str]) -> AsyncIterator[bytes]:
        """The images as one archive, piece by piece; raises `NotFound` before the first piece."""
        chosen = save.selected(self._shelf, names)
        for image_id in chosen:
            self._tell("save", image_id, image_id, self._shelf.images.get(image_id))
        return save.save(self._shelf, chosen)

    async def load(self, chunks: AsyncIterable[bytes], watch: Watcher = ignore) -> Sequence[str]:
        """Take in all images of an archive; one line for each, as `docker load` prints it."""
        lines = []
        for image, names in await load.load(self._shelf, chunks, self._config.max_unpacked_bytes, watch):
            lines += [f"Loaded image: {name.familiar}" for name in names] or [f"Loaded image ID: {image.id}"]
            self._tell("load", image.id, image.id, image)
        return lines

    async def import_(
        self,
        chunks: AsyncIterable[bytes],
        name: str = "",
        *,
        message: str = "",
        changes: Iterable[str] = (),
        platform: str = "",
    ) -> Digest:
        """An image of one layer from a tar stream (packed or not); its id."""
        names = [listing.parsed(name)] if name else []
        recipe = Recipe(
            apply_changes(RunConfig(), changes),
            comment=message or "Imported from -",
            platform=parse_platform(platform) if platform else None,
        )
        image = await make(self._shelf, None, chunks, recipe, names)
        self._tell("import", image.id, image.id, image)
        return image.id

    async def commit(self, base: Image, chunks: AsyncIterable[bytes], recipe: Recipe, name: str = "") -> Image:
        """An image of one more layer than `base`: the tar stream `chunks`."""
        names = [listing.parsed(name)] if name else []
        image = await make(self._shelf, base, chunks, recipe, names)
        for reference in names:
            self._tell("tag", image.id, reference.familiar, image)
        return image

    async def from_host(self, programs: Sequence[str], name: str, watch: Watcher = ignore) -> Image:
        """An image of programs of this machine; of none: the embedded image."""
        async with archive_from_host(programs, name) as chunks:
            [(image, names)] = await load.load(self._shelf, chunks, self._config.max_unpacked_bytes, ignore)
        watch(Progress("", f"Status: Made image {names[0].familiar} of this machine's own programs"))
        self._tell("load", image.id, names[0].familiar, image)
        return image

    def _tell(self, action: str, actor: str, name: str, image: Image | None = None) -> None:
        labels = image.config.config.labels if image else {}
        self._publish(action, actor, {**labels, "name": name})
