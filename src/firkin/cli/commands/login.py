"""`firkin login` and `firkin logout`."""

from __future__ import annotations

import sys

from firkin.cli import credentials, names
from firkin.cli.command import Command
from firkin.cli.errors import Failure
from firkin.cli.flags import Flag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firkin.cli.command import Context
    from firkin.cli.flags import Options

FLAGS = (
    Flag("password", "p", "string", "Password or Personal Access Token (PAT)"),
    Flag("password-stdin", "", "bool", "Take the Password or Personal Access Token (PAT) from stdin"),
    Flag("username", "u", "string", "Username"),
)


def _registry(arguments: list[str]) -> str:
    server = arguments[0] if arguments else names.HUB
    server = server.partition("://")[2] or server
    return names.HUB_CREDENTIALS if server.split("/")[0] in (names.HUB, "index.docker.io") else server.rstrip("/")


def login(context: Context, options: Options, arguments: list[str]) -> int:
    registry = _registry(arguments)
    user, password = _ask(options, credentials.find(context.settings, registry).get("username", ""))
    auth = {"username": user, "password": password, "serveraddress": registry}
    answer = context.client.post("/auth", auth) or {}
    if answer.get("IdentityToken"):
        auth["identitytoken"] = answer["IdentityToken"]
        auth["password"] = ""
    credentials.store(context.settings, registry, auth)
    print(answer.get("Status") or "Login Succeeded")
    return 0


def _ask(options: Options, known_user: str) -> tuple[str, str]:
    """(user, password) from the flags, standard input or the terminal. Raises `Failure` when one is missing."""
    user, password = options["username"], options["password"]
    if options["password-stdin"]:
        if password:
            raise Failure("--password and --password-stdin are mutually exclusive")
        if not user:
            raise Failure("the --password-stdin option requires --username to be set")
        password = sys.stdin.read().rstrip("\r\n")
    elif password:
        print("WARNING! Using --password via the CLI is insecure. Use --password-stdin.", file=sys.stderr)
    if not (user and password) and not sys.stdin.isatty():
        raise Failure("Error: Cannot perform an interactive login from a non TTY device")
    if not user:
        user = input(f"Username ({known_user}): " if known_user else "Username: ").strip() or known_user
    if not password:
        from getpass import getpass

        password = getpass("Password: ")
    if not (user and password):
        raise Failure("username and password are required")
    return user, password


def logout(context: Context, options: Options, arguments: list[str]) -> int:
    registry = _registry(arguments)
    if credentials.erase(context.settings, registry):
        print(f"Removing login credentials for {registry}")
    else:
        print(f"Not logged in to {registry}")
    return 0


COMMANDS = {
    "login": Command(
        login,
        "[OPTIONS] [SERVER]",
        FLAGS,
        most=1,
        text="Authenticate to a registry.\nDefaults to Docker Hub if no server is specified.",
    ),
    "logout": Command(
        logout,
        "[SERVER]",
        most=1,
        text="Log out from a registry.\nIf no server is specified, the default is Docker Hub.",
    ),
}
