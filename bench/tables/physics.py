"""Tables of the physics over lanes: rollouts, threads, vector environments, scripts, and the time to a goal."""

from collections.abc import Callable
from statistics import median

from bench.formatting import aimed, rate, ratio, seconds, whole
from bench.tables.engine import Column, Page, Row, Rows, Table
from bench.tables.rollouts import MISSING


def _rate(row: Row, name: str) -> float:
    value: float = row["steps_per_s"][name]
    return value


def _pools(rows: Rows) -> list[Column]:
    """Return the columns of vector environments: one for each version of EnvPool."""
    names = list(dict.fromkeys(name for row in rows for name in row["steps_per_s"] if name.startswith("EnvPool")))
    return [*_VECTOR, *[Column(f"{name} (lanes: times as fast)", _beside(name)) for name in names]]


def _beside(name: str) -> Callable[[Row], str]:
    def cell(row: Row) -> str:
        if name not in row["steps_per_s"]:
            return "-"
        times = aimed(_rate(row, "lanes") / _rate(row, name), row["aim"])
        return f"{rate(_rate(row, name))}, {times}"

    return cell


_VECTOR = (
    Column("vector environments, env steps/s, 2 threads (aim)", "env"),
    Column("environments", "environments", whole),
    Column("fastars, `mj_step`", lambda row: _rate(row, "mj_step"), rate),
    Column("fastars, lanes", lambda row: _rate(row, "lanes"), rate),
)


SPEED: Page = (
    Table(
        (
            Column("whole rollouts, env steps/s, 1 thread (aim)", "env"),
            Column("trained for", lambda row: f"{row['trained_steps']:,} steps"),
            Column("episodes", "episodes", whole),
            Column("mean length", lambda row: row["mean_length"]["lanes"], whole),
            Column("`mj_step`", lambda row: _rate(row, "mj_step"), rate),
            Column("lanes", lambda row: _rate(row, "lanes"), rate),
            Column("times as fast", lambda row: aimed(_rate(row, "lanes") / _rate(row, "mj_step"), row["aim"])),
        ),
        kind="rollouts",
    ),
    Table(
        (
            Column("lanes, env steps/s (aim)", "env"),
            Column("episodes", "episodes", whole),
            Column("1 thread", lambda row: _rate(row, "1"), rate),
            Column("2 threads", lambda row: _rate(row, "2"), rate),
            Column("2 to 1", lambda row: aimed(_rate(row, "2") / _rate(row, "1"), row["aim"])),
        ),
        kind="threads",
    ),
    Table(_pools, kind="vector"),
    MISSING,
)

SHORT: Page = (
    Table(
        (
            Column("whole rollouts on one thread, env steps/s", "env"),
            Column("`mj_step`", lambda row: _rate(row, "mj_step"), rate),
            Column("lanes", lambda row: _rate(row, "lanes"), rate),
            Column("times as fast", lambda row: _rate(row, "lanes") / _rate(row, "mj_step"), ratio),
        ),
        kind="rollouts",
    ),
)


def _scripted(row: Row, k: int) -> float:
    """Return the median rate of a side over its runs, in environment steps per second: lanes, the other package, `mj_step`."""
    runs = list(row["runs"].values())[k]
    return median((run["first_steps"] + run["later_steps"]) / (run["first_s"] + run["later_s"]) for run in runs)


DROP_IN_LANES: Page = (
    Table(
        (
            Column("`learn`, env steps/s (aim)", lambda row: f"{row['env_id']}, n_delta={row['n_delta']}, {row['steps']:,} steps"),
            Column("theirs is fastest with", "mode"),
            Column("theirs", lambda row: _scripted(row, 1), rate),
            Column("fastars", lambda row: _scripted(row, 2), rate),
            Column('fastars, `physics="lanes"`', lambda row: _scripted(row, 0), rate),
            Column("lanes to theirs", lambda row: aimed(_scripted(row, 0) / _scripted(row, 1), row["aim"])),
            Column("to fastars in MuJoCo", lambda row: _scripted(row, 0) / _scripted(row, 2), ratio),
        )
    ),
)


def _reached(row: Row) -> Rows:
    return [seed for seed in row["seeds"] if seed["return"] is not None]


def _over_seeds(row: Row, name: str) -> float:
    """Return the median over the seeds; one that did not get there counts as infinitely slow."""
    return median([seed[name] for seed in _reached(row)] + [float("inf")] * (len(row["seeds"]) - len(_reached(row))))


def _median_seconds(row: Row, name: str) -> str:
    value = _over_seeds(row, name)
    return "more than half never" if value == float("inf") else seconds(value)


def _median_steps(row: Row) -> str:
    value = _over_seeds(row, "steps")
    return "-" if value == float("inf") else whole(value)


TIME_TO_GOAL: Page = (
    Table(
        (
            Column(
                "to a mean return over 100 episodes of (aim)", lambda row: f"{row['goal']:,} on {row['env']} ({row['aim']:g} s)"
            ),
            Column("seeds that reach it", lambda row: f"{len(_reached(row))} of {len(row['seeds'])}"),
            Column("median wall time", lambda row: _median_seconds(row, "wall_s")),
            Column("of it training", lambda row: _median_seconds(row, "train_s")),
            Column("fastest", lambda row: min((seed["wall_s"] for seed in _reached(row)), default=float("inf")), seconds),
            Column("slowest that reaches it", lambda row: max((seed["wall_s"] for seed in _reached(row)), default=0.0), seconds),
            Column("median env steps", _median_steps),
        )
    ),
)

PAGES: dict[str, Page] = {
    "physics": SPEED,
    "drop-in-lanes": DROP_IN_LANES,
    "time-to-goal": TIME_TO_GOAL,
}
