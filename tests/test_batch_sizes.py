"""Sizes of the batches of episodes for workers: equal parts where episodes are alike, and small ones at the end where they differ.

Workers are simulated here: nothing depends on a clock. Broken on purpose, each seen red: always half of an equal part (as it was);
always an equal part; a smallest size that may be more than an equal part; no look at the slowest worker; sizes of a round that
shrink from worker to worker.
"""

import heapq

import numpy as np
import pytest

from fastars.samplers.batch_sizes import BatchSizes

MESSAGE = 3e-4  # s


def run(sizes, lengths, step_seconds):
    """Deal episodes of these lengths to workers that take so long for a step; return (seconds, batches)."""
    sizes.start()
    waiting, batches = list(lengths), []
    free = [(0.0, k) for k in range(sizes.n_workers)]  # (time, worker)
    end, noted = 0.0, []
    while waiting:
        now, worker = heapq.heappop(free)
        for note in [note for note in noted if note[0] <= now]:
            sizes.learn(*note[1:])
            noted.remove(note)
        n = sizes.next(len(waiting))
        sizes.dealt()
        batch, waiting = waiting[:n], waiting[n:]
        batches.append(len(batch))
        seconds = step_seconds[worker] * sum(batch)
        noted.append((now + MESSAGE + seconds, np.array(batch), seconds))
        heapq.heappush(free, (now + MESSAGE + seconds, worker))
        end = max(end, now + MESSAGE + seconds)
    for note in noted:
        sizes.learn(*note[1:])
    return end, batches


def settled(n_workers, lengths_of, step_seconds):
    """Return the seconds of the last of some evaluations, relative to what workers need together, and its batches."""
    sizes, draw = BatchSizes(n_workers), np.random.default_rng(0)
    for _ in range(6):
        lengths = lengths_of(draw)
        seconds, batches = run(sizes, lengths, step_seconds)
    assert sum(batches) == len(lengths)
    return seconds * sum(1.0 / each for each in step_seconds) / sum(lengths), batches


def alike(draw, n=16):
    return [200] * n


def uneven(draw, n=64):
    return np.ceil(draw.exponential(200, n)).astype(int).tolist()


def test_the_first_batches_ever_are_small():
    assert BatchSizes(2).next(64) == 4
    assert BatchSizes(4).next(3) == 1


@pytest.mark.parametrize(("n_workers", "n"), [(2, 16), (2, 17), (4, 16), (3, 5), (16, 4)])
def test_episodes_of_one_length_are_dealt_once(n_workers, n):
    _, batches = settled(n_workers, lambda draw: alike(draw, n), [2e-5] * n_workers)
    assert max(batches) == -(-n // n_workers)
    assert len(batches) <= n_workers


def test_a_few_steps_are_divided_too():
    _, batches = settled(2, lambda draw: [9] * 40, [6e-6] * 2)
    assert batches == [20, 20]


def test_long_batches_are_dealt_again_and_again():
    ratio, batches = settled(2, lambda draw: alike(draw, 256), [2e-5] * 2)
    assert max(batches) <= 14  # 0.05 s
    assert ratio < 1.03


@pytest.mark.parametrize("n_workers", [2, 4])
def test_uneven_episodes_leave_no_worker_alone_for_long(n_workers):
    ratios = [settled(n_workers, lambda draw, k=k: uneven(np.random.default_rng(k)), [2e-5] * n_workers)[0] for k in range(20)]
    assert np.mean(ratios) < (1.08 if n_workers == 2 else 1.2)


def test_a_worker_that_is_half_as_fast_gets_less():
    ratio, _ = settled(2, lambda draw: alike(draw, 24), [2e-5, 4e-5])
    assert ratio < 1.15
