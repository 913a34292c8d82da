"""Batches of episodes that a worker process has before it needs them: the same results, the same episode to blame.

Broken on purpose: a lost worker's later batch is forgotten, the mark of a batch is that at which the next one was given, batches as
large as you like are given ahead -> each a test red. Messages of any size -> `has_few_large_candidates`; a candidate's weights once
for each of its episodes -> `once`; episodes of a message in the order of its candidates' rows -> `once`, too.
"""

import os

import faulty_envs
import numpy as np
import pytest
from watched_samplers import watched

from fastars._compiled.structs import FAILED, LinearPolicy, identity_filter
from fastars.samplers import episode_queue, pool
from fastars.samplers.batch import Batch
from fastars.samplers.batch_sizes import BatchSizes
from fastars.samplers.process import WorkerProcess

N = 24  # episodes; the seed of each is its index
WEIGHTS = np.random.default_rng(0).normal(size=(N, 2))
pytestmark = pytest.mark.skipif(os.name != "posix", reason="worker processes need POSIX")


def evaluated(sampler):
    return sampler.evaluate(WEIGHTS, identity_filter(2), np.arange(N, dtype=np.uint64), True)


def same(ours, theirs, but=()):
    """Assert that all episodes gave the same, except for those in `but`."""
    good = np.setdiff1d(np.arange(N), but)
    for a, b in zip((*ours[:3], *ours.moments), (*theirs[:3], *theirs.moments), strict=True):
        np.testing.assert_array_equal(a[good], b[good])


@pytest.fixture
def given(monkeypatch):
    """A list that gets a bool for each batch that a worker is given: True if the worker was busy."""
    seen = []
    give = WorkerProcess.give

    def watched(worker, episodes, batch, **how):
        seen.append(bool(worker.episodes))
        assert not worker.later
        assert not worker.is_alone
        give(worker, episodes, batch, **how)

    monkeypatch.setattr(WorkerProcess, "give", watched)
    return seen


@pytest.fixture
def sampler_of():
    made = []

    def make(env, n_workers=2):
        made.append(watched(env, LinearPolicy(), n_workers, envs_per_worker=1))
        return made[-1]

    yield make
    for sampler in made:
        sampler.close()


def test_a_worker_has_its_next_episodes_before_it_needs_them(sampler_of, given):
    expected, sampler = evaluated(sampler_of(faulty_envs.Line, 1)), sampler_of(faulty_envs.Line)
    same(evaluated(sampler), expected)
    assert any(given)


def test_what_a_connection_may_not_hold_waits_for_its_reader(sampler_of, given, monkeypatch):
    monkeypatch.setattr(pool, "_AHEAD_BYTES", 40)  # the filter and the weights of an episode take more
    expected, sampler = evaluated(sampler_of(faulty_envs.Line, 1)), sampler_of(faulty_envs.Line)
    same(evaluated(sampler), expected)
    assert given
    assert not any(given)


def queue_of(weights, rows, n_workers=1):
    """A queue of episodes of these candidates, each with its number as its seed."""
    n = len(rows)
    seeds, none = np.arange(n, dtype=np.uint64), np.zeros(n, np.int64)
    batch = Batch(identity_filter(2), False, weights, rows, seeds, none, np.ones(1))
    return episode_queue.EpisodeQueue(batch, lambda *args: None, BatchSizes(n_workers))


def test_a_message_has_few_large_candidates():
    weights = np.zeros((1000, 1 << 20))  # 8 MiB each, which nobody writes to
    assert len(queue_of(weights, np.arange(1000)).take()[0]) == 8


@pytest.mark.parametrize("per_candidate", [1, 3, 50])
def test_a_message_has_the_weights_of_a_candidate_once(per_candidate):
    """And all its episodes, though they come in several messages, and out of order when some of them wait again."""
    weights, rows = np.arange(24.0).reshape(12, 2), np.repeat(np.arange(12), per_candidate)
    queue, seen = queue_of(weights, rows, n_workers=2), []
    again, _ = queue.take()
    queue.put_back(again[::-1])
    while queue:
        episodes, part = queue.take()
        seen += episodes
        assert len(part.weights) == len(set(rows[episodes]))
        np.testing.assert_array_equal(part.weights[part.rows], weights[rows[episodes]])
        assert part.seeds.tolist() == episodes
    assert sorted(seen) == list(range(len(rows)))


class Crashes(faulty_envs.Line):
    """Ends its process in the episodes of some seeds."""

    def step(self, action):
        if self.seed in (7, 18):
            os._exit(3)
        return super().step(action)


class CrashesAtOnce(faulty_envs.Line):
    """Ends its process before the episodes of some seeds begin: before anybody has heard that the batch before is done."""

    def reset(self, *, seed=None, options=None):
        if seed in (7, 18):
            os._exit(3)
        return super().reset(seed=seed, options=options)


@pytest.mark.parametrize("env", [Crashes, CrashesAtOnce])
def test_only_the_episode_that_ended_its_process_is_to_blame(env, sampler_of, given):
    expected, sampler = evaluated(sampler_of(faulty_envs.Line, 1)), sampler_of(env)
    rollouts = evaluated(sampler)
    assert any(given)
    assert sorted((failure.episode, failure.attempt) for failure in sampler.failures) == [(7, 1), (7, 2), (18, 1), (18, 2)]
    assert np.flatnonzero(rollouts.status == FAILED).tolist() == [7, 18]
    same(rollouts, expected, but=(7, 18))
    assert sampler.n_restarts == 6  # of each episode: with others, and twice alone
