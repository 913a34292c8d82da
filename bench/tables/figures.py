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
    return _range([row["seconds"] for row in results("startup") if row["what"].startswith("first run ever")], " seconds")


def _size(place: int) -> Callable[[Results], str]:
    return lambda results: rate(results("sizes")[place]["steps_per_s"])


FIGURES: dict[str, Callable[[Results], str]] = {
    "lanes-speed": _lanes_speed,
    "goal-seconds": _goal_seconds,
    "first-run": _first_run,
    "speed-first": _size(0),
    "speed-most": _size(-1),
}
