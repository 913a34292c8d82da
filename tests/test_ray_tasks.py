"""Distribution of the episodes of an evaluation to actors: worked out by hand, without Ray.

Broken on purpose -> red: tasks not rounded to threads, seconds per episode instead of per thread (`tasks_take`, `seconds_of`); a
part that begins within a pair sent without its offset (`parts_are`); episodes put back although they have a result (`put_back`);
a place for each thread alone (`each_lane`).
"""

import numpy as np
import pytest

from fastars import kernels
from fastars._compiled.simd import LANES
from fastars._compiled.structs import empty_rollouts, identity_filter
from fastars.envs import compiled_env, environment
from fastars.samplers.candidates import Candidates
from fastars.samplers.noise_table import NoiseTable
from fastars.samplers.ray.evaluation import Evaluation, episode_seconds, episodes_at_once, task_size


@pytest.mark.parametrize(
    ("n_waiting", "n_actors", "n_places", "seconds", "size"),
    [
        (10_000, 2, 1, 0.001, 500),  # half a second
        (1000, 2, 8, 0.001, 248),  # half of an actor's share: 31.25 rounds of 8
        (40, 2, 1, 0.001, 10),  # towards the end, smaller ones
        (4, 2, 1, 0.001, 5),  # but of 5 ms
        (1000, 2, 1, 0.75, 1),  # an episode takes longer than a task should
        (1000, 2, 32, 0.75, 128),  # the same, for threads, which wait for each other: some for each
        (100, 2, 32, 0.75, 32),  # towards the end, one for each
        (1000, 2, 4, None, 124),  # nothing is known yet: a quarter of a share
        (1, 100, 1, None, 1),
    ],
)
def test_tasks_take_half_a_second_and_keep_all_places_busy(n_waiting, n_actors, n_places, seconds, size):
    assert task_size(n_waiting, n_actors, n_places, seconds) == size


def test_a_thread_has_a_place_for_each_lane():
    swimmer, pendulum = compiled_env("Swimmer-v5"), compiled_env("Pendulum-v1")
    over_lanes = swimmer._replace(physics="lanes")
    assert [episodes_at_once(env, 3) for env in (pendulum, swimmer, over_lanes)] == [3, 3, 3 * LANES]
    both = environment(["Swimmer-v5", "Swimmer-v5"])
    assert episodes_at_once(both, 1) == 1
    assert episodes_at_once(both._replace(envs=(swimmer, over_lanes)), 1) == LANES


@pytest.mark.parametrize(("n_episodes", "n_threads", "seconds"), [(10, 1, 0.2), (10, 10, 2.0), (3, 10, 2.0), (11, 10, 1.0)])
def test_seconds_of_an_episode_are_those_of_a_thread(n_episodes, n_threads, seconds):
    assert episode_seconds(2.0, n_episodes, n_threads) == pytest.approx(seconds)


def evaluation(weights, n_per_candidate):
    return Evaluation(weights, identity_filter(2), np.arange(len(weights) * n_per_candidate, dtype=np.uint64), False, 1)


def test_a_task_has_some_episodes_of_a_candidate_or_all_of_several():
    work = evaluation(np.zeros((4, 3)), 3)
    assert [work.take(n) for n in (1, 6, 7, 2, 9)] == [(0, 1), (1, 3), (3, 9), (9, 11), (11, 12)]
    assert work.n_waiting == 0
    work.put_back((3, 9))
    assert work.n_waiting == 6
    assert work.take(100) == (3, 9)


def test_what_has_a_result_is_not_put_back():
    work = evaluation(np.zeros((2, 3)), 1)
    span = work.take(1)
    rollouts = empty_rollouts(1, 2, False, 1)
    work.write(span, rollouts._replace(returns=np.array([7.0])))
    work.put_back(span)
    assert (work.n_waiting, work.has(span), work.is_done, work.out.returns.tolist()) == (1, True, False, [7.0, 0.0])


def test_parts_are_made_of_the_directions_that_they_need():
    table, indices = NoiseTable(kernels, 0, 1000), np.array([30, 10, 20])
    perturbed = Candidates(np.ones(4), 0.5, indices, table)
    everything = kernels.perturb(np.ones(4), 0.5, table.whole(), indices)
    np.testing.assert_array_equal([perturbed[k] for k in range(6)], everything)
    work = evaluation(perturbed, 2)
    for span in ((0, 12), (2, 4), (3, 4), (6, 10), (4, 8)):
        part = work.part(span)
        made = kernels.perturb(np.ones(4), 0.5, table.whole(), part.indices)[part.rows]
        np.testing.assert_array_equal(made, everything[span[0] // 2 : -(-span[1] // 2)])
        assert part.seeds.tolist() == list(range(*span))
