"""Bring weights of candidates and of rewards into the form that the rollout kernels take."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastars._compiled.structs import FloatArray, RolloutSpec
from fastars._validate import task_weights
from fastars.kernels.policy_layout import n_padding


def padded_weights(weights: FloatArray, spec: RolloutSpec) -> FloatArray:
    """Return weights (n, n_weights) with zeros for the bias of a linear policy that has none, contiguous."""
    n_zeros = n_padding(spec.policy, len(spec.low))
    if n_zeros == 0:
        return np.ascontiguousarray(weights)
    rows = np.zeros((len(weights), weights.shape[1] + n_zeros))
    rows[:, :-n_zeros] = weights  # 2 us; np.pad takes 20
    return rows


def with_reward_weights(spec: RolloutSpec, reward_weights: Any) -> RolloutSpec:
    """Return the spec with these weights of its rewards; None changes nothing.

    Raises
    ------
    ValueError
        If they are not n_tasks finite numbers, or the reward is a number.
    """
    if reward_weights is None:
        return spec
    return spec._replace(reward_weights=tuple(task_weights(reward_weights, len(spec.reward_weights)).tolist()))
