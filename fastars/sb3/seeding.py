"""Seed what a script draws from beside the run itself: its environments, their action spaces, and the generators of the process."""

from __future__ import annotations

import contextlib
from typing import Any

import gymnasium
from gymnasium.utils import seeding
from gymnasium.vector import VectorEnv

from fastars.envs.wrappers import innermost
from fastars.sb3.vec_env import EnvInput


def seed_given(given: EnvInput, env: Any, seed: int) -> None:
    """Seed the environments that the user gave, and the action space of the run.

    A vector environment of stable-baselines3 takes the seed for its next reset. Another environment goes on as after a reset with
    this seed, which is not called here: it may be slow.

    Parameters
    ----------
    given : EnvInput
        The environments.
    env : CompiledEnv, GymEnv, ...
        The environment as the samplers see it.
    seed : int
        Of the run.
    """
    env.action_space.seed(seed)
    if given.vec_env is not None:
        given.vec_env.seed(seed)
        given.vec_env.action_space.seed(seed)
        return
    for one in given.env if isinstance(given.env, (list, tuple)) else [given.env]:
        if isinstance(one, VectorEnv):
            one.action_space.seed(seed)
            one.single_action_space.seed(seed)
        elif isinstance(one, gymnasium.Env):
            one.action_space.seed(seed)
            with contextlib.suppress(AttributeError):  # a class may have a property of its own in its place
                innermost(one).np_random = seeding.np_random(seed)[0]
