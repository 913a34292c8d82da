"""Arguments of a compiled vector environment, checked and in the form that the kernels take."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium.spaces import Discrete
from gymnasium.vector import AutoresetMode

from fastars._compiled.jit import entry
from fastars._compiled.structs import SeedArray
from fastars._runtime.signals import HeldSignals
from fastars._validate import integer, positive_int
from fastars.kernels.vector import are_within

BoolArray = npt.NDArray[np.bool_]
_NO_LIMIT = 2**62  # steps


def reset_mask(options: dict[str, Any] | None, num_envs: int) -> BoolArray:
    """Return the mask of the environments to reset, (num_envs,)."""
    if not options:
        return np.ones(num_envs, np.bool_)
    for key, value in options.items():
        if key != "reset_mask":
            raise ValueError(f"options may have 'reset_mask' only; options[{key!r}] is {value!r}")
    mask = options["reset_mask"]  # the errors have Gymnasium's wording
    if not isinstance(mask, np.ndarray):
        raise TypeError(f"`options['reset_mask']` must be a numpy array, got {type(mask)}")
    if mask.shape != (num_envs,):
        raise ValueError(f"`options['reset_mask']` must have shape `({num_envs},)`, got {mask.shape}")
    if mask.dtype != np.bool_:
        raise TypeError(f"`options['reset_mask']` must have `dtype=np.bool_`, got {mask.dtype}")
    if not mask.any():
        raise ValueError(
            f"`options['reset_mask']` must contain a boolean array with at least one True value, got reset_mask={mask}"
        )
    return mask


class ActionArrays:
    """Brings the actions of `n` environments into the form that the kernels take.

    Parameters
    ----------
    space : gymnasium.spaces.Space
        Action space of a single environment.
    n : int
        Number of environments.
    """

    def __init__(self, space: Any, n: int) -> None:
        self._space, self._n, self._shape = space, n, (n, *space.shape)
        self._is_discrete = isinstance(space, Discrete)
        if self._is_discrete:
            self._first, self._last = int(space.start), int(space.start + space.n) - 1
            with HeldSignals():
                self._are_within = entry(are_within, np.zeros(0, np.int64), self._first, self._last)

    def __reduce__(self) -> tuple[Any, ...]:
        """Return what makes another one: a compiled kernel can't be copied or pickled."""
        return ActionArrays, (self._space, self._n)

    def of(self, actions: npt.ArrayLike, ended: Callable[[], BoolArray]) -> npt.NDArray[Any]:
        """Return actions (n,) or (n, n_act) as contiguous int64 or float32.

        Parameters
        ----------
        actions : array_like
            Shape (n,) or (n, n_act).
        ended : callable
            Returns a mask (n,) of the environments that begin an episode, and use no action. Called if an action is not valid.
        """
        array = np.asarray(actions)
        if array.shape != self._shape:
            if array.ndim == 0:
                raise TypeError(f"actions must be an array of {self._n} actions, got {actions!r}")
            raise ValueError(f"actions must have shape {self._shape}, got {array.shape}")
        kind = array.dtype.kind
        if not self._is_discrete:
            if kind not in "fiu":
                raise TypeError(f"actions must be numbers, got dtype {array.dtype}")
            return _plain(array, np.float32)
        if kind not in "iu":
            raise TypeError(f"actions must be integers, got dtype {array.dtype}")
        plain = _plain(array, np.int64)
        if not self._are_within(plain, self._first, self._last):  # 0.3 us; `min` and `max` of NumPy take 2
            plain = _plain(_within(array, self._first, self._last, ended()), np.int64)
        return plain


def _plain(array: npt.NDArray[Any], dtype: Any) -> npt.NDArray[Any]:
    """Return an array contiguous and aligned, as compiled kernels take it without a look at its type."""
    plain = np.ascontiguousarray(array, dtype)
    return plain if plain.flags.aligned else plain.copy()


def _within(actions: npt.NDArray[Any], first: int, last: int, ended: BoolArray) -> npt.NDArray[Any]:
    """Return the actions, with a valid one wherever an environment begins an episode and uses none."""
    outside = (actions < first) | (actions > last)
    if (outside & ~ended).any():
        i = np.flatnonzero(outside & ~ended)[0]
        raise ValueError(f"actions must be integers from {first} to {last}, got {actions[i]} for environment {i}")
    return np.where(outside, first, actions)


def seeds_of(seed: Any, n: int) -> tuple[SeedArray, BoolArray]:
    """Return seeds (n,), and a mask (n,) of the environments for which one is given."""
    if seed is None:
        return np.zeros(n, np.uint64), np.zeros(n, np.bool_)
    if isinstance(seed, (int, np.integer)):
        if not 0 <= seed <= 2**64 - n:
            raise ValueError(f"seed must be an integer from 0 to 2**64 - {n}, got {seed!r}")
        return np.uint64(seed) + np.arange(n, dtype=np.uint64), np.ones(n, np.bool_)
    values = list(seed)
    if len(values) != n:
        raise ValueError(f"seed must be an integer or a sequence of {n}, one for each environment, got {len(values)}")
    for value in values:
        if value is not None and not (isinstance(value, (int, np.integer)) and 0 <= value < 2**64):
            raise ValueError(f"seed must be made of integers from 0 to 2**64 - 1 and None, got {value!r}")
    return np.array([value or 0 for value in values], np.uint64), np.array([value is not None for value in values])


def checked_autoreset_mode(mode: AutoresetMode | str) -> AutoresetMode:
    """Return the mode of Gymnasium's that `mode` names."""
    try:
        return AutoresetMode(mode)
    except ValueError:
        allowed = ", ".join(repr(mode.value) for mode in AutoresetMode)
        raise ValueError(f"autoreset_mode must be an AutoresetMode or one of {allowed}, got {mode!r}") from None


def most_steps(max_episode_steps: Any) -> int:
    """Return the time limit in steps; -1 stands for none, as in `gymnasium.make`."""
    if integer("max_episode_steps", max_episode_steps) == -1:
        return _NO_LIMIT
    if max_episode_steps < 1:
        raise ValueError(f"max_episode_steps must be an integer of at least 1 (or -1: no limit), got {max_episode_steps!r}")
    return positive_int("max_episode_steps", max_episode_steps)
