"""Check what a user gives to `predict` as an observation, and say what it was if it is none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium import spaces

from fastars.envs.returned import real_array
from fastars.envs.spaces import is_image

_RESULTS = {  # by the number of entries: what it is, and how to take the observation out of it
    2: (
        "(observation, info), as reset() of Gymnasium returns it (mixing Gym API and VecEnv API)",
        "observation, info = env.reset()",
    ),
    4: ("all that step() of a VecEnv returns", "observations, rewards, dones, infos = vec_env.step(actions)"),
    5: ("all that step() of Gymnasium returns", "observation, reward, terminated, truncated, info = env.step(action)"),
}


def checked_observation(space: spaces.Space, observation: Any) -> Any:
    """Return an observation, or a batch, with the dtype of its space. Its shape is not looked at, but for images.

    A policy of stable-baselines3 for images has the channels first, and takes images with the channels last, too.

    Raises
    ------
    ValueError
        For a dict where there is none in the space, for lists of different lengths, and for all that `reset` or `step` return.
    TypeError
        For other values than real numbers.
    """
    if not isinstance(observation, np.ndarray):
        _refuse_results(space, observation)
    if isinstance(space, spaces.Dict) and isinstance(observation, Mapping) and any(map(is_image, space.values())):
        return {key: _channels_first(space.get(key), value) for key, value in observation.items()}
    if space.dtype is None:  # a Dict or a Tuple
        return observation
    try:
        array = real_array("observation", observation)
    except (TypeError, ValueError) as error:
        if isinstance(observation, Mapping):
            raise ValueError(f"observation must be of the space {space}, got a dict with the keys {list(observation)}") from None
        if isinstance(error, TypeError):
            raise
        shown = str(observation)[:80]  # lists of different lengths
        raise ValueError(f"observation must be of the space {space}, got {shown}: {error}") from None
    return _channels_first(space, np.asarray(array, dtype=space.dtype))  # a number such as 0.1 is rounded as in the environment


def _channels_first(space: spaces.Space | None, observation: Any) -> Any:
    """Return images that have the channels last with the channels first, if the space has them there; all else as it is."""
    shape = np.shape(observation)
    if len(shape) not in (3, 4) or space is None or shape[-3:] == space.shape or not is_image(space):
        return observation
    moved = np.moveaxis(np.asarray(observation), -1, -3)
    return moved if moved.shape[-3:] == space.shape else observation


def _refuse_results(space: spaces.Space, observation: Any) -> None:
    """Raise for the results of `reset` and `step`, unless they can be an observation of the space."""
    if not isinstance(observation, (tuple, list)) or len(observation) not in _RESULTS:
        return
    infos = observation[-1] if isinstance(observation[-1], (list, tuple)) else [observation[-1]]
    if not infos or not all(isinstance(info, dict) for info in infos):
        return
    if isinstance(space, spaces.Tuple) and len(space.spaces) == len(observation) and isinstance(space.spaces[-1], spaces.Dict):
        return
    what, call = _RESULTS[len(observation)]
    raise ValueError(f"observation must be an observation alone, got {what}: write `{call}`")
