"""The environment of a model that was loaded without one: its spaces are known, and no episode can run in it."""

from __future__ import annotations

from typing import Any, NamedTuple

from fastars.envs.spaces import flat_size, n_scores


class AbsentEnv(NamedTuple):
    """An environment that can't be made here, as a file describes it. Its policy acts; `ARS.set_env` puts another in its place."""

    id: str
    kwargs: dict[str, Any]  # keyword arguments of `gymnasium.make`, as plain data
    max_steps: int
    observation_space: Any
    action_space: Any
    reason: str  # the error for whoever wants an episode: why it is absent, and what helps
    described: dict[str, Any]  # its description in the file, for another file
    reward_space: Any = None  # a Box (n_tasks,), if a step gives several rewards
    task_names: tuple[str, ...] = ()
    physics: str = "mujoco"  # of training, as soon as there is an environment

    @property
    def n_tasks(self) -> int:
        """Rewards of a step; 0 if the reward is a number."""
        return len(self.task_names)

    @property
    def n_obs(self) -> int:
        """Entries of a flattened observation."""
        return flat_size(self.observation_space)

    @property
    def n_act(self) -> int:
        """Scores a policy must give."""
        return n_scores(self.action_space)
