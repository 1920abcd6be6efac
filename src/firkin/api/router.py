"""From a method and a path to a handler.

A pattern's `{id}` is one path segment, `{name}` may span several (image names have slashes). Patterns are tried in
the order of the table, within the requests of one method and first segment, after paths without any parameter.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable

from aiohttp import web

from firkin.api.call import Call
from firkin.errors import NotFound

Handler = Callable[[Call], Awaitable[web.StreamResponse]]
Route = tuple[str, str, Handler]

_NOTHING: dict[str, str] = {}


def _compile(pattern: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\{(\w+)\}", lambda m: f"(?P<{m[1]}>{'.+' if m[1] == 'name' else '[^/]+'})", pattern))


class Router:
    """A route table made ready for look-ups."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._exact: dict[tuple[str, str], Handler] = {}
        self._patterns: dict[tuple[str, str], list[tuple[re.Pattern[str], Handler]]] = {}
        for method, pattern, handler in routes:
            if "{" in pattern:
                self._patterns.setdefault((method, pattern.split("/", 2)[1]), []).append((_compile(pattern), handler))
            else:
                self._exact[method, pattern] = handler

    def find(self, method: str, path: str) -> tuple[Handler, dict[str, str]]:
        """(handler, parameters); raises `NotFound` as dockerd does, for a wrong method too."""
        handler = self._exact.get((method, path))
        if handler:
            return handler, _NOTHING
        for pattern, handler in self._patterns.get((method, path[1:].partition("/")[0]), ()):
            match = pattern.fullmatch(path)
            if match:
                return handler, match.groupdict()
        raise NotFound("page not found")
