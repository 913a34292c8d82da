"""Rows of the log as boxed tables, on the terminal or in a text file."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

from fastars._printable import columns, is_watched, printable
from fastars.files.lines import LineWriter
from fastars.logger.outputs import text_values


class TerminalOutput:
    """Prints rows as tables and messages as lines; a program without a stdout prints nothing."""

    def write(self, key_values: dict[str, Any], key_excluded: dict[str, tuple[str, ...]], step: int = 0) -> None:
        """Print one row; for its arguments see `Output.write`."""
        width = columns(sys.stdout) if is_watched(sys.stdout) else math.inf
        table = _table(text_values(key_values, key_excluded, "stdout"), width)
        if table and sys.stdout is not None:
            encoding = getattr(sys.stdout, "encoding", None) or "utf-8"  # a name that it lacks must not end a run
            print(table.encode(encoding, "backslashreplace").decode(encoding), end="", flush=True)

    def write_sequence(self, texts: list[str]) -> None:
        """Print a message."""
        if sys.stdout is not None:
            print(*texts, flush=True)


class TextFileOutput:
    """Writes the same tables and messages to a text file.

    Parameters
    ----------
    path : Path
        The file.
    append : bool
        True continues an existing file, False empties it.
    """

    def __init__(self, path: Path, append: bool) -> None:
        self._lines = LineWriter(path, append)

    def write(self, key_values: dict[str, Any], key_excluded: dict[str, tuple[str, ...]], step: int = 0) -> None:
        """Write one row; for its arguments see `Output.write`."""
        self._lines.write(_table(text_values(key_values, key_excluded, "log")))

    def write_sequence(self, texts: list[str]) -> None:
        """Write a message."""
        self._lines.write(" ".join(texts) + "\n")

    def close(self) -> None:
        """Close the file; the next row opens it again."""
        self._lines.close()


def _table(values: dict[str, Any], width: float = math.inf) -> str:
    """Return a boxed table, its keys sorted and grouped by the word before their first slash; an empty text for an empty row.

    Where it is wider than `width` columns, there is no box, and each value follows its key.
    """
    rows: list[tuple[str, str]] = []
    group = ""
    for name, value in sorted(values.items()):
        key = printable(name)
        head, slash, _ = key.partition("/")
        if slash and head != group:
            group = head
            rows.append((f"{head}/", ""))
        text = f"{value:.3g}" if isinstance(value, float) else printable(str(value))
        rows.append((f"   {key[len(head) + 1 :]}" if slash else key, text))
    if not rows:
        return ""
    left, right = (max(map(len, column)) for column in zip(*rows, strict=True))
    if left + right + 7 > width:
        return "".join(f"{key}{_gap(key, value, width)}{value}".rstrip() + "\n" for key, value in rows)
    rule = "-" * (left + right + 7)
    return "\n".join([rule, *(f"| {key:<{left}} | {value:<{right}} |" for key, value in rows), rule, ""])


def _gap(key: str, value: str, width: float) -> str:
    return " " if len(key) + 1 + len(value) <= width else "\n      "
