"""A policy in arrays of numbers alone, as `np.save` and `np.savez` write them.

| name | content |
|---|---|
| `W` (or `arr_0`), `b` | weights (outputs, observations) and bias (outputs,) of a linear policy |
| `W0`, `b0`, `W1`, ... | weights (outputs, inputs) and biases (outputs,) of the layers of a network |
| `mean`, `std`, `count` (or `obs_mean`, ...) | the policy sees (observation - mean) / std; the number of observations behind them |

`W` with one axis is a flat vector of all weights, as `parameters_to_vector` returns it. Biases and statistics may be missing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from fastars._compiled.structs import FloatArray
from fastars._validate import MOST_INT64, integer
from fastars.exchange.trained import normalisation, policy_of_layers

_KNOWN = re.compile(r"[Wb]\d*|arr_0|mean|std|count")
_ALLOWED = "W and b, or W0, b0, W1, ...; mean, std and count"


class BareArrays(NamedTuple):
    """A policy, as far as its arrays tell it."""

    weights: FloatArray  # (n_weights,)
    sizes: tuple[int, ...]  # entries of the observation, of each hidden layer and of the output; empty if the weights were flat
    with_bias: bool
    mean: FloatArray | None = None  # (n_obs,)
    std: FloatArray | None = None  # (n_obs,)
    count: int | None = None  # type: ignore[assignment]  # tuples have a method of this name, which nobody calls


def bare_policy(arrays: Mapping[str, np.ndarray]) -> BareArrays:
    """Return the policy in arrays.

    Raises
    ------
    ValueError
        If arrays are missing, unknown, of shapes that do not fit each other, or have numbers that are not finite.
    """
    named = {name.removeprefix("obs_"): array for name, array in arrays.items()}
    for name, array in named.items():
        if not _KNOWN.fullmatch(name) or len(named) < len(arrays):
            raise ValueError(f"arrays named {', '.join(sorted(arrays))[:200]}; a policy has {_ALLOWED}")
        if array.dtype.kind not in "fiu":
            raise ValueError(f"{name} must be numbers, got {array.dtype}")
    if "arr_0" in named:
        named["W"] = named.pop("arr_0")
    statistics = {name: named.pop(name) for name in ("mean", "std", "count") if name in named}
    policy = _weights(named)
    if not statistics:
        return policy
    if "mean" not in statistics or "std" not in statistics:
        raise ValueError(f"statistics of observations are mean, std and perhaps count, got {', '.join(sorted(statistics))} alone")
    n_obs = policy.sizes[0] if policy.sizes else statistics["mean"].size
    mean, std = normalisation(statistics["mean"], statistics["std"], n_obs)
    count = None
    if "count" in statistics:
        if statistics["count"].size != 1:
            raise ValueError(f"count must be a number, got an array of shape {statistics['count'].shape}")
        count = integer("count", statistics["count"].item(), 1, MOST_INT64)
    return policy._replace(mean=mean, std=std, count=count)


def _weights(named: Mapping[str, np.ndarray]) -> BareArrays:
    flat = named.get("W")
    if flat is not None and flat.ndim == 1:
        if len(named) > 1:
            raise ValueError(f"W has one axis, as a vector of all weights, beside {', '.join(sorted(named.keys() - {'W'}))}")
        if not flat.size or not np.isfinite(flat).all():
            raise ValueError("weights that are none, or not finite")
        return BareArrays(flat.astype(np.float64), (), False)
    keys = [""] if flat is not None else [str(k) for k in range(len(named)) if f"W{k}" in named]
    layers = [(named[f"W{key}"], named.get(f"b{key}")) for key in keys]
    unused = named.keys() - {f"{letter}{key}" for key in keys for letter in "Wb"}
    if not layers or unused:
        found = ", ".join(sorted(named)) or "none"
        raise ValueError(f"weights named {found}; a policy has {_ALLOWED}")
    weights, sizes, with_bias = policy_of_layers(layers)
    return BareArrays(weights, tuple(sizes), with_bias)
