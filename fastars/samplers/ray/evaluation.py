"""The episodes of an evaluation, dealt in parts."""

from __future__ import annotations

from collections import deque

import numpy as np

from fastars._compiled.structs import Filter, FloatArray, Rollouts, SeedArray, empty_rollouts
from fastars.samplers.perturbed import Perturbed
from fastars.samplers.ray.actor import Part

Span = tuple[int, int]  # first and last episode of a part, the last one excluded

# Of a task, at most: what is lost with an actor. Two actors had 0.86 of the speed of two threads on HalfCheetah-v5 with 0.05 s, and
# 0.95 with 1 s, in turn in one run.
_TASK_SECONDS = 0.5
_LEAST_SECONDS = 0.005  # of a task towards the end, when all actors should finish together
# Of a task whose episodes share threads, episodes for each: those that are done wait for the longest. For 64 uneven episodes an
# actor of 4 processes took 1.9 times what they would fill with 1, and 1.4 times with 4.
_ROUNDS = 4


def task_size(n_waiting: int, n_actors: int, n_threads: int, seconds: float | None) -> int:
    """Episodes of the next task: for 0.5 s, and some for each thread; fewer towards the end, so that all actors finish together.

    Parameters
    ----------
    n_waiting : int
        Episodes that no actor has.
    n_actors, n_threads : int
        Actors, and threads of each, all of which a task should keep busy.
    seconds : float, optional
        Of an episode, on one thread; None if that is not known yet.

    Returns
    -------
    int
        A multiple of `n_threads`.
    """
    rounds = n_waiting / (2 * n_actors * n_threads)
    if seconds is None:
        rounds /= 2
    else:
        enough = max(_TASK_SECONDS / seconds, _ROUNDS if n_threads > 1 else 1)
        rounds = max(min(rounds, enough), _LEAST_SECONDS / seconds)
    return n_threads * max(int(rounds), 1)


def episode_seconds(seconds: float, n_episodes: int, n_threads: int) -> float:
    """Seconds of an episode on one thread, of a task of so many that took `seconds` in all."""
    return seconds / -(-n_episodes // n_threads)


class Evaluation:
    """The episodes of an evaluation: which wait, and what the others gave."""

    def __init__(self, weights: FloatArray | Perturbed, filter: Filter, seeds: SeedArray, track: bool, n_tasks: int) -> None:
        self.out = empty_rollouts(len(seeds), len(filter.mean), track, n_tasks)
        self._weights, self._seeds = weights, seeds
        self._per_candidate = len(seeds) // len(weights)
        self._is_done = np.zeros(len(seeds), bool)
        self._waiting: deque[Span] = deque([(0, len(seeds))])

    @property
    def n_waiting(self) -> int:
        """Episodes that no actor has."""
        return sum(last - first for first, last in self._waiting)

    @property
    def is_done(self) -> bool:
        """Whether every episode has a result."""
        return bool(self._is_done.all())

    def has(self, span: Span) -> bool:
        """Whether these episodes have a result."""
        return bool(self._is_done[slice(*span)].all())

    def take(self, n_episodes: int) -> Span:
        """About so many episodes of those that wait: all of some candidates, or some of a single one."""
        first, last = self._waiting.popleft()
        per = self._per_candidate
        next_candidate = (first // per + 1) * per
        end = min(first + max(n_episodes // per * per, 1), last) if first % per == 0 and n_episodes >= per else first + n_episodes
        if end < next_candidate or first % per:
            end = min(end, next_candidate, last)
        if end < last:
            self._waiting.appendleft((end, last))
        return first, end

    def put_back(self, span: Span) -> None:
        """Let episodes wait again."""
        if not self.has(span):
            self._waiting.appendleft(span)

    def part(self, span: Span) -> Part:
        """Episodes as they are sent to an actor."""
        first, last = span[0] // self._per_candidate, -(-span[1] // self._per_candidate)  # candidates
        seeds = self._seeds[slice(*span)]
        if not isinstance(self._weights, Perturbed):
            return Part(slice(first, last), seeds, None)
        begin = first // 2
        return Part(slice(first - 2 * begin, last - 2 * begin), seeds, self._weights.indices[begin : -(-last // 2)])

    def write(self, span: Span, rollouts: Rollouts) -> None:
        """Keep the results of some episodes."""
        here = slice(*span)
        self._is_done[here] = True
        out = self.out
        for ours, theirs in zip(
            (out.returns, out.lengths, out.status, out.task_returns, *out.moments),
            (rollouts.returns, rollouts.lengths, rollouts.status, rollouts.task_returns, *rollouts.moments),
            strict=True,
        ):
            if len(ours):
                ours[here] = theirs
