"""Arrays and compiled kernels for environments side by side that are stepped in Python."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from fastars._compiled.jit import entry
from fastars._compiled.structs import Filter, FloatArray, Moments, RolloutSpec, empty_rollouts, identity_filter
from fastars._runtime.signals import HeldSignals
from fastars.envs.spaces import action_rows
from fastars.kernels.batch_actions import IDLE, Lanes, begin_episode, end_episode, tick
from fastars.kernels.policy_layout import arranged_size, n_weights, scratch_size

MAX_LANES = 16
_CALL_SECONDS = 1.8e-6  # of a tick, for any number of environments. They share it until it costs ...
_CALL_SHARE = 0.01  # ... no more than this part of the time that their steps take


def new_lanes(spec: RolloutSpec, n_obs: int, action_space: Any, n: int) -> Lanes:
    """Make the arrays of n environments side by side."""
    n_act = len(spec.low)
    return Lanes(
        mode=np.full(n, IDLE),
        length=np.zeros(n, np.int64),
        weights=np.zeros((n, arranged_size(spec.policy, n_obs, n_act))),
        observation=np.zeros((n, n_obs)),
        action=action_rows(action_space, n),
        first=np.zeros((n, n_obs)),
        sums=np.zeros((n, n_obs)),
        squares=np.zeros((n, n_obs)),
        x=np.zeros(n_obs),
        scratch=np.zeros(scratch_size(spec.policy, n_obs, n_act)),
        scores=np.zeros(n_act),
    )


class Kernels(NamedTuple):
    """`begin_episode`, `tick` and `end_episode`, compiled for the types of some lanes."""

    begin: Callable[[RolloutSpec, Lanes, int, FloatArray, int], int]
    tick: Callable[[RolloutSpec, Filter, Lanes, bool], int]
    end: Callable[[Lanes, int, Moments, int], int]


def compiled_kernels(spec: RolloutSpec, lanes: Lanes) -> Kernels:
    """Compile the kernels for these lanes, and call each once.

    A first call runs Python code in which the exception of a signal could get lost. Later calls run none.
    """
    n_obs = len(lanes.x)
    weights = np.zeros(n_weights(spec.policy, n_obs, len(lanes.scores)))
    moments = empty_rollouts(1, n_obs, True).moments
    with HeldSignals():
        return Kernels(
            begin=entry(begin_episode, spec, lanes, 0, weights, int(lanes.mode[0])),
            tick=entry(tick, spec, identity_filter(n_obs), lanes, True),
            end=entry(end_episode, lanes, 0, moments, 0),
        )


def lanes_worth(tick_seconds: float) -> int:
    """Return the number of environments that should share a kernel call, if a tick of a single one takes `tick_seconds`."""
    return int(min(max(_CALL_SECONDS / _CALL_SHARE / max(tick_seconds - _CALL_SECONDS, 1e-7), 1), MAX_LANES))
