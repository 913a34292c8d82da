"""Candidates evaluated in several environments, each of which is a task."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fastars._compiled.structs import Filter, FloatArray, Moments, Rollouts, SeedArray
from fastars._validate import task_weights
from fastars.envs.env_tuple import EnvTuple
from fastars.samplers.gym import Failure, log_failure


class EnvTupleSampler:
    """Runs the episodes of each environment by a sampler of its own, one environment after the other.

    All environments see the same candidates and seeds. An episode of theirs is one of each together: its return is the weighted sum
    of theirs, its length the sum of theirs, its moments those of all their observations, its status the worst of theirs (the
    largest). If one has a return that is NaN, all returns of the episode are.

    Parameters
    ----------
    env : EnvTuple
    samplers : sequence of Sampler
        One for each environment.

    Attributes
    ----------
    n_failures, n_restarts : int
        Sums over the environments in Python.
    on_failure : callable
        Called with a `Failure`, whose text begins with the task's name. Default: logs it.
    """

    def __init__(self, env: EnvTuple, samplers: Sequence[Any]) -> None:
        self.env = env
        self.samplers = tuple(samplers)
        self.on_failure: Callable[[Failure], None] = log_failure
        for name, sampler in self._by_name():
            if hasattr(sampler, "on_failure"):
                sampler.on_failure = _Named(self, name)

    def __repr__(self) -> str:
        return f"<EnvTupleSampler of {self.env.id}: {self.description}>"

    @property
    def description(self) -> str:
        """Where episodes run."""
        descriptions = {name: sampler.description for name, sampler in self._by_name()}
        if len(set(descriptions.values())) == 1:
            return str(self.samplers[0].description)
        return "; ".join(f"{name} {description}" for name, description in descriptions.items())

    @property
    def n_failures(self) -> int:
        """Attempts that failed, in all environments."""
        return sum(getattr(sampler, "n_failures", 0) for sampler in self.samplers)

    @property
    def n_restarts(self) -> int:
        """Worker processes that were replaced, of all environments."""
        return sum(getattr(sampler, "n_restarts", 0) for sampler in self.samplers)

    def evaluate(self, weights: FloatArray, filter: Filter, seeds: SeedArray, track: bool, reward_weights: Any = None) -> Rollouts:
        """Run every episode in every environment; the arguments are those of `Sampler`.

        Raises
        ------
        Exception
            Whatever a sampler raises, with a note that names the task.
        """
        checked = task_weights(reward_weights, self.env.n_tasks)
        parts = []
        for name, sampler in self._by_name():
            try:
                parts.append(sampler.evaluate(weights, filter, seeds, track))
            except Exception as error:
                error.add_note(f"in the task {name!r}")
                raise
        return _together(parts, checked)

    def start(self, wait: bool = False) -> None:
        """Start the worker processes of all of them, as `GymSampler.start` does."""
        for _, sampler in self._by_name():
            if hasattr(sampler, "start"):
                sampler.start(wait)

    def close(self) -> None:
        """Let go of what the samplers hold."""
        for sampler in self.samplers:
            sampler.close()

    def _by_name(self) -> Any:
        return zip(self.env.task_names, self.samplers, strict=True)


class _Named:
    """Tells a sampler of several environments of the failures in one of them."""

    def __init__(self, listener: EnvTupleSampler, name: str) -> None:
        self._listener, self._name = listener, name

    def __call__(self, failure: Failure) -> None:
        self._listener.on_failure(failure._replace(text=f"in the task {self._name!r}: {failure.text}"))


@np.errstate(over="ignore", invalid="ignore")
def _together(parts: Sequence[Rollouts], reward_weights: FloatArray) -> Rollouts:
    """The episodes of several environments as one of each together."""
    task_returns = np.stack([part.returns for part in parts], axis=1)
    task_returns[np.isnan(task_returns).any(axis=1)] = np.nan
    returns = np.zeros(len(task_returns))
    for column, weight in zip(task_returns.T, reward_weights, strict=True):
        returns += weight * column
    moments = parts[0].moments
    for part in parts[1:]:
        moments = _merged(moments, part.moments)
    lengths = np.sum([part.lengths for part in parts], axis=0)
    return Rollouts(returns, lengths, np.max([part.status for part in parts], axis=0), moments, task_returns)


def _merged(a: Moments, b: Moments) -> Moments:
    """The moments of two groups of observations, row by row (Chan, Golub & LeVeque 1979, eq. 2.1)."""
    n = a.count + b.count
    share = (b.count / np.maximum(n, 1))[:, np.newaxis]
    difference = b.mean - a.mean
    return Moments(n, a.mean + difference * share, a.m2 + b.m2 + difference**2 * share * a.count[:, np.newaxis])
