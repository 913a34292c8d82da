"""A few quick checks that kernels give the results of their twins and of Gymnasium. The test suite of the package has more."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from fastars import kernels, reference
from fastars._compiled.structs import Moments
from fastars._imports import version_of
from fastars.ars import ARS
from fastars.envs.errors import OtherSystemError
from fastars.evaluation import evaluate_policy

_SEED = np.uint64(7)
_MUJOCO_ENV = "HalfCheetah-v5"
_OK, _NOT_INSTALLED, _NOT_COMPILED = FINE = "ok", "not installed", "not compiled on this system"  # outcomes of checks


def self_checks() -> dict[str, str]:
    """Run the checks and return for each one of `FINE`, or a description of the fault."""
    return {name: _outcome(check) for name, check in _CHECKS.items()}


def _outcome(check: Callable[[], bool | None]) -> str:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return {True: _OK, False: "the results differ", None: _NOT_INSTALLED}[check()]
    except OtherSystemError:
        return _NOT_COMPILED
    except Exception as error:  # a broken installation can lead to any error
        return f"{type(error).__name__}: {' '.join(str(error).split())}"


def _noise() -> bool:
    return np.array_equal(kernels.noise_table(_SEED, 100_000), reference.noise_table(_SEED, 100_000))


def _directions() -> tuple[np.ndarray, np.ndarray]:
    """Return a noise table, and the indices in it of 16 directions of 1,000 weights."""
    return reference.noise_table(_SEED, 50_000), reference.sample_indices(_SEED, 3, 16, 50_000, 1_000)


def _perturb() -> bool:
    noise, indices = _directions()
    return _equal_bits(lambda backend: backend.perturb(np.linspace(-1.0, 1.0, 1_000), 0.05, noise, indices))


def _weighted_sum() -> bool:
    noise, indices = _directions()
    return _equal_bits(lambda backend: backend.weighted_sums(np.linspace(-1.0, 1.0, 16), noise, indices, 1_000))


def _filter() -> bool:
    values = reference.noise_table(_SEED, 60).astype(np.float64).reshape(2, 3, 10)
    episodes = Moments(np.array([5, 9, 4]), values[0], values[1] ** 2)
    merged = [backend.merge_moments(0, np.zeros(10), np.zeros(10), episodes) for backend in (kernels, reference)]
    scaled = [backend.filter_from_moments(*merged[1], 1, 0.0, 0.0, 1e-7) for backend in (kernels, reference)]
    return all(np.allclose(ours, twin, rtol=1e-14) for pair in (merged, scaled) for ours, twin in zip(*pair, strict=True))


def _cartpole(backend: str) -> ARS:
    model = ARS("LinearPolicy", "CartPole-v1", seed=7, backend=backend, n_threads=1)
    model.policy.load_from_vector(reference.noise_table(_SEED, model.n_weights))
    return model


def _rollouts() -> bool:
    ours, twin = (_cartpole(backend).evaluate(10, seed=0) for backend in ("numba", "numpy"))
    return np.array_equal(ours.returns, twin.returns) and np.array_equal(ours.lengths, twin.lengths)


def _gymnasium() -> bool:
    model = _cartpole("numba")
    returns, _ = evaluate_policy(model, "CartPole-v1", 10, return_episode_rewards=True, seed=0)
    return np.array_equal(model.evaluate(10, seed=0).returns, returns)


def _mujoco() -> bool | None:
    """Step HalfCheetah in kernels and in plain Gymnasium. None without MuJoCo."""
    if version_of("mujoco") is None:
        return None
    model = ARS("LinearPolicy", _MUJOCO_ENV, seed=7, n_threads=1, max_episode_steps=50, compiled=True)
    model.policy.load_from_vector(reference.noise_table(_SEED, model.n_weights))
    returns, _ = evaluate_policy(model, _MUJOCO_ENV, 3, return_episode_rewards=True, seed=0, max_episode_steps=50)
    return np.array_equal(model.evaluate(3, seed=0).returns, returns)


def _lanes() -> bool | None:
    """Step the model of HalfCheetah over lanes and in MuJoCo, whatever was found before. None without MuJoCo."""
    if version_of("mujoco") is None:
        return None
    from fastars.envs import compiled_env
    from fastars.envs.mujoco.lanes import measure
    from fastars.physics import lane_model

    model = compiled_env(_MUJOCO_ENV).model
    return not measure(model, lane_model(model)).fault


def _threads() -> bool:
    one, all_of_them = (ARS("LinearPolicy", "CartPole-v1", seed=7, n_threads=n).learn(5_000) for n in (1, None))
    return np.array_equal(one.theta, all_of_them.theta)


def _files() -> bool:
    model = ARS("LinearPolicy", "CartPole-v1", seed=7, n_threads=1).learn(1)
    with tempfile.TemporaryDirectory() as folder:
        model.save(path := Path(folder) / "model.zip")
        loaded = ARS.load(path)
    one, other = (each.learn(1, reset_num_timesteps=False).theta for each in (loaded, model))
    return np.array_equal(one, other)


def _equal_bits(call: Callable[[Any], np.ndarray]) -> bool:
    return np.array_equal(call(kernels), call(reference))


_CHECKS: dict[str, Callable[[], bool | None]] = {
    "noise, kernel and twin": _noise,
    "candidates, kernel and twin": _perturb,
    "weighted sum, kernel and twin": _weighted_sum,
    "filter, kernel and twin": _filter,
    "episodes of CartPole-v1, kernel and twin": _rollouts,
    "episodes of CartPole-v1, kernel and Gymnasium": _gymnasium,
    f"steps of {_MUJOCO_ENV}, kernel and Gymnasium": _mujoco,
    f"a step of {_MUJOCO_ENV}, lanes and mj_step": _lanes,
    "training, one thread and all": _threads,
    "a model saved, loaded and trained on": _files,
}
