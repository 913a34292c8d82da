"""Gymnasium's spaces as vectors: observations flattened for a policy, its scores turned into actions.

| action space | scores | action |
|---|---|---|
| Box | one per entry | the score, clipped to the bounds, or squashed between them by a tanh |
| Discrete | one per choice | the choice with the largest score, the first of equals |
| MultiDiscrete | one per choice of each entry | the same, entry by entry |
| MultiBinary | one per entry | 1 where the score is above 0 |

Observations are flattened as `gymnasium.spaces.flatten` does: one-hot vectors for choices, the parts of a Dict in its order.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.vector.utils import batch_space, iterate

from fastars._compiled.structs import Argmax, Choices, Clip, FloatArray, Signs, Squash, Unclipped
from fastars.envs.old_gym import ADVICE, is_of_old_gym
from fastars.envs.returned import real_array

_PARTS = (spaces.Box, spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary)


class UnsupportedSpaceError(ValueError):
    """A space that policies can't see or can't act in; the message names it and the wrapper that helps."""


def flat_size(space: spaces.Space) -> int:
    """Return the number of entries of a flattened observation.

    Raises
    ------
    UnsupportedSpaceError
        For a space that is neither a Box, Discrete, MultiDiscrete, MultiBinary nor a Dict or Tuple of these, or that is empty.
    """
    _refuse_observations(space, space)
    size = spaces.flatdim(space)
    if size < 1:
        raise UnsupportedSpaceError(f"the observation space {space} has no entries")
    return size


def _refuse_observations(part: Any, space: Any) -> None:
    """Raise if a part of an observation space can't be flattened to a fixed number of numbers."""
    if isinstance(part, (spaces.Dict, spaces.Tuple)) and part.spaces:
        for inner in part.spaces.values() if isinstance(part, spaces.Dict) else part.spaces:
            _refuse_observations(inner, space)
    elif not isinstance(part, _PARTS) or np.dtype(part.dtype).kind not in "fiub":
        where = "" if part is space else f" in {space}"
        if is_of_old_gym(part):
            raise UnsupportedSpaceError(f"the observation space {part}{where} is of the old package gym, not gymnasium: {ADVICE}")
        raise UnsupportedSpaceError(
            f"observations of the space {part}{where} can't be given to a policy: wrap the environment in "
            "gymnasium.wrappers.TransformObservation, which can turn them into a Box"
        )


def flattener(space: spaces.Space) -> Callable[[Any], np.ndarray]:
    """Return a function from an observation to its flat entries; it raises ValueError for another shape."""
    if isinstance(space, spaces.Box):
        shape, dtype = space.shape, space.dtype

        def ravel(observation: Any) -> np.ndarray:
            array = real_array("the observation", observation)
            if array.shape != shape and _without_leading_ones(array.shape) != _without_leading_ones(shape):
                raise ValueError(f"the observation has shape {array.shape}, its space says {shape}")
            if array.dtype != dtype:
                with np.errstate(over="ignore", invalid="ignore"):  # 1e300 is infinite as a float32, and ends the episode
                    array = array.astype(dtype)
            return array.ravel()

        return ravel
    size = flat_size(space)
    if isinstance(space, spaces.Discrete):
        start = int(space.start)

        def one_hot(observation: Any) -> np.ndarray:
            choice = observation if type(observation) is int else _choice(observation)  # saves 0.5 us
            flat, index = np.zeros(size), choice - start
            if not 0 <= index < size:
                raise ValueError(f"the observation is {observation!r}, its space says {space}")
            flat[index] = 1.0
            return flat

        return one_hot

    def flatten(observation: Any) -> np.ndarray:
        try:
            _refuse_others(space, observation)
            flat = np.asarray(spaces.flatten(space, observation))
        except (KeyError, IndexError, TypeError, AttributeError) as error:
            raise ValueError(f"the observation must be of the space {space}, got {observation!r}: {error}") from error
        if flat.shape != (size,):
            raise ValueError(f"the observation has {flat.size} entries, its space {space} says {size}")
        return flat

    return flatten


def _without_leading_ones(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return a shape without the axes of length 1 before its first longer axis; stable-baselines3 does not look at these."""
    first = next((axis for axis, length in enumerate(shape) if length != 1), len(shape))
    return shape[first:]


def _choice(observation: Any) -> int:
    """Return the choice in an observation of a Discrete space: a whole number, or an array of one."""
    if isinstance(observation, (np.ndarray, float, np.floating)) and np.size(observation) == 1:
        number = np.asarray(observation).item()
        return int(number) if isinstance(number, float) and number.is_integer() else operator.index(number)
    return operator.index(observation)


def _refuse_others(space: Any, part: Any) -> None:
    """Raise for a part of an observation that is not of its space's kind. Bounds of a Box may be broken."""
    if isinstance(space, (spaces.Dict, spaces.Tuple)):
        keys: Any = space.spaces if isinstance(space, spaces.Dict) else range(len(space.spaces))
        if isinstance(space, spaces.Tuple) and not isinstance(part, (tuple, list)):  # of a dict, keys would be observed
            raise TypeError(f"a tuple is expected, got {type(part).__name__}")
        if len(part) != len(space.spaces):
            raise ValueError(f"the observation has {len(part)} parts, its space {space} has {len(space.spaces)}")
        for key in keys:
            _refuse_others(space[key], part[key])
        return
    array = real_array("the observation", part)
    if array.size != math.prod(space.shape or ()):
        raise ValueError(f"the observation has a part of shape {array.shape}, its space says {space}")
    if isinstance(space, spaces.Box):
        return
    high = 2 if isinstance(space, spaces.MultiBinary) else space.nvec if isinstance(space, spaces.MultiDiscrete) else space.n
    choices = array.reshape(space.shape or ()) - getattr(space, "start", 0)
    if array.dtype.kind == "f" or (choices < 0).any() or (choices >= high).any():
        raise ValueError(f"the observation has {part!r}, its space says {space}")


def refuse_bounds(space: Any) -> None:
    """Raise if a Box, or one in a Dict or Tuple, has a bound that is NaN, or a lower bound above the upper one."""
    if isinstance(space, (spaces.Dict, spaces.Tuple)):
        for inner in space.spaces.values() if isinstance(space, spaces.Dict) else space.spaces:
            refuse_bounds(inner)
    elif isinstance(space, spaces.Box) and not (space.low <= space.high).all():
        raise UnsupportedSpaceError(f"the space {space} has a bound that is NaN, or low > high: low={space.low}, high={space.high}")


def flat_batch(space: spaces.Space, observations: Any) -> FloatArray:
    """Return a batch of observations, as `gymnasium.vector` stacks it, as rows of flat entries."""
    if isinstance(space, spaces.Box):
        return np.asarray(observations, np.float64).reshape(len(observations), flat_size(space))
    flatten = flattener(space)
    rows = [flatten(observation) for observation in unbatched(space, observations)]
    return np.array(rows, np.float64).reshape(len(rows), flat_size(space))


def unbatched(space: spaces.Space, observations: Any) -> Iterable[Any]:
    """Return the single observations of a batch that `gymnasium.vector` stacked; `space` describes a single one."""
    if isinstance(space, (spaces.Dict, spaces.Tuple)):
        _, first = _first_part(space, observations)
        return iterate(batch_space(space, len(first)), observations)
    return np.asarray(observations)


def is_batch(space: spaces.Space, observation: Any) -> bool:
    """True for a batch of observations, False for a single one; ValueError if it is neither."""
    try:
        part, first = _first_part(space, observation)
    except (KeyError, IndexError, TypeError) as error:
        raise ValueError(f"observation must be of the space {space}, got {observation!r}") from error
    shape, single = np.shape(first), part.shape or ()
    if shape == single or (shape == () and math.prod(single) == 1):
        return False
    if len(shape) == len(single) + 1 and shape[1:] == single:
        return True
    many = f"(n, {', '.join(map(str, single))})" if single else "(n,)"
    raise ValueError(f"observation must have shape {single} or {many}, got {shape}")


def is_image(space: Any) -> bool:
    """Return True for what stable-baselines3 takes for an image: a Box of three axes with all numbers from 0 to 255, in bytes."""
    if not isinstance(space, spaces.Box) or len(space.shape) != 3 or space.dtype != np.uint8:
        return False
    return not space.low.any() and bool((space.high == 255).all())


def _first_part(space: Any, observation: Any) -> tuple[spaces.Space, Any]:
    """Return the first part of a Dict or Tuple that is neither of these, and the same part of an observation."""
    while isinstance(space, (spaces.Dict, spaces.Tuple)):
        key: Any = next(iter(space.spaces)) if isinstance(space, spaces.Dict) else 0
        space, observation = space[key], observation[key]
    return space, observation


def n_scores(space: spaces.Space) -> int:
    """Return the number of scores that a policy must give for an action.

    Raises
    ------
    UnsupportedSpaceError
        For a space that is neither a Box, Discrete, MultiDiscrete nor MultiBinary, or that is empty.
    """
    if isinstance(space, spaces.Discrete):
        return int(space.n)
    if isinstance(space, spaces.MultiDiscrete):
        return int(space.nvec.sum())
    if is_of_old_gym(space):
        raise UnsupportedSpaceError(f"the action space {space} is of the old package gym, not gymnasium: {ADVICE}")
    if not isinstance(space, (spaces.Box, spaces.MultiBinary)) or space.dtype.kind not in "fiu":
        raise UnsupportedSpaceError(
            f"a policy can't act in the space {space}: wrap the environment in gymnasium.wrappers.TransformAction, which can make "
            "it a Box, Discrete, MultiDiscrete or MultiBinary space"
        )
    size = int(np.prod(space.shape))
    if size < 1:
        raise UnsupportedSpaceError(f"the action space {space} has no entries")
    return size


def action_form(space: spaces.Space, clip: bool, squash: bool) -> tuple[Any, np.ndarray, np.ndarray]:
    """Return (kind, low, high): the rule that turns scores into actions, with the bounds of each score.

    Parameters
    ----------
    space : gymnasium.Space
        An action space.
    clip : bool
        Clip the actions of a Box. If False, the environment gets actions beyond its bounds.
    squash : bool
        Put the actions of a Box between its bounds by a tanh. No other space is squashed.

    Raises
    ------
    UnsupportedSpaceError
        For a Box without bounds if `squash` is True, and in the cases of `n_scores`.
    """
    n = n_scores(space)
    none = np.zeros(n, np.float32)
    if isinstance(space, spaces.Discrete):
        return Argmax(int(space.start)), none, none
    if isinstance(space, spaces.MultiDiscrete):
        return Choices(space.start.ravel().astype(np.int64), space.nvec.ravel().astype(np.int64)), none, none
    if not isinstance(space, spaces.Box):
        return Signs(), none, none
    dtype = _score_dtype(space)
    low, high = space.low.ravel().astype(dtype), space.high.ravel().astype(dtype)
    if squash and not np.isfinite(np.concatenate([low, high])).all():
        raise UnsupportedSpaceError(
            f"squash_output=True needs bounds, the action space is {space}: wrap the environment in "
            "gymnasium.wrappers.TransformAction, which can give it some, or use squash_output=False"
        )
    is_whole = space.dtype.kind != "f"
    return Squash() if squash else Clip() if clip or is_whole else Unclipped(), low, high


def _score_dtype(space: spaces.Box) -> Any:
    """Return the dtype to which the scores of a Box are rounded: float32; float64 for a Box of integers or of float64."""
    return np.float32 if space.dtype in (np.float32, np.float16) else np.float64


def action_rows(space: spaces.Space, n: int) -> np.ndarray:
    """Return an array for n flat actions, as the kernels write them."""
    if isinstance(space, spaces.Discrete):
        return np.zeros((n, 1), np.int64)
    dtype: Any = _score_dtype(space) if isinstance(space, spaces.Box) else np.int64
    return np.zeros((n, int(np.prod(space.shape or ()))), dtype)


def batched_actions(space: spaces.Space, rows: np.ndarray) -> np.ndarray:
    """Return flat actions (n, entries) as a batch in the form of the space, as `gymnasium.vector` takes it."""
    if isinstance(space, spaces.Discrete):
        return rows[:, 0]
    rows = rows.reshape(len(rows), *(space.shape or ()))
    if rows.dtype == space.dtype:
        return rows
    if isinstance(space, spaces.Box):
        return _in_bounds(space, rows)
    return rows.astype(space.dtype)


def actions_in_rows(space: spaces.Space, rows: np.ndarray) -> np.ndarray | None:
    """Return a view of rows of flat actions as a batch in the form of the space; None if actions have to be computed from them."""
    batch = batched_actions(space, rows)
    return batch if np.may_share_memory(batch, rows) else None


def _in_bounds(space: spaces.Box, rows: FloatArray) -> np.ndarray:
    """Return actions in the dtype of a Box: whole numbers are rounded, and no rounding leaves the bounds."""
    is_whole = space.dtype.kind != "f"
    with np.errstate(invalid="ignore", over="ignore"):  # a score beyond the dtype; it gets the bound
        actions = (np.rint(rows) if is_whole else rows).astype(space.dtype)
    if not is_whole:
        return np.clip(actions, space.low, space.high) if np.isfinite(space.low).any() or np.isfinite(space.high).any() else actions
    low, high = np.broadcast_to(space.low, rows.shape), np.broadcast_to(space.high, rows.shape)
    return np.where(rows >= high, high, np.where(rows <= low, low, actions))
