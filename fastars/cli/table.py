"""Tables of the command. Where the terminal is too narrow for one, its form changes; no number and no name is cut."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from fastars._printable import printable

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions
    from rich.table import Table

_ENDLESS, _INDENT = 10_000, 3  # columns
_HARD_SPACE = "\N{NO-BREAK SPACE}"


def empty_table(*columns: str) -> Table:
    """Return an empty table whose cells are made printable. A `>` after the name of a column aligns the column to the right.

    On a narrow terminal, the names of columns are broken between words. If that is not enough, a row is a list of its cells.
    """
    from rich import box
    from rich.measure import Measurement
    from rich.table import Table
    from rich.text import Text

    class Fitting(Table):
        def add_row(self, *cells: Any, **options: Any) -> None:
            """Add a row of texts."""
            super().add_row(*(printable(cell) if isinstance(cell, str) else cell for cell in cells), **options)

        def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Any]:
            """Render the first form that fits: as it is, with high names of columns, without columns."""
            names = [str(column.header) for column in self.columns]
            for space in (" ", "\n"):
                for column, name in zip(self.columns, names, strict=True):
                    column.header = name.replace(" ", space)
                width = Measurement.get(console, options.update(width=_ENDLESS), self).maximum
                if width <= options.max_width:
                    yield from super().__rich_console__(console, options)
                    return
            yield ""
            for cells in zip(*(column.cells for column in self.columns), strict=True):
                yield from map(Text, _as_list(names, [str(cell) for cell in cells], options.max_width))
            yield ""

    table = Fitting(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), header_style="dim")
    for column in columns:
        table.add_column(
            printable(column.rstrip(">")), justify="right" if column.endswith(">") else "left", vertical="bottom", no_wrap=True
        )
    return table


def _as_list(names: list[str], cells: list[str], width: int) -> list[str]:
    """Return the lines of one row: each cell after the name of its column, the first one in a line of its own."""
    pairs = [f"{name} {cell}".replace(" ", _HARD_SPACE) for name, cell in zip(names[1:], cells[1:], strict=True)]
    lines = textwrap.wrap(", ".join(pairs), width - _INDENT, break_long_words=False, break_on_hyphens=False)
    return [f" {names[0]} {cells[0]}", *(" " * _INDENT + line.replace(_HARD_SPACE, " ") for line in lines)]
