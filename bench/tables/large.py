"""Table of an iteration of a large policy: time and rate of each part, and its memory."""

from collections.abc import Callable
from typing import Any, NamedTuple

from bench.formatting import seconds, three_digits
from bench.tables.engine import Column, Page, Row, Rows, Table


class _Part(NamedTuple):
    """A line of the table."""

    label: str
    name: str
    n_bytes: Callable[[Row], float] | None = None  # that it reads and writes


_PARTS = (
    _Part("read, 2 threads", "read", lambda row: 4 * row["table"]),
    _Part("write, 2 threads", "write", lambda row: 8 * row["n_weights"]),
    _Part("write, 1 thread", "write, 1 thread", lambda row: 8 * row["n_weights"]),
    _Part("a new noise table, twice the weights, 2 threads", "noise", lambda row: 4 * row["table"]),
    _Part("the same, 1 thread", "noise, 1 thread", lambda row: 4 * row["table"]),
    _Part("16 candidates, one after the other, float64", "candidates, float64", lambda row: 16 * 20 * row["n_weights"]),
    _Part("the same, float32", "candidates, float32", lambda row: 16 * 16 * row["n_weights"]),
    _Part("original's way: slices, then all candidates", "original: all candidates"),
    _Part("fresh normals, then all candidates, float32", "fresh normals and candidates"),
    _Part("weighted sum of 8 directions", "sum", lambda row: 4 * 8 * row["n_weights"]),
    _Part("RLlib's way: stack, then `np.dot`", "original: stack, np.dot", lambda row: 4 * 8 * row["n_weights"]),
    _Part("step (`sgd_step`), and theta + step", "step", lambda row: 64 * row["n_weights"]),
)
_MEMORY = (("memory of an iteration, `ask(lazy=True)`", "lazy"), ("memory of an iteration, `ask()`", "array"))


def _lines(rows: Rows) -> list[dict[Any, str]]:
    lines: list[dict[Any, str]] = []
    for part in _PARTS:
        line = {"label": part.label}
        for row in rows:
            took = row["seconds"][part.name]
            rate = "" if part.n_bytes is None else f", {three_digits(part.n_bytes(row) / took / 1e9)} GB/s"
            line[row["n_weights"]] = f"{seconds(took)}{rate}"
        lines.append(line)
    for label, how in _MEMORY:
        lines.append({"label": label} | {row["n_weights"]: f"{row['memory'][how][1] / 1e6:,.1f} MB" for row in rows})
    return lines


def _columns(rows: Rows) -> list[Column]:
    sizes = [row["n_weights"] for row in rows]
    return [Column(f"n_delta={rows[0]['n_delta']}", "label"), *[Column(f"{size:,} weights", size) for size in sizes]]


PAGES: dict[str, Page] = {"large": (Table(_columns, lines=_lines),)}
