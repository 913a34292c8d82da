"""Adam (Kingma & Ba 2015), for the methods that learn something of each task."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastars import kernels
from fastars._structs import FloatArray

_BETA1, _BETA2, _EPSILON = 0.9, 0.999, 1e-8


def first_moments(n_tasks: int) -> dict[str, Any]:
    """The part of a method's state that is Adam's: steps taken, and means of the gradient and of its square."""
    return {"n_updates": 0, "m": np.zeros(n_tasks), "v": np.zeros(n_tasks)}


def adam(state: dict[str, Any], tasks: Any, gradient: FloatArray, rate: float) -> tuple[FloatArray, dict[str, Any]]:
    """(what is to be subtracted for these tasks, Adam's part of the next state)."""
    t = state["n_updates"] + 1
    epsilon = _EPSILON * math.sqrt(1.0 - _BETA2**t)  # as the paper's Algorithm 1 and PyTorch have it: beside the corrected root
    m, v, step = kernels.adam_step(
        state["m"][tasks], state["v"][tasks], t, gradient, rate, _BETA1, _BETA2, epsilon, 0.0, np.zeros(len(gradient))
    )
    new_m, new_v = state["m"].copy(), state["v"].copy()
    new_m[tasks], new_v[tasks] = m, v
    return step, {"n_updates": t, "m": new_m, "v": new_v}
