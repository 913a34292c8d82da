"""The structure of a policy as the kernels take it, its weights by layer, and weights to start from."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastars._compiled.structs import FloatArray, Identity, LinearPolicy, MlpPolicy, Relu, Swish, Tanh
from fastars.kernels.policy_layout import layer_sizes, n_weights
from fastars.training.config import Config
from fastars.training.setting_checks import ACTIVATIONS

ACTIVATION_TYPES: dict[str, Relu | Tanh | Swish | Identity] = {
    "relu": Relu(),
    "tanh": Tanh(),
    "swish": Swish(),
    "linear": Identity(),
}


def activation_name(activation: Any) -> str:
    """Return the name of an activation, given as its name or as the class of PyTorch, such as `torch.nn.ReLU`."""
    given = getattr(activation, "__name__", str(activation)).lower()
    for name, of_torch in ACTIVATIONS.items():
        if given in (name, of_torch.lower()):
            return name
    raise ValueError(f"policy_kwargs: activation_fn must be one of {', '.join(map(repr, ACTIVATIONS))}, got {activation!r}")


def activation_of(structure: LinearPolicy | MlpPolicy) -> str:
    """Return the name of the activation of a policy; of a linear one, the name of the default."""
    if isinstance(structure, LinearPolicy):
        return "relu"
    return next(name for name, kind in ACTIVATION_TYPES.items() if type(kind) is type(structure.activation))


def policy_structure(config: Config) -> LinearPolicy | MlpPolicy:
    """Return the policy of a run as the kernels take it."""
    if config.policy == "LinearPolicy":
        return LinearPolicy(config.with_bias)
    return MlpPolicy(config.net_arch, ACTIVATION_TYPES[config.activation_fn], config.with_bias)


def layers_of_policy(weights: FloatArray, sizes: Sequence[int], with_bias: bool) -> list[tuple[FloatArray, FloatArray | None]]:
    """Cut flat weights into the pairs (W, b) of the layers, which are views: W (outputs, inputs), b (outputs,) or None.

    `sizes` has the number of entries of the observation, of each hidden layer and of the output.
    """
    layers, start = [], 0
    for n_in, n_out in itertools.pairwise(sizes):
        matrix = weights[start : start + n_in * n_out].reshape(n_out, n_in)
        start += matrix.size
        bias = weights[start : start + n_out] if with_bias else None
        start += n_out if with_bias else 0
        layers.append((matrix, bias))
    return layers


def zero_weights(structure: LinearPolicy | MlpPolicy, env: Any) -> FloatArray:
    """Return weights of zero to start from in an environment as the samplers see it, (n_weights,)."""
    return np.zeros(n_weights(structure, env.n_obs, env.n_act))


def random_weights(structure: LinearPolicy | MlpPolicy, env: Any, generator: np.random.Generator) -> FloatArray:
    """Return weights to start from, (n_weights,): uniform within +- 1 / sqrt(inputs of the layer)."""
    pieces = [
        generator.uniform(-1.0 / math.sqrt(n_in), 1.0 / math.sqrt(n_in), (n_in + structure.with_bias) * n_out)
        for n_in, n_out in itertools.pairwise(layer_sizes(structure, env.n_obs, env.n_act))
    ]
    return np.concatenate(pieces)
