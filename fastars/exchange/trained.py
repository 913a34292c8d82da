"""Trained policies independent of any file format, and their conversion from and to models of fastars."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import gymnasium
import numpy as np

from fastars._compiled.structs import FloatArray
from fastars._validate import user_facing, warn_user
from fastars.envs import compiled_env, compiled_env_ids
from fastars.envs.absent import AbsentEnv
from fastars.envs.gym import DEFAULT_CAP
from fastars.files.checkpoint import CheckpointError
from fastars.training.file_limits import believed_folder, limited_run
from fastars.training.state import ObsMoments

# Number of observations of a filter whose file does not say it. Runs of the original take millions of steps. With so many, the
# filter moves slowly when training goes on, and the policy still fits it.
_COUNT = 1_000_000
_TINY = 1e-7  # the original ignores an observation with a smaller deviation
_UNNAMED = "unnamed"  # id of the environment of a file that names none


class TrainedPolicy(NamedTuple):
    """A trained policy, with all that its file says about it.

    Attributes
    ----------
    weights : ndarray of float64, shape (n_weights,)
        Layer after layer `W.ravel()` of W (outputs, inputs), then its bias (outputs,) if there is one.
    n_obs, n_act : int
        Entries of an observation, and of the policy's output.
    policy : {"LinearPolicy", "MlpPolicy"}
    policy_kwargs : dict
        Arguments of the policy for `fastars.ARS`.
    source : str
        The kind of file: "sb3", "original" or "npz".
    mean, std : ndarray of float64, shape (n_obs,), or None
        The policy gets (observation - mean) / std; None if observations are not normalised. An entry of the observation with an
        infinite `std` is ignored.
    count : int or None
        Number of observations from which `mean` and `std` were estimated; None if the file does not say it.
    clip_observations : float
        Normalised observations are clipped to +- this value; infinity means no clipping.
    clip_actions : bool
        True if actions are clipped to the bounds of their space.
    squash_output : bool
        True if a tanh puts actions between these bounds.
    env_id : str or None
        Id of the environment; None if the file does not name it.
    num_timesteps : int
        Steps of training; 0 if the file does not say it.
    preset : str
        The implementation of ARS that trained the policy, as a preset (`fastars.training.presets.CHOICES`).
    observation_space, action_space : gymnasium.Space or None
        The spaces of the environment; None if the file does not tell them.
    config : dict
        Hyperparameters in the file, as arguments of `fastars.ARS`.
    unread : Path or None
        A file of statistics that was not read because `trust` was False; observations were probably normalised with them.
    warning : str
        What to warn of, if observations were normalised by statistics that were not read or not found.
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
    observation_space: Any = None
    action_space: Any = None
    num_timesteps: int = 0
    preset: str = "fastars"
    config: Mapping[str, Any] = MappingProxyType({})
    unread: Path | None = None
    warning: str = ""


def policy_of_layers(layers: list[tuple[np.ndarray, np.ndarray | None]]) -> tuple[FloatArray, list[int], bool]:
    """Join the pairs (W, b) of a policy's layers. Returns (flat weights, sizes of the layers, True if there are biases).

    Raises
    ------
    ValueError
        If the shapes of the layers do not fit each other, or weights are not finite.
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


def normalisation(mean: np.ndarray, std: np.ndarray, n_obs: int) -> tuple[FloatArray, FloatArray]:
    """Return mean and deviation of observations in the form that `TrainedPolicy` has.

    Raises
    ------
    ValueError
        If their shape is not (n_obs,), or their values can't be used in a filter.
    """
    mean, std = np.ravel(mean).astype(np.float64), np.ravel(std).astype(np.float64)
    if mean.shape != (n_obs,) or std.shape != (n_obs,):
        raise ValueError(f"the mean and the deviation of observations have {mean.size} and {std.size} entries, the policy {n_obs}")
    if not np.isfinite(mean).all() or np.isnan(std).any() or (std < 0.0).any():
        raise ValueError("a mean of observations that is not finite, or a deviation that is negative or NaN")
    return mean, std


@user_facing
def to_model(trained: TrainedPolicy, env: Any = None, *, model_class: Any, trust: bool = False, **settings: Any) -> Any:
    """Make a model that has a trained policy, acts like it, and can be trained further.

    Parameters
    ----------
    trained : TrainedPolicy
        From `read`.
    env : str, gymnasium.Env, callable, ..., optional
        As for `fastars.ARS`. Default: the id in the file, if it has one.
    model_class : type
        `fastars.ARS`, or a class derived from it.
    trust : bool
        True: counts in the file, such as `n_delta`, have no limit.
    **settings
        Arguments of its constructor, instead of the arguments in the file.

    Returns
    -------
    fastars.ARS

    Raises
    ------
    fastars.CheckpointError
        If observations or actions of the policy do not fit the environment, or if `env` has to be given.
    ValueError, TypeError
        For settings that `fastars.ARS` refuses.
    """
    if env is None:
        env = _absent_env(trained) if trained.env_id is None else _registered(trained.env_id)
    given = {**trained.config, "clip_actions": trained.clip_actions, "preset": trained.preset}
    if trained.mean is not None:
        given |= {"normalize_observations": True, "clip_observations": trained.clip_observations}
    if "tensorboard_log" not in settings:
        given["tensorboard_log"] = believed_folder(given.get("tensorboard_log"), "the file of the policy", trust)
    given |= {"policy_kwargs": trained.policy_kwargs, **settings}
    zero_policy = given.get("zero_policy")
    of_file = {"zero_policy": True, "_init_setup_model": False}  # random weights would take memory
    model = model_class(trained.policy, env, **given | of_file)
    _refuse_other_shapes(trained, model)
    config = dataclasses.replace(model.config, zero_policy=zero_policy is not False)
    model.run = dataclasses.replace(model.run, config=config)
    if not trust:
        model.run = limited_run(model.run, "the file of the policy", settings, env_is_given=True)
    _warn_of_missing(trained, model, settings)
    model.policy.load_from_vector(trained.weights)
    model.num_timesteps = trained.num_timesteps
    if trained.mean is not None:
        moments = moments_of(trained.mean, trained.std, trained.count, model.config)
        model.restore(model.state._replace(moments=moments))
    return model


def _absent_env(trained: TrainedPolicy) -> AbsentEnv:
    """Return the environment of a file that tells its spaces alone; a CheckpointError if it does not tell these either."""
    likely = _like(trained)
    reason = (
        f"the file does not say which environment its policy is for, only that it takes {trained.n_obs} observations and gives "
        f"{trained.n_act} outputs: give env=..., such as env={likely!r}"
    )
    if trained.observation_space is None or trained.action_space is None:
        raise CheckpointError(reason)
    python = {"reason": "its file names no environment", "wrappers": []}
    return AbsentEnv(
        id=_UNNAMED,
        kwargs={},
        max_steps=DEFAULT_CAP,
        observation_space=trained.observation_space,
        action_space=trained.action_space,
        reason=f"{reason}, or call model.set_env({likely!r})",
        described={"env": _UNNAMED, "env_kwargs": {"max_episode_steps": DEFAULT_CAP}, "python": python},
    )


def _registered(env_id: str) -> str:
    """Return the id in a file if it is registered. Making `module:Id` would import the module, so such ids are refused."""
    if env_id not in gymnasium.registry and env_id not in compiled_env_ids():
        raise CheckpointError(f"its environment {env_id!r} is not registered here: give env=...")
    return env_id


def _like(trained: TrainedPolicy) -> str:
    """Return the id of an environment whose sizes fit the policy, for an error. Only fast look-ups are tried."""
    envs = map(compiled_env, reversed(compiled_env_ids("classic")))  # of two versions the newer one
    return next((env.id for env in envs if (env.n_obs, env.n_act) == (trained.n_obs, trained.n_act)), "HalfCheetah-v5")


def _refuse_other_shapes(trained: TrainedPolicy, model: Any) -> None:
    """Raise if the observations or actions of a policy do not fit the model's environment."""
    of_env = model.run.env.n_obs, model.run.env.n_act
    if (trained.n_obs, trained.n_act) != of_env:
        raise CheckpointError(
            f"the policy takes {trained.n_obs} observations and gives {trained.n_act} outputs; {model.env_id} has {of_env[0]} and "
            f"takes {of_env[1]}. Versions of an environment can differ in this, as Ant-v1 and Humanoid-v1 do from v5"
        )
    if trained.weights.size != model.policy.weights.size:
        raise CheckpointError(f"the policy has {trained.weights.size} weights, not the {model.policy.weights.size} of its layers")


def _warn_of_missing(trained: TrainedPolicy, model: Any, settings: Mapping[str, Any]) -> None:
    """Warn about settings and statistics that the model has neither from its file nor from the user."""
    if trained.warning and not model.config.normalize_observations:
        warn_user(trained.warning)
    if trained.source == "sb3":
        for name in sorted({"learning_rate", "delta_std"} - trained.config.keys() - settings.keys()):
            value = getattr(model.config, name)
            warn_user(f"{name} can't be read from the file: it is {value} unless {name}=... is given")


def moments_of(mean: Any, std: Any, count: int | None, config: Any) -> ObsMoments:
    """Return the moments from which, in a run with these settings, the filter follows that has this mean and this deviation."""
    mean, std = np.array(mean), np.array(std)
    count = max(_COUNT if count is None else count, 1 + config.filter_ddof)
    std = np.where(np.isfinite(std) & (std >= min(config.filter_min_std, _TINY)), std, 0.0)
    with np.errstate(over="ignore"):  # of a deviation of 1e154 and more
        variance = np.maximum(np.maximum(std - config.filter_epsilon, 0.0) ** 2 - config.filter_var_epsilon, 0.0)
        m2 = np.minimum(variance * (count - config.filter_ddof), np.finfo(np.float64).max)
    return ObsMoments(count, mean, m2)


def trained_of(model: Any) -> TrainedPolicy:
    """Return the trained policy of a model of fastars."""
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
