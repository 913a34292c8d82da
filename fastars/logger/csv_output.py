"""Rows of the log as a table in CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from fastars.files.atomic import write_atomically
from fastars.files.lines import LineWriter
from fastars.files.opening import file_in, open_regular
from fastars.logger.outputs import number_texts, text_values


class CsvOutput:
    """Writes rows to a table in CSV. A new key rewrites the file with one more column, in which earlier rows have an empty cell.

    Parameters
    ----------
    path : Path
        The file.
    append : bool
        True continues an existing file, False empties it.
    """

    def __init__(self, path: Path, append: bool) -> None:
        self._lines = LineWriter(path, append)
        rows = list(self._read())
        self._header = rows[0] if rows else []
        self._columns = set(self._header)

    def write(self, key_values: dict[str, Any], key_excluded: dict[str, tuple[str, ...]], step: int = 0) -> None:
        """Write one row; for its arguments see `Output.write`."""
        row = text_values(key_values, key_excluded, "csv")
        if not row.keys() <= self._columns:
            self._grow([*self._header, *sorted(row.keys() - self._columns)])
        texts = number_texts(key_values)
        cells = [(texts.get(key) or _cell(row[key])) if key in row else "" for key in self._header]
        self._lines.write((",".join(cells) or '""') + "\n")

    def _grow(self, header: list[str]) -> None:
        if self._header:
            lines = [header, *(row + [""] * (len(header) - len(row)) for row in list(self._read())[1:])]
            self._lines.close()
            write_atomically(self._lines.path, (_line(line).encode() for line in lines), follow=False)
        else:
            self._lines.write(_line(header))
        self._header, self._columns = header, set(header)

    def _read(self) -> Iterator[list[str]]:
        with open_regular(file_in(self._lines.path), "r", newline="", encoding="utf-8") as file:
            yield from csv.reader(file)

    def close(self) -> None:
        """Close the file; the next row opens it again."""
        self._lines.close()


def _cell(value: Any) -> str:
    return "" if value is None else _line([value, ""])[:-2]  # a row of one empty cell would be quoted: a second cell prevents it


def _line(cells: Iterable[Any]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(cells)
    return line.getvalue()
