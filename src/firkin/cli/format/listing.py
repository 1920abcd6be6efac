"""Print a list of things: as a table, as `--format` wants it, or only the ids.

A listing is a table of fields: name -> (heading, function of (item, truncate?) to text). Docker's template fields,
JSON keys and column headings are these same names.
"""

from __future__ import annotations

import sys

from firkin.cli.errors import Failure
from firkin.cli.format import table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    Fields = dict[str, tuple[str, Callable[..., Any]]]


class Row:
    """One item as a template sees it."""

    def __init__(self, fields: Fields, item: Any, trunc: bool) -> None:
        self.fields = fields
        self.item = item
        self.trunc = trunc

    def field(self, name: str, arguments: list[Any]) -> Any:
        if name not in self.fields:
            raise Failure(f'template parsing error: template: :1:2: executing "" at <.{name}>: can\'t evaluate field {name}')
        return self.fields[name][1](self.item, self.trunc, *arguments)

    def values(self) -> dict[str, Any]:
        """Every field that takes no argument, as `json .` shows them."""
        return {name: self.field(name, []) for name, (heading, _) in self.fields.items() if heading != ARGUMENT}


ARGUMENT = "(argument)"  # the heading of a field that is a function of an argument, such as `.Label "name"`


class Headings:
    """What a `table` template is filled with for the first line: each field is its own heading."""

    def __init__(self, fields: Fields) -> None:
        self.fields = fields

    def field(self, name: str, arguments: list[Any]) -> str:
        heading = self.fields.get(name, ("<no value>",))[0]
        if heading != ARGUMENT:
            return heading
        return str(arguments[0]).rpartition(".")[2].replace("-", " ").replace("_", " ")


def show(fields: Fields, items: Iterable[Any], columns: tuple[str, ...], form: str = "", trunc: bool = True) -> None:
    """Print the items. `form` is the value of `--format`, `columns` what the plain table shows."""
    rows = [Row(fields, item, trunc) for item in items]
    if form in ("", "table"):
        cells = [[str(row.field(name, [])) for name in columns] for row in rows]
        sys.stdout.write(table.layout([[fields[name][0] for name in columns], *cells]))
        return
    sys.stdout.write(formatted(fields, rows, form))


def formatted(fields: Fields, rows: list[Row], form: str) -> str:
    """The rows through a template, one a line; with the prefix `table` aligned under headings."""
    from firkin.cli.format.evaluate import render
    from firkin.cli.format.functions import FUNCTIONS
    from firkin.cli.format.template import Template

    template = Template(template_text(form))
    lines = [render(template, row) for row in rows]
    if not form.startswith("table"):
        return "".join(line + "\n" for line in lines)
    same = {name: lambda first, *rest: first for name in FUNCTIONS}
    lines.insert(0, render(template, Headings(fields), same | {"join": lambda first, *rest: first}))
    return table.layout([line.split("\t") for line in lines])


def template_text(form: str) -> str:
    """The template in a `--format`: `json` is short for `{{json .}}`, `\\t` and `\\n` may be spelled out."""
    if form == "json":
        return "{{json .}}"
    return form.removeprefix("table").strip(" ").replace("\\t", "\t").replace("\\n", "\n")


def quiet(ids: Iterable[str]) -> None:
    """Only the ids, one a line."""
    sys.stdout.write("".join(each + "\n" for each in ids))
