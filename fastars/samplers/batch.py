"""Batches of episodes for environments that are stepped in Python."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np

from fastars._compiled.structs import FAILED, Filter, FloatArray, IntArray, Rollouts, SeedArray
from fastars.samplers.candidates import Candidates

MARK_BITS = 21  # lower bits of a mark: the episode and the attempt at it. The bits above them count ticks


class Report(Protocol):
    """Function that is called for a failed attempt at an episode."""

    def __call__(self, episode: int, attempt: int, text: str, error: BaseException | None = None) -> None:
        """Take the episode, the attempt (1 or 2), the traceback, and the exception if it was raised in this process."""


class Batch(NamedTuple):
    """Episodes to run: episode j belongs to candidate `rows[j]` and starts as `reset(seed=seeds[j])`."""

    filter: Filter
    track: bool
    weights: FloatArray | Candidates  # (n, n_weights), flat
    rows: IntArray  # (m,)
    seeds: SeedArray  # (m,)
    attempts: IntArray  # (m,), that failed before
    reward_weights: FloatArray  # (n_tasks,)


def give_up(out: Rollouts, episode: int) -> None:
    """Write an episode's failure into the results."""
    out.returns[episode], out.task_returns[episode], out.status[episode] = np.nan, np.nan, FAILED
