"""Validate every field of a model file before it is used. A checksum finds damage, not malice.

A file may not make the process allocate more memory than the file has itself. The length and the width of a run that goes on from
it are not limited, as they are not in a program with the same settings.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from fastars._validate import MOST_INT64, refuse_long_integer, stored_integer
from fastars.training import presets
from fastars.training.config import Config
from fastars.weighting import METHODS

POLICY = "policy of ARS"  # the algorithm that the file of a policy alone names
_MAX_TASKS = 64  # environments that a file names
_MAX_FOLDER = 4096  # characters of a path


def check_run(manifest: Mapping[str, Any]) -> None:
    """Raise ValueError, TypeError or KeyError for an invalid field outside of config."""
    if manifest["algorithm"] != "ARS":
        hint = ": it is the file of a policy, use ARSPolicy.load(path)" if manifest["algorithm"] == POLICY else ""
        raise ValueError(f"algorithm is {manifest['algorithm']!r}{hint}")
    for name, allowed in (("backend", ("numba", "numpy")), ("preset", tuple(presets.CHOICES))):
        if name in manifest and manifest[name] not in allowed:
            raise ValueError(f"{name} must be one of {', '.join(map(repr, allowed))}, got {manifest[name]!r}")
    stored_integer("stats_window_size", manifest.get("stats_window_size", 1), 1)
    if manifest.get("vec_normalize", False) not in (True, False):
        raise TypeError(f"vec_normalize must be True or False, got {manifest['vec_normalize']!r}")
    log = manifest.get("log", {"verbose": 0, "tensorboard_log": None})
    stored_integer("verbose", log["verbose"])
    folder = log["tensorboard_log"]
    if log.keys() != {"verbose", "tensorboard_log"} or not (folder is None or (type(folder) is str and len(folder) <= _MAX_FOLDER)):
        raise ValueError(f"tensorboard_log must be a folder, got {str(folder)[:40]!r}")
    if len(manifest.get("several", ())) > _MAX_TASKS:
        raise ValueError(f"{len(manifest['several'])} environments; allowed are {_MAX_TASKS}")


def check_config(stored: Mapping[str, Any]) -> None:
    """Raise ValueError or TypeError for a setting of another type, or larger, than `Config` writes; its own checks come after."""
    for name, value in stored.items():
        for each in value if isinstance(value, list) else [value]:
            if name != "seed":  # which `Config` checks: it may be twice as large
                refuse_long_integer(name, each)
            if isinstance(each, str) and name not in ("policy", "activation_fn", "weighting", *_CHOICES):
                raise TypeError(f"{name} must be no text, got {each!r}")
    if stored.get("weighting") not in (None, "custom", *METHODS):
        raise ValueError(f"weighting must be one of {', '.join(METHODS)}, got {stored['weighting']!r}")


_CHOICES = ("fitness_shaping", "optimizer", "on_nonfinite", "physics")


def check_counters(counters: Mapping[str, Any], needed: Iterable[str]) -> None:
    """Raise for counters that are missing, or no integers from 0 to 2**63 - 1."""
    for name in needed:
        if name not in counters:
            raise KeyError(name)
    for name, value in counters.items():
        stored_integer(name, value)


def check_arrays(arrays: Mapping[str, np.ndarray], config: Config) -> None:
    """Raise if the arrays can't be the state of a run with these settings, in any environment.

    Weights that are not finite are refused: no step of training makes them, their policy gives no action, and a run that went on
    from them would find no gradient again.
    """
    theta, mean, m2 = (_finite(arrays, name) for name in ("theta", "filter_mean", "filter_m2"))
    if mean.shape != m2.shape or (m2 < 0.0).any():
        raise ValueError(f"filter_m2 must be {mean.size} sums of squares, of at least 0")
    check_layers("theta", theta.size, (mean.size, *config.net_arch), config.with_bias)
    if config.noise_size is not None and config.noise_size < theta.size:
        raise ValueError(f"noise_size must be at least the {theta.size} weights of the policy, got {config.noise_size}")
    slots = ["optimizer_0", "optimizer_1"] if config.optimizer == "adam" else ["optimizer_0"]
    for name in (*slots, *(["gradient"] if "gradient" in arrays else [])):
        if _finite(arrays, name).shape != theta.shape:
            raise ValueError(f"{name} must have the {theta.size} entries of theta, got {arrays[name].size}")
    if config.optimizer == "adam" and (arrays["optimizer_1"] < 0.0).any():
        raise ValueError("optimizer_1 must be means of squares, of at least 0")
    if "recent_returns" in arrays:  # files of 0.1 have none
        returns, lengths = arrays["recent_returns"], arrays["recent_lengths"]
        kinds = returns.dtype == np.float64 and lengths.dtype == np.int64
        is_known = kinds and returns.ndim == 1 and returns.shape == lengths.shape and not (lengths < 0).any()
        if not is_known or sum(lengths.tolist()) > MOST_INT64:
            raise ValueError("recent_returns and recent_lengths must be as many returns (float64) as lengths (int64)")


def check_layers(name: str, n_weights: int, sizes: Sequence[int], with_bias: bool) -> None:
    """Raise if no policy of these layers has so many weights, for any number of actions. Only sizes are computed."""
    hidden = sum((n_in + with_bias) * n_out for n_in, n_out in itertools.pairwise(sizes))
    n_act, rest = divmod(n_weights - hidden, sizes[-1] + with_bias) if sizes[-1] + with_bias else (0, 0)
    if n_act < 1 or rest:
        layers = ", ".join(map(str, sizes[:9]))
        raise ValueError(f"{name} must be the weights of a policy of layers from {layers} on, got {n_weights} weights")


def _finite(arrays: Mapping[str, np.ndarray], name: str) -> np.ndarray:
    array = arrays[name]
    if array.dtype != np.float64 or array.ndim != 1:
        raise ValueError(f"{name} must be float64 with one axis, got {array.dtype} {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite")
    return array


def check_episode(manifest: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Config:
    """Raise for the file of an episode with a field that no run writes; return the settings of its run.

    "weights", "mean" and "scale" are finite, and of one policy.
    """
    check_config(manifest["config"])
    config, place, max_steps = Config.from_dict(manifest["config"]), dict(manifest["place"]), manifest["max_steps"]
    stored_integer("seed", place["seed"], most=2**64 - 1)
    stored_integer("max_steps", max_steps)
    check_acting(arrays, config.net_arch, config.with_bias)
    return config


def check_acting(arrays: Mapping[str, np.ndarray], net_arch: Sequence[int], with_bias: bool) -> None:
    """Raise if "weights", "mean" and "scale" are not finite, or not of one policy with these layers."""
    weights, mean, scale = (_finite(arrays, name) for name in ("weights", "mean", "scale"))
    if mean.shape != scale.shape:
        raise ValueError(f"mean must have the {scale.size} entries of scale, got {mean.size}")
    check_layers("weights", weights.size, (mean.size, *net_arch), with_bias)
