"""The weights of a policy by the names that they have in stable-baselines3-contrib."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from fastars._compiled.structs import FloatArray
from fastars.files import checkpoint
from fastars.training import policy_modules
from fastars.training.model_file import weights_in
from fastars.training.policy_modules import ParameterMismatchError, set_by_name
from fastars.training.run import Run

__all__ = ["ParameterMismatchError", "named_weights", "weights_with"]


def named_weights(run: Run, weights: FloatArray) -> Iterator[tuple[str, FloatArray]]:
    """Yield views of the flat weights of a run's policy by name."""
    yield from policy_modules.named_weights(run.policy, run.env.n_obs, run.env.n_act, weights)


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
    copied = weights.copy()
    set_by_name(dict(named_weights(run, copied)), parameters.get("policy", {}), exact_match)
    return copied


def _parameters_in(run: Run, path: Any) -> dict[str, Any]:
    """Return the parameters of the model in a file."""
    from fastars import exchange

    weights = exchange.read_quietly(path).weights if exchange.is_foreign(path) else weights_in(path, run.n_weights)
    if weights.size != run.n_weights:
        raise ParameterMismatchError(f"{checkpoint.name_of(path)}: it has {weights.size} weights, the policy has {run.n_weights}")
    return {"policy": dict(named_weights(run, weights))}
