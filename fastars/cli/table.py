"""Tables of the command. Where the terminal is too narrow for one, its form changes; no number and no name is cut.

The interface is three lines, wherever a sub-command prints rows:

    table = empty_table("policy", "return>", "episode length>")
    table.add_row("best", "500.0", "500.0")
    console().print(table)
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from fastars._folding import folded_items
from fastars._printable import printable

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions
    from rich.table import Table

_ENDLESS, _INDENT = 10_000, 3  # columns


def empty_table(*columns: str) -> Table:
    """Return an empty table whose cells are made printable. `add_row` takes a text for each column.

    The names of its columns are broken between words where the terminal is too narrow for them side by side. If that is not
    enough, each row is a list: its first cell in a line, and below it the others, each after the name of its column. So the first
    column should say what the row is about, and a name and its cell should read as a phrase: "policy best", "return 500.0".

    Parameters
    ----------
    *columns : str
        Names of the columns. One with a `>` after its name is aligned to the right: a column of numbers.
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
                first, *others = _as_list(names, [str(cell) for cell in cells], options.max_width)
                yield Text(first, style="bold")
                yield from map(Text, others)
            yield ""

    table = Fitting(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), header_style="dim")
    for column in columns:
        table.add_column(
            printable(column.rstrip(">")), justify="right" if column.endswith(">") else "left", vertical="bottom", no_wrap=True
        )
    return table


def _as_list(names: list[str], cells: list[str], width: int) -> list[str]:
    """Return the lines of one row: each cell after the name of its column, the first one in a line of its own."""
    pairs = [f"{name} {cell}" for name, cell in zip(names[1:], cells[1:], strict=True)]
    return [f" {names[0]} {cells[0]}", *(" " * _INDENT + line for line in folded_items(pairs, width - _INDENT))]
