"""A policy alone in a file: what acting takes, and nothing of the run that trained it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from fastars._compiled.structs import Filter, FloatArray, LinearPolicy, MlpPolicy
from fastars._validate import boolean, one_of, stored_integer
from fastars.envs.described_spaces import describe_space, space_of
from fastars.envs.spaces import flat_size, n_scores, refuse_bounds
from fastars.files import checkpoint
from fastars.files.errors import make_printable
from fastars.kernels.policy_layout import n_weights
from fastars.training.checkpoint_validation import POLICY, check_acting
from fastars.training.policy_structure import ACTIVATION_TYPES, activation_name

_OF_LAYERS, _OF_ACTIONS = ("with_bias", "squash_output"), ("clip_actions", "sees_normalized")


class StoredPolicy(NamedTuple):
    """A policy as a file has it."""

    observation_space: Any
    action_space: Any
    layers: dict[str, Any]  # arguments of the constructor; "net_arch" is missing in those of a linear policy
    weights: FloatArray
    filter: Filter
    clip_actions: bool
    backend: str
    sees_normalized: bool


def save(path: Any, policy: StoredPolicy) -> None:
    """Write a policy to one file, of exactly this name; the file before it survives any error.

    Raises
    ------
    OSError
        If the file can't be written.
    ValueError
        If a file can't hold its spaces.
    """
    observation, action = describe_space(policy.observation_space), describe_space(policy.action_space)
    if observation is None or action is None:
        space = policy.observation_space if observation is None else policy.action_space
        raise ValueError(f"a file can't hold the space {checkpoint.brief(space)}")
    manifest = {
        "algorithm": POLICY,
        "observation_space": observation,
        "action_space": action,
        "layers": policy.layers,
        "clip": float(policy.filter.clip),
        "clip_actions": policy.clip_actions,
        "backend": policy.backend,
        "sees_normalized": policy.sees_normalized,
    }
    arrays = {"weights": policy.weights, "mean": policy.filter.mean, "scale": policy.filter.scale}
    checkpoint.save(path, manifest, arrays, suffix="")


def load(path: Any) -> StoredPolicy:
    """Return the policy in a file.

    Raises
    ------
    fastars.CheckpointError
        If the file holds no policy.
    """
    manifest, arrays = checkpoint.load(path)
    try:
        return _checked(manifest, arrays)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        make_printable(error)
        reason = f"it lacks {error}" if isinstance(error, KeyError) else checkpoint.brief(error)
        raise checkpoint.CheckpointError(f"{checkpoint.name_of(path)}: not a policy of this version: {reason}") from error


def _checked(manifest: dict[str, Any], arrays: dict[str, np.ndarray]) -> StoredPolicy:
    """Return the policy of a file that may come from anybody: no memory is taken before its sizes are known to be its arrays'."""
    if manifest["algorithm"] != POLICY:
        hint = ": it is the file of a model, use ARS.load(path).policy" if manifest["algorithm"] == "ARS" else ""
        raise ValueError(f"algorithm is {manifest['algorithm']!r}{hint}")
    layers = dict(manifest["layers"])
    for name in (*_OF_LAYERS, *_OF_ACTIONS):
        boolean(name, (layers if name in _OF_LAYERS else manifest)[name])
    one_of("backend", manifest["backend"], ("numba", "numpy"))
    if not manifest["clip"] > 0.0:
        raise ValueError(f"clip must be above 0, got {manifest['clip']!r}")
    structure = _structure(layers)
    check_acting(arrays, getattr(structure, "net_arch", ()), structure.with_bias)
    weights, mean, scale = (arrays[name] for name in ("weights", "mean", "scale"))
    observation_space = space_of(manifest["observation_space"], mean.size)
    action_space = space_of(manifest["action_space"], weights.size)
    for space in (observation_space, action_space):
        refuse_bounds(space)
    n_obs = flat_size(observation_space)
    if n_obs != mean.size or n_weights(structure, n_obs, n_scores(action_space)) != weights.size:
        raise ValueError(f"its spaces don't fit its {weights.size} weights")
    filter = Filter(mean, scale, manifest["clip"])
    of_actions = {name: manifest[name] for name in ("backend", *_OF_ACTIONS)}
    return StoredPolicy(observation_space, action_space, layers, weights, filter, **of_actions)


def _structure(layers: dict[str, Any]) -> LinearPolicy | MlpPolicy:
    """Return the structure of a policy by the arguments of its constructor."""
    if layers.keys() == {*_OF_LAYERS}:
        return LinearPolicy(layers["with_bias"])
    if layers.keys() != {*_OF_LAYERS, "net_arch", "activation_fn"}:
        raise ValueError(f"layers are {', '.join(sorted(layers))}")
    net_arch = tuple(stored_integer("net_arch", n, 1) for n in layers["net_arch"])
    return MlpPolicy(net_arch, ACTIVATION_TYPES[activation_name(layers["activation_fn"])], layers["with_bias"])
