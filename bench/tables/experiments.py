"""Tables of the experiments in examples/, and of the tests that inject faults."""

from statistics import mean

from bench.formatting import code, three_digits
from bench.tables.engine import Column, Page, Row, Rows, Table


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


def _count(row: Row) -> str:
    of = "" if row["of"] is None else f" of {row['of']:,}"
    return f"{row['count']:,}{of} {row['unit']}".rstrip()


TRUST: Page = (Table((Column("what", "what"), Column("row", "row"), Column("count", _count), Column("counted by", "test", code))),)

PAGES: dict[str, Page] = {
    "trust": TRUST,
    "multitask-toy": MULTITASK,
    "multitask-mlp": MULTITASK,
    "rover": ROVER,
    "two-objectives": TWO_OBJECTIVES,
}
