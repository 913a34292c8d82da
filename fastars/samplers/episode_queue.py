"""The episodes of a batch that wait for a worker process, and the results of the others."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

import numpy as np

from fastars._compiled.structs import Rollouts, empty_rollouts, identity_filter
from fastars.samplers.batch import MARK_BITS, Batch, Report, give_up
from fastars.samplers.batch_sizes import BatchSizes
from fastars.samplers.failure import ATTEMPTS
from fastars.samplers.results import write_part

_BATCH_BYTES = 1 << 26  # of the weights of a batch, if that is a candidate or more
_MAX_BATCH = 1 << (MARK_BITS - 1)


class EpisodeQueue:
    """Deals the episodes of a batch to workers, and collects their results.

    Parameters
    ----------
    batch : Batch
    report : callable
        Called for each attempt that failed.
    sizes : BatchSizes
        Says how many episodes a worker is given, and hears of what they took.

    Attributes
    ----------
    out : Rollouts
        Results of the episodes so far.
    """

    def __init__(self, batch: Batch, report: Report, sizes: BatchSizes) -> None:
        self.out = empty_rollouts(len(batch.seeds), len(batch.filter.mean), batch.track, len(batch.reward_weights))
        self._batch, self._report, self._sizes = batch, report, sizes
        sizes.start()
        self._attempts = batch.attempts.copy()
        self._waiting: deque[int] = deque(range(len(batch.seeds)))
        self._suspects: deque[int] = deque()
        self._ends: dict[int, list[str]] = {}  # of processes in which an episode ran alone

    def __len__(self) -> int:
        """Return the number of episodes that may share a worker, and that none has."""
        return len(self._waiting)

    @property
    def n_suspects(self) -> int:
        """Episodes in which a worker ended: each waits for a process of its own."""
        return len(self._suspects)

    def take(self) -> tuple[list[int], Batch]:
        """Return (episodes for a worker, their batch), which wait no longer."""
        taken = [self._waiting.popleft() for _ in range(self._batch_size())]
        self._sizes.dealt()
        return self._batch_of(taken)

    def take_suspect(self) -> tuple[list[int], Batch]:
        """Return (an episode for a process of its own, its batch)."""
        return self._batch_of([self._suspects.popleft()])

    def _batch_of(self, episodes: list[int]) -> tuple[list[int], Batch]:
        rows = self._batch.rows[episodes]
        which = np.arange(len(rows))
        if not (rows[1:] > rows[:-1]).all():  # several episodes of a candidate
            rows, which = np.unique(rows, return_inverse=True)
        return episodes, self._batch._replace(
            weights=self._batch.weights[rows], rows=which, seeds=self._batch.seeds[episodes], attempts=self._attempts[episodes]
        )

    def next_bytes(self) -> int:
        """Return the largest size that the next batch can have as a message."""
        batch = self._batch
        return 8 * (2 * len(batch.filter.mean) + self._batch_size() * (batch.weights.shape[1] + 3))

    def _batch_size(self) -> int:
        most = max(_BATCH_BYTES // (8 * self._batch.weights.shape[1] or 1), 1)
        return min(self._sizes.next(len(self._waiting)), most, _MAX_BATCH)

    def write(self, episodes: list[int], part: Rollouts, seconds: float) -> None:
        """Keep the results of some episodes, which took a worker so many seconds."""
        self._sizes.learn(part.lengths, seconds)
        write_part(self.out, episodes, part)

    def fail(self, episode: int, attempt: int, text: str) -> None:
        """Note a failed attempt; after the last one the episode is given up."""
        self._attempts[episode] = attempt
        if attempt >= ATTEMPTS:
            give_up(self.out, episode)
        self._report(episode, attempt, text)

    def fail_again(self, episode: int, text: str) -> None:
        """Note one more failed attempt of an episode."""
        self.fail(episode, int(self._attempts[episode]) + 1, text)

    def put_back(self, episodes: Iterable[int]) -> None:
        """Let the episodes of a lost worker wait again, except suspects and those that were given up."""
        left = [episode for episode in episodes if self._attempts[episode] < ATTEMPTS and episode not in self._suspects]
        self._waiting.extendleft(reversed(left))

    def process_ended(self, episode: int, text: str, was_alone: bool) -> None:
        """Note that a process ended in an episode.

        Others may have shared the process, and somebody else may have killed it: so this is no failed attempt, and the episode runs
        again, alone in a process of its own. It is given up if so many of these end as there are attempts.
        """
        ends = self._ends.setdefault(episode, [])
        if was_alone:
            ends.append(text)
        if len(ends) + self._attempts[episode] < ATTEMPTS:
            self._suspects.append(episode)
            return
        for each in ends:
            self.fail_again(episode, each)


def no_episodes() -> EpisodeQueue:
    """Return a queue for the time between two batches."""
    none = np.zeros(0, np.int64)
    batch = Batch(identity_filter(0), False, np.zeros((0, 0)), none, none.astype(np.uint64), none, np.zeros(0))
    return EpisodeQueue(batch, _unheard, BatchSizes(1))


def _unheard(episode: int, attempt: int, text: str, error: BaseException | None = None) -> None:
    """Take a failure that nobody asked for."""
