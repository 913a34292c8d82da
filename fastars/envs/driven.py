"""A vector environment of stable-baselines3 as one of Gymnasium's, driven by its own `reset` and `step`.

So wrappers of vector environments, environments in other processes and classes of the user's run as they are. Theirs resets an
environment as soon as its episode ends, and takes seeds by `seed` for the next reset.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv

from fastars._compiled.structs import FloatArray
from fastars.envs.returned import flags, real_array


class DrivenVecEnv(VectorEnv):
    """A `VecEnv` of stable-baselines3 behind the methods of a `gymnasium.vector.VectorEnv`. The user closes it.

    Parameters
    ----------
    vec_env : stable_baselines3.common.vec_env.VecEnv
    are_alike : bool
        True if its environments are known to be alike: then it makes no difference which one runs an episode.
    is_monitored : bool
        True if a `Monitor` in it writes the return of each episode into its last info. That is the return then, and an end
        without it is none: wrappers outside of the `Monitor` may change rewards, and end an episode that goes on.
    """

    def __init__(self, vec_env: Any, are_alike: bool, is_monitored: bool) -> None:
        self.vec_env = vec_env
        self.are_alike = are_alike
        self.num_envs = vec_env.num_envs
        self.single_observation_space, self.single_action_space = vec_env.observation_space, vec_env.action_space
        self.metadata = {"autoreset_mode": AutoresetMode.SAME_STEP}
        self.envs = tuple(getattr(vec_env.unwrapped, "envs", ()))
        self._is_monitored = is_monitored
        self._totals = np.zeros(self.num_envs)

    @property
    def unwrapped(self) -> Any:
        """The `VecEnv`, whose class names this environment."""
        return self.vec_env

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begin an episode in every environment, with a seed for each of them."""
        self._seed([int(each) for each in seed])
        self._totals[:] = 0.0
        with self._named():
            return self.vec_env.reset(), {}

    def step(self, actions: Any) -> tuple[Any, Any, np.ndarray, np.ndarray, dict[str, Any]]:
        """Take an action in every environment."""
        with self._named():
            observations, rewards, dones, infos = self.vec_env.step(actions)
        dones = flags("dones", dones, self.num_envs)
        is_cut = np.array([is_done and bool(info.get("TimeLimit.truncated")) for is_done, info in zip(dones, infos, strict=True)])
        if self._is_monitored:
            rewards = self._monitored(rewards, dones, infos)
        return observations, rewards, dones & ~is_cut, dones & is_cut, {}

    def _monitored(self, rewards: Any, dones: np.ndarray, infos: Any) -> FloatArray:
        """Return the rewards with sums as the `Monitor` has them, and take the ends that it does not know out of `dones`."""
        found = real_array("the rewards", rewards).astype(np.float64)
        self._totals += found
        for i in np.flatnonzero(dones):
            episode = infos[i].get("episode")
            if episode is None:
                dones[i] = False
                continue
            found[i] += float(episode["r"]) - self._totals[i]
            self._totals[i] = 0.0
        return found

    def _seed(self, seeds: list[int]) -> None:
        """Give each environment a seed for its next reset.

        `VecEnv.seed` takes one number, and adds the index of the environment. Where it has kept these seeds, ours take their place:
        an episode then starts from its own seed, whatever the number of environments. Otherwise the first one decides.
        """
        self.vec_env.seed(seeds[0])
        kept = getattr(self.vec_env.unwrapped, "_seeds", None)
        if kept == [seeds[0] + i for i in range(self.num_envs)]:
            kept[:] = seeds
        for env, seed in zip(self.envs, seeds, strict=False):
            env.action_space.seed(seed)

    @contextlib.contextmanager
    def _named(self) -> Iterator[None]:
        """Say what the end of a connection means: the exception in the other process is on the terminal alone."""
        try:
            yield
        except (EOFError, ConnectionError) as error:
            name = type(self.vec_env.unwrapped).__name__
            error.add_note(f"an environment of the {name} failed, and its process ended; the traceback that it printed is above")
            raise
