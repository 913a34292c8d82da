"""Evaluate candidates in several environments, each of which is a task."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from fastars._compiled.structs import Filter, FloatArray, Moments, Rollouts, SeedArray
from fastars._validate import task_weights
from fastars.envs.env_tuple import EnvTuple
from fastars.samplers.candidates import Candidates
from fastars.samplers.failure import Failure, OnFailure, log_failure
from fastars.samplers.sampler import Sampler


class EnvTupleSampler:
    """Runs the episodes of each environment with its own sampler, one environment after the other.

    All environments get the same candidates and seeds. Episode j of the result stands for episode j in every environment: its
    return is the weighted sum of their returns, its length the sum of their lengths, its status the worst (largest) status among
    them, and its moments cover all observations. If the return in one environment is NaN, all returns of the episode are NaN.

    Parameters
    ----------
    env : EnvTuple
    samplers : sequence of Sampler
        One for each environment.
    """

    takes_perturbed = False

    def __init__(self, env: EnvTuple, samplers: Sequence[Sampler]) -> None:
        self.env = env
        self.samplers = tuple(samplers)

    def __repr__(self) -> str:
        return f"<EnvTupleSampler of {self.env.id}: {self.description}>"

    @property
    def description(self) -> str:
        """Words for the place where episodes run, for each task if the places differ."""
        descriptions = {name: sampler.description for name, sampler in self._by_name()}
        if len(set(descriptions.values())) == 1:
            return self.samplers[0].description
        return "; ".join(f"{name} {description}" for name, description in descriptions.items())

    def evaluate(
        self,
        weights: FloatArray | Candidates,
        filter: Filter,
        seeds: SeedArray,
        track: bool,
        reward_weights: Any = None,
        on_failure: OnFailure = log_failure,
    ) -> Rollouts:
        """Run every episode in every environment, as `Sampler.evaluate` describes.

        The text of a `Failure` begins with the name of the task. An exception of a sampler gets a note that names the task.
        """
        checked = task_weights(reward_weights, self.env.n_tasks)
        parts = []
        for name, sampler in self._by_name():
            try:
                parts.append(sampler.evaluate(weights, filter, seeds, track, None, _naming(name, on_failure)))
            except Exception as error:
                error.add_note(f"in the task {name!r}")
                raise
        return _combined(parts, checked)

    def start(self, wait: bool = False) -> None:
        """Start the worker processes of all environments in Python."""
        for sampler in self.samplers:
            sampler.start(wait)

    def close(self) -> None:
        """Close all samplers."""
        for sampler in self.samplers:
            sampler.close()

    def _by_name(self) -> Iterable[tuple[str, Sampler]]:
        return zip(self.env.task_names, self.samplers, strict=True)


def _naming(task_name: str, on_failure: OnFailure) -> OnFailure:
    """Return a function that puts the name of the task before the text of a failure, and passes it on."""

    def named(failure: Failure) -> None:
        on_failure(failure._replace(text=f"in the task {task_name!r}: {failure.text}"))

    return named


@np.errstate(over="ignore", invalid="ignore")
def _combined(parts: Sequence[Rollouts], reward_weights: FloatArray) -> Rollouts:
    """Return the results of all environments as one episode for each seed."""
    task_returns = np.stack([part.returns for part in parts], axis=1)
    task_returns[np.isnan(task_returns).any(axis=1)] = np.nan
    returns = np.zeros(len(task_returns))
    for column, weight in zip(task_returns.T, reward_weights, strict=True):
        returns += weight * column
    moments = parts[0].moments
    for part in parts[1:]:
        moments = _merged(moments, part.moments)
    return Rollouts(
        returns=returns,
        lengths=np.sum([part.lengths for part in parts], axis=0),
        status=np.max([part.status for part in parts], axis=0),
        moments=moments,
        task_returns=task_returns,
        n_failures=sum(part.n_failures for part in parts),
        n_restarts=sum(part.n_restarts for part in parts),
    )


def _merged(a: Moments, b: Moments) -> Moments:
    """Return the moments of two groups of observations together, row by row (Chan, Golub & LeVeque 1979, eq. 2.1)."""
    n = a.count + b.count
    share = (b.count / np.maximum(n, 1))[:, np.newaxis]
    difference = b.mean - a.mean
    return Moments(n, a.mean + difference * share, a.m2 + b.m2 + difference**2 * share * a.count[:, np.newaxis])
