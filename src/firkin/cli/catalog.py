"""Every command in one table: the names it goes by, the module that holds it, and its one-line description.

Dispatch, `help`, "did you mean" and completion derive from it, so nothing has to be imported to list the commands.
A name of two words belongs to a management command ("container ls"); the first name is the command's key in its
module's `COMMANDS`. The order of names is that of docker's "Aliases" line.
"""

from __future__ import annotations

GROUPS = {
    "container": "Manage containers",
    "image": "Manage images",
    "network": "Manage networks",
    "rootless": "Run without root",
    "system": "Manage Firkin",
    "volume": "Manage volumes",
}

COMMON = ("run", "exec", "ps", "pull", "push", "images", "login", "logout", "search", "version", "info")


class Entry:
    """One row."""

    __slots__ = ("module", "names", "summary")

    def __init__(self, module: str, summary: str, *names: str) -> None:
        self.module = module
        self.names = names
        self.summary = summary


ENTRIES = (
    Entry("completion", "What a word may become (for the completion scripts)", "__complete"),
    Entry(
        "attach", "Attach local standard input, output, and error streams to a running container", "container attach", "attach"
    ),
    Entry("commit", "Create a new image from a container's changes", "container commit", "commit"),
    Entry("completion", "Generate the completion script for a shell", "completion"),
    Entry("cp", "Copy files/folders between a container and the local filesystem", "container cp", "cp"),
    Entry("create", "Create a new container", "container create", "create"),
    Entry("daemon", "Run the engine in the foreground", "daemon"),
    Entry("diff", "Inspect changes to files or directories on a container's filesystem", "container diff", "diff"),
    Entry("events", "Get real time events from the server", "system events", "events"),
    Entry("exec", "Execute a command in a running container", "container exec", "exec"),
    Entry("archives", "Export a container's filesystem as a tar archive", "container export", "export"),
    Entry("help", "Show help for a command", "help"),
    Entry("history", "Show the history of an image", "image history", "history"),
    Entry("images", "List images", "image ls", "image list", "images"),
    Entry("archives", "Import the contents from a tarball to create a filesystem image", "image import", "import"),
    Entry("info", "Display system-wide information", "system info", "info"),
    Entry("inspect", "Return low-level information on Docker objects", "inspect"),
    Entry("lifecycle", "Kill one or more running containers", "container kill", "kill"),
    Entry("archives", "Load an image from a tar archive or STDIN", "image load", "load"),
    Entry("login", "Authenticate to a registry", "login"),
    Entry("login", "Log out from a registry", "logout"),
    Entry("logs", "Fetch the logs of a container", "container logs", "logs"),
    Entry("lifecycle", "Pause all processes within one or more containers", "container pause", "pause"),
    Entry("port", "List port mappings or a specific mapping for the container", "container port", "port"),
    Entry("ps", "List containers", "container ls", "container list", "container ps", "ps"),
    Entry("pull", "Download an image from a registry", "image pull", "pull"),
    Entry("push", "Upload an image to a registry", "image push", "push"),
    Entry("lifecycle", "Rename a container", "container rename", "rename"),
    Entry("lifecycle", "Restart one or more containers", "container restart", "restart"),
    Entry("remove", "Remove one or more containers", "container rm", "container remove", "rm"),
    Entry("remove", "Remove one or more images", "image rm", "image remove", "rmi"),
    Entry("run", "Create and run a new container from an image", "container run", "run"),
    Entry("archives", "Save one or more images to a tar archive (streamed to STDOUT by default)", "image save", "save"),
    Entry("search", "Search Docker Hub for images", "search"),
    Entry("start", "Start one or more stopped containers", "container start", "start"),
    Entry("stats", "Display a live stream of container(s) resource usage statistics", "container stats", "stats"),
    Entry("lifecycle", "Stop one or more running containers", "container stop", "stop"),
    Entry("tag", "Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE", "image tag", "tag"),
    Entry("top", "Display the running processes of a container", "container top", "top"),
    Entry("lifecycle", "Unpause all processes within one or more containers", "container unpause", "unpause"),
    Entry("update", "Update configuration of one or more containers", "container update", "update"),
    Entry("version", "Show the Firkin version information", "version"),
    Entry("lifecycle", "Block until one or more containers stop, then print their exit codes", "container wait", "wait"),
    Entry("inspect", "Display detailed information on one or more containers", "container inspect"),
    Entry("prune", "Remove all stopped containers", "container prune"),
    Entry("from_host", "Make an image of programs of this machine", "image from-host"),
    Entry("inspect", "Display detailed information on one or more images", "image inspect"),
    Entry("prune", "Remove unused images", "image prune"),
    Entry("network", "Connect a container to a network", "network connect"),
    Entry("network", "Create a network", "network create"),
    Entry("network", "Disconnect a container from a network", "network disconnect"),
    Entry("inspect", "Display detailed information on one or more networks", "network inspect"),
    Entry("network", "List networks", "network ls", "network list"),
    Entry("prune", "Remove all unused networks", "network prune"),
    Entry("network", "Remove one or more networks", "network rm", "network remove"),
    Entry("rootless", "Say what this machine lacks for an engine without root", "rootless setup"),
    Entry("disk_usage", "Show disk usage", "system df"),
    Entry("prune", "Remove unused data", "system prune"),
    Entry("volume", "Create a volume", "volume create"),
    Entry("inspect", "Display detailed information on one or more volumes", "volume inspect"),
    Entry("volume", "List volumes", "volume ls", "volume list"),
    Entry("prune", "Remove unused local volumes", "volume prune"),
    Entry(
        "volume",
        "Remove one or more volumes. You cannot remove a volume that is in use by a container.",
        "volume rm",
        "volume remove",
    ),
)


def find(name: str) -> Entry | None:
    """The command that goes by `name` ("ps", "container ls")."""
    for entry in ENTRIES:
        if name in entry.names:
            return entry
    return None


def members(group: str) -> list[tuple[str, str]]:
    """(name, summary) of a group's commands, sorted, aliases left out; the group "" holds the top level."""
    found = {}
    for entry in ENTRIES:
        own = [last for prefix, _, last in (name.rpartition(" ") for name in entry.names) if prefix == group]
        if own and not own[0].startswith("_"):
            found[own[0]] = entry.summary
    return sorted(found.items())
