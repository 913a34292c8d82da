"""The weights of a policy by the names that they have in stable-baselines3-contrib."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from fastars._compiled.structs import FloatArray
from fastars.files import checkpoint
from fastars.kernels.policy_layout import layer_sizes
from fastars.training.model_file import weights_in
from fastars.training.run import Run

# Names of a linear policy in files of stable-baselines3-contrib before 1.7.
_OLD_NAMES = {"action_net.weight": "action_net.0.weight", "action_net.bias": "action_net.0.bias"}


class ParameterMismatchError(ValueError, RuntimeError):
    """Parameters do not fit the policy; the message names them. It is a RuntimeError too, as PyTorch's `load_state_dict` raises."""


def named_weights(run: Run, weights: FloatArray) -> Iterator[tuple[str, FloatArray]]:
    """Yield views of flat weights by name: modules 0, 2, 4, ... are linear, the modules between them activations."""
    start, structure = 0, run.policy
    sizes = layer_sizes(structure, run.env.n_obs, run.env.n_act)
    for layer, (n_in, n_out) in enumerate(itertools.pairwise(sizes)):
        name = f"action_net.{2 * layer}"
        yield f"{name}.weight", weights[start : start + n_in * n_out].reshape(n_out, n_in)
        start += n_in * n_out
        if structure.with_bias:
            yield f"{name}.bias", weights[start : start + n_out]
            start += n_out


def weights_with(run: Run, weights: FloatArray, given: Any, exact_match: bool) -> FloatArray:
    """Return a copy of flat weights with the given parameters in it.

    Parameters
    ----------
    run : Run
        It knows the layers.
    weights : ndarray of float64, shape (n_weights,)
        The weights until now.
    given : dict or path
        Parameters by name under "policy", or the file of a model.
    exact_match : bool
        False: missing and unknown names are passed over.

    Raises
    ------
    ValueError
        If the dict has another key than "policy".
    ParameterMismatchError
        For missing or unknown names, and for other shapes.
    """
    parameters = given if isinstance(given, Mapping) else _parameters_in(run, given)
    for key in parameters:
        if key != "policy":
            raise ValueError(f"Key {key} is an invalid object name: a model has the parameters of its 'policy'")
    if exact_match and "policy" not in parameters:
        raise ValueError("Names of parameters do not match: expected {'policy'}, got none")
    values = {_OLD_NAMES.get(name, name): _array(value) for name, value in parameters.get("policy", {}).items()}
    copied = weights.copy()
    known = dict(named_weights(run, copied))
    missing, unknown = sorted(known.keys() - values.keys()), sorted(values.keys() - known.keys())
    if exact_match and (missing or unknown):
        raise ParameterMismatchError(
            f"parameters don't match the policy: missing {', '.join(missing) or 'none'}; unknown {', '.join(unknown) or 'none'}"
        )
    for name in values.keys() & known.keys():
        if values[name].shape != known[name].shape:
            raise ParameterMismatchError(f"{name} must have shape {known[name].shape}, got {values[name].shape}")
        known[name][...] = values[name]
    return copied


def _parameters_in(run: Run, path: Any) -> dict[str, Any]:
    """Return the parameters of the model in a file."""
    from fastars import exchange

    weights = exchange.read_quietly(path).weights if exchange.is_foreign(path) else weights_in(path, run.n_weights)
    if weights.size != run.n_weights:
        raise ParameterMismatchError(f"{checkpoint.name_of(path)}: it has {weights.size} weights, the policy has {run.n_weights}")
    return {"policy": dict(named_weights(run, weights))}


def _array(value: Any) -> FloatArray:
    """Return an array, also of a tensor that PyTorch tracks."""
    detached = value.detach().cpu().numpy() if hasattr(value, "detach") else value
    return np.asarray(detached, np.float64)
