"""The value that describes an environment in compiled kernels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from fastars._compiled.structs import RolloutSpec


PHYSICS = ("mujoco", "lanes")  # of a MuJoCo environment: MuJoCo's mj_step, or `fastars.physics` over SIMD lanes


class CompiledEnv(NamedTuple):
    """An environment in compiled kernels, as the samplers see it."""

    id: str
    kwargs: dict[str, Any]  # keyword arguments of `gymnasium.make`
    constants: Any  # NamedTuple whose type picks the kernels
    max_steps: int  # time limit of an episode
    observation_space: Any  # a Box
    action_space: Any  # a Discrete or a Box
    model: Any = None  # MjModel of a MuJoCo environment
    spec: Any = None  # EnvSpec, if the id alone does not make the environment in Gymnasium
    reward_space: Any = None  # a Box (n_tasks,), if a step gives several rewards
    task_names: tuple[str, ...] = ()  # one for each of several rewards
    physics: str = "mujoco"  # one of `PHYSICS`

    @property
    def n_obs(self) -> int:
        """Entries of an observation."""
        return int(np.prod(self.observation_space.shape))

    @property
    def n_tasks(self) -> int:
        """Rewards of a step; 0 if the reward is a number."""
        return len(self.task_names)

    @property
    def n_act(self) -> int:
        """Scores a policy must give: entries of a Box action, choices of a Discrete one."""
        from fastars.envs.spaces import n_scores

        return n_scores(self.action_space)

    def gymnasium(self) -> tuple[Any, dict[str, Any]]:
        """Return the id (or EnvSpec) and the keyword arguments that make the same environment in Gymnasium."""
        return self.spec or self.id, self.kwargs

    def rollout_spec(self, policy: Any, clip_actions: bool = True, squash_output: bool = False) -> RolloutSpec:
        """Return what the kernels roll candidates out on: `policy` in this environment."""
        from fastars._compiled.blas import blas_is_fused
        from fastars._compiled.structs import RolloutSpec
        from fastars.envs.spaces import action_form

        kind, low, high = action_form(self.action_space, clip_actions, squash_output)
        rewards = blas_is_fused(), (1.0,) * self.n_tasks
        if self.model is None:  # lanes: loops over tuples are unrolled
            return RolloutSpec(self.constants, policy, kind, tuple(low), tuple(high), self.max_steps, *rewards)
        return RolloutSpec(self.constants, policy, kind, low, high, self.max_steps, *rewards)
