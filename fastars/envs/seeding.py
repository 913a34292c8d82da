"""Seed all that an episode of an environment in Python may draw from, beside the generator that its `reset` seeds.

These are the generators that the process shares, and the generators of the environment's spaces. To seed them takes 30 us. Episodes
side by side can't share generators anyway, so they run without: `UntouchedGenerators` tells afterwards if one has drawn.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from gymnasium import spaces

from fastars._runtime.shared_generators import GeneratorStates, same_state, seed_generators


def seed_episode(env: Any, seed: int) -> None:
    """Seed the generators that the process shares, and the spaces outside and inside of the environment's wrappers."""
    seed_generators(seed)
    for space in _spaces_of(env):
        space.seed(seed)


def _spaces_of(env: Any) -> list[Any]:
    inner = env.unwrapped
    outside = env.action_space, env.observation_space
    inside = getattr(inner, "action_space", outside[0]), getattr(inner, "observation_space", outside[1])
    return [*outside, *(space for space in inside if space is not outside[0] and space is not outside[1])]


class UntouchedGenerators:
    """The states of generators that nobody should draw from.

    Parameters
    ----------
    states : GeneratorStates
        The states of the generators that the process shares.
    envs : iterable of gymnasium.Env
        Environments whose spaces have generators.
    """

    def __init__(self, states: GeneratorStates, envs: Iterable[Any]) -> None:
        self._states = states
        self._spaces: list[tuple[Any, Any, Any]] = []  # a space, its generator, and the state of that
        for env in envs:
            self.watch(env)

    def watch(self, env: Any) -> None:
        """Add the spaces of an environment. One that it seeds itself has another generator then, which is its own business."""
        for space in _spaces_of(env):
            self._spaces.extend((each, each.np_random, each.np_random.bit_generator.state) for each in _parts(space))

    def are_untouched(self) -> bool:
        """Return True if all states are as they were."""
        of_spaces = (each.np_random is not rng or same_state(rng.bit_generator.state, state) for each, rng, state in self._spaces)
        return all(of_spaces) and self._states.are_current()


def _parts(space: Any) -> Iterator[Any]:
    """Yield a space and the spaces in it, each of which has a generator."""
    yield space
    if isinstance(space, (spaces.Dict, spaces.Tuple)):
        for part in space.spaces.values() if isinstance(space, spaces.Dict) else space.spaces:
            yield from _parts(part)
