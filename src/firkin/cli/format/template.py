"""Go's text/template, the part people write after `--format`: from text to a tree.

Fields (`.State.Pid`), variables, pipelines, parentheses, calls, `if`/`else if`/`else`, `range`, `with`, comments and
white-space trimming (`{{-`, `-}}`). `evaluate` walks the tree. Source: https://pkg.go.dev/text/template.

A node is a tuple whose first item says what it is:
    ("text", str)  ("show", pipeline)  ("set", name, pipeline)
    ("if" | "with", pipeline, body, otherwise)  ("range", variables, pipeline, body, otherwise)
A pipeline is a list of commands, a command a list of operands, an operand
    ("literal", value)  ("path", start, names)  ("function", name)
where a path starts at "." or at a variable's name, or at a pipeline in parentheses.
"""

from __future__ import annotations

import re
from typing import Any

from firkin.cli.errors import Failure

_ACTION = re.compile(r"\{\{(-\s)?\s*(.*?)\s*(\s-)?\}\}", re.DOTALL)
_TOKEN = re.compile(
    r"""\s*(?: (?P<string>"(?:[^"\\]|\\.)*"|`[^`]*`) | (?P<number>-?\d+(?:\.\d+)?) | (?P<path>\$?\w*(?:\.\w+)+|\$\w*|\.)"""
    r"""| (?P<word>\w+) | (?P<mark>:=|[()|,=]) )""",
    re.VERBOSE,
)
_LONGEST_NUMBER = 40  # digits
_BLOCKS = ("if", "range", "with")

Node = tuple[Any, ...]


class Template:
    """A parsed template; `nodes` is its tree."""

    def __init__(self, text: str) -> None:
        self.parts = list(_split(text))
        try:
            self.nodes, stopper = self._body()
        except RecursionError:
            raise _error("nested too deeply") from None
        if stopper:
            raise _error(f"unexpected {{{{{stopper}}}}}")

    def _body(self) -> tuple[list[Node], str]:
        """Nodes up to `end` or `else` (returned with what follows it) or the end of the text."""
        nodes: list[Node] = []
        while self.parts:
            kind, text = self.parts.pop(0)
            keyword, _, rest = text.partition(" ")
            if kind == "text":
                nodes.append(("text", text))
            elif keyword in ("end", "else"):
                return nodes, text
            elif keyword in _BLOCKS:
                nodes.append(self._block(keyword, rest))
            else:
                nodes.append(_action(text))
        return nodes, ""

    def _block(self, keyword: str, condition: str) -> Node:
        body, stopper = self._body()
        otherwise: list[Node] = []
        if stopper.startswith("else "):
            inner, _, rest = stopper.removeprefix("else ").partition(" ")
            return _branch(keyword, condition, body, [self._block(inner, rest)])
        if stopper == "else":
            otherwise, stopper = self._body()
        if stopper != "end":
            raise _error("unexpected EOF")
        return _branch(keyword, condition, body, otherwise)


def _split(text: str) -> list[tuple[str, str]]:
    """Text and actions in turn, white space next to a trim marker removed, comments dropped."""
    parts: list[tuple[str, str]] = []
    position, trim = 0, False
    for match in _ACTION.finditer(text):
        before = text[position : match.start()]
        before = before.lstrip() if trim else before
        parts.append(("text", before.rstrip() if match[1] else before))
        if not match[2].startswith("/*"):
            parts.append(("action", match[2]))
        position, trim = match.end(), bool(match[3])
    rest = text[position:]
    if "{{" in rest:
        raise _error("unclosed action")
    parts.append(("text", rest.lstrip() if trim else rest))
    return [part for part in parts if part != ("text", "")]


def _action(text: str) -> Node:
    name, assigned, rest = text.partition(":=")
    if assigned and name.strip().startswith("$"):
        return "set", name.strip(), _pipeline(rest)
    return "show", _pipeline(text)


def _branch(keyword: str, condition: str, body: list[Node], otherwise: list[Node]) -> Node:
    if keyword != "range":
        return keyword, _pipeline(condition), body, otherwise
    names, assigned, rest = condition.partition(":=")
    variables = [name.strip() for name in names.split(",")] if assigned else []
    return "range", variables, _pipeline(rest if assigned else condition), body, otherwise


def _pipeline(text: str) -> list[list[Node]]:
    tokens = _tokens(text)
    if not tokens:
        raise _error("missing value for command")
    pipeline = _commands(tokens)
    if tokens:
        raise _error(f'unexpected "{tokens[0][1]}" in operand')
    return pipeline


def _tokens(text: str) -> list[tuple[str, str]]:
    tokens, position = [], 0
    while text[position:].strip():
        match = _TOKEN.match(text, position)
        if match is None:
            raise _error(f"unexpected {text[position:].strip()[:1]!r} in command")
        kind = str(match.lastgroup)
        tokens.append((kind, match[kind]))
        position = match.end()
    return tokens


def _commands(tokens: list[tuple[str, str]]) -> list[list[Node]]:
    """Commands separated by `|`, up to the end or a closing parenthesis (left in place)."""
    pipeline: list[list[Node]] = [[]]
    while tokens and tokens[0][1] != ")":
        if tokens[0] == ("mark", "|"):
            tokens.pop(0)
            pipeline.append([])
        else:
            pipeline[-1].append(_operand(tokens))
    return pipeline


def _operand(tokens: list[tuple[str, str]]) -> Node:
    kind, text = tokens.pop(0)
    if kind == "string":
        return "literal", text[1:-1] if text[0] == "`" else _unescaped(text)
    if kind == "number":
        if len(text) > _LONGEST_NUMBER:
            raise _error(f"bad number syntax: {text[:20]!r}")
        return "literal", float(text) if "." in text else int(text)
    if kind == "path":
        start, _, names = text.partition(".")
        return "path", start or ".", [name for name in names.split(".") if name]
    if kind == "word":
        constants = {"true": True, "false": False, "nil": None}
        return ("literal", constants[text]) if text in constants else ("function", text)
    if text == "(":
        inner = _commands(tokens)
        if not tokens:
            raise _error("unclosed left paren")
        tokens.pop(0)
        inner_names = tokens.pop(0)[1].split(".")[1:] if tokens and tokens[0][0] == "path" and tokens[0][1] != "." else []
        return "path", inner, inner_names
    raise _error(f'unexpected "{text}" in operand')


def _unescaped(text: str) -> str:
    from firkin.cli import jsontext

    try:
        return str(jsontext.loads(text))
    except ValueError:
        raise _error("unterminated quoted string") from None


def _error(problem: str) -> Failure:
    return Failure(f"template parsing error: template: :1: {problem}", 64)
