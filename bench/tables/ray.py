"""Tables of Ray: actors beside one process, and the model of an iteration on a cluster."""

from bench.formatting import aimed, ratio, seconds
from bench.tables.engine import Column, Page, Row, Rows, Table

_PARTS = {
    "begin": "driver: an evaluation",
    "send": "driver: a task sent",
    "hear": "driver: a result heard",
    "look": "driver: a look at each task that is out",
    "episode": "driver: an episode of 348 observations in a result",
    "work": "actor: a task of a compiled environment, besides its episodes",
    "sleeper": "actor: an episode of the environment that sleeps, besides its sleep (fitted with one actor)",
    "way": "a message, there or back",
    "fetch": "another node gets theta of a few kB",
}
_N_CORES = (32, 256, 1024, 10_000)


def _time(row: Row, k: int) -> float:
    """Return the k-th time of a row: 0 for this process, 1 for actors."""
    return list(row["seconds"].values())[k]


def _name(k: int) -> Column:
    return Column(lambda rows: list(rows[0]["seconds"])[k], lambda row: _time(row, k), seconds)


def _setting(row: Row) -> str:
    return f"{row['env']}, n_delta={row['n_delta']}"


RAY: Page = (
    Table(
        (
            Column("an iteration, once warm (aim)", _setting),
            _name(0),
            _name(1),
            Column("of its speed", lambda row: aimed(_time(row, 0) / _time(row, 1), row["target"])),
        ),
        kind="throughput",
    ),
    Table(
        (
            Column("an iteration of next to no work (aim: at most)", _setting),
            _name(0),
            _name(1)._replace(cell=lambda row: f"{seconds(_time(row, 1))} ({seconds(row['target'])})", format=str),
        ),
        kind="overhead",
    ),
)


def _parts(rows: Rows) -> list[tuple[str, str]]:
    """Return the measured parts of an iteration. A part of 0 s was below what can be measured."""
    (costs,) = (row for row in rows if row["kind"] == "costs")
    lines = [(what, seconds(costs[name])) for name, what in _PARTS.items() if costs[name] > 0.0]
    lines.append(("bytes to another node, over loopback", f"{costs['bandwidth'] / 1e6:,.0f} MB/s"))
    for row in rows:
        if row["kind"] == "policy":
            update = row["end_s"] + 230 * row["end_per_direction_s"]
            lines.append((f"update of 230 directions, {row['n_weights']:,} weights, two threads", seconds(update)))
            lines.append((f"a step of Humanoid-v5, {row['n_weights']:,} weights", seconds(row["step_s"])))
    return lines


def _actors(row: Row) -> str:
    where = f" on {row['n_nodes']} nodes" if row["n_nodes"] > 1 else ""
    return f"{row['what']}: {row['n_actors']}{where}"


def _curve(row: Row) -> str:
    return f"{row['policy']}, {row['n_delta']:,} directions, episodes {row['episodes']}, actors of {row['n_threads']}"


def _cores(n_cores: int) -> Column:
    def cell(row: Row) -> str:
        found = dict(zip(row["n_cores"], row["seconds"], strict=True))[n_cores]
        return f"{seconds(found)} ({ratio(row['alone_s'] / found)})"

    return Column(f"{n_cores:,} cores", cell)


RAY_SCALING: Page = (
    Table(
        (Column("part of an iteration", lambda line: line[0]), Column("measured", lambda line: line[1])),
        lines=_parts,
    ),
    Table(
        (
            Column("64 episodes: actors", _actors),
            Column("measured", "measured_s", seconds),
            Column("the model", "predicted_s", seconds),
            Column("it is off by", lambda row: f"{100 * (row['predicted_s'] / row['measured_s'] - 1):+.0f} %"),
        ),
        kind="check",
    ),
    Table(
        lambda rows: [
            Column("the model: an iteration of Humanoid-v5 (times as fast)", _curve),
            Column("one core, no Ray", "alone_s", seconds),
            *[_cores(n) for n in rows[0]["n_cores"] if n in _N_CORES],
        ],
        kind="curve",
    ),
)

PAGES: dict[str, Page] = {"ray": RAY, "ray-scaling": RAY_SCALING}
