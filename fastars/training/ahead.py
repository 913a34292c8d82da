"""The kernels of a first iteration that another process compiles, while this one compiles others."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from fastars import kernels
from fastars._compiled.ahead import compile_elsewhere
from fastars._compiled.jit import compiles
from fastars.envs import CompiledEnv, UnsupportedEnvError
from fastars.training.config import Config
from fastars.training.policy_structure import policy_structure
from fastars.training.run import Execution


def compile_ahead(env: Any, config: Config, physics: str, execution: Execution) -> None:
    """Let another process compile kernels that the first iteration needs last, and rollouts over lanes before those.

    This process meanwhile compiles what it needs first: the steps of the lanes, and rollouts without lanes. Once it has been
    through an iteration, most kernels are there, and nothing is looked for: that takes 2 to 11 ms.
    """
    if execution.backend == "numba" and isinstance(env, CompiledEnv) and compiles() and not _has_iterated():
        rollouts, steps = _over_lanes(env, config, physics, execution)
        compile_elsewhere([*rollouts, *_update(config)], steps)


def _has_iterated() -> bool:
    """Return True if this process has been through an iteration, whose last kernel is `info`."""
    return bool(kernels.info.overloads)


def _over_lanes(env: CompiledEnv, config: Config, physics: str, execution: Execution) -> tuple[list[tuple[Any, ...]], ...]:
    """Return calls of the kernels of rollouts over lanes and of their steps, each in a list; empty lists for another physics."""
    if physics != "lanes" or execution.on_ray or env.model is None:
        return [], []
    from fastars.envs.mujoco.lanes import lane_model_of  # here, as they are for MuJoCo alone
    from fastars.samplers.physics import calls_of_kernels

    try:
        lanes = lane_model_of(env)
    except UnsupportedEnvError:
        return [], []
    spec = env.rollout_spec(policy_structure(config), config.clip_actions, config.squash_output)
    of_rollouts, of_steps = calls_of_kernels(env, spec, lanes)
    return [of_rollouts], [of_steps]


def _update(config: Config) -> Iterator[tuple[Any, ...]]:
    """Yield calls of the kernels after the rollouts, last first: the two processes meet in the middle."""
    indices, values, noise = np.zeros(1, np.int64), np.zeros(1), np.zeros(1, np.float32)
    pairs, returns, lengths = np.zeros((1, 2)), np.zeros((1, 2, 1)), np.zeros((1, 2, 1), np.int64)
    yield kernels.info, values, values, values
    if config.diagnostics:
        yield kernels.slope_test, returns
        yield kernels.diagnostics, pairs, indices, values, values, values, 1.0, indices
        yield kernels.sum_weights, indices, values, indices, pairs, 1
        yield kernels.direction_squares, noise, values, indices, 1
        yield kernels.task_differences, returns, 1.0
    yield kernels.direction_sums, pairs, noise, indices, 0, 1, pairs
    yield kernels.step_weights, pairs, pairs, 1, True, 0, 1, 1.0
    yield kernels.candidate_returns, returns, lengths, lengths, 1.0
