"""Candidates evaluated in environments that are stepped in Python, in this process or in worker processes."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from fastars._structs import Filter, FloatArray, Rollouts, SeedArray, Task
from fastars.envs.gym import GymEnv
from fastars.samplers.compiled import at_least_one
from fastars.samplers.episodes import ATTEMPTS, Batch, Episodes


class Failure(NamedTuple):
    """A failed attempt at an episode."""

    episode: int  # its index among those of the evaluation
    seed: int
    attempt: int  # 1 or 2
    is_final: bool  # no other attempt is made: the episode's status is `FAILED`
    text: str  # the environment's traceback, or what became of the process that it ran in


class GymSampler:
    """Runs the episodes of a task in environments that are stepped in Python."""

    def __init__(
        self,
        env: GymEnv,
        task: Task,
        n_workers: int = 1,
        env_timeout: float | None = 60.0,
        envs_per_worker: int | None = None,
    ) -> None:
        self.task = task
        self.env = env
        self.n_workers = at_least_one("n_workers", n_workers)
        self.n_failures = 0
        self.on_failure: Callable[[Failure], None] = log_failure
        self._runner = Episodes(task, env.make, env.env, env.observation_space, env.action_space, envs_per_worker)

    def evaluate(self, weights: FloatArray, filter: Filter, seeds: SeedArray, track: bool) -> Rollouts:
        """Run every episode."""
        n, m = len(weights), len(seeds)
        filter = Filter(np.array(filter.mean), np.array(filter.scale), float(filter.clip))
        batch = Batch(filter, track, np.array(weights), np.arange(m) // (m // n), seeds, np.zeros(m, np.int64))

        def report(episode: int, attempt: int, text: str) -> None:
            self.n_failures += 1
            self.on_failure(Failure(episode, int(seeds[episode]), attempt, attempt >= ATTEMPTS, text))

        return self._runner.run(batch, report)

    def close(self) -> None:
        """Close the environments that were made here."""
        self._runner.close()


def log_failure(failure: Failure) -> None:
    """Log a failure as a warning."""
    what = "given up" if failure.is_final else "tried again"
    logging.getLogger("fastars").warning(
        "episode %d (seed %d) failed in attempt %d and is %s:\n%s",
        failure.episode,
        failure.seed,
        failure.attempt,
        what,
        failure.text,
    )
