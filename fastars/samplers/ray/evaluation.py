"""The episodes of an evaluation, dealt in parts."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any

import numpy as np

from fastars._compiled.simd import LANES
from fastars._compiled.structs import Filter, FloatArray, Rollouts, SeedArray, empty_rollouts
from fastars.envs.physics_choice import physics_of
from fastars.samplers.candidates import Candidates
from fastars.samplers.failure import Failure, OnFailure, log_failure
from fastars.samplers.ray.actor import Part
from fastars.samplers.results import write_part

Span = tuple[int, int]  # first and last episode of a part, the last one excluded

# Of a task, at most: so much is lost with an actor. Two actors had 0.86 of the speed of two threads on HalfCheetah-v5 with 0.05 s,
# and 0.95 with 1 s, in turn in one run.
_TASK_SECONDS = 0.5
_LEAST_SECONDS = 0.005  # of a task towards the end, when all actors should finish together
# Episodes for each place in a task whose episodes share an actor: places that are done wait for the longest episode. For 64 uneven
# episodes an actor of 4 processes took 1.9 times the time that fills all processes with 1 round, and 1.4 times with 4.
_ROUNDS = 4


def episodes_at_once(env: Any, n_threads: int) -> int:
    """Return the episodes that an actor of `n_threads` runs side by side: one in each thread, or one in each lane of it."""
    return n_threads * (LANES if physics_of(env) == "lanes" else 1)


def task_size(n_waiting: int, n_actors: int, n_places: int, seconds: float | None) -> int:
    """Return the episodes of the next task: enough for 0.5 s and for each place, fewer towards the end so that all end together.

    Parameters
    ----------
    n_waiting : int
        Episodes that no actor has.
    n_actors, n_places : int
        Actors, and episodes that each of them runs at once; a task should keep all of these places busy.
    seconds : float, optional
        Time of an episode in its place; None if it is not known yet.

    Returns
    -------
    int
        A multiple of `n_places`.
    """
    rounds = n_waiting / (2 * n_actors * n_places)
    if seconds is None:
        rounds /= 2
    else:
        enough = max(_TASK_SECONDS / seconds, _ROUNDS if n_places > 1 else 1)
        rounds = max(min(rounds, enough), _LEAST_SECONDS / seconds)
    return n_places * max(int(rounds), 1)


def episode_seconds(seconds: float, n_episodes: int, n_places: int) -> float:
    """Return the seconds of an episode in its place, for a task of `n_episodes` that took `seconds` in an actor of `n_places`."""
    return seconds / -(-n_episodes // n_places)


class Evaluation:
    """The episodes of an evaluation that wait, and the results of the others.

    Parameters
    ----------
    weights, filter, seeds, track, on_failure
        As for `Sampler.evaluate`.
    n_tasks : int
        Rewards of a step; 0 where the reward is a number.
    """

    def __init__(
        self,
        weights: FloatArray | Candidates,
        filter: Filter,
        seeds: SeedArray,
        track: bool,
        n_tasks: int,
        on_failure: OnFailure = log_failure,
    ) -> None:
        self.out = empty_rollouts(len(seeds), len(filter.mean), track, n_tasks)
        self._weights, self._seeds, self._on_failure = weights, seeds, on_failure
        self._n_failures = self._n_restarts = 0
        self._per_candidate = len(seeds) // len(weights)
        self._is_done = np.zeros(len(seeds), bool)
        self._waiting: deque[Span] = deque([(0, len(seeds))])

    @property
    def needs_table(self) -> bool:
        """True if actors make the candidates from the noise table."""
        return isinstance(self._weights, Candidates)

    @property
    def n_waiting(self) -> int:
        """Episodes that no actor has."""
        return sum(last - first for first, last in self._waiting)

    @property
    def is_done(self) -> bool:
        """True if every episode has a result."""
        return bool(self._is_done.all())

    def has(self, span: Span) -> bool:
        """Return True if these episodes have a result."""
        return bool(self._is_done[slice(*span)].all())

    def take(self, n_episodes: int) -> Span:
        """Take about `n_episodes` that wait: all episodes of some candidates, or some of a single candidate."""
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
        """Let episodes wait again, if they have no result."""
        if not self.has(span):
            self._waiting.appendleft(span)

    def part(self, span: Span) -> Part:
        """Return the message to an actor for these episodes."""
        first, last = span[0] // self._per_candidate, -(-span[1] // self._per_candidate)  # candidates
        seeds = self._seeds[slice(*span)]
        if not isinstance(self._weights, Candidates):
            return Part(slice(first, last), seeds, None)
        begin = first // 2
        return Part(slice(first - 2 * begin, last - 2 * begin), seeds, self._weights.indices[begin : -(-last // 2)])

    def write(self, span: Span, rollouts: Rollouts) -> None:
        """Keep the results of some episodes."""
        self._n_failures += rollouts.n_failures
        self._n_restarts += rollouts.n_restarts
        self._is_done[slice(*span)] = True
        write_part(self.out, slice(*span), rollouts)

    def tell(self, span: Span, failures: Iterable[Failure]) -> None:
        """Tell the caller of the evaluation about failed attempts at some episodes."""
        for failure in failures:
            self._on_failure(failure._replace(episode=span[0] + failure.episode))

    def results(self, n_lost_actors: int) -> Rollouts:
        """Return all results, with the numbers of failures and restarts."""
        return self.out._replace(n_failures=self._n_failures, n_restarts=self._n_restarts + n_lost_actors)
