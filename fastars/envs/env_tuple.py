"""Several environments of the same spaces as the tasks of one policy: task i is environment i."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from gymnasium.spaces import Box

from fastars.envs.compiled import CompiledEnv
from fastars.envs.gym import GymEnv
from fastars.envs.rewards import unbounded_rewards


class EnvTuple(NamedTuple):
    """Environments that one policy acts in, as the samplers see them."""

    envs: tuple[CompiledEnv | GymEnv, ...]
    task_names: tuple[str, ...]  # one for each environment

    @property
    def id(self) -> str:
        """Ids of the environments, joined by "+"."""
        return "+".join(env.id for env in self.envs)

    @property
    def kwargs(self) -> dict[str, Any]:
        """Keyword arguments of `gymnasium.make`, by the names of the tasks."""
        return {name: env.kwargs for name, env in zip(self.task_names, self.envs, strict=True)}

    @property
    def reason(self) -> str:
        """Reason for which they have no compiled form as one environment."""
        return "several environments share the policy"

    @property
    def wrappers(self) -> tuple[str, ...]:
        """Names of the wrappers around the environments in Python."""
        return tuple(name for env in self.envs if isinstance(env, GymEnv) for name in env.wrappers)

    @property
    def max_steps(self) -> int:
        """Longest time limit."""
        return max(env.max_steps for env in self.envs)

    @property
    def observation_space(self) -> Any:
        """Observation space of the first environment; the others may have other bounds."""
        return self.envs[0].observation_space

    @property
    def action_space(self) -> Any:
        """The action space of all."""
        return self.envs[0].action_space

    @property
    def reward_space(self) -> Box:
        """A Box (n_tasks,) without bounds."""
        return unbounded_rewards(self.n_tasks)

    @property
    def n_tasks(self) -> int:
        """Number of environments."""
        return len(self.envs)

    @property
    def n_obs(self) -> int:
        """Entries of a flattened observation."""
        return self.envs[0].n_obs

    @property
    def n_act(self) -> int:
        """Scores a policy must give."""
        return self.envs[0].n_act


def env_tuple(envs: Iterable[CompiledEnv | GymEnv]) -> EnvTuple:
    """Return environments as tasks. A task's name is its id, followed by a number if two have the same id.

    Raises
    ------
    ValueError
        If there is no environment, if spaces differ in more than the bounds of observations, or if an environment gives several
        rewards itself.
    """
    envs = tuple(envs)
    if not envs:
        raise ValueError("env must be an environment or several of them, got an empty sequence")
    first = envs[0]
    for i, env in enumerate(envs):
        which = f"env[{i}], {env.id}, must have"
        if env.n_tasks:
            raise ValueError(f"{which} a number as its reward where environments are tasks; it has {env.n_tasks}")
        if env.action_space != first.action_space:
            raise ValueError(f"{which} the action space of env[0], {first.id}: {first.action_space}; it has {env.action_space}")
        if not _are_alike(env.observation_space, first.observation_space):
            raise ValueError(
                f"{which} the observation space of env[0], {first.id}, but for its bounds: {first.observation_space}; "
                f"it has {env.observation_space}"
            )
    ids = [env.id for env in envs]
    names = (f"{name}#{i}" if ids.count(name) > 1 else name for i, name in enumerate(ids))
    return EnvTuple(envs, tuple(names))


def _are_alike(space: Any, other: Any) -> bool:
    """True if two spaces are equal, apart from the bounds of a Box, which no policy uses."""
    if isinstance(space, Box) and isinstance(other, Box):
        return space.shape == other.shape and space.dtype == other.dtype
    return bool(space == other)
