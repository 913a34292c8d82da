"""Tables of kernels: times beside their twins, calls, sums, weighting methods, networks."""

import re
from typing import Any

from bench.formatting import aimed, code, rate, ratio, seconds, whole
from bench.kernel_reference import in_words
from bench.tables.engine import Column, Page, Pivot, Row, Rows, Table

_PYTHON = Column("from Python", "python_s", seconds)
_COMPILED = Column("from compiled code", "compiled_s", seconds)


def _beside_fastars(times: dict[str, float], name: str) -> str:
    """Return the time of a competitor, and in brackets its ratio to the time of fastars."""
    return f"{seconds(times[name])} ({ratio(times[name] / times['fastars'])})" if name in times else "-"


def _seconds_of(row: Row) -> list[Row]:
    """Return a line for each competitor of a race: its name, its time, and its ratio to the first one."""
    first = next(iter(row["seconds"].values()))
    return [{"name": name, "s": value, "of_first": value / first} for name, value in row["seconds"].items()]


def _sums(rows: Rows) -> list[Row]:
    """Return the lines of a race of sums: rate of reading, and ratio to the best time of fastars on any number of threads."""
    (row,) = rows
    best = min(value for name, value in row["seconds"].items() if re.match(r"\d+ thread", name))
    return [{**line, "rate": row["bytes"] / line["s"] / 1e9, "of_best": line["s"] / best} for line in _seconds_of(row)]


def _shares(row: Row, k: int) -> str:
    """Return the k-th time of a row, and in brackets its part of the first one."""
    times = list(row["seconds"].values())
    return f"{seconds(times[k])} ({100 * times[k] / times[0]:.1f} %)"


def _mlp(row: Row, k: int) -> Any:
    """Return the k-th rate of a row: two threads, one thread, the NumPy twin, the limit, and with activations."""
    return list(row["steps_per_s"].values())[k]


KERNELS: Page = (
    Pivot(
        "kernel: time (times as fast as its NumPy twin)",
        line=lambda row: f"`{row['kernel']}`",
        column="size",
        cell=lambda row: f"{seconds(row['kernel_s'])} ({ratio(row['twin_s'] / row['kernel_s'])})",
        columns=("small", "medium", "large"),
        missing="",
    ),
)

EMBEDDING: Page = (
    Table(
        (
            Column("one call", "kernel", code),
            Column("of", lambda row: in_words(row["kernel"], "small")),
            _PYTHON,
            _COMPILED,
        ),
        kind="call",
    ),
    Table(
        (
            Column("two halves of a noise table, two CPUs", "name"),
            Column("time", "s", seconds),
            Column("times as fast", lambda line: 1.0 / line["of_first"], ratio),
        ),
        kind="threads",
        each=True,
        lines=lambda rows: _seconds_of(rows[0]),
    ),
)

WEIGHTED_SUM: Page = (
    Table(
        (
            Column(lambda rows: f"{rows[0]['n']} directions x {rows[0]['n_weights']:,} parameters", "name"),
            Column("time", "s", seconds),
            Column("bytes of the slices", "rate", lambda value: f"{value:.1f} GB/s"),
            Column("time, as a multiple of our best", "of_best", ratio),
        ),
        kind="sum",
        each=True,
        lines=_sums,
    ),
    Table(
        (
            Column(lambda rows: f"{rows[0]['size'] / 1e6:.0f} M normals in float32", "name"),
            Column("time", "s", seconds),
            Column("as a multiple", "of_first", ratio),
        ),
        kind="noise",
        each=True,
        lines=lambda rows: _seconds_of(rows[0]),
    ),
)

WEIGHTING: Page = (
    Table(
        (
            Column("Gram matrix, one thread (aim)", lambda row: f"{row['n_tasks']} x {row['n_weights']:,}, {row['dtype']}"),
            Column("`gram`", lambda row: row["seconds"]["fastars"], seconds),
            Column("its gradients", lambda row: f"{row['bytes'] / row['seconds']['fastars'] / 1e9:.1f} GB/s"),
            Column(
                "of the rate of reading",
                lambda row: aimed(row["seconds"]["read"] / row["seconds"]["fastars"], 0.6 if row["n_tasks"] == 16 else None),
            ),
            Column("`J @ J.T`", lambda row: _beside_fastars(row["seconds"], "numpy")),
        ),
        kind="gram",
    ),
    Table((Column("one update, four tasks", "kernel", code), _PYTHON, _COMPILED), kind="update"),
    Table(
        (
            Column(
                lambda rows: f"four tasks, 64 directions, {rows[0]['n_weights']:,} weights",
                lambda row: f"{row['env']}, {row['steps']:.0f} steps an episode",
            ),
            Column("an iteration of ARS", lambda row: next(iter(row["seconds"].values())), seconds),
            Column("balancing (aim: 5 %)", lambda row: _shares(row, 1)),
            Column("with all rows of the log", lambda row: _shares(row, 2)),
        ),
        kind="balancing",
    ),
    Pivot(
        "one call; TorchJD's (times as long)",
        line="method",
        column="n_tasks",
        cell=lambda row: f"{seconds(row['seconds']['fastars'])}; {_beside_fastars(row['seconds'], 'TorchJD')}",
        kind="solver",
        heading=lambda n_tasks: f"{n_tasks} tasks",
    ),
)

WEIGHTING_COSTS: Page = (
    Pivot(
        "one call",
        line="method",
        column="n_tasks",
        cell=lambda row: seconds(row["seconds"]),
        kind="cost",
        heading=lambda n_tasks: f"{n_tasks:,} tasks",
    ),
)

MLP: Page = (
    Table(
        (
            Column("CartPole-v1, env steps/s", lambda row: f"{list(row['net_arch'])}, {row['activation']}"),
            Column("flops of the layers", "flops", whole),
            Column("1 thread", lambda row: _mlp(row, 1), rate),
            Column("limit of the layers", lambda row: _mlp(row, 3), rate),
            Column("of it (aim)", lambda row: aimed(_mlp(row, 1) / _mlp(row, 3), row["target"])),
            Column("with activations", lambda row: ratio(_mlp(row, 1) / _mlp(row, 4))),
            Column("2 threads", lambda row: _mlp(row, 0), rate),
            Column("NumPy twin", lambda row: f"{rate(_mlp(row, 2))} ({ratio(_mlp(row, 1) / _mlp(row, 2))})"),
        )
    ),
)

PAGES: dict[str, Page] = {
    "kernels": KERNELS,
    "embedding": EMBEDDING,
    "weighted-sum": WEIGHTED_SUM,
    "weighting": WEIGHTING,
    "weighting-costs": WEIGHTING_COSTS,
    "mlp": MLP,
}
