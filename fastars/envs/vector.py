"""The compiled environments as Gymnasium vector environments, for training by other algorithms than ARS.

They do the same steps as `gymnasium.make_vec(id, num_envs, vectorization_mode="sync")`: initial states are equal bit for bit, and
steps as far as the compiled environments are (docs/design.md). `registration` ties the class to `make_vec`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium.error import ClosedEnvironmentError, ResetNeeded
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from fastars._compiled.structs import FloatArray, SeedArray
from fastars._runtime.cpus import available_cpus
from fastars._validate import boolean, positive_int, user_facing
from fastars.envs.batches import new_batch
from fastars.envs.compiled import CompiledEnv
from fastars.envs.compiling import compiled_env
from fastars.envs.generators import generator_of
from fastars.envs.making import make
from fastars.envs.physics_choice import with_physics
from fastars.envs.registry import compiled_env_ids
from fastars.envs.vector_arguments import ActionArrays, BoolArray, checked_autoreset_mode, most_steps, reset_mask, seeds_of
from fastars.kernels.vector import Steps


class CompiledVectorEnv(VectorEnv):
    """Many environments of one kind, stepped by one call of a compiled kernel.

    Parameters
    ----------
    compiled : CompiledEnv
        The environment, as `fastars.envs.compiled_env` gives it.
    num_envs : int
        Number of environments.
    autoreset_mode : AutoresetMode or str
        The reset after the end of an episode: `NEXT_STEP`, `SAME_STEP` or `DISABLED`, as in Gymnasium.
    max_episode_steps : int, optional
        Time limit of an episode; -1 for none. Default: the time limit of `compiled`.
    copy : bool
        Return new arrays in each step. If False, the next `step` or `reset` overwrites the observations.
    n_threads : int, optional
        Most threads for a step that takes longer than 0.3 ms; they change no number. Default: all CPUs.

    Raises
    ------
    TypeError, ValueError
        If an argument is none of these.

    Notes
    -----
    Actions of a Box are rounded to float32, the dtype of the space. Gymnasium's environments compute with the numbers as given.

    The infos of MuJoCo's environments are empty. An unstable simulation goes on, as in Gymnasium.

    Of the options of `reset` only `reset_mask` is known: initial states are drawn as without options.
    """

    @user_facing
    def __init__(
        self,
        compiled: CompiledEnv,
        num_envs: int = 1,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        max_episode_steps: int | None = None,
        copy: bool = True,
        n_threads: int | None = None,
    ) -> None:
        self.compiled = compiled
        self.num_envs = positive_int("num_envs", num_envs)
        self.autoreset_mode = checked_autoreset_mode(autoreset_mode)
        self.copy = boolean("copy", copy)
        if n_threads is not None:
            n_threads = positive_int("n_threads", n_threads)
        self.metadata = {"render_modes": [], "autoreset_mode": self.autoreset_mode}
        self.single_observation_space = compiled.observation_space
        self.single_action_space = compiled.action_space
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        if compiled.reward_space is not None:  # as mo-gymnasium's vector environments have it
            self.reward_space = compiled.reward_space
        self._max_steps = most_steps(compiled.max_steps if max_episode_steps is None else max_episode_steps)
        self._action_arrays = ActionArrays(self.single_action_space, self.num_envs)
        self._rewards_shape = (self.num_envs, compiled.n_tasks) if compiled.n_tasks else (self.num_envs,)
        self._observations_form = (self.num_envs, compiled.n_obs), self.single_observation_space.dtype
        self._batch = new_batch(compiled, self.num_envs, n_threads or available_cpus())
        self._seeds: SeedArray | None = None
        self._is_reset = False
        self._observations = self._new_observations()

    def __copy__(self) -> CompiledVectorEnv:
        """Return an independent copy, as `copy.deepcopy` does. Environments that `mj_step` steps can't be: TypeError."""
        return deepcopy(self)

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> tuple[npt.NDArray[Any], dict[str, Any]]:
        """Begin an episode in every environment, or in the environments of `options["reset_mask"]`.

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
        mask = reset_mask(options, self.num_envs)
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
            Integers for a Discrete space, numbers for a Box. Numbers beyond its bounds are passed to the environment.

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
        array = self._action_arrays.of(actions, self._batch.ended)
        n = self.num_envs
        observations = self._new_observations() if self.copy else self._observations
        out = Steps(observations, np.empty(self._rewards_shape), np.empty(n, np.bool_), np.empty(n, np.bool_))
        self._is_reset = False
        self._batch.step(self._max_steps, array, out)
        infos = self._reset_ended(out) if self.autoreset_mode == AutoresetMode.SAME_STEP else {}
        self._is_reset = True
        return *out, infos

    def render(self) -> None:
        """Raise: compiled environments have no pictures. Make one by `gymnasium.make`, and reset it with the seed of an episode."""
        raise NotImplementedError("compiled environments have no pictures: gymnasium.make the same id with a render_mode")

    @property
    def np_random_seed(self) -> tuple[int, ...]:  # type: ignore[override]
        """The seed with which each environment was last reset."""
        return tuple(self._current_seeds().tolist())

    @property  # type: ignore[misc]
    def np_random(self) -> tuple[np.random.Generator, ...]:  # type: ignore[override]
        """A copy of each environment's generator."""
        self._current_seeds()
        return tuple(generator_of(words) for words in self._batch.generators)

    def close_extras(self, **kwargs: Any) -> None:
        """Release the memory. Gymnasium also calls this for an object whose construction failed."""
        for name in ("_batch", "_observations"):
            self.__dict__.pop(name, None)

    def _refuse_closed(self) -> None:
        if self.closed:
            raise ClosedEnvironmentError("the vector environment is closed")

    def _new_observations(self) -> npt.NDArray[Any]:
        return np.empty(*self._observations_form)

    def _reset_ended(self, out: Steps) -> dict[str, Any]:
        """Begin new episodes where one has ended (same-step autoreset); return the infos, with the last observations."""
        ended = out.terminations | out.truncations
        if not ended.any():
            return {}
        last = out.observations[ended]
        final = np.full(self.num_envs, None, dtype=object)
        final[ended] = np.fromiter(last, object, len(last))
        self._batch.reset_ended(ended, out.observations)
        return {"final_obs": final, "_final_obs": ended, "final_info": {}, "_final_info": ended.copy()}

    def _seed(self, seed: Any, mask: BoolArray) -> None:
        """Seed the generators of the environments in `mask` that a seed is given for."""
        seeds, given = seeds_of(seed, self.num_envs)
        current = self._current_seeds()
        mask = mask & given
        current[mask] = seeds[mask]
        self._batch.seed(current, mask)

    def _current_seeds(self) -> SeedArray:
        """Return the seeds of all environments; the operating system gives them if there are none yet."""
        if self._seeds is None:
            self._seeds = np.random.SeedSequence().generate_state(self.num_envs, np.uint64).astype(np.uint64)
            self._batch.seed(self._seeds, np.ones(self.num_envs, np.bool_))
        return self._seeds


@user_facing
def make_vec(
    env_id: str,
    num_envs: int = 1,
    *,
    max_episode_steps: int | None = None,
    autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
    copy: bool = True,
    render_mode: None = None,
    physics: str = "mujoco",
    n_threads: int | None = None,
    **kwargs: Any,
) -> CompiledVectorEnv:
    """Make a vector environment; `gymnasium.make_vec("fastars/<env_id>", ...)` calls this function.

    Parameters
    ----------
    env_id : str
        One of `compiled_env_ids()`.
    num_envs, max_episode_steps, autoreset_mode, copy, n_threads
        As for `CompiledVectorEnv`.
    render_mode : None
        Compiled environments have no pictures.
    physics : {"mujoco", "lanes"}
        Of a MuJoCo environment: `mj_step`, or forward dynamics of our own over SIMD lanes, which are many times as fast and agree
        with it to rounding (`docs/physics.md`). A model that lanes don't support runs through `mj_step`, with a warning.
    **kwargs
        Arguments of `gymnasium.make(env_id)`.

    Raises
    ------
    ValueError
        If an argument is none of these, or if `physics` is "lanes" and the environment is not MuJoCo's.
    """
    if render_mode is not None:
        raise ValueError(f"render_mode must be None, got {render_mode!r}: compiled environments have no pictures")
    single = make(env_id, **kwargs)
    try:
        compiled = with_physics(compiled_env(single), physics)
        return CompiledVectorEnv(compiled, num_envs, autoreset_mode, max_episode_steps, copy, n_threads)
    finally:
        single.close()


def __getattr__(name: str) -> Callable[..., CompiledVectorEnv]:
    """Return the function that makes the environment with the id `name`.

    So an entry point is a string, which can be copied, pickled and printed.
    """
    if name in compiled_env_ids():
        return functools.partial(make_vec, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
