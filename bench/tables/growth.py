"""Tables of how costs grow, and of the iterations of another ARS."""

from bench import growth
from bench.formatting import ratio, seconds, whole
from bench.tables.engine import Column, Page, Row, Rows, Table
from bench.tables.rollouts import MISSING

_GROWS = {"directions": "directions", "weights": "weights of a network", "horizon": "steps of an episode"}


def _fitted(rows: Rows) -> list[Row]:
    """Return a line for each curve of the picture whose exponent is fitted."""
    lines = []
    for curve in growth.CURVES:
        if curve.kind in _GROWS:
            x, cost = growth.points(rows, curve)
            lines.append({"curve": curve, "x": x, "cost": cost})
    return lines


def _range(line: Row) -> str:
    return f"{line['x'][0]:,.0f} to {line['x'][-1]:,.0f} {_GROWS[line['curve'].kind]}"


def _by_threads(rows: Rows) -> list[Row]:
    """Return a line for each number of threads: the cost of a step, by the length of episodes."""
    lines: dict[int, Row] = {}
    for row in rows:
        lines.setdefault(row["x"], {"x": row["x"]})[str(row["horizon"])] = row["rollouts_s"] / row["steps"]
    return list(lines.values())


GROWTH: Page = (
    Table(
        (
            Column("what grows", _range),
            Column("cost of", lambda line: line["curve"].label),
            Column("at the first point", lambda line: line["cost"][0], seconds),
            Column("least", lambda line: line["cost"].min(), seconds),
            Column("at the last point", lambda line: line["cost"][-1], seconds),
            Column("exponent of the last two decades", lambda line: f"{growth.exponent(line['x'], line['cost']):.2f}"),
            Column("expected", lambda line: f"{line['curve'].expected:g}"),
        ),
        lines=_fitted,
    ),
    Table(
        (
            Column("a step of rollouts, two cores", lambda row: f"{row['x']} threads" if row["x"] > 1 else "1 thread"),
            *(Column(f"episodes of {steps:,} steps", str(steps), seconds) for steps in (growth.MEDIUM, growth.LONG)),
        ),
        kind="threads",
        lines=_by_threads,
    ),
)


def _name(row: Row, k: int) -> str:
    return list(row["seconds"])[k]


def _seconds(row: Row, k: int) -> float:
    return list(row["seconds"].values())[k]


def _columns(first: Column) -> tuple[Column, ...]:
    return (
        first,
        Column("candidates", lambda row: 2 * row["n_delta"], whole),
        Column("fastars", lambda row: _seconds(row, 0), seconds),
        Column(lambda rows: _name(rows[0], 1), lambda row: _seconds(row, 1), seconds),
        Column("times as long", lambda row: _seconds(row, 1) / _seconds(row, 0), ratio),
    )


EVOLUTION: Page = (
    Table(_columns(Column("`ask` and `tell`", lambda row: f"{row['n_weights']:,} weights")), kind="update"),
    Table(_columns(Column("an iteration on CartPole-v1", lambda row: f"{row['n_delta']} directions")), kind="cartpole"),
    MISSING,
)

PAGES: dict[str, Page] = {"growth": GROWTH, "evolution": EVOLUTION}
