"""The values that each setting of a run may have: a function for each field of `Config` that checks and converts it."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from fastars._validate import integer, number, one_of, positive_int, refuse_long_integer
from fastars.envs.compiled import PHYSICS

# Policies, with what `policy_kwargs` may have and its defaults.
POLICY_KWARGS: dict[str, dict[str, Any]] = {
    "LinearPolicy": {"with_bias": False, "squash_output": False},
    "MlpPolicy": {"net_arch": (64, 64), "activation_fn": "relu", "with_bias": True, "squash_output": True},
}
# Activations of hidden layers, and the classes of PyTorch that compute them.
ACTIVATIONS = {"relu": "ReLU", "tanh": "Tanh"}
_MOST_LAYERS = 64  # hidden: a kernel is compiled for their number
_MOST_UNITS = 2**24  # of a layer: the number of weights between two such layers is far below 2**63
_MOST_EPISODES = 2**31 - 1
_MOST_TASKS = 1 << 16


def _schedule(name: str, value: Any) -> Any:
    """Return a function, or a number of at least 0; a constant schedule of stable-baselines3 becomes its number, for files."""
    inner = getattr(value, "value_schedule", value)
    if type(inner).__name__ == "ConstantSchedule":
        value = inner.val
    return value if callable(value) else number(name, value, 0.0)


def _positive_or_inf(name: str, value: Any) -> float:
    return math.inf if value == math.inf else number(name, value, above=0.0)


def _plain(name: str, value: Any) -> Any:
    """Return an argument of a weighting method in a form that a file can hold: numbers and sequences of NumPy become Python's."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, (list, tuple)):
        return type(value)(_plain(name, each) for each in value)
    if isinstance(value, np.generic):
        return value.item()
    if value is not None and not isinstance(value, (bool, int, float, str)):
        raise TypeError(f"{name} must be a number, a text, None or a sequence of these, got {value!r}")
    refuse_long_integer(name, value)
    return value


def _optional(check: Callable[[str, Any], Any]) -> Callable[[str, Any], Any]:
    return lambda name, value: None if value is None else check(name, value)


def _each(check: Callable[[str, Any], Any], kind: str, most: int) -> Callable[[str, Any], tuple[Any, ...]]:
    """Return a check of a list, a tuple, or an array with one axis, of at most `most` entries."""

    def check_each(name: str, value: Any) -> tuple[Any, ...]:
        if not isinstance(value, (list, tuple)) and getattr(value, "ndim", 0) != 1:
            raise TypeError(f"{name} must be a list of {kind}, got {value!r}")
        if len(value) > most:
            raise ValueError(f"{name} must be a list of at most {most} {kind}, got {len(value)}")
        return tuple(check(name, entry) for entry in value)

    return check_each


_FROM_0: Any = partial(number, least=0.0)
# Settings that are True or False are not here: `Config` knows them by their type.
CHECKS: dict[str, Callable[[str, Any], Any]] = {
    **dict.fromkeys(("n_delta", "n_eval_episodes"), partial(positive_int, most=_MOST_EPISODES)),
    **dict.fromkeys(("n_top", "max_episode_steps"), _optional(positive_int)),
    "noise_size": _optional(partial(integer, least=1, most=2**48 - 1)),
    **dict.fromkeys(("learning_rate", "delta_std"), _schedule),
    **dict.fromkeys(("std_epsilon", "filter_epsilon", "filter_var_epsilon", "filter_min_std", "weight_decay"), _FROM_0),
    **dict.fromkeys(("return_ddof", "filter_ddof"), partial(integer, least=0, most=1)),
    "seed": partial(integer, least=0, most=2**64 - 1),
    "alive_bonus_offset": number,
    "momentum": partial(number, least=0.0, below=1.0),
    "clip_observations": _positive_or_inf,
    "policy": partial(one_of, allowed=POLICY_KWARGS),
    "activation_fn": partial(one_of, allowed=ACTIVATIONS),
    "fitness_shaping": partial(one_of, allowed=("none", "centered_ranks", "sign")),
    "optimizer": partial(one_of, allowed=("sgd", "adam")),
    "physics": partial(one_of, allowed=PHYSICS),
    "on_nonfinite": partial(one_of, allowed=("drop", "penalize", "raise")),
    "net_arch": _each(partial(positive_int, most=_MOST_UNITS), "integers", _MOST_LAYERS),
    **dict.fromkeys(("preference", "utopia"), _optional(_each(number, "numbers", _MOST_TASKS))),
    "weighting_kwargs": lambda name, value: {key: _plain(f"{name}[{key!r}]", inner) for key, inner in dict(value).items()},
}
