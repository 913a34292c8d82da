"""Tables of learning beside stable-baselines3, made from the files of its rows. A row that was not run is there, and says so."""

import math
from statistics import mean, median
from typing import Any

from bench.beside.__main__ import FOLDER
from bench.beside.over_steps import NAMES
from bench.beside.rows import ALONE, CURVE, LANES, MUJOCO, OURS, TASKS, THEIRS, Row
from bench.formatting import rate, ratio, seconds, whole
from bench.paper.store import Store
from bench.tables.engine import Column, Page, Table, render
from bench.tables.paper import NOT_RUN, machines

Line = dict[str, Any]
LATER = 1.1  # an evaluation up to so much later than a time counts as one at the time
PACKAGES = ("numba", "mujoco", "sb3-contrib", "stable-baselines3", "torch")


def lines(store: Store) -> list[Line]:
    """Return what there is of each task: by package, the results of its seeds."""
    found = []
    for env_id, task in TASKS.items():
        of = (THEIRS, OURS, LANES) if env_id in MUJOCO else (THEIRS, OURS)
        kept = {side: store.read(Row(env_id, side)) for side in of}
        found.append({"env": env_id, "task": task, "kept": kept, "seeds": {side: each["seeds"] for side, each in kept.items()}})
    return found


def _return(value: float) -> str:
    return f"{value:,.1f}" if abs(value) < 1_000 else f"{value:,.0f}"


def _zoo(line: Line) -> str:
    zoo = line["task"].zoo
    return f"{_return(zoo.mean)} ({zoo.env_id}, {zoo.steps})"


def _last(side: str) -> Any:
    def cell(line: Line) -> str:
        if side not in line["seeds"]:
            return "-"
        results = line["seeds"][side]
        if not results:
            return NOT_RUN
        last = [math.nan if each["means"][-1] is None else each["means"][-1] for each in results]
        n_seeds = f"{len(last)} {'seed' if len(last) == 1 else 'seeds'}"
        return f"{_return(mean(last))} ({_return(min(last))} to {_return(max(last))}; {n_seeds})"

    return cell


STEPS: Page = (
    Table(
        (
            Column("mean return of the last policy (of seeds)", "env"),
            Column("env steps", lambda line: whole(line["task"].steps)),
            Column("rl-zoo's table: one run", _zoo),
            Column("sb3-contrib", _last(THEIRS)),
            Column("fastars", _last(OURS)),
            Column("fastars, lanes", _last(LANES)),
        )
    ),
)


def _time(line: Line, side: str) -> float | None:
    """Return the median CPU time of training of a run, None without one."""
    results = line["seeds"].get(side)
    return median(each["train_s"][-1] for each in results) if results else None


def _time_cell(side: str) -> Any:
    def cell(line: Line) -> str:
        if side not in line["seeds"]:
            return "-"
        time, theirs = _time(line, side), _time(line, THEIRS)
        if time is None:
            return NOT_RUN
        return seconds(time) + (f" ({ratio(theirs / time)})" if theirs is not None and side != THEIRS else "")

    return cell


def _equal_time(line: Line) -> str:
    """Return what sb3-contrib had reached in the CPU time of a run of fastars."""
    time, theirs = _time(line, LANES if LANES in line["seeds"] else OURS), line["seeds"][THEIRS]
    if time is None or not theirs:
        return NOT_RUN
    values = [value for each in theirs if (value := value_at(each, time)) is not None]
    if len(values) < len(theirs):
        return f"less than 1/{round(1 / CURVE[0])} of its steps"
    return _return(mean(values))


def value_at(result: Line, time: float) -> float | None:
    """Return the mean return of the last evaluation of a run in so many seconds of training, None if there was none."""
    means = [value for value, at in zip(result["means"], result["train_s"], strict=True) if at <= LATER * time]
    return means[-1] if means else None


TIME: Page = (
    Table(
        (
            Column("a run on one thread, CPU time of training", "env"),
            Column("sb3-contrib", _time_cell(THEIRS)),
            Column("fastars (times as fast)", _time_cell(OURS)),
            Column("fastars, lanes", _time_cell(LANES)),
            Column("return of sb3-contrib in the shortest of these times", _equal_time),
        ),
    ),
)


def _mean_at(time: float) -> Any:
    def cell(line: Line) -> str:
        values = [value_at(each, time) for each in line["seeds"]]
        if not values:
            return NOT_RUN
        if any(each["seconds"] < time for each in line["seeds"]):
            return "-"
        return "no iteration done" if None in values else _return(mean(values))

    return cell


def _rate(line: Line) -> str:
    rates = [each["steps"][-1] / each["train_s"][-1] for each in line["seeds"]]
    return rate(median(rates)) if rates else NOT_RUN


AT = (1.0, 10.0, 40.0)
ALONE_PAGE: Page = (
    Table(
        (
            Column("HalfCheetah-v4, two CPUs", lambda line: NAMES[line["row"].side]),
            Column("env steps/s of training", _rate),
            *(Column(f"mean return after {time:g} s", _mean_at(time)) for time in AT),
            Column("seeds", lambda line: str(len(line["seeds"]))),
        )
    ),
)


def tables(store: Store | None = None, alone: Store | None = None) -> dict[str, str]:
    """Return the tables by the names of their marks."""
    found, alone = lines(store or Store(FOLDER / "beside")), alone or Store(FOLDER / "beside_alone")
    of_alone = [{"row": row, "kept": alone.read(row)} for row in ALONE]
    of_alone = [line | {"seeds": line["kept"]["seeds"]} for line in of_alone]
    steps = [kept for line in found for kept in line["kept"].values()]
    return {
        "beside-steps": render(STEPS, found),
        "beside-time": render(TIME, found),
        "beside-alone": render(ALONE_PAGE, of_alone),
        "beside-machines": machines(steps, PACKAGES) + _load(steps),
        "beside-alone-machines": machines([line["kept"] for line in of_alone], PACKAGES)
        + _load([line["kept"] for line in of_alone]),
    }


def _load(kept: list[Line]) -> str:
    """Return a sentence on what other processes did meanwhile."""
    others = [result["others"] for each in kept for result in each["seeds"]]
    if not others:
        return ""
    return (
        f" Other processes kept {min(others):.2f} to {max(others):.2f} CPUs busy during a run, {median(others):.2f} in the median."
    )
