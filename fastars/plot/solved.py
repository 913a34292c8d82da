"""The return from which an environment counts as solved, and the place of a line there."""

from __future__ import annotations

import math
from typing import Any

from fastars.plot.runs import RETURNS, Run

_FAR = 2.0  # times the height of the curves: a line further away than that would press them flat


def solved_at(run: Run) -> float | None:
    """Return `spec.reward_threshold` of Gymnasium for the environment of a run.

    Returns
    -------
    float or None
        None if there is none, or if the values of the run can't be compared with it: they are no returns, an argument of the
        environment is another than the registered one, or `preference` weights several rewards.
    """
    import gymnasium  # half a second, which reading a run does without

    spec = gymnasium.registry.get(run.env_id)  # it imports nothing, whatever id a file has
    if run.metric not in RETURNS or spec is None or spec.reward_threshold is None:
        return None
    registered = {**spec.kwargs, "max_episode_steps": spec.max_episode_steps}
    is_changed = any(name not in registered or _plain(registered[name]) != run.settings.get(name) for name in run.of_env)
    preference = run.settings.get("preference") or []
    is_weighted = not isinstance(preference, list) or any(value != 1 for value in preference)
    threshold = float(spec.reward_threshold)
    return None if is_changed or is_weighted or not math.isfinite(threshold) else threshold


def is_near(at: float, low: float, high: float) -> bool:
    """Return True if a line at the return `at` has a place beside curves between `low` and `high`."""
    reach = _FAR * max(high - low, max(abs(low), abs(high), abs(at)) / 4)
    return low - reach <= at <= high + reach


def _plain(value: Any) -> Any:
    """Return a value as a TOML file would have it."""
    return list(value) if isinstance(value, tuple) else value
