"""The `prune` commands: remove what is not used, after asking."""

from __future__ import annotations

from firkin.cli.command import Command
from firkin.cli.commands.common import filters
from firkin.cli.errors import Failure
from firkin.cli.flags import Flag
from firkin.cli.format import units

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from firkin.cli.client import Client
    from firkin.cli.command import Context
    from firkin.cli.flags import Options

FORCE = Flag("force", "f", "bool", "Do not prompt for confirmation")
UNTIL = Flag("filter", "", "filter", 'Provide filter values (e.g. "until=<timestamp>")')
LABEL = Flag("filter", "", "filter", 'Provide filter values (e.g. "label=<key>=<value>")')
ALL_IMAGES = Flag("all", "a", "bool", "Remove all unused images, not just dangling ones")
ALL_VOLUMES = Flag("all", "a", "bool", "Remove all unused volumes, not just anonymous ones")


def containers(context: Context, options: Options, arguments: list[str]) -> int:
    _confirm(options, "This will remove all stopped containers.")
    return _report(_containers(context.client, filters(options["filter"])))


def images(context: Context, options: Options, arguments: list[str]) -> int:
    without = "without at least one container associated to them" if options["all"] else ""
    _confirm(options, f"This will remove all {'images ' + without if without else 'dangling images'}.")
    return _report(_images(context.client, filters(options["filter"]), options["all"]))


def volumes(context: Context, options: Options, arguments: list[str]) -> int:
    kind = "local" if options["all"] else "anonymous local"
    _confirm(options, f"This will remove {kind} volumes not used by at least one container.")
    return _report(_volumes(context.client, filters(options["filter"]), options["all"]))


def networks(context: Context, options: Options, arguments: list[str]) -> int:
    _confirm(options, "This will remove all custom networks not used by at least one container.")
    output, _ = _networks(context.client, filters(options["filter"]))
    if output:
        print(output)
    return 0


def system(context: Context, options: Options, arguments: list[str]) -> int:
    doomed = ["all stopped containers", "all networks not used by at least one container"]
    if options["volumes"]:
        doomed.append("all anonymous volumes not used by at least one container")
    doomed.append("all images without at least one container associated to them" if options["all"] else "all dangling images")
    _confirm(options, "This will remove:\n" + "\n".join("  - " + each for each in doomed) + "\n")
    client, conditions, freed = context.client, filters(options["filter"]), 0
    results = [_containers(client, conditions), _networks(client, conditions)]
    if options["volumes"]:
        results.append(_volumes(client, conditions, everything=False))
    results.append(_images(client, conditions, options["all"]))
    for output, size in results:
        if output:
            print(output)
        freed += size
    return _report(("", freed))


def _confirm(options: Options, warning: str) -> None:
    """Raises `Failure` unless the user says yes or has said `--force`."""
    if options["force"]:
        return
    print(f"WARNING! {warning}\nAre you sure you want to continue? [y/N] ", end="", flush=True)
    try:
        answer = input()
    except EOFError:
        answer = ""
    if answer.strip().lower() not in ("y", "yes"):
        raise Failure("canceled")


def _report(result: tuple[str, int]) -> int:
    output, freed = result
    if output:
        print(output)
    print("Total reclaimed space: " + units.size(freed))
    return 0


def _containers(client: Client, conditions: dict[str, Any]) -> tuple[str, int]:
    """What each of these did, in docker's words, and how many bytes that freed."""
    done = client.post("/containers/prune", filters=conditions)
    return _listed("Deleted Containers:", done.get("ContainersDeleted")), done.get("SpaceReclaimed", 0)


def _networks(client: Client, conditions: dict[str, Any]) -> tuple[str, int]:
    return _listed("Deleted Networks:", client.post("/networks/prune", filters=conditions).get("NetworksDeleted")), 0


def _volumes(client: Client, conditions: dict[str, Any], everything: bool) -> tuple[str, int]:
    if everything and client.at_least("1.42"):
        conditions = {**conditions, "all": {"true": True}}
    done = client.post("/volumes/prune", filters=conditions)
    return _listed("Deleted Volumes:", done.get("VolumesDeleted")), done.get("SpaceReclaimed", 0)


def _images(client: Client, conditions: dict[str, Any], everything: bool) -> tuple[str, int]:
    done = client.post("/images/prune", filters={**conditions, "dangling": {"false" if everything else "true": True}})
    deleted = [
        f"{verb.lower()}: {each[verb]}"
        for each in done.get("ImagesDeleted") or ()
        for verb in ("Untagged", "Deleted")
        if each.get(verb)
    ]
    return _listed("Deleted Images:", deleted), done.get("SpaceReclaimed", 0)


def _listed(title: str, values: list[str] | None) -> str:
    return "\n".join([title, *values, ""]) if values else ""


COMMANDS = {
    "container prune": Command(containers, "[OPTIONS]", (UNTIL, FORCE)),
    "image prune": Command(images, "[OPTIONS]", (ALL_IMAGES, UNTIL, FORCE)),
    "network prune": Command(networks, "[OPTIONS]", (UNTIL, FORCE)),
    "volume prune": Command(volumes, "[OPTIONS]", (ALL_VOLUMES, LABEL, FORCE)),
    "system prune": Command(
        system,
        "[OPTIONS]",
        (
            Flag("all", "a", "bool", "Remove all unused images not just dangling ones"),
            LABEL,
            FORCE,
            Flag("volumes", "", "bool", "Prune anonymous volumes"),
        ),
    ),
}
