"""Tables of the experiments in examples/, and of the tests that inject faults."""

from statistics import mean

import numpy as np

from bench.formatting import code, three_digits
from bench.tables.engine import Column, Page, Row, Rows, Table
from fastars.plot import interquartile_mean


def _methods(rows: Rows) -> list[dict[int, Row]]:
    """Return a line for each method: its rows by number of tasks."""
    lines: dict[str, dict[int, Row]] = {}
    for row in rows:
        lines.setdefault(row["method"], {})[row["n_tasks"]] = row
    return list(lines.values())


def _left(row: Row | None) -> str:
    return "" if row is None else f"{row['mean']:.3f} ({min(row['left']):.3f} to {max(row['left']):.3f})"


def _spread(values: list[float], digits: int) -> str:
    return f"{mean(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def _ends_on_front(row: Row) -> list[float]:
    return [end[0] for end, reached in zip(row["ends"], row["on_front"], strict=True) if reached]


MULTITASK: Page = (
    Table(
        (
            Column(
                "sum of L / L(0) at the end, mean (least to largest of the seeds)",
                lambda line: line[2]["method"].replace("static 10^", "static weights, 10^"),
            ),
            Column("2 tasks", lambda line: _left(line[2])),
            Column("10 tasks", lambda line: _left(line.get(10))),
            Column("w_1 / w_2 of 2 tasks", lambda line: three_digits(line[2]["weights"][0] / line[2]["weights"][1])),
        ),
        lines=_methods,
    ),
)

TWO_OBJECTIVES: Page = (
    Table(
        (
            Column("method", "method"),
            Column("starts that reach the front", lambda row: f"{len(_ends_on_front(row))} of {len(row['ends'])}"),
            Column("there, x_1 is", lambda row: f"{min(_ends_on_front(row)):.2f} to {max(_ends_on_front(row)):.2f}"),
        )
    ),
)

ROVER: Page = (
    Table(
        (
            Column(
                "root mean square, mean (least to largest of the seeds)",
                lambda row: row["method"].replace("1 : ", "static weights, 1 : "),
            ),
            Column("distance, m", lambda row: _spread(row["distance"], 3)),
            Column("angle, rad", lambda row: _spread(row["angle"], 4)),
        )
    ),
)


def _by_directions(rows: Rows) -> list[Row]:
    """Return a line for each number of directions: its last evaluations, and the number of seeds that were ever at 90."""
    lines: dict[int, list[list[float]]] = {}
    for row in rows:
        lines.setdefault(row["settings"]["n_delta"], []).append(row["returns"])
    return [
        {"n_delta": n_delta, "last": [each[-1] for each in returns], "solved": sum(max(each) >= 90.0 for each in returns)}
        for n_delta, returns in lines.items()
    ]


def _middle(values: list[float]) -> str:
    return f"{float(interquartile_mean(np.array(values))):.1f} ({min(values):.1f} to {max(values):.1f})"


LEARNING_CURVES: Page = (
    Table(
        (
            Column("directions", "n_delta"),
            Column("last evaluation, interquartile mean (least to largest of the seeds)", lambda line: _middle(line["last"])),
            Column("seeds with an evaluation of 90 or more", lambda line: f"{line['solved']} of {len(line['last'])}"),
        ),
        lines=_by_directions,
    ),
)


def _count(row: Row) -> str:
    of = "" if row["of"] is None else f" of {row['of']:,}"
    return f"{row['count']:,}{of} {row['unit']}".rstrip()


TRUST: Page = (Table((Column("what", "what"), Column("row", "row"), Column("count", _count), Column("counted by", "test", code))),)

PAGES: dict[str, Page] = {
    "trust": TRUST,
    "learning-curves": LEARNING_CURVES,
    "multitask-toy": MULTITASK,
    "multitask-mlp": MULTITASK,
    "rover": ROVER,
    "two-objectives": TWO_OBJECTIVES,
}
