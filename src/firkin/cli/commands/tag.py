"""`firkin tag`."""

from __future__ import annotations

from firkin.cli import names
from firkin.cli.command import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firkin.cli.command import Context
    from firkin.cli.flags import Options


def tag(context: Context, options: Options, arguments: list[str]) -> int:
    source, target = arguments
    registry, path, label, _ = names.split(target)
    context.client.post(f"/images/{source}/tag", repo=names.familiar(registry, path), tag=label or "latest")
    return 0


COMMANDS = {"image tag": Command(tag, "SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]", least=2, most=2)}
