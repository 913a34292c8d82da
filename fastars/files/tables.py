"""Read the files of a run folder, within limits; an error names the damaged file.

Tables and settings are text without a checksum: a digit that changed into another digit is not noticed. Arrays are under the CRC
of their zip.
"""

from __future__ import annotations

import contextlib
import csv
import re
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fastars.files.archives import Archive, content, plain_array
from fastars.files.errors import DamagedFileError, brief, make_printable, name_of, naming
from fastars.files.opening import open_regular

_MAX_ARRAYS = 1 << 28  # bytes
_MAX_TOML = 1 << 16
_MAX_LINE = 1 << 20  # characters
_MAX_DOTS = 32  # of a key: tomllib's time grows with the square of their number, to 58 s for 32,000
_STRING = re.compile(r'"(?:[^"\\\n]|\\.)*"|' + r"'[^'\n]*'")
_PIECE = re.compile(r"[,=\n{}\[\]]")


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Return the arrays of numbers or text in an `.npz` file that `np.savez` wrote.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    DamagedFileError
        If it is damaged, or compressed.
    """
    with _damage(path):
        data = content(path, _MAX_ARRAYS)
        archive = Archive(data, len(data))
        return {name.removesuffix(".npy"): plain_array(archive.read(name)) for name in archive.names}


def read_toml(path: Path) -> dict[str, Any]:
    """Return the settings in a TOML file.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    DamagedFileError
        If it is damaged, or larger than any that a run writes.
    """
    with _damage(path):
        text = content(path, _MAX_TOML).decode("utf-8")
        if '"""' in text or "'''" in text:
            raise ValueError("a text of several lines")
        if max(piece.count(".") for piece in _PIECE.split(_STRING.sub("", text))) > _MAX_DOTS:
            raise ValueError(f"a key of more than {_MAX_DOTS} parts")
        return tomllib.loads(text)


def read_rows(path: Path) -> Iterator[list[str]]:
    """Yield the rows of a table, its header first, without a half row at its end, which a killed process leaves.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    DamagedFileError
        If it is damaged.
    """
    with _damage(path), open_regular(path, "r", newline="", encoding="utf-8") as file, naming(path):
        yield from csv.reader(_lines(file))


def read_columns(path: Path, names: Sequence[str], skip: int = 0, optional: Sequence[str] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the cells of named columns, row by row: all rows as texts would take 40 times the memory of the file.

    Parameters
    ----------
    path : Path
        A table in CSV.
    names : sequence of str
        The columns.
    skip : int
        Number of lines before the header.
    optional : sequence of str
        Columns that may be missing: their cells are then empty.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    DamagedFileError
        If it is damaged.
    ValueError
        If it has no such column.
    """
    rows = read_rows(path)
    for _ in range(skip):
        next(rows, None)
    header = next(rows, None)
    if header is None:
        return
    if missing := [name for name in names if name not in header and name not in optional]:
        raise ValueError(f"{name_of(path)} has no column {missing[0]!r}; it has {brief(', '.join(sorted(header)))}")
    places = [header.index(name) if name in header else len(header) for name in names]
    for number, row in enumerate(rows, start=skip + 2):
        if len(row) not in (0, len(header)):
            raise DamagedFileError(f"{path} is damaged: row {number} has {len(row)} cells, its header {len(header)}")
        if row:
            yield tuple((*row, "")[place] for place in places)


def parse_number(path: Path, cell: str) -> float:
    """Return the number in a cell of a table; NaN for an empty cell."""
    try:
        return float(cell or "nan")
    except ValueError:
        raise DamagedFileError(f"{path} is damaged: {cell[:40]!r} where a number is expected") from None


def _lines(file: Any) -> Iterator[str]:
    while line := file.readline(_MAX_LINE):
        if not line.endswith(("\n", "\r")):
            if len(line) >= _MAX_LINE:
                raise ValueError(f"a line of more than {_MAX_LINE} characters")
            return
        yield line


@contextlib.contextmanager
def _damage(path: Path) -> Iterator[None]:
    """Raise a `DamagedFileError` that names the file for any error about its content."""
    try:
        yield
    except DamagedFileError:
        raise
    except (ValueError, KeyError, TypeError, IndexError, OverflowError, RecursionError, csv.Error) as error:
        make_printable(error)
        raise DamagedFileError(f"{path} is damaged: {brief(error)}") from error
