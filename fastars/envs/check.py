"""Check that a compiled environment does the same as another form of it, step by step, and that it runs over SIMD lanes."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import gymnasium

from fastars._compiled.jit import may_vectorise
from fastars._validate import integer, number, positive_int, user_facing
from fastars.envs.comparison import Comparison, compare_spaces
from fastars.envs.compiled import CompiledEnv
from fastars.envs.compiling import compiled_env
from fastars.envs.errors import UnsupportedEnvError
from fastars.envs.making import make
from fastars.envs.vectorised import calls_in_lanes


@dataclass(frozen=True)
class EnvReport:
    """Result of `check_env`.

    Attributes
    ----------
    env, reference : str
        Names of the two environments that were compared.
    episodes, steps : int
        Numbers of episodes and steps that were compared.
    terminations : int
        Episodes that ended before the time limit.
    largest_difference : float
        Largest difference of an entry of an observation or a reward; 0 if all bits are the same.
    calls : dict of str to tuple of str, or None
        `observe` and `step`, if they did not vectorise, with the names of the functions that LLVM had to call in them. None if
        Numba's switches forbid vectorisation (`NUMBA_BOUNDSCHECK=1`, for example).
    """

    env: str
    reference: str
    episodes: int
    steps: int
    terminations: int
    largest_difference: float
    calls: dict[str, tuple[str, ...]] | None

    @property
    def vectorised(self) -> bool:
        """True if both `observe` and `step` run over SIMD lanes."""
        return self.calls == {}

    def __str__(self) -> str:
        same = "the same bits" if self.largest_difference == 0.0 else f"largest difference {self.largest_difference:.3g}"
        ended = f"{self.episodes} episodes, {self.terminations} of them terminated, {self.steps} steps"
        return "\n".join([f"{self.env} compared with {self.reference}: {same} ({ended})", *_words(self.calls)])

    __repr__ = __str__


@user_facing
def check_env(
    env: Any,
    reference: Any = None,
    n_episodes: int = 20,
    n_steps: int = 1000,
    seed: int = 0,
    *,
    rtol: float = 1e-6,
    atol: float = 1e-6,
) -> EnvReport:
    """Compare a compiled environment with another form of it, step by step, and look if its functions vectorise.

    Both start from the same seeds and take the same actions: uniform over the space; every fourth action of a Box is a corner.
    Initial observations, observations, rewards, terminated and truncated are compared.

    Parameters
    ----------
    env : str, gymnasium.Env or CompiledEnv
        A compiled environment that runs over lanes: one of your own or of Gymnasium's classic control.
    reference : str or gymnasium.Env, optional
        Default: Gymnasium's form of it; for an environment of your own, the same functions in plain Python.
    n_episodes : int
        Episode i starts as `reset(seed=seed + i)`.
    n_steps : int
        Largest number of steps in an episode, unless its time limit is smaller.
    seed : int
        Seed of the first episode, at least 0; the actions follow from it, too.
    rtol, atol : float
        A compiled number a and a number b of the reference count as equal if |a - b| <= atol + rtol |b|. With 0 and 0, all bits
        must be the same.

    Returns
    -------
    EnvReport

    Raises
    ------
    EnvMismatchError
        At the first difference.
    UnsupportedEnvError
        For an environment that is not compiled, or does not run over lanes.

    Warns
    -----
    UserWarning
        If a function did not vectorise: its results are right, but it is slower than it could be.

    Examples
    --------
    >>> import fastars
    >>> fastars.check_env("CartPole-v1", rtol=0, atol=0)  # doctest: +SKIP
    """
    n_episodes, n_steps = positive_int("n_episodes", n_episodes), positive_int("n_steps", n_steps)
    seed, rtol, atol = integer("seed", seed, 0), number("rtol", rtol, 0.0), number("atol", atol, 0.0)
    compiled = compiled_env(env)
    if compiled.model is not None:
        raise UnsupportedEnvError(f"env {compiled.id!r} runs in a simulator; check_env compares environments that run over lanes")
    other, name = _reference(compiled, reference)
    try:
        compare_spaces(compiled, other)
        comparison = Comparison(compiled, other, rtol, atol)
        for episode_seed in range(seed, seed + n_episodes):
            comparison.run(episode_seed, n_steps)
    finally:
        if other is not reference:
            other.close()
    calls = calls_in_lanes(compiled) if may_vectorise() else None
    for text in _words(calls):
        if calls:
            warnings.warn(f"{compiled.id}: {text}", UserWarning, stacklevel=3)
    counts = n_episodes, comparison.steps, comparison.terminations, comparison.largest
    return EnvReport(compiled.id, name, *counts, calls)


def _reference(compiled: CompiledEnv, reference: Any) -> tuple[gymnasium.Env, str]:
    """Return (environment, its name) for the argument `reference`."""
    if reference is None:
        spec, kwargs = compiled.gymnasium()
        made = make(spec, max_episode_steps=compiled.max_steps, **kwargs)
        return made, "its plain Python form" if compiled.spec is not None else "Gymnasium's"
    if isinstance(reference, str):
        return gymnasium.make(reference), reference
    if not isinstance(reference, gymnasium.Env):
        raise TypeError(f"reference must be an environment id or a gymnasium.Env, not {type(reference).__name__}: {reference!r}")
    return reference, reference.spec.id if reference.spec is not None else type(reference.unwrapped).__name__


def _words(calls: dict[str, tuple[str, ...]] | None) -> list[str]:
    """Return a sentence for each function that did not vectorise, or one for both."""
    if calls is None:
        return ["observe and step vectorised: no, as Numba's switches say"]
    if not calls:
        return ["observe and step vectorised: yes"]
    reason = "it has a branch, a loop or an index that LLVM can't turn into selects"
    return [
        f"{name} did not vectorise: " + (f"it calls {', '.join(names)}, for one lane at a time" if names else reason)
        for name, names in calls.items()
    ]
