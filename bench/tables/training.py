"""Tables of whole training runs: time to a goal, an iteration, start-up, logs, presets."""

from collections.abc import Callable
from statistics import mean, median, pstdev

from bench.formatting import rate, ratio, seconds, whole
from bench.tables.engine import Column, Page, Row, Rows, Table


def _trainers(rows: Rows) -> list[Row]:
    """Return a line for each trainer. A competitor also has its time as a multiple of the time of fastars in the same race."""
    solved = {row["trainer"]: row for row in rows if row["kind"] == "time to 475"}
    against: dict[str, Row] = next((row["rows"] for row in rows if row["kind"] == "time to 475 against"), {})
    lines = [{**row, "name": name, "in_turn": ""} for name, row in solved.items()]
    for name, row in against.items():
        if name not in solved:
            lines.append({**row, "name": name, "in_turn": ratio(row["seconds"] / against["fastars"]["seconds"])})
    return lines


def _throughput(rows: Rows) -> list[Row]:
    rates = rows[0]["steps_per_s"]
    learn = next(iter(rates.values()))
    return [{"name": name, "rate": value, "part": learn / value} for name, value in rates.items()]


def _settings_of_iteration(row):
    """Return the settings of a measured iteration."""
    return f"{row['variant']}, n_delta={row['n_delta']}{'' if row.get('diagnostics', True) else ', no diagnostics'}"


def _outside_rollouts(row):
    """Return the time of an iteration outside rollouts, beside its aim."""
    return f"{seconds(row['outside_s'])} ({60 if row.get('diagnostics', True) else 40} us)"


TRAINING: Page = (
    Table(
        (
            Column("CartPole-v1 to a mean of 475 over 100 episodes, default settings", "name"),
            Column("median time", "seconds", seconds),
            Column("of fastars in turn", "in_turn"),
            Column("median env steps", "steps", whole),
            Column("most", "most_steps", whole),
            Column("runs", "runs"),
            Column("not in 200,000 steps", "unfinished"),
        ),
        lines=_trainers,
    ),
    Table(
        (
            Column("CartPole-v1", "name"),
            Column("env steps/s", "rate", rate),
            Column(lambda rows: f"{next(iter(rows[0]['steps_per_s']))}: of this", "part", ratio),
        ),
        kind="throughput",
        each=True,
        lines=_throughput,
    ),
    Table(
        (
            Column("one iteration on CartPole-v1, median (aim)", _settings_of_iteration),
            Column("whole", "whole_s", seconds),
            Column("outside rollouts", _outside_rollouts),
            Column("90 % of them below", "outside_p90_s", seconds),
        ),
        kind="iteration",
    ),
    Table(
        (
            Column("a short run on CartPole-v1, constructor and `learn`", lambda row: f"n_delta={row['n_delta']}"),
            Column("iterations", "iterations", whole),
            Column("env steps", "steps", whole),
            Column("time", "seconds", seconds),
        ),
        kind="short run",
    ),
)

STARTUP: Page = (Table((Column("process, from its start", "what"), Column("time", "seconds", seconds))),)


def _written(row: Row) -> str:
    if row["kind"] == "row":
        return f"a row of {row['n_keys']} values: {', '.join(row['files'])}"
    return "an episode in a monitor file"


LOGGING: Page = (
    Table(
        (
            Column("what is written", _written),
            Column("time", lambda row: row["seconds"] if row["kind"] == "row" else 1.0 / row["rows_per_s"], seconds),
            Column("aim", lambda row: seconds(row["aim"]) if row["kind"] == "row" else ""),
        )
    ),
)


def _over_seeds(row: Row, name: str) -> str:
    values = [run[name] for run in row["runs"]]
    return f"{mean(values):,.1f} +- {pstdev(values):,.1f}"


def _seeds_that_reach(row: Row) -> str:
    if row["threshold"] is None:
        return ""
    return f"{sum(run['best_return'] >= row['threshold'] for run in row['runs'])} of {len(row['runs'])}"


PRESETS: Page = (
    Table(
        (
            Column(lambda rows: f'`preset="tuned"`, {len(rows[0]["runs"])} seeds', "env"),
            Column("steps", "total_timesteps", whole),
            Column("best policy", lambda row: _over_seeds(row, "best_return")),
            Column("last policy", lambda row: _over_seeds(row, "last_return")),
            Column("threshold", "threshold", lambda value: "-" if value is None else f"{value:g}"),
            Column("seeds that reach it", _seeds_that_reach),
            Column("training", lambda row: median(run["seconds"] for run in row["runs"]), seconds),
        )
    ),
)


def _searched(rows: Rows) -> list[Row]:
    """Return a line for each of the two settings of each search."""
    return [{**row, "which": which} for row in rows for which in ("default", "best")]


def _which(line: Row) -> str:
    if line["which"] == "default":
        return "settings of `fastars train`"
    settings = line["best_settings"].items()
    return ", ".join(f"`{name}` {value:.3g}" if isinstance(value, float) else f"`{name}` {value}" for name, value in settings)


def _of_seeds(when: str) -> Callable[[Row], str]:
    return lambda line: "{:,.1f} ({:,.1f})".format(mean(found := line[when][line["which"]]), min(found))


TUNING: Page = (
    Table(
        (
            Column(lambda rows: f"{rows[0]['env']}, {rows[0]['n_trials']} trials", _which),
            Column(lambda rows: f"{len(rows[0]['searched']['best'])} seeds of the search", _of_seeds("searched")),
            Column(lambda rows: f"{len(rows[0]['fresh']['best'])} other seeds", _of_seeds("fresh")),
        ),
        each=True,
        lines=_searched,
    ),
)


PAGES: dict[str, Page] = {
    "training": TRAINING,
    "startup": STARTUP,
    "logging": LOGGING,
    "presets": PRESETS,
    "tuning": TUNING,
}
