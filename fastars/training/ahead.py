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
    """Let another process compile kernels of the first iteration, while this one compiles the largest.

    That is the one of the rollouts; over lanes, the one of their steps, and the rollouts are the first that the other process
    compiles. Once this process has been through an iteration, most kernels are there, and nothing is looked for: that takes 2 to
    11 ms.
    """
    if execution.backend == "numba" and isinstance(env, CompiledEnv) and compiles() and not _has_iterated():
        there, here = _of_rollouts(env, config, physics, execution)
        compile_elsewhere([*there, *_directions(config), *_update(config)], here)


def _has_iterated() -> bool:
    """Return True if this process has been through an iteration, whose last kernel is `info`."""
    return bool(kernels.info.overloads)


def _of_rollouts(env: CompiledEnv, config: Config, physics: str, execution: Execution) -> tuple[list[tuple[Any, ...]], ...]:
    """Return calls of the kernels of rollouts: those for the other process, and those for this one."""
    if execution.on_ray:
        return [], []
    spec = env.rollout_spec(policy_structure(config), config.clip_actions, config.squash_output)
    track = config.normalize_observations
    if env.model is None:
        from fastars.samplers import compiled  # here, as each of these is for some environments alone

        return [], [compiled.call_of_kernel(env, spec, track)]
    if physics == "lanes":
        from fastars.envs.mujoco.lanes import lane_model_of
        from fastars.samplers.physics import calls_of_kernels

        try:
            of_rollouts, of_steps = calls_of_kernels(env, spec, lane_model_of(env))
            return [of_rollouts], [of_steps]
        except UnsupportedEnvError:
            pass
    from fastars.samplers import simulated

    return [], [simulated.call_of_kernel(env, spec, track)]


def _directions(config: Config) -> Iterator[tuple[Any, ...]]:
    """Yield calls of the kernels before the rollouts."""
    seed, indices, values, noise = np.uint64(0), np.zeros(1, np.int64), np.zeros(1), np.zeros(1, np.float32)
    yield kernels.sample_indices, seed, 1, 1, 1, 1
    yield kernels.episode_seeds, seed, 1, 1, 1, config.common_random_numbers
    yield kernels.missing_blocks, indices, 1, np.zeros(1, np.bool_)
    yield kernels.fill_blocks, seed, indices, noise
    yield kernels.perturb, values, 1.0, noise, indices


def _update(config: Config) -> Iterator[tuple[Any, ...]]:
    """Yield calls of the kernels after the rollouts, last first: the two processes meet in the middle."""
    indices, values, noise = np.zeros(1, np.int64), np.zeros(1), np.zeros(1, np.float32)
    pairs, returns, lengths = np.zeros((1, 2)), np.zeros((1, 2, 1)), np.zeros((1, 2, 1), np.int64)
    yield kernels.info, values, values, values
    if config.diagnostics:
        yield kernels.sum_weights, indices, values, indices, pairs, 1
        yield kernels.direction_squares, noise, values, indices, 1
        yield kernels.task_differences, returns, 1.0
    yield kernels.direction_sums, pairs, noise, indices, 0, 1, pairs
    yield kernels.step_weights, pairs, pairs, 1, True, 0, 1, 1.0
    yield kernels.count_outcomes, pairs, lengths, lengths
    yield kernels.candidate_returns, returns, lengths, lengths, 1.0
    if config.diagnostics:  # of the row, which is computed when somebody looks at it
        yield kernels.slope_test, returns
        yield kernels.diagnostics, pairs, indices, values, values, values, 1.0, indices
