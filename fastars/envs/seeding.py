"""Seed all that an episode of an environment in Python may draw from, beside the generator that its `reset` seeds."""

from __future__ import annotations

from typing import Any

from fastars._runtime.shared_generators import seed_generators


def seed_episode(env: Any, seed: int) -> None:
    """Seed the generators that the process shares, and those of the environment's spaces."""
    seed_generators(seed)
    seed_spaces(env, seed)


def seed_spaces(env: Any, seed: int) -> None:
    """Seed the spaces of an environment, outside and inside of its wrappers: a step may draw samples from them."""
    inner = env.unwrapped
    for name in ("action_space", "observation_space"):
        space = getattr(env, name)
        space.seed(seed)
        if (own := getattr(inner, name, space)) is not space:
            own.seed(seed)
