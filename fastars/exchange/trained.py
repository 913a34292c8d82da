"""A trained policy apart from any file, and the model of fastars that it becomes."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import gymnasium
import numpy as np

import fastars
from fastars._compiled.structs import FloatArray
from fastars.envs import compiled_env, compiled_env_ids
from fastars.files.checkpoint import CheckpointError
from fastars.training.state import ObsMoments

# Observations that a filter of unknown age stands for. Runs of the original take millions of steps; with so many, the filter of a
# policy that is trained on moves slowly, and the policy still fits it.
_COUNT = 1_000_000
_TINY = 1e-7  # the original lets an observation with a deviation below it count nothing


class TrainedPolicy(NamedTuple):
    """A trained policy as a file describes it.

    Attributes
    ----------
    weights : ndarray of float64, shape (n_weights,)
        Layer after layer `W.ravel()` of W (outputs, inputs), then its bias (outputs,) if there is one.
    n_obs, n_act : int
        Entries of an observation, and of the policy's output.
    policy : {"LinearPolicy", "MlpPolicy"}
    policy_kwargs : dict
        As `fastars.ARS` takes them.
    source : str
        What wrote the file: "sb3", "original" or "npz".
    mean, std : ndarray of float64, shape (n_obs,), or None
        The policy sees (observation - mean) / std; None where observations are not normalised. An infinite `std` is that of an
        observation that counts nothing.
    count : int or None
        Observations that these were estimated from; None where the file does not say.
    clip_observations : float
        Normalised observations are clipped to +- this; infinity: they are not.
    clip_actions : bool
        Whether actions are clipped to the bounds of their space.
    squash_output : bool
        Whether actions are put between these bounds by a tanh.
    env_id : str or None
        The environment, where the file names it.
    num_timesteps : int
        Steps of training, 0 where the file does not say.
    preset : str
        Whose ARS trained it (`fastars.training.config.PRESETS`).
    config : dict
        Hyperparameters in the file, as `fastars.ARS` takes them.
    unread : Path or None
        A file of statistics that observations were probably normalised with, which was not read for want of trust.
    """

    weights: FloatArray
    n_obs: int
    n_act: int
    policy: str
    policy_kwargs: dict[str, Any]
    source: str
    mean: FloatArray | None = None
    std: FloatArray | None = None
    count: int | None = None  # type: ignore[assignment]  # tuples have a method of this name, which nobody calls
    clip_observations: float = np.inf
    clip_actions: bool = True
    squash_output: bool = False
    env_id: str | None = None
    num_timesteps: int = 0
    preset: str = "fastars"
    config: Mapping[str, Any] = MappingProxyType({})
    unread: Path | None = None


def policy_of_layers(layers: list[tuple[np.ndarray, np.ndarray | None]]) -> tuple[FloatArray, list[int], bool]:
    """(flat weights, entries from layer to layer, whether there are biases) of pairs (W, b) of a policy's layers.

    Raises
    ------
    ValueError
        If they do not follow each other, or are not finite.
    """
    if not layers:
        raise ValueError("a policy without layers")
    with_bias = layers[0][1] is not None
    pieces, sizes = [], [layers[0][0].shape[-1] if layers[0][0].ndim else 0]
    for k, (weights, bias) in enumerate(layers):
        if weights.ndim != 2 or weights.shape[1] != sizes[-1] or 0 in weights.shape:
            raise ValueError(f"layer {k} has weights of shape {weights.shape}, not (outputs, {sizes[-1]})")
        if (bias is not None) != with_bias or (bias is not None and bias.shape != weights.shape[:1]):
            raise ValueError(
                f"the biases of layer {k} are missing, unexpected or of another number than its {len(weights)} outputs"
            )
        sizes.append(len(weights))
        pieces += [np.ravel(weights)] + ([] if bias is None else [bias])
    flat = np.concatenate(pieces).astype(np.float64, copy=False)
    if not np.isfinite(flat).all():
        raise ValueError("weights that are not finite")
    return flat, sizes, with_bias


def layers_of_policy(weights: FloatArray, sizes: list[int], with_bias: bool) -> list[tuple[FloatArray, FloatArray | None]]:
    """The pairs (W, b) that flat weights stand for; `sizes` are the entries of the observation, of each hidden layer and of the
    output.
    """
    layers, start = [], 0
    for n_in, n_out in itertools.pairwise(sizes):
        matrix = weights[start : start + n_in * n_out].reshape(n_out, n_in)
        start += matrix.size
        bias = weights[start : start + n_out] if with_bias else None
        start += n_out if with_bias else 0
        layers.append((matrix, bias))
    return layers


def normalisation(mean: np.ndarray, std: np.ndarray, n_obs: int) -> tuple[FloatArray, FloatArray]:
    """Mean and deviation of observations as `TrainedPolicy` has them.

    Raises
    ------
    ValueError
        If their shape is not (n_obs,), or their values make no filter.
    """
    mean, std = np.ravel(mean).astype(np.float64), np.ravel(std).astype(np.float64)
    if mean.shape != (n_obs,) or std.shape != (n_obs,):
        raise ValueError(f"the mean and the deviation of observations have {mean.size} and {std.size} entries, the policy {n_obs}")
    if not np.isfinite(mean).all() or np.isnan(std).any() or (std < 0.0).any():
        raise ValueError("a mean of observations that is not finite, or a deviation that is negative or NaN")
    return mean, std


def to_model(trained: TrainedPolicy, env: Any = None, model_class: Any = None, **settings: Any) -> Any:
    """A model that has a trained policy, acts as it did, and can be trained on.

    Parameters
    ----------
    trained : TrainedPolicy
        From `read`.
    env : str, gymnasium.Env, callable, ..., optional
        As `fastars.ARS` takes it; default: the id in the file, if it has one.
    model_class : type, optional
        Default `fastars.ARS`.
    **settings
        Arguments of its constructor other than those of the file.

    Returns
    -------
    fastars.ARS

    Raises
    ------
    fastars.CheckpointError
        If the policy takes other observations, or gives other actions, than those of the environment; or if it has to be given.
    ValueError, TypeError
        For settings that `fastars.ARS` refuses.
    """
    env = _registered(trained.env_id) if env is None and trained.env_id is not None else env
    if env is None:
        raise CheckpointError(
            f"the file does not say which environment its policy is for, only that it takes {trained.n_obs} observations and gives "
            f"{trained.n_act} outputs: give env=..., such as env={_like(trained)!r}"
        )
    given = {**trained.config, "clip_actions": trained.clip_actions, "preset": trained.preset}
    if trained.mean is not None:
        given |= {"normalize_observations": True, "clip_observations": trained.clip_observations}
    given |= {"policy_kwargs": trained.policy_kwargs, **settings}
    model = (model_class or fastars.ARS)(trained.policy, env, **given)
    _refuse_other_shapes(trained, model)
    _warn_of_missing(trained, model, settings)
    model.policy.load_from_vector(trained.weights)
    model.num_timesteps = trained.num_timesteps
    if trained.mean is not None:
        model.restore(model.state._replace(moments=_moments(trained, model.config)))
    return model


def _registered(env_id: str) -> str:
    """The id in a file, if it is of an environment that is registered: one such as `module:Id` would import the module."""
    if env_id not in gymnasium.registry and env_id not in compiled_env_ids():
        raise CheckpointError(f"its environment {env_id!r} is not registered here: give env=...")
    return env_id


def _like(trained: TrainedPolicy) -> str:
    """The id of an environment that a policy fits, of those which are looked up in no time."""
    envs = map(compiled_env, reversed(compiled_env_ids("classic")))  # of two versions the newer one
    return next((env.id for env in envs if (env.n_obs, env.n_act) == (trained.n_obs, trained.n_act)), "HalfCheetah-v5")


def _refuse_other_shapes(trained: TrainedPolicy, model: Any) -> None:
    """Raise if a policy is for other observations or actions than those of a model's environment."""
    of_env = model.run.env.n_obs, model.run.env.n_act
    if (trained.n_obs, trained.n_act) != of_env:
        raise CheckpointError(
            f"the policy takes {trained.n_obs} observations and gives {trained.n_act} outputs; {model.env_id} has {of_env[0]} and "
            f"takes {of_env[1]}. Versions of an environment can differ in this, as Ant-v1 and Humanoid-v1 do from v5"
        )
    if trained.weights.size != model.policy.weights.size:
        raise CheckpointError(f"the policy has {trained.weights.size} weights, not the {model.policy.weights.size} of its layers")


def _warn_of_missing(trained: TrainedPolicy, model: Any, settings: Mapping[str, Any]) -> None:
    """Say what a model does not have from its file, and from nowhere else."""
    if trained.unread is not None and not model.config.normalize_observations:
        told = "its statistics normalise observations with trust=True only (--trust on the command line)"
        warnings.warn(f"{trained.unread} is not read: {told}", stacklevel=3)
    if trained.source == "sb3":
        for name in sorted({"learning_rate", "delta_std"} - trained.config.keys() - settings.keys()):
            value = getattr(model.config, name)
            warnings.warn(f"{name} can't be read from the file: it is {value} unless {name}=... is given", stacklevel=3)


def _moments(trained: TrainedPolicy, config: Any) -> ObsMoments:
    """Return the moments from which the filter follows that the policy was trained with."""
    mean, std = np.array(trained.mean), np.array(trained.std)
    count = max(_COUNT if trained.count is None else trained.count, 1 + config.filter_ddof)
    std = np.where(np.isfinite(std) & (std >= min(config.filter_min_std, _TINY)), std, 0.0)
    variance = np.maximum(np.maximum(std - config.filter_epsilon, 0.0) ** 2 - config.filter_var_epsilon, 0.0)
    return ObsMoments(count, mean, variance * (count - config.filter_ddof))


def trained_of(model: Any) -> TrainedPolicy:
    """What a model of fastars has learned."""
    policy, config, env = model.policy, model.config, model.run.env
    kwargs = config.arguments()["policy_kwargs"]
    mean = std = None
    if config.normalize_observations:
        mean = policy.filter.mean.copy()
        with np.errstate(divide="ignore"):
            std = 1.0 / policy.filter.scale
    return TrainedPolicy(
        weights=policy.parameters_to_vector(),
        n_obs=env.n_obs,
        n_act=env.n_act,
        policy=config.policy,
        policy_kwargs=dict(kwargs),
        source="fastars",
        mean=mean,
        std=std,
        count=int(model.state.moments.count) if mean is not None else None,
        clip_observations=float(policy.filter.clip) if mean is not None else np.inf,
        clip_actions=config.clip_actions,
        squash_output=config.squash_output,
        env_id=model.env_id,
        num_timesteps=model.num_timesteps,
        preset=model.preset,
    )
