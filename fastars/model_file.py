"""What of a run goes into a file, and how it comes back.

No generator is saved: all that is random follows from (seed, iteration). So the state of a run is its settings, a few counters, and
the arrays of weights, optimizer and filter.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from fastars import checkpoint
from fastars.config import Config

_COUNTERS = ("iteration", "num_timesteps", "num_episodes", "dropped_pairs", "_empty_iterations")


def save(model: Any, path: str | os.PathLike[str]) -> None:
    """Write a model; the file before it survives any error."""
    observations, mean, m2 = model._moments
    manifest = {
        "algorithm": "ARS",
        "env": model.env_id,
        "env_kwargs": model.env_kwargs,
        "preset": model.preset,
        "backend": model.backend,
        "config": model.config.to_dict(),
        "counters": {"observations": int(observations), **{name.strip("_"): getattr(model, name) for name in _COUNTERS}},
    }
    slots = {f"optimizer_{k}": slot for k, slot in enumerate(model._slots)}
    checkpoint.save(path, manifest, {"theta": model.theta, "filter_mean": mean, "filter_m2": m2, **slots})


def load(model_class: Any, path: str | os.PathLike[str], env: Any, settings: Mapping[str, Any]) -> Any:
    """A model of `model_class` from a file, with some arguments of its constructor changed by `settings`.

    Raises
    ------
    fastars.CheckpointError
        If the file holds no model that fits this version and this environment.
    """
    manifest, arrays = checkpoint.load(path)
    try:
        model = _construct(model_class, manifest, env, settings)
        _restore(model, manifest["counters"], arrays)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise checkpoint.CheckpointError(f"{os.fspath(path)}: not a model of this version: {error}") from error
    return model


def _construct(model_class: Any, manifest: Mapping[str, Any], env: Any, settings: Mapping[str, Any]) -> Any:
    """A new model with the settings of the file."""
    import gymnasium

    if manifest["algorithm"] != "ARS":
        raise ValueError(f"algorithm is {manifest['algorithm']!r}")
    if env is None:
        env = gymnasium.make(manifest["env"], **manifest["env_kwargs"])
    config = Config.from_dict(manifest["config"])
    values = {name: getattr(config, name) for name in Config.__dataclass_fields__ if name != "with_bias"}
    values |= {"backend": manifest["backend"], "preset": manifest["preset"], **settings}
    return model_class("LinearPolicy", env, policy_kwargs={"with_bias": config.with_bias}, **values)


def _restore(model: Any, counters: Mapping[str, int], arrays: Mapping[str, np.ndarray]) -> None:
    """Put the state of a file into a new model, after checking it."""

    def array(name: str, like: np.ndarray) -> np.ndarray:
        if arrays[name].shape != like.shape or arrays[name].dtype != np.float64:
            raise ValueError(f"{name} must be float64 {like.shape}, got {arrays[name].dtype} {arrays[name].shape}")
        if not np.isfinite(arrays[name]).all():
            raise ValueError(f"{name} must be finite")
        return arrays[name]

    for name, value in counters.items():
        if type(value) is not int or not 0 <= value < 2**63:
            raise ValueError(f"{name} must be an integer from 0 to 2**63 - 1, got {value!r}")
    model.policy.weights = array("theta", model.theta)
    model._slots = [array(f"optimizer_{k}", slot) for k, slot in enumerate(model._slots)]
    mean, m2 = array("filter_mean", model._moments[1]), array("filter_m2", model._moments[2])
    model._moments = (counters["observations"], mean, m2)
    if model.config.normalize_observations:
        model.policy.filter = model._filter()
    for name in _COUNTERS:
        setattr(model, name, counters[name.strip("_")])
