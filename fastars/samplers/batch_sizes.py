"""Sizes of the batches of episodes that workers are given: few messages, and all workers finish together.

A message costs time, and so does an episode that runs without others side by side. So the first batches are as large as they can
be: equal parts of all episodes, if these are of one length and the workers equally fast. The more the episodes before differed, the
more is kept back, to fill what other workers leave (S. F. Hummel, E. Schonberg, L. E. Flynn, "Factoring: A Method for Scheduling
Parallel Loops", 1992: its sizes of the first batches, x0, and of later ones, x).
"""

from __future__ import annotations

import math

import numpy as np

from fastars._compiled.structs import IntArray

_MOST_SECONDS = 0.05  # of a worker's batch of episodes, about: a message costs about 200 us
_LEAST_SECONDS = 0.002  # of the smallest batches


class BatchSizes:
    """Decides how many episodes a worker is given, after what episodes took before.

    Parameters
    ----------
    n_workers : int
    """

    def __init__(self, n_workers: int) -> None:
        self.n_workers = n_workers
        self._episode_seconds: float | None = None  # of a worker's time
        self._spread = 0.0  # of the lengths of episodes, relative to their mean
        self._slowest = 1.0  # worker's seconds for a step, relative to the mean
        self._start()

    def _start(self) -> None:
        self._is_first, self._size, self._first_size, self._left_in_round = True, 0, 0, 0
        self._sums = 0, 0, 0  # of episodes, of their lengths, and of the squares of these
        self._step_seconds: list[float] = []  # of the first batches

    def start(self) -> None:
        """Begin with other episodes, and look at those that ran since the last call."""
        n, total, squares = self._sums
        if total > 0:
            self._spread = math.sqrt(max(n * squares / total**2 - 1.0, 0.0))
        if len(self._step_seconds) == self.n_workers:
            self._slowest = max(self._step_seconds) * sum(1.0 / each for each in self._step_seconds) / self.n_workers
        self._start()

    def next(self, n_waiting: int) -> int:
        """Return the size of the next batch, if so many episodes wait: batches of a round, one for each worker, have one size."""
        if self._left_in_round == 0:
            self._size, self._left_in_round = self._of_round(n_waiting), self.n_workers
            self._first_size = self._first_size or self._size
        return min(self._size, n_waiting)

    def dealt(self) -> None:
        """Note that a worker was given the next batch."""
        self._left_in_round -= 1

    def _of_round(self, n_waiting: int) -> int:
        equal = math.ceil(n_waiting / self.n_workers)
        if self._episode_seconds is None:
            return max(equal // 8, 1)
        size = equal / self._kept_back(n_waiting)
        least, most = _LEAST_SECONDS / self._episode_seconds, _MOST_SECONDS / self._episode_seconds
        self._is_first = self._is_first and size > most  # batches of the longest time end together, as the first ones do
        return min(max(math.ceil(min(size, most)), math.ceil(least)), equal)

    def _kept_back(self, n_waiting: int) -> float:
        """Return by how much a batch is smaller than an equal part of what waits: the paper's x."""
        b = self.n_workers / (2.0 * math.sqrt(max(n_waiting, 1))) * self._spread
        if self._is_first:
            return self._slowest * (1.0 + b * b + b * math.sqrt(b * b + 2.0))
        return 2.0 + b * b + b * math.sqrt(b * b + 4.0)

    def learn(self, lengths: IntArray, seconds: float) -> None:
        """Note the lengths of the episodes of a batch, which took a worker so many seconds."""
        each = seconds / len(lengths)
        self._episode_seconds = each if self._episode_seconds is None else (self._episode_seconds + each) / 2
        n, total, squares = self._sums
        steps = int(lengths.sum())
        self._sums = n + len(lengths), total + steps, squares + int(np.dot(lengths, lengths))
        if len(lengths) == self._first_size and len(self._step_seconds) < self.n_workers:
            self._step_seconds.append(seconds / max(steps, 1))
