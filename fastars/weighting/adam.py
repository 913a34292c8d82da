"""Adam (Kingma & Ba 2015, arXiv 1412.6980), for methods that learn a number for each task."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastars._compiled.structs import FloatArray
from fastars.weighting.step import placed

_BETA1, _BETA2, _EPSILON = 0.9, 0.999, 1e-8


def first_moments(n_tasks: int) -> dict[str, Any]:
    """Return Adam's part of a method's first state: for each task the steps taken, and means of the gradient and of its square."""
    return {"n_updates": np.zeros(n_tasks, np.int64), "m": np.zeros(n_tasks), "v": np.zeros(n_tasks)}


def adam(state: dict[str, Any], tasks: Any, gradient: FloatArray, rate: float) -> tuple[FloatArray, dict[str, Any]]:
    """Return (step to subtract for these tasks, Adam's part of the next state), by Algorithm 1.

    Each task has its own number of steps: a task that was masked has taken fewer, and its means need a larger correction.
    """
    t = state["n_updates"][tasks] + 1
    m = _BETA1 * state["m"][tasks] + (1.0 - _BETA1) * gradient
    v = _BETA2 * state["v"][tasks] + (1.0 - _BETA2) * gradient * gradient
    step = rate * (m / (1.0 - _BETA1**t)) / (np.sqrt(v / (1.0 - _BETA2**t)) + _EPSILON)
    following = {"n_updates": t, "m": m, "v": v}
    return step, {name: placed(state[name], tasks, value) for name, value in following.items()}
