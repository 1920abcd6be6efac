"""What several commands share: the `--format` and `--filter` flags, and doing one thing to many objects at once."""

from __future__ import annotations

import sys

from firkin.cli.errors import DaemonError, Failure
from firkin.cli.flags import Flag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from firkin.cli.client import Client
    from firkin.cli.http import Connection, Response

_TEMPLATES = """'json':             Print in JSON format
'TEMPLATE':         Print output using the given Go template.
Refer to https://docs.docker.com/go/formatting/ for more information about formatting output with templates"""

TABLE_FORMAT = Flag(
    "format",
    "",
    "string",
    f"""Format output using a custom template:
'table':            Print output in table format with column headers (default)
'table TEMPLATE':   Print output in table format using the given Go template
{_TEMPLATES}""",
)
INSPECT_FORMAT = Flag("format", "f", "string", f"Format output using a custom template:\n{_TEMPLATES}")
FILTER = Flag("filter", "f", "filter", "Filter output based on conditions provided")

AT_ONCE = 50  # requests in flight when a command is given many names


def filters(conditions: list[str]) -> dict[str, dict[str, bool]]:
    """`KEY=VALUE` conditions as the API's `filters` parameter."""
    found: dict[str, dict[str, bool]] = {}
    for condition in conditions:
        key, _, value = condition.partition("=")
        found.setdefault(key.strip().lower(), {})[value.strip()] = True
    return found


def for_each(
    client: Client,
    names: list[str],
    method: str,
    path: str,
    query: dict[str, Any],
    show: Callable[[str, Response], str] = lambda name, response: name,
    forgive: Callable[[DaemonError], bool] = lambda error: False,
) -> int:
    """Send the request for every name at once (`{}` in `path` is the name), then report in order.

    What succeeded is shown by `show`; errors are collected and raised at the end, except those that `forgive` lets
    pass with a message.
    """
    problems = []
    for start in range(0, len(names), AT_ONCE):
        sent = [(name, _send(client, method, path.replace("{}", name), query)) for name in names[start : start + AT_ONCE]]
        for name, connection in sent:
            try:
                print(show(name, client.check(connection.response(method))), flush=True)
            except DaemonError as error:
                if forgive(error):
                    print(error.message, file=sys.stderr)
                else:
                    problems.append(error.message)
            connection.close()
    if problems:
        raise Failure("\n".join(problems))
    return 0


def _send(client: Client, method: str, path: str, query: dict[str, Any]) -> Connection:
    connection = client.dial()
    client.send(connection, method, path, query)
    return connection
