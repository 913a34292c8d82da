"""Rows of the log that every iteration has: episodes, sizes of the step, counts of what went wrong."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial

import numpy as np

from fastars._compiled.structs import FloatArray
from fastars._runtime.floats import IeeeFloats
from fastars._runtime.signals import HeldSignals
from fastars.kernels.norms import Info
from fastars.training.config import Config
from fastars.training.state import State
from fastars.training.update import Chosen

Rows = Mapping[str, float | None]


class Row:
    """The row of the log of an iteration, in parts that are computed when somebody looks at the row.

    Most rows of a run without outputs are never looked at. A copy, or a file, has the values.

    Parameters
    ----------
    *parts : callable
        Each returns some entries of the row, from values that do not change any more.
    """

    def __init__(self, *parts: Callable[[], Rows]) -> None:
        self._parts, self._values = list(parts), dict[str, float | None]()

    def add(self, part: Callable[[], Rows]) -> None:
        """Add entries to the row."""
        self._parts.append(part)

    @property
    def values(self) -> dict[str, float | None]:
        """The row, which may be changed."""
        if self._parts:
            with HeldSignals(), IeeeFloats(), np.errstate(over="ignore", invalid="ignore"):  # as in an iteration
                while self._parts:
                    self._values.update(self._parts[0]())
                    del self._parts[0]
        return self._values

    def __reduce__(self) -> tuple[type[Row], tuple[Callable[[], Rows]]]:
        return Row, (partial(dict, self.values),)


def training_rows(config: Config, following: State, sigma: float, learning_rate: float, chosen: Chosen, sizes: Info) -> Rows:
    """Return the rows about episodes, time, and the step from one state to the following."""
    scale = chosen.divisor * chosen.std
    learning_rate = learning_rate if len(chosen.selected) else 0.0
    return {
        "rollout/ep_rew_mean": _finite_mean(following.recent.returns),
        "rollout/ep_len_mean": int(np.add.reduce(following.recent.lengths)) / len(following.recent.lengths),
        "rollout/return_std": chosen.std,
        "time/total_timesteps": following.counters.num_timesteps,
        "train/iterations": following.counters.iteration,
        "train/delta_std": sigma,
        "train/learning_rate": learning_rate,
        "train/step_size": learning_rate / (scale + config.std_epsilon) if scale > 0 else 0.0,
        "train/grad_norm": sizes.grad_norm,
        "train/grad_norm_sq": sizes.grad_norm_sq,
        "train/weights_norm": sizes.weights_norm,
        "train/weights_std": sizes.weights_std,
        "train/step_norm": sizes.step_norm,
        "train/update_ratio": None if math.isnan(sizes.update_ratio) else sizes.update_ratio,
    }


def health_rows(state: State) -> Rows:
    """Return the counts of what went wrong since the beginning of the run."""
    counters = state.counters
    return {
        "health/nonfinite_returns": counters.dropped_pairs + counters.penalized_pairs,
        "health/unstable_episodes": counters.unstable_episodes,
        "health/env_failures": counters.env_failures,
        "health/worker_restarts": counters.worker_restarts,
    }


def _finite_mean(returns: FloatArray) -> float:
    """Return the mean of the finite returns, NaN if there are none."""
    mean = float(np.add.reduce(returns)) / len(returns)  # `mean` takes 2 us more
    if math.isfinite(mean):
        return mean
    finite = returns[np.isfinite(returns)]
    return float(finite.mean()) if len(finite) else math.nan
