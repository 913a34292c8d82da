"""A training run between two iterations, as one value. A checkpoint is this value; an iteration is a function of it.

No array in it is ever written to. An iteration makes new arrays, so an error or a signal in the middle of it loses nothing.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from fastars._compiled.structs import Filter, FloatArray, IntArray, identity_filter
from fastars._runtime.floats import IeeeFloats
from fastars._runtime.signals import HeldSignals
from fastars._validate import MOST_INT64
from fastars.training.backends import backend_module
from fastars.training.config import Config
from fastars.training.objectives import Objectives


class ObsMoments(NamedTuple):
    """Moments of all observations seen in training."""

    count: int  # type: ignore[assignment]  # tuples have a method of this name, which nobody calls
    mean: FloatArray  # (n_obs,)
    m2: FloatArray  # (n_obs,), sums of squared deviations from the mean


class RecentEpisodes(NamedTuple):
    """The last training episodes, for `rollout/ep_rew_mean`: `stats_window_size`, or an iteration's if they are more."""

    returns: FloatArray  # (n,)
    lengths: IntArray  # (n,), steps


class Counters(NamedTuple):
    """Counts since the beginning of a run."""

    iteration: int = 0
    num_timesteps: int = 0  # steps of training episodes; a new call of `learn` may set it back
    num_episodes: int = 0
    num_updates: int = 0  # iterations with a step, which Adam counts
    dropped_pairs: int = 0  # left out, as a return was not finite
    penalized_pairs: int = 0  # used all the same (`on_nonfinite="penalize"`)
    unstable_episodes: int = 0  # ended by a simulator that found bad numbers
    env_failures: int = 0  # attempts at an episode in which an environment in Python failed
    worker_restarts: int = 0  # worker processes that were replaced
    empty_iterations: int = 0  # in a row, without a pair of finite returns


class State(NamedTuple):
    """A run between two iterations: all that a checkpoint holds, besides the settings."""

    theta: FloatArray  # (n_weights,), flat weights of the policy
    moments: ObsMoments  # the filter is derived from these (`obs_filter`)
    slots: tuple[FloatArray, ...]  # of the optimizer: velocity, or the two moments of Adam, each (n_weights,)
    gradient: FloatArray | None  # (n_weights,), from all directions of the last iteration that had a finite pair
    tasks: Objectives | None  # None for a scalar reward
    recent: RecentEpisodes
    counters: Counters

    def counting(self, **counters: int) -> State:
        """Return the state with other values of these counters."""
        return self._replace(counters=self.counters._replace(**counters))

    def with_failures(self, n_failures: int, n_restarts: int) -> State:
        """Return the state with more failures of environments and restarts of workers counted."""
        if not (n_failures or n_restarts):
            return self
        before = self.counters
        failures, restarts = before.env_failures + n_failures, before.worker_restarts + n_restarts
        return self.counting(env_failures=min(failures, MOST_INT64), worker_restarts=min(restarts, MOST_INT64))


def first_state(config: Config, theta: FloatArray, n_obs: int, tasks: Objectives | None) -> State:
    """Return the state before the first iteration."""
    n_slots = 2 if config.optimizer == "adam" else 1
    return State(
        theta=theta,
        moments=ObsMoments(0, np.zeros(n_obs), np.zeros(n_obs)),
        slots=tuple(np.zeros(theta.size) for _ in range(n_slots)),
        gradient=None,
        tasks=tasks,
        recent=RecentEpisodes(np.zeros(0), np.zeros(0, np.int64)),
        counters=Counters(),
    )


def refuse_other_state(state: Any, present: State) -> None:
    """Raise if a value is no state of the run that is in the `present` one."""
    if not isinstance(state, State):
        raise TypeError(f"state must be a State, got {state!r}")
    for name, of_this, of_run in (
        ("theta", [state.theta], [present.theta]),
        ("moments", state.moments[1:], present.moments[1:]),
        ("slots", state.slots, present.slots),
    ):
        shapes, wanted = [array.shape for array in of_this], [array.shape for array in of_run]
        if shapes != wanted:
            raise ValueError(f"state must be of this run, whose {name} have shapes {wanted}, got {shapes}")
    names, expected = (None if each.tasks is None else each.tasks.names for each in (state, present))
    if names != expected:
        raise ValueError(f"state must be of this run, which has the tasks {expected}, got {names}")
    if not np.isfinite(state.theta).all():
        raise ValueError("state must have finite weights, theta has not")


def obs_filter(backend: ModuleType, config: Config, moments: ObsMoments) -> Filter:
    """Return the filter of observations: the only place where it is derived from their moments."""
    if not config.normalize_observations:
        return identity_filter(len(moments.mean))
    settings = config.filter_ddof, config.filter_epsilon, config.filter_var_epsilon, config.filter_min_std
    with HeldSignals(), IeeeFloats():
        mean, scale = backend.filter_from_moments(*moments, *settings)
    return Filter(mean, scale, config.clip_observations)


class CurrentState:
    """The state that a model and its policy share. Assigning `state` commits an iteration for both at once."""

    def __init__(self, backend: str, config: Config, state: State) -> None:
        self.state = state
        self._backend, self._config = backend, config
        self._filter: tuple[ObsMoments | None, Filter] = None, identity_filter(0)

    @property
    def theta(self) -> FloatArray:
        """Flat weights of the policy, (n_weights,)."""
        return self.state.theta

    @theta.setter
    def theta(self, theta: FloatArray) -> None:
        self.state = self.state._replace(theta=theta)

    @property
    def filter(self) -> Filter:
        """The filter of observations, derived once for each state."""
        moments = self.state.moments
        if self._filter[0] is not moments:
            self._filter = moments, obs_filter(backend_module(self._backend), self._config, moments)
        return self._filter[1]
