"""Figures in sentences of the pages, made from the result files like the tables.

are <!-- figure:lanes-speed -->14 to 43<!-- /figure --> times as fast
"""

from collections.abc import Callable
from statistics import median
from typing import Any

from bench.formatting import rate, whole

Results = Callable[[str], list[dict[str, Any]]]  # from the name of a result file to its rows


def _range(values: list[float], unit: str = "") -> str:
    low, high = whole(min(values)), whole(max(values))
    return (low if low == high else f"{low} to {high}") + unit


def _lanes_speed(results: Results) -> str:
    """Return the speed of the lanes against `mj_step`, of the slowest and the fastest environment."""
    rates = [row["steps_per_s"] for row in results("physics") if row["kind"] == "rollouts"]
    return _range([each["lanes"] / each["mj_step"] for each in rates])


def _goal_seconds(results: Results) -> str:
    """Return the median time to the paper's threshold over lanes, of HalfCheetah-v5 and Hopper-v5."""
    runs = [row for row in results("time_to_goal") if row["run"] in ("HalfCheetah, lanes", "Hopper, lanes")]
    return _range([median(seed["wall_s"] for seed in row["seeds"]) for row in runs], " seconds")


def _first_run(results: Results) -> str:
    """Return the time of a first run ever, with an empty cache, to the end of its first iteration."""
    rows = [row for row in results("startup") if row["what"].startswith("first run ever") and "after" not in row["what"]]
    return _range([row["seconds"] for row in rows], " seconds")


def _short_run(results: Results) -> str:
    """Return the rate of a first training on CartPole-v1, with the default of 8 directions."""
    (row,) = [row for row in results("training") if row["kind"] == "short run" and row["n_delta"] == 8]
    return rate(row["steps"] / row["seconds"])


def _many_candidates(results: Results) -> str:
    """Return the rate of 20,480 policies at once on CartPole-v1, in turn with a training."""
    (row,) = [row for row in results("training") if row["kind"] == "throughput"]
    return rate(row["steps_per_s"]["evaluate 20,480 candidates"])


FIGURES: dict[str, Callable[[Results], str]] = {
    "lanes-speed": _lanes_speed,
    "goal-seconds": _goal_seconds,
    "first-run": _first_run,
    "short-run": _short_run,
    "many-candidates": _many_candidates,
}
