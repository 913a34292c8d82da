"""Tables of the same scripts and settings with fastars and with stable-baselines3-contrib."""

from statistics import median

from bench.formatting import aimed, rate, ratio, seconds, whole
from bench.tables.engine import Column, Page, Row, Rows, Table

OURS, THEIRS = "fastars", "stable-baselines3-contrib"


def _sides(rows: Rows) -> list[dict[str, Row]]:
    """Return a line for each run: the rows of fastars and of stable-baselines3-contrib, by side."""
    lines: dict[tuple[str, int], dict[str, Row]] = {}
    for row in rows:
        lines.setdefault((row["env"], row["steps"]), {})[row["side"]] = row
    return list(lines.values())


def _any_side(sides: dict[str, Row]) -> Row:
    return next(iter(sides.values()))


def _interval(side: Row | None) -> str:
    return f"{side['mean']:,.1f} ({side['low']:,.1f} to {side['high']:,.1f})" if side else "-"


def _n_seeds(sides: dict[str, Row]) -> str:
    return " / ".join(str(sides[side]["seeds"]) if side in sides else "0" for side in ("fastars", "sb3-contrib"))


LEARNING_COMPARED: Page = (
    Table(
        (
            Column(
                "mean return of the last policy (95 % interval of the mean over seeds)",
                lambda sides: f"{_any_side(sides)['env']}, {_any_side(sides)['settings']['policy']}",
            ),
            Column("env steps", lambda sides: _any_side(sides)["steps"], whole),
            Column("seeds", _n_seeds),
            Column('fastars, `preset="sb3"`', lambda sides: sides.get("fastars"), _interval),
            Column("stable-baselines3-contrib", lambda sides: sides.get("sb3-contrib"), _interval),
        ),
        lines=_sides,
    ),
)


def _script(row: Row) -> str:
    episodes = f", n_eval_episodes={row['n_eval_episodes']}" if row["n_eval_episodes"] > 1 else ""
    return f"{_bare_id(row['env_id'])}, n_delta={row['n_delta']}{episodes}, {row['steps']:,} steps"


def _bare_id(env_id: str) -> str:
    """Return an id without the module that registers it."""
    return env_id.rpartition(":")[2]


def _rates(row: Row, *parts: str) -> list[float]:
    """Return the median rates of fastars and of the other side over their runs: env steps per second in these parts of a run."""
    parts = parts or ("first", "later")
    return [
        median(sum(run[f"{part}_steps"] for part in parts) / sum(run[f"{part}_s"] for part in parts) for run in runs)
        for runs in row["runs"].values()
    ]


def _times_as_fast(row: Row, *parts: str) -> float:
    ours, theirs = _rates(row, *parts)
    return ours / theirs


def _ready(row: Row) -> str:
    """Return the times until model and workers are ready, of the other side and of fastars; nothing if there are no workers."""
    return " / ".join(seconds(median(values)) for values in reversed(row.get("starts", {}).values()) if values)


def _ways(rows: Rows) -> list[Row]:
    """Return the lines of the table of an environment: for each script the ways that it has, then the fastest of each side."""
    lines: list[Row] = []
    for row in sorted(rows, key=_script):
        script, (ours, theirs) = _script(row).partition(", ")[2], _rates(row)
        tried = row["trials"]
        for mode in tried[THEIRS]:
            rates = {side: tried.get(side, {}).get(mode) for side in (THEIRS, OURS)}
            lines.append({"what": f"{script}: {mode}, first iteration", **rates, "times": "", "starts": ""})
        lines.append(
            {"what": _fastest(script, row["modes"]), THEIRS: theirs, OURS: ours, "starts": _ready(row)}
            | {"times": aimed(ours / theirs, row["aim"])}
        )
        later, of_theirs = _rates(row, "later")
        lines.append(
            {"what": "after its first iteration", THEIRS: of_theirs, OURS: later, "times": ratio(later / of_theirs), "starts": ""}
        )
    return lines


def _fastest(script: str, modes: dict[str, str]) -> str:
    """Return words for the line with the fastest way of each side."""
    ways = modes[THEIRS] if modes[THEIRS] == modes[OURS] else f"{modes[THEIRS]} / {modes[OURS]}"
    return f"**{script}, the fastest of each: {ways}**"


def _rate_or_none(value: float | None) -> str:
    return "-" if value is None else rate(value)


def _steps_alone(rows: Rows) -> list[Row]:
    """Return a line for each environment: its steps alone, and the best rate of fastars relative to them."""
    best: dict[str, float] = {}
    for row in rows:
        if row["kind"] == "learn":
            best[row["env_id"]] = max(_rates(row, "later")[0], best.get(row["env_id"], 0.0))
    alone = {row["env_id"]: row["steps_per_s"] for row in rows if row["kind"] == "bare"}
    return [{"env": _bare_id(env_id), "rate": value, "part": best[env_id] / value} for env_id, value in alone.items()]


def _process(row: Row, k: int) -> float:
    """Return the time of a whole process: 0 for fastars, 1 for the other side."""
    times: list[float] = list(row["seconds"].values())
    return times[k]


DROP_IN: Page = (
    Table(
        (
            Column(lambda rows: f"{_bare_id(rows[0]['env_id'])}, `learn`, env steps/s", "what"),
            Column("theirs", THEIRS, _rate_or_none),
            Column("fastars", OURS, _rate_or_none),
            Column("times as fast (aim)", "times"),
            Column("workers ready, theirs / fastars", "starts"),
        ),
        kind="learn",
        by=lambda row: row["env_id"],
        lines=_ways,
    ),
    Table(
        (
            Column("the environment's steps alone, 2 processes", "env"),
            Column("env steps/s", "rate", rate),
            Column("fastars of it, at its best above", "part", ratio),
        ),
        lines=_steps_alone,
    ),
    Table(
        (
            Column(lambda rows: f"whole process, {rows[0]['env_id']}, {rows[0]['steps']:,} steps", lambda _: "one environment"),
            Column("theirs", lambda row: _process(row, 1), seconds),
            Column("fastars", lambda row: _process(row, 0), seconds),
            Column("times as fast", lambda row: _process(row, 1) / _process(row, 0), ratio),
            Column("fastars' first, which compiles", "first_ever_s", seconds),
        ),
        kind="process",
        each=True,
    ),
)


def _longest(rows: Rows) -> Rows:
    """Return the longest script of each environment of Gymnasium's, with one episode per candidate."""
    longest: dict[str, Row] = {}
    for row in rows:
        if row["n_eval_episodes"] == 1 and ":" not in row["env_id"] and row["steps"] >= longest.get(row["env_id"], row)["steps"]:
            longest[row["env_id"]] = row
    return sorted(longest.values(), key=_script)


DROP_IN_SHORT: Page = (
    Table(
        (
            Column("one script, `learn`, env steps/s, two CPUs", _script),
            Column("stable-baselines3-contrib, its fastest way", lambda row: _rates(row)[1], rate),
            Column("fastars", lambda row: _rates(row)[0], rate),
            Column("times as fast", _times_as_fast, ratio),
        ),
        kind="learn",
        lines=_longest,
    ),
)

THEIR_TESTS: Page = (
    Table(
        (
            Column("test suite", "suite"),
            Column("tests that call an algorithm", "made", whole),
            Column("pass with ARS of stable-baselines3-contrib", "theirs", whole),
            Column("of these, pass with fastars", "ours", whole),
        )
    ),
)

PAGES: dict[str, Page] = {"drop-in": DROP_IN, "learning-compared": LEARNING_COMPARED, "theirs": THEIR_TESTS}
