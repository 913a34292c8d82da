"""Policies as plain arrays in NumPy's `.npz`, without pickles, to run them with a few lines of any language.

| name | content |
|---|---|
| `README` | a text that explains how to compute an action |
| `W0`, `b0`, `W1`, ... | weights (outputs, inputs) and biases (outputs,) of the layers, float64 |
| `obs_mean`, `obs_std`, `obs_clip` | the policy sees clip((observation - obs_mean) / obs_std, -obs_clip, obs_clip) |
| `activation` | the function between layers: "relu", "tanh", "swish" (x / (1 + exp(-x))) or "linear" (none) |
| `action` | "box", "discrete", "multidiscrete" or "multibinary" |
| `low`, `high` | bounds of a Box, in its shape and dtype: actions are clipped to them, or squashed between them |
| `start`, `sizes` | of discrete actions: the first action, and for a MultiDiscrete the number of scores of each action |
| `squash_output` | True if actions are squashed |
| `clip_actions`, `with_bias`, `normalized`, `obs_count`, `policy`, `preset`, `env_id`, `num_timesteps` | needed by `read` |
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np

from fastars._compiled.structs import Argmax, Choices, Signs, Unclipped
from fastars._validate import user_facing
from fastars.envs.spaces import action_form
from fastars.exchange.trained import TrainedPolicy, normalisation, policy_of_layers, trained_of
from fastars.files.archives import MAX_NUMBERS, MAX_OBS, Archive, plain_array
from fastars.files.atomic import write_atomically
from fastars.training import presets
from fastars.training.policy_structure import layers_of_policy
from fastars.training.setting_checks import ACTIVATIONS, POLICY_KWARGS

_README = """\
A policy trained by Augmented Random Search (fastars). With the observation o as a vector of float64:
x = clip((o - obs_mean) / obs_std, -obs_clip, obs_clip); then for each layer k, x = Wk x + bk, with the activation between layers;
"swish" is x / (1 + exp(-x)), "linear" is x.
action "discrete": start + the index of the largest x, the first of equals.
action "box": with squash_output, x = low + (tanh(x) + 1) / 2 (high - low); then x is clipped to low and high, in their dtype.
action "multidiscrete": x is cut into pieces of these sizes; each as "discrete". action "multibinary": 1 where x > 0, else 0.
"""
_ACTIONS = {Argmax: "discrete", Choices: "multidiscrete", Signs: "multibinary"}


def matches(names: list[str]) -> bool:
    """Return True if a zip with members of these names is a file of plain arrays."""
    return "README.npy" in names and "W0.npy" in names


@user_facing
def write(model: Any, path: Any) -> None:
    """Write a model's policy as plain arrays.

    Parameters
    ----------
    model : fastars.ARS
        A model.
    path : str or PathLike
        The file. An existing file is replaced in one step.

    Raises
    ------
    ValueError
        If the action space is a Box of whole numbers.
    """
    trained, config = trained_of(model), model.config
    sizes = [trained.n_obs, *config.net_arch, trained.n_act]
    arrays: dict[str, Any] = {"README": _README}
    for k, (weights, bias) in enumerate(layers_of_policy(trained.weights, sizes, config.with_bias)):
        arrays |= {f"W{k}": weights, f"b{k}": np.zeros(len(weights)) if bias is None else bias}
    arrays |= {
        "obs_mean": np.zeros(trained.n_obs) if trained.mean is None else trained.mean,
        "obs_std": np.ones(trained.n_obs) if trained.std is None else trained.std,
        "obs_clip": trained.clip_observations,
        "obs_count": trained.count or 0,
        "normalized": trained.mean is not None,
        "activation": config.activation_fn,
        **_action(model.action_space, config.clip_actions, config.squash_output),
        "clip_actions": config.clip_actions,
        "squash_output": config.squash_output,
        "with_bias": config.with_bias,
        "policy": config.policy,
        "preset": model.preset,
        "env_id": model.env_id,
        "num_timesteps": trained.num_timesteps,
    }
    content = io.BytesIO()
    np.savez(content, **arrays)
    write_atomically(path, [content.getvalue()])


def _action(space: Any, clip: bool, squash: bool) -> dict[str, Any]:
    """Return the arrays that describe how outputs become an action of a space."""
    refuse_whole_numbers(space)
    form, low, high = action_form(space, clip, squash)
    if isinstance(form, (Argmax, Choices, Signs)):
        start, sizes = form if isinstance(form, Choices) else (getattr(form, "start", 0), len(low))
        return {"action": _ACTIONS[type(form)], "start": start, "sizes": sizes}
    if isinstance(form, Unclipped):
        low, high = np.full_like(low, -np.inf), np.full_like(high, np.inf)
    return {
        "action": "box",
        "low": low.reshape(space.shape).astype(space.dtype),
        "high": high.reshape(space.shape).astype(space.dtype),
    }


def refuse_whole_numbers(space: Any) -> None:
    """Raise a ValueError for a Box of whole numbers: these formats can't round."""
    if type(space).__name__ == "Box" and space.dtype.kind != "f":
        raise ValueError(
            f"model has the action space {space}, whose actions are rounded to whole numbers; this format can't hold that"
        )


def read(archive: Archive) -> TrainedPolicy:
    """Read the policy in a file of plain arrays.

    Raises
    ------
    ValueError, KeyError, TypeError
        If the file holds no policy.
    """
    arrays = {name.removesuffix(".npy"): plain_array(archive.read(name)) for name in archive.names}
    if (n_numbers := sum(array.size for array in arrays.values())) > MAX_NUMBERS + 4 * MAX_OBS:
        raise ValueError(f"{n_numbers} numbers; a policy has {MAX_NUMBERS} at most")
    with_bias = _flag(arrays, "with_bias")
    layers: list[tuple[np.ndarray, np.ndarray | None]] = []
    while f"W{len(layers)}" in arrays:
        k = len(layers)
        layers.append((_numbers(arrays, f"W{k}"), _numbers(arrays, f"b{k}") if with_bias else None))
    weights, sizes, _ = policy_of_layers(layers)
    kind, squash = _word(arrays, "policy", POLICY_KWARGS), _flag(arrays, "squash_output")
    kwargs: dict[str, Any] = {"with_bias": with_bias, "squash_output": squash}
    if kind == "MlpPolicy":
        kwargs |= {"net_arch": sizes[1:-1], "activation_fn": _word(arrays, "activation", ACTIVATIONS)}
    elif len(layers) > 1:
        raise ValueError("a LinearPolicy of more than one layer")
    trained = TrainedPolicy(
        weights=weights,
        n_obs=sizes[0],
        n_act=sizes[-1],
        policy=kind,
        policy_kwargs=kwargs,
        source="npz",
        clip_actions=_flag(arrays, "clip_actions"),
        squash_output=squash,
        env_id=str(arrays["env_id"].item())[:200],
        num_timesteps=_count(arrays, "num_timesteps"),
        preset=_word(arrays, "preset", presets.CHOICES),
    )
    if not _flag(arrays, "normalized"):
        return trained
    mean, std = normalisation(_numbers(arrays, "obs_mean"), _numbers(arrays, "obs_std"), sizes[0])
    clip = float(_numbers(arrays, "obs_clip").item())
    if not clip > 0.0:
        raise ValueError(f"obs_clip must be positive, got {clip}")
    return trained._replace(mean=mean, std=std, count=_count(arrays, "obs_count"), clip_observations=clip)


def _numbers(arrays: dict[str, np.ndarray], name: str) -> np.ndarray:
    if arrays[name].dtype.kind not in "fiu":
        raise ValueError(f"{name} must be numbers, got {arrays[name].dtype}")
    return arrays[name].astype(np.float64, copy=False)


def _flag(arrays: dict[str, np.ndarray], name: str) -> bool:
    if arrays[name].dtype != np.bool_ or arrays[name].shape:
        raise ValueError(f"{name} must be a bool, got {arrays[name].dtype} {arrays[name].shape}")
    return bool(arrays[name])


def _count(arrays: dict[str, np.ndarray], name: str) -> int:
    if arrays[name].dtype != np.int64 or arrays[name].shape or arrays[name] < 0:
        raise ValueError(f"{name} must be an integer of at least 0")
    return int(arrays[name])


def _word(arrays: dict[str, np.ndarray], name: str, allowed: Any) -> str:
    word = str(arrays[name].item())[:40]
    if word not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(allowed)}, got {word!r}")
    return word
