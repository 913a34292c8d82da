"""The compiled environments as Gymnasium vector environments, for those who train something else than ARS.

Step for step what `gymnasium.make_vec(id, num_envs, vectorization_mode="sync")` gives: the initial states bit for bit, the steps
within what the compiled environments differ from Gymnasium's (docs/design.md). `registration` ties the class to `make_vec`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium.error import ClosedEnvironmentError, ResetNeeded
from gymnasium.spaces import Discrete
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from fastars._compiled.structs import FloatArray, SeedArray
from fastars.envs.batches import BoolArray, LaneBatch, SimulatedBatch
from fastars.envs.compiled import CompiledEnv
from fastars.envs.compiling import compiled_env
from fastars.envs.making import make
from fastars.envs.registry import compiled_env_ids
from fastars.kernels.vector import Steps

_NO_LIMIT = 2**62  # steps


class CompiledVectorEnv(VectorEnv):
    """Many environments of one kind, stepped by one call of a compiled kernel.

    Parameters
    ----------
    compiled : CompiledEnv
        The environment, as `fastars.envs.compiled_env` gives it.
    num_envs : int
        How many.
    autoreset_mode : AutoresetMode or str
        What follows the end of an episode: `NEXT_STEP`, `SAME_STEP` or `DISABLED`, as in Gymnasium.
    max_episode_steps : int, optional
        Time limit of an episode; -1 for none. Default: that of `compiled`.
    copy : bool
        Whether each step returns new arrays. If not, the next `step` or `reset` overwrites the observations.

    Raises
    ------
    ValueError
        If an argument is none of these.

    Notes
    -----
    Actions of a Box are rounded to float32, the dtype of the space. Gymnasium's environments compute with what they are given.

    The infos of MuJoCo's environments are empty. Where a simulation becomes unstable, it goes on as Gymnasium's does.

    Of the options of `reset` only `reset_mask` is known: initial states are drawn as without options.
    """

    def __init__(
        self,
        compiled: CompiledEnv,
        num_envs: int = 1,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        max_episode_steps: int | None = None,
        copy: bool = True,
    ) -> None:
        self.compiled = compiled
        self.num_envs = _at_least_one("num_envs", num_envs)
        self.autoreset_mode = _autoreset_mode(autoreset_mode)
        self.copy = copy
        self.metadata = {"render_modes": [], "autoreset_mode": self.autoreset_mode}
        self.single_observation_space = compiled.observation_space
        self.single_action_space = compiled.action_space
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        if compiled.reward_space is not None:  # as mo-gymnasium's vector environments have it
            self.reward_space = compiled.reward_space
        self._max_steps = _time_limit(compiled.max_steps if max_episode_steps is None else max_episode_steps)
        batch_type = LaneBatch if compiled.model is None else SimulatedBatch
        self._batch: LaneBatch | SimulatedBatch = batch_type(compiled, self.num_envs)
        self._seeds: SeedArray | None = None
        self._is_reset = False
        self._observations = self._new_observations()

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> tuple[npt.NDArray[Any], dict[str, Any]]:
        """Begin an episode in every environment, or in those of `options["reset_mask"]`.

        Parameters
        ----------
        seed : int or sequence of (int or None), optional
            Environment i starts as `env.reset(seed=seed + i)`, or as with the i-th of the sequence. Without a seed it goes on
            drawing from its generator, which is seeded by the operating system if it never was.
        options : dict, optional
            `reset_mask`: an array of bool, shape (num_envs,).

        Returns
        -------
        observations : ndarray of float32 (MuJoCo: float64), shape (num_envs, n_obs)
            Where no episode begins, the observation as it was.
        infos : dict
            Empty.

        Raises
        ------
        ValueError, TypeError
            If an argument is none of these.
        """
        self._refuse_closed()
        mask = self._reset_mask(options)
        if not (self._is_reset or mask.all()):
            raise ResetNeeded("the first reset must be of all environments: options['reset_mask'] is not all True")
        self._seed(seed, mask)
        observations = self._new_observations() if self.copy else self._observations
        self._is_reset = False  # if MuJoCo fails, or Ctrl-C comes between two of its calls
        self._batch.reset(mask, observations)
        self._is_reset = True
        return observations, {}

    def step(self, actions: npt.ArrayLike) -> tuple[npt.NDArray[Any], FloatArray, BoolArray, BoolArray, dict[str, Any]]:
        """Take an action in every environment.

        Parameters
        ----------
        actions : array_like, shape (num_envs,) or (num_envs, n_act)
            Integers for a Discrete space, numbers for a Box; with numbers beyond its bounds the environment does what it does.

        Returns
        -------
        observations : ndarray of float32 (MuJoCo: float64), shape (num_envs, n_obs)
        rewards : ndarray of float64, shape (num_envs,), or (num_envs, n_tasks) where a step gives several
        terminations, truncations : ndarray of bool, shape (num_envs,)
        infos : dict
            `final_obs` and `final_info` with their masks, where `SAME_STEP` has reset an environment; else empty.

        Raises
        ------
        ValueError, TypeError
            If the actions have another shape or dtype, or one of them is not in the Discrete space.
        ResetNeeded
            Before the first `reset`, and in the mode `DISABLED` after the end of an episode.
        SimulationError
            If MuJoCo failed in one of the environments: all of them need a `reset` then.
        """
        self._refuse_closed()
        if not self._is_reset:
            raise ResetNeeded("Cannot call env.step() before calling env.reset()")
        if self.autoreset_mode == AutoresetMode.DISABLED and (ended := self._batch.ended()).any():
            first, n_ended = np.flatnonzero(ended)[0], np.count_nonzero(ended)
            raise ResetNeeded(f"{n_ended} environments, {first} the first of them, need a reset: their episodes have ended")
        array = self._action_array(actions)
        n = self.num_envs
        observations = self._new_observations() if self.copy else self._observations
        rewards = np.empty((n, self.compiled.n_tasks) if self.compiled.n_tasks else n)
        out = Steps(observations, rewards, np.empty(n, np.bool_), np.empty(n, np.bool_))
        self._is_reset = False
        self._batch.step(self._max_steps, array, out)
        infos = self._reset_ended(out) if self.autoreset_mode == AutoresetMode.SAME_STEP else {}
        self._is_reset = True
        return *out, infos

    def render(self) -> None:
        """Not there: make one environment by `gymnasium.make`, and reset it with the seed of an episode."""
        raise NotImplementedError("compiled environments have no pictures: gymnasium.make the same id with a render_mode")

    @property
    def np_random_seed(self) -> tuple[int, ...]:  # type: ignore[override]
        """The seed each environment was last reset with."""
        return tuple(self._current_seeds().tolist())

    @property  # type: ignore[misc]
    def np_random(self) -> tuple[np.random.Generator, ...]:  # type: ignore[override]
        """A copy of each environment's generator."""
        self._current_seeds()
        return tuple(_generator(*map(int, words)) for words in self._batch.generators)

    def close_extras(self, **kwargs: Any) -> None:
        """Let go of the memory. Gymnasium calls this for an object too whose construction failed."""
        for name in ("_batch", "_observations"):
            self.__dict__.pop(name, None)

    def _refuse_closed(self) -> None:
        if self.closed:
            raise ClosedEnvironmentError("the vector environment is closed")

    def _new_observations(self) -> npt.NDArray[Any]:
        return np.empty((self.num_envs, self.compiled.n_obs), self.single_observation_space.dtype)

    def _reset_ended(self, out: Steps) -> dict[str, Any]:
        """Same-step autoreset: begin new episodes where one has ended; returns the infos, with the last observations."""
        ended = out.terminations | out.truncations
        if not ended.any():
            return {}
        last = out.observations[ended]
        final = np.full(self.num_envs, None, dtype=object)
        final[ended] = np.fromiter(last, object, len(last))
        self._batch.reset_ended(ended, out.observations)
        return {"final_obs": final, "_final_obs": ended, "final_info": {}, "_final_info": ended.copy()}

    def _reset_mask(self, options: dict[str, Any] | None) -> BoolArray:
        """The environments to reset."""
        if not options:
            return np.ones(self.num_envs, np.bool_)
        for key, value in options.items():
            if key != "reset_mask":
                raise ValueError(f"options may have 'reset_mask' only; options[{key!r}] is {value!r}")
        mask = options["reset_mask"]
        if not isinstance(mask, np.ndarray):
            raise TypeError(f"`options['reset_mask']` must be a numpy array, got {type(mask)}")
        if mask.shape != (self.num_envs,):
            raise ValueError(f"`options['reset_mask']` must have shape `({self.num_envs},)`, got {mask.shape}")
        if mask.dtype != np.bool_:
            raise TypeError(f"`options['reset_mask']` must have `dtype=np.bool_`, got {mask.dtype}")
        if not mask.any():
            raise ValueError(
                f"`options['reset_mask']` must contain a boolean array with at least one True value, got reset_mask={mask}"
            )
        return mask

    def _seed(self, seed: Any, mask: BoolArray) -> None:
        """Seed the generators of the environments in `mask` that a seed is given for."""
        seeds, given = _seed_array(seed, self.num_envs)
        current = self._current_seeds()
        mask = mask & given
        current[mask] = seeds[mask]
        self._batch.seed(current, mask)

    def _current_seeds(self) -> SeedArray:
        """The seeds of all environments; drawn from the operating system when there are none yet."""
        if self._seeds is None:
            self._seeds = np.random.SeedSequence().generate_state(self.num_envs, np.uint64).astype(np.uint64)
            self._batch.seed(self._seeds, np.ones(self.num_envs, np.bool_))
        return self._seeds

    def _action_array(self, actions: npt.ArrayLike) -> npt.NDArray[Any]:
        """Actions as the kernels take them."""
        array, space = np.asarray(actions), self.single_action_space
        if array.ndim == 0:
            raise TypeError(f"actions must be an array of {self.num_envs} actions, got {actions!r}")
        if array.shape != (self.num_envs, *space.shape):  # type: ignore[misc]
            raise ValueError(f"actions must have shape {(self.num_envs, *space.shape)}, got {array.shape}")  # type: ignore[misc]
        if not isinstance(space, Discrete):
            if array.dtype.kind not in "fiu":
                raise TypeError(f"actions must be numbers, got dtype {array.dtype}")
            return np.ascontiguousarray(array, np.float32)
        if array.dtype.kind not in "iu":
            raise TypeError(f"actions must be integers, got dtype {array.dtype}")
        first, last = int(space.start), int(space.start + space.n) - 1
        if array.min() < first or array.max() > last:
            array = _within(array, first, last, self._batch.ended())
        return np.ascontiguousarray(array, np.int64)


def _within(actions: npt.NDArray[Any], first: int, last: int, ended: BoolArray) -> npt.NDArray[Any]:
    """The actions, with any in place of those that nobody looks at: in environments that begin an episode."""
    outside = (actions < first) | (actions > last)
    if (outside & ~ended).any():
        i = np.flatnonzero(outside & ~ended)[0]
        raise ValueError(f"actions must be integers from {first} to {last}, got {actions[i]} for environment {i}")
    return np.where(outside, first, actions)


def _seed_array(seed: Any, n: int) -> tuple[SeedArray, BoolArray]:
    """A seed for each of n environments, and for which of them one is given."""
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


def _generator(state_high: int, state_low: int, increment_high: int, increment_low: int) -> np.random.Generator:
    """NumPy's generator in the state of one of ours."""
    bits = np.random.PCG64()
    state: Any = {"state": state_high << 64 | state_low, "inc": increment_high << 64 | increment_low}
    bits.state = {"bit_generator": "PCG64", "state": state, "has_uint32": 0, "uinteger": 0}
    return np.random.Generator(bits)


def _autoreset_mode(mode: AutoresetMode | str) -> AutoresetMode:
    try:
        return AutoresetMode(mode)
    except ValueError:
        allowed = ", ".join(repr(mode.value) for mode in AutoresetMode)
        raise ValueError(f"autoreset_mode must be an AutoresetMode or one of {allowed}, got {mode!r}") from None


def _at_least_one(name: str, value: Any, hint: str = "") -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        raise ValueError(f"{name} must be an integer of at least 1{hint}, got {value!r}")
    return int(value)


def _time_limit(value: Any) -> int:
    """The time limit in steps; -1 stands for none, as in `gymnasium.make`."""
    return _NO_LIMIT if value == -1 else _at_least_one("max_episode_steps", value, hint=" (or -1: no limit)")


def make_vector_env(
    env_id: str,
    num_envs: int = 1,
    *,
    max_episode_steps: int | None = None,
    autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
    copy: bool = True,
    render_mode: None = None,
    **kwargs: Any,
) -> CompiledVectorEnv:
    """What `gymnasium.make_vec("fastars/<env_id>", ...)` calls.

    Parameters
    ----------
    env_id : str
        One of `compiled_env_ids()`.
    num_envs, max_episode_steps, autoreset_mode, copy
        As for `CompiledVectorEnv`.
    render_mode : None
        There are no pictures.
    **kwargs
        Arguments of `gymnasium.make(env_id)`.
    """
    if render_mode is not None:
        raise ValueError(f"render_mode must be None, got {render_mode!r}: compiled environments have no pictures")
    single = make(env_id, **kwargs)
    try:
        return CompiledVectorEnv(compiled_env(single), num_envs, autoreset_mode, max_episode_steps, copy)
    finally:
        single.close()


def __getattr__(name: str) -> Callable[..., CompiledVectorEnv]:
    """The attribute named as an environment id makes it: an entry point that is a string can be copied, pickled and printed."""
    if name in compiled_env_ids():
        return functools.partial(make_vector_env, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
