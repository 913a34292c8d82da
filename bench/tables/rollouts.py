"""Tables of environment steps per second: compiled environments, MuJoCo, a user's own, Python, vector environments."""

from bench.formatting import aimed, rate, ratio, seconds, whole
from bench.tables.engine import Column, Page, Row, Rows, Table

_LENGTH = Column("mean length", "mean_length", whole)


def _rate(row: Row, k: int) -> float:
    """Return the k-th rate of a row."""
    return list(row["steps_per_s"].values())[k]


def _first_name(rows: Rows) -> str:
    return next(iter(rows[0]["steps_per_s"]))


def _in_turn(rows: Rows) -> str:
    return f"env steps/s ({_first_name(rows)}: times as fast, in turn)"


def _competitors(row: Row) -> dict[str, str]:
    """Return the rates of a row by name; all but the first with the ratio of the first one to it, and the aim if there is one."""
    (ours, value), *others = row["steps_per_s"].items()
    aims = row.get("targets", {})
    words = {name: f"; aim {aim:g}" for name, aim in aims.items()}
    return {ours: rate(value)} | {name: f"{rate(other)} ({ratio(value / other)}{words.get(name, '')})" for name, other in others}


def _cell(name: str) -> Column:
    """Return the column of a competitor or an environment; a dash stands where there is no cell."""
    return Column(name, lambda line: line.get(name, "-"))


def _threads(row: Row, what: str) -> dict[int, float]:
    """Return the rates of "<what>, <n> thread(s)", by n."""
    named = {name.removeprefix(f"{what}, "): value for name, value in row["steps_per_s"].items() if name.startswith(f"{what}, ")}
    return {int(name.split()[0]): value for name, value in named.items()}


def _two_to_one(row: Row, what: str) -> float:
    rates = _threads(row, what)
    return rates[2] / rates[1]


def _transposed(rows: Rows) -> list[dict[str, str]]:
    """Return a line for each competitor, with a cell for each environment."""
    lines: dict[str, dict[str, str]] = {}
    for row in rows:
        if row["kind"] in ("rates", "peer"):
            for k, (name, cell) in enumerate(_competitors(row).items()):
                is_ours_again = row["kind"] == "peer" and k == 0
                if not is_ours_again and not name.startswith("bare"):  # the bare loop has a table of its own
                    lines.setdefault(name, {"name": name})[row["env"]] = cell
    return list(lines.values())


def _env_columns(rows: Rows) -> list[Column]:
    envs = [row["env"] for row in rows if row["kind"] == "rates"]
    return [Column(_in_turn, "name"), *map(_cell, envs)]


def _by_hand(rows: Rows) -> list[Row]:
    """Return a line for each number of threads: the kernel, and the loop written by hand."""
    rates = rows[0]["steps_per_s"]
    threads = [name.removeprefix("fastars, ") for name in rates if name.startswith("fastars")]
    aim = rows[0]["target"]
    return [
        {"threads": key, "kernel": rates[f"fastars, {key}"], "loop": rates[f"by hand, {key}"], "target": aim} for key in threads
    ]


def _once_each(rows: Rows) -> Rows:
    """Return a line for each peer that was not there."""
    return list({row["peer"]: row for row in rows}.values())


MISSING = Table((Column("not measured here", "peer"), Column("because", "reason")), kind="missing", lines=_once_each)


def _beside_bare(row: Row, n: int) -> str:
    """Return the rate with n threads as a part of the bare loop's."""
    return aimed(_threads(row, "fastars")[n] / _threads(row, "bare loop")[n], row["aims"]["of bare"])


def _one_to_two(row: Row) -> str:
    return aimed(_two_to_one(row, "fastars"), row["aims"]["two to one"])


def _call_seconds(row: Row) -> float:
    """Return the time of a call on one thread."""
    return row["mean_length"] * row["episodes"] / _threads(row, "fastars")[1]


ROLLOUTS: Page = (
    Table(_env_columns, lines=_transposed),
    Table(
        (
            Column("fastars and the bare loop (aim)", "env"),
            Column("1 thread", lambda row: _beside_bare(row, 1)),
            Column("2 threads", lambda row: _beside_bare(row, 2)),
            Column("fastars, 1 to 2 threads", _one_to_two),
            Column("bare loop, 1 to 2 threads", lambda row: _two_to_one(row, "bare loop"), ratio),
            Column("work of a call: on 1 thread", _call_seconds, seconds),
        ),
        kind="rates",
    ),
    Table(
        (
            Column(lambda rows: f"CartPole-v1, mean return {rows[0]['mean_return']:.0f}, steps/s", "threads"),
            Column("`evaluate_candidates`", "kernel", rate),
            Column("hand-written lane loop", "loop", rate),
            Column("ratio (aim)", lambda line: aimed(line["kernel"] / line["loop"], line["target"])),
        ),
        kind="by hand",
        each=True,
        lines=_by_hand,
    ),
    MISSING,
)

OWN_ENV: Page = (
    Table(
        (
            Column("env steps/s, 2 threads (aim)", "env"),
            Column("by `register_env`", lambda row: row["steps_per_s"]["own"], rate),
            Column("built in", lambda row: row["steps_per_s"]["built in"], rate),
            Column("ratio", lambda row: aimed(row["steps_per_s"]["own"] / row["steps_per_s"]["built in"], row["target"])),
        )
    ),
)


def _vector_columns(rows: Rows) -> list[Column]:
    names = list(dict.fromkeys(name for row in rows for name in row["steps_per_s"]))
    return [Column(_in_turn, "env"), Column("environments", "environments", whole), *map(_cell, names)]


def _vector_table(kind: str) -> Table:
    return Table(_vector_columns, kind=kind, lines=lambda rows: [row | _competitors(row) for row in rows])


VECTOR: Page = (_vector_table("classic"), _vector_table("simulated"), MISSING)


def _training_lines(rows: Rows) -> list[Row]:
    """Return a line for each trainer of a row, with the speed of fastars, the first one, beside it."""
    ours = _rate(rows[0], 0)
    others = list(rows[0]["steps_per_s"].items())
    return [
        {"name": name, "rate": value, "times": aimed(ours / value, rows[0]["target"]) if k else ""}
        for k, (name, value) in enumerate(others)
    ]


def _bare_loop_aim(row: Row) -> float | None:
    return row["target"] and round(1 / row["target"], 2)


GYM: Page = (
    Table(
        (
            Column("env steps/s, what `gymnasium.make` makes (aim)", "env"),
            _LENGTH,
            Column("bare loop, NumPy policy", lambda row: _rate(row, 2), rate),
            Column("this process", lambda row: _rate(row, 0), rate),
            Column("of the loop", lambda row: aimed(_rate(row, 0) / _rate(row, 2), _bare_loop_aim(row))),
            Column("2 workers", lambda row: _rate(row, 1), rate),
        ),
        kind="bare",
    ),
    Table(
        (
            Column("env steps/s, a step of CartPole-v1 (aim)", lambda row: f"and {row['extra_us']:,} us"),
            Column("this process", lambda row: _rate(row, 0), rate),
            Column("2 workers", lambda row: _rate(row, 1), rate),
            Column("ratio", lambda row: aimed(_rate(row, 1) / _rate(row, 0), row["target"])),
        ),
        kind="workers",
    ),
    Table(
        (
            Column("env steps/s, a step of 20 us (aim)", lambda row: f"{row['episodes']} episodes of 200 steps"),
            Column("2 workers", lambda row: _rate(row, 0), rate),
            Column("2 processes that only step", lambda row: _rate(row, 1), rate),
            Column("ratio", lambda row: aimed(_rate(row, 0) / _rate(row, 1), row["target"])),
        ),
        kind="processes",
    ),
    Table(
        (
            Column("training on CartPole-v1 in Python, one process (aim)", "name"),
            Column("env steps/s", "rate", rate),
            Column("fastars: times as fast", "times"),
        ),
        kind="training",
        lines=_training_lines,
    ),
)


def _of_bare(row: Row, n: int) -> str:
    return aimed(_threads(row, "fastars")[n] / _threads(row, "bare")[n], row["target"])


def _of_no_clock(row: Row) -> str:
    no_clock = row["steps_per_s"].get("without clock, 1 thread")
    return ratio(_threads(row, "fastars")[1] / no_clock) if no_clock else "-"


def _with_forces(rows: Rows) -> Rows:
    return [row for row in rows if _threads(row, "with contact forces")]


def _of_forces(row: Row, n: int) -> float:
    return _threads(row, "fastars")[n] / _threads(row, "with contact forces")[n]


def _simulators(rows: Rows) -> list[dict[str, str]]:
    """Return a line for each environment. fastars has its rate in the first race there."""
    lines: dict[str, dict[str, str]] = {}
    for row in rows:
        (ours, rate_of_ours), *others = _competitors(row).items()
        lines.setdefault(row["env"], {"env": row["env"], ours: rate_of_ours}).update(others)
    return list(lines.values())


def _simulator_columns(rows: Rows) -> list[Column]:
    names = dict.fromkeys(name for line in _simulators(rows) for name in line if name != "env")
    return [Column(_in_turn, "env"), *map(_cell, names)]


MUJOCO: Page = (
    Table(
        (
            Column("env steps/s (aim)", "env"),
            _LENGTH,
            Column("1 thread", lambda row: _threads(row, "fastars")[1], rate),
            Column("of bare `mj_step`", lambda row: _of_bare(row, 1)),
            Column("of it, no clock", _of_no_clock),
            Column("2 threads", lambda row: _threads(row, "fastars")[2], rate),
            Column("of bare `mj_step`", lambda row: _of_bare(row, 2)),
            Column("2 to 1", lambda row: aimed(_two_to_one(row, "fastars"), row["target_threads"])),
            Column("bare, 2 to 1", lambda row: _two_to_one(row, "bare"), ratio),
        ),
        kind="bare",
    ),
    Table(
        (
            Column("`mj_step`, and `mj_rnePostConstraint` once an env step", "env"),
            Column("bare, 1 thread", lambda row: _threads(row, "with contact forces")[1], rate),
            Column("fastars of it", lambda row: _of_forces(row, 1), ratio),
            Column("bare, 2 threads", lambda row: _threads(row, "with contact forces")[2], rate),
            Column("fastars of it", lambda row: _of_forces(row, 2), ratio),
        ),
        kind="bare",
        lines=_with_forces,
    ),
    Table(_simulator_columns, kind="peer", lines=_simulators),
    Table(
        (
            Column("env steps/s, 2 threads (aim)", "env"),
            _LENGTH,
            Column("fastars", lambda row: _rate(row, 0), rate),
            Column("beside it", "peer"),
            Column("its rate", lambda row: _rate(row, 1), rate),
            Column("its best batch", lambda row: f"{row['batch']:,} of {row['environments']:,}"),
            Column("ratio", lambda row: aimed(_rate(row, 0) / _rate(row, 1), row["target"])),
        ),
        kind="envpool",
    ),
    Table(
        (
            Column(lambda rows: f"training on {rows[0]['env']}, n_delta={rows[0]['n_delta']}, 2 threads or workers (aim)", "name"),
            Column("env steps/s", "rate", rate),
            Column("fastars: times as fast", "times"),
        ),
        kind="training",
        lines=_training_lines,
    ),
    MISSING,
)


PAGES: dict[str, Page] = {"rollouts": ROLLOUTS, "vector": VECTOR, "own-env": OWN_ENV, "gym": GYM, "mujoco": MUJOCO}
