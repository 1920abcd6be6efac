"""Walk a parsed template over a value.

A value is plain JSON, or a `Row` of a listing (which computes its fields). Output is as Go prints it: `[a b]` for a
list, `map[k:v]` for an object, `<no value>` for null.
"""

from __future__ import annotations

from typing import Any

from firkin.cli.errors import Failure
from firkin.cli.format.functions import FUNCTIONS, show, truth
from firkin.cli.format.template import Node, Template


def render(template: Template, value: Any, functions: dict[str, Any] = FUNCTIONS) -> str:
    """Fill the template with `value`. Raises `Failure` in Go's words."""
    try:
        return Evaluation(functions, {"$": value}).body(template.nodes, value)
    except (TypeError, AttributeError, ValueError, ArithmeticError, RecursionError) as error:
        raise Failure(f"template parsing error: {error}") from None


class Evaluation:
    """Variables in scope and the functions a template may call."""

    def __init__(self, functions: dict[str, Any], variables: dict[str, Any]) -> None:
        self.functions = functions
        self.variables = variables

    def body(self, nodes: list[Node], dot: Any) -> str:
        return "".join(self._node(node, dot) for node in nodes)

    def _node(self, node: Node, dot: Any) -> str:
        kind = node[0]
        if kind == "text":
            return str(node[1])
        if kind == "show":
            return show(self._pipeline(node[1], dot))
        if kind == "set":
            self.variables[node[1]] = self._pipeline(node[2], dot)
            return ""
        if kind == "range":
            return self._range(node, dot)
        value = self._pipeline(node[1], dot)
        if truth(value):
            return self.body(node[2], value if kind == "with" else dot)
        return self.body(node[3], dot)

    def _range(self, node: Node, dot: Any) -> str:
        _, names, pipeline, body, otherwise = node
        value = self._pipeline(pipeline, dot)
        pairs = sorted(value.items()) if isinstance(value, dict) else list(enumerate(value or []))
        if not pairs:
            return self.body(otherwise, dot)
        out = []
        for key, each in pairs:
            self.variables.update(zip(names[-2:], (key, each) if len(names) > 1 else (each,), strict=False))
            out.append(self.body(body, each))
        return "".join(out)

    def _pipeline(self, commands: list[list[Node]], dot: Any) -> Any:
        """Each command's result becomes the last argument of the next."""
        piped: list[Any] = []
        for command in commands:
            piped = [self._command(command, piped, dot)]
        return piped[0]

    def _command(self, operands: list[Node], piped: list[Any], dot: Any) -> Any:
        if not operands:
            raise Failure("template parsing error: template: :1: missing value for command")
        head, *rest = operands
        arguments = [self._operand(operand, dot) for operand in rest] + piped
        if head[0] == "function":
            return self._call(head[1], arguments)
        if not arguments:
            return self._operand(head, dot)
        if head[0] == "path" and head[2]:
            return look_up(self._path(head[1], head[2][:-1], dot), head[2][-1], arguments)
        raise Failure("template parsing error: can't give argument to non-function")

    def _call(self, name: str, arguments: list[Any]) -> Any:
        if name not in self.functions:
            raise Failure(f'template parsing error: template: :1: function "{name}" not defined')
        try:
            return self.functions[name](*arguments)
        except (TypeError, AttributeError, LookupError, ValueError, ArithmeticError) as error:
            raise Failure(f"template parsing error: error calling {name}: {error}") from None

    def _operand(self, operand: Node, dot: Any) -> Any:
        if operand[0] == "literal":
            return operand[1]
        if operand[0] == "function":
            return self._call(operand[1], [])
        return self._path(operand[1], operand[2], dot)

    def _path(self, start: Any, names: list[str], dot: Any) -> Any:
        if isinstance(start, list):
            value = self._pipeline(start, dot)
        elif start == ".":
            value = dot
        elif start in self.variables:
            value = self.variables[start]
        else:
            raise Failure(f'template parsing error: template: :1: undefined variable "{start}"')
        for name in names:
            value = look_up(value, name, [])
        return value


def look_up(value: Any, name: str, arguments: list[Any]) -> Any:
    """`.name` of a value. The API's keys and Go's fields, which people write, differ only in case (`Id`, `.ID`)."""
    if hasattr(value, "field"):
        return value.field(name, arguments)
    if isinstance(value, dict):
        key = name if name in value else next((key for key in value if key.lower() == name.lower()), None)
        if key is not None:
            return value[key]
        raise Failure(f'template parsing error: template: :1:2: executing "" at <.{name}>: map has no entry for key "{name}"')
    if value is None:
        return None
    raise Failure(f'template parsing error: template: :1:2: executing "" at <.{name}>: can\'t evaluate field {name}')
