"""Render declared tables as Markdown. A declaration names columns; the engine selects rows, fills cells and aligns them."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

Row = dict[str, Any]
Rows = list[Row]


class Column(NamedTuple):
    """A column of a table."""

    heading: str | Callable[[Rows], str]  # a function gets the rows of the table
    cell: str | Callable[[Any], Any]  # key of a line, or a function of it
    format: Callable[[Any], str] = str


class Table(NamedTuple):
    """A table with a fixed meaning for each column."""

    columns: Sequence[Column] | Callable[[Rows], Sequence[Column]]  # a function gets the rows of the table
    kind: str | None = None  # only rows of this kind
    each: bool = False  # a table of its own for each row
    by: Callable[[Row], Any] | None = None  # a table of its own for all rows with one value of this
    lines: Callable[[Rows], Iterable[Any]] = iter  # the lines of a table; default: a line for each row


class Pivot(NamedTuple):
    """A table in which two keys of each row, or two functions of it, say where its cell is."""

    corner: str | Callable[[Rows], str]
    line: str | Callable[[Row], str]
    column: str | Callable[[Row], Any]
    cell: Callable[[Row], str]
    columns: Sequence[Any] | None = None  # default: all that occur, in their order
    kind: str | None = None
    heading: Callable[[Any], str] = str
    missing: str = "-"


Page = tuple[Table | Pivot, ...]


def render(page: Page, rows: Rows) -> str:
    """Return the tables of a page for the rows of its result file. A table without lines is left out."""
    parts = []
    for table in page:
        selected = [row for row in rows if table.kind is None or row["kind"] == table.kind]
        groups = _groups(table, selected) if isinstance(table, Table) else [selected]
        parts += [_pivot(table, group) if isinstance(table, Pivot) else _table(table, group) for group in groups if group]
    return "\n\n".join(filter(None, parts))


def _groups(table: Table, rows: Rows) -> list[Rows]:
    """Return the rows of each table."""
    if table.each:
        return [[row] for row in rows]
    groups: dict[Any, Rows] = {}
    for row in rows:
        groups.setdefault(table.by(row) if table.by else None, []).append(row)
    return list(groups.values())


def markdown(head: Iterable[str], lines: Iterable[Iterable[str]]) -> str:
    """Return a table. Every column but the first is aligned to the right."""
    head = list(head)
    every = [head, ["---", *["---:"] * (len(head) - 1)], *lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in every)


def _table(table: Table, rows: Rows) -> str:
    columns = table.columns(rows) if callable(table.columns) else table.columns
    lines = [[column.format(_value(column.cell, line)) for column in columns] for line in table.lines(rows)]
    return markdown([_text(column.heading, rows) for column in columns], lines) if lines else ""


def _pivot(pivot: Pivot, rows: Rows) -> str:
    cells: dict[str, dict[Any, str]] = {}
    for row in rows:
        cells.setdefault(_value(pivot.line, row), {})[_value(pivot.column, row)] = pivot.cell(row)
    columns = pivot.columns or list(dict.fromkeys(column for line in cells.values() for column in line))
    lines = [[name, *[line.get(column, pivot.missing) for column in columns]] for name, line in cells.items()]
    return markdown([_text(pivot.corner, rows), *map(pivot.heading, columns)], lines)


def _text(heading: str | Callable[[Rows], str], rows: Rows) -> str:
    return heading(rows) if callable(heading) else heading


def _value(cell: str | Callable[[Any], Any], line: Any) -> Any:
    return cell(line) if callable(cell) else line[cell]
