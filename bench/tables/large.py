"""Table of an iteration of a large policy: time and rate of each part, and its memory."""

from typing import Any, NamedTuple

from bench.formatting import seconds, three_digits
from bench.tables.engine import Column, Page, Rows, Table


class _Part(NamedTuple):
    """A line of the table."""

    label: str
    name: str
    n_bytes: int | None = None  # that it reads and writes for each weight


_PARTS = (
    _Part("read, 2 threads", "read", 8),
    _Part("write, 2 threads", "write", 8),
    _Part("write, 1 thread", "write, 1 thread", 8),
    _Part("a new noise table, twice the weights, 2 threads", "noise", 8),
    _Part("the same, 1 thread", "noise, 1 thread", 8),
    _Part("16 candidates, one after the other, float64", "candidates, float64", 16 * 20),
    _Part("the same, float32", "candidates, float32", 16 * 16),
    _Part("original's way: slices, then all candidates", "original: all candidates"),
    _Part("fresh normals, then all candidates, float32", "fresh normals and candidates"),
    _Part("weighted sum of 8 directions", "sum", 4 * 8 + 16),
    _Part("RLlib's way: stack, then `np.dot`", "original: stack, np.dot"),
    _Part("step (`sgd_step`), and theta + step", "step", 64),
)
_MEMORY = (("memory of an iteration, `ask(lazy=True)`", "lazy"), ("memory of an iteration, `ask()`", "array"))


def _lines(rows: Rows) -> list[dict[Any, str]]:
    sizes = _sizes(rows)
    times: dict[int, dict[str, float]] = {size: {} for size in sizes}
    for row in rows:
        times[row["n_weights"]].update(row["seconds"])
    lines: list[dict[Any, str]] = []
    for part in _PARTS:
        line = {"label": part.label}
        for size in sizes:
            took = times[size][part.name]
            rate = "" if part.n_bytes is None else f", {three_digits(part.n_bytes * size / took / 1e9)} GB/s"
            line[size] = f"{seconds(took)}{rate}"
        lines.append(line)
    measured = [row for row in rows if "memory" in row]
    for label, how in _MEMORY:
        lines.append({"label": label} | {row["n_weights"]: f"{row['memory'][how] / 1e6:,.1f} MB" for row in measured})
    return lines


def _columns(rows: Rows) -> list[Column]:
    n_delta = next(row["n_delta"] for row in rows if "n_delta" in row)
    return [Column(f"n_delta={n_delta}", "label"), *[Column(f"{size:,} weights", size) for size in _sizes(rows)]]


def _sizes(rows: Rows) -> list[int]:
    return sorted({row["n_weights"] for row in rows})


PAGES: dict[str, Page] = {"large": (Table(_columns, lines=_lines),)}
