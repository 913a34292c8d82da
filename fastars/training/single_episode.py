"""One episode in plain Gymnasium, step by step."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import gymnasium
import numpy as np

from fastars.envs.returned import checked_end, first_observation
from fastars.envs.seeding import seed_episode
from fastars.envs.spaces import flattener
from fastars.training.policy import ARSPolicy


class Step(NamedTuple):
    """A step of an episode."""

    action: Any
    observation: Any  # after the step
    reward: Any  # a number, or an array where a step gives several
    info: dict[str, Any]


def steps_of_episode(env: gymnasium.Env, policy: ARSPolicy, seed: int, max_steps: int) -> Iterator[Step]:
    """Yield the steps of an episode, which ends after `max_steps` at the latest.

    Errors of the environment are passed on. The generators that the process shares are seeded, as in rollouts.
    """
    flatten = flattener(env.observation_space)
    seed_episode(env, seed)
    observation, ended, length = first_observation(env.reset(seed=seed)), False, 0
    while not ended and length < max_steps:
        (action,) = policy.act(np.array([flatten(observation)], np.float64))
        observation, reward, terminated, truncated, info = env.step(action)
        ended, length = any(checked_end(terminated, truncated, info)), length + 1
        yield Step(action, observation, reward, info)
