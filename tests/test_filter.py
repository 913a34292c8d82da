"""Moments of observations, merged in order, and the filter made of them."""

import numpy as np
import pytest

from fastars import kernels, reference
from fastars._compiled.structs import Moments

BACKENDS = pytest.mark.parametrize("backend", [kernels, reference], ids=["kernels", "reference"])


def moments_of(*episodes):
    """A row of moments per episode of observations (length, n_obs)."""
    episodes = [np.array(episode, np.float64) for episode in episodes]
    return Moments(
        np.array([len(episode) for episode in episodes]),
        np.array([episode.mean(axis=0) for episode in episodes]),
        np.array([((episode - episode.mean(axis=0)) ** 2).sum(axis=0) for episode in episodes]),
    )


def empty(n_obs):
    return 0, np.zeros(n_obs), np.zeros(n_obs)


@BACKENDS
def test_merge_moments_of_hand_worked_episodes(backend):
    # 1, 3 (mean 2, m2 2) and 5 (mean 5, m2 0): together 1, 3, 5 with mean 3 and m2 4 + 0 + 4
    count, mean, m2 = backend.merge_moments(*empty(1), moments_of([[1.0], [3.0]], [[5.0]]))
    assert (count, mean.tolist(), m2.tolist()) == (3, [3.0], [8.0])


@BACKENDS
def test_merge_moments_equals_moments_of_all_observations(backend):
    draw = np.random.default_rng(0)
    episodes = [draw.normal(1e3, 2.0, (length, 3)) for length in (1, 7, 200, 500)]
    count, mean, m2 = backend.merge_moments(*empty(3), moments_of(*episodes))
    everything = np.concatenate(episodes)
    assert count == len(everything)
    np.testing.assert_allclose(mean, everything.mean(axis=0), rtol=1e-14)
    np.testing.assert_allclose(m2 / count, everything.var(axis=0), rtol=1e-11)


@BACKENDS
def test_merge_moments_in_two_parts_is_bit_equal_to_one(backend):
    draw = np.random.default_rng(1)
    episodes = moments_of(*[draw.normal(size=(length, 2)) for length in (3, 4, 5, 6)])
    first, second = Moments(*(rows[:2] for rows in episodes)), Moments(*(rows[2:] for rows in episodes))
    whole = backend.merge_moments(*empty(2), episodes)
    parts = backend.merge_moments(*backend.merge_moments(*empty(2), first), second)
    assert whole[0] == parts[0]
    np.testing.assert_array_equal(whole[1:], parts[1:])


@pytest.mark.promise(8)
@BACKENDS
def test_merge_moments_passes_over_empty_and_nonfinite_rows(backend):
    episodes = moments_of(*[[[1.0], [3.0]]] * 5)
    episodes.count[0], episodes.mean[1, 0], episodes.m2[2, 0], episodes.mean[3, 0] = 0, np.nan, np.inf, 1e300
    count, mean, m2 = backend.merge_moments(10, np.array([2.0]), np.array([5.0]), episodes)
    assert (count, mean.tolist(), m2.tolist()) == (12, [2.0], [7.0])


@BACKENDS
def test_merge_moments_keeps_a_constant_feature_constant(backend):
    _, mean, m2 = backend.merge_moments(*empty(1), moments_of(*[[[0.1]] * length for length in (3, 7, 500)]))
    np.testing.assert_allclose(mean, 0.1, rtol=1e-15)
    assert m2[0] < 1e-28  # a deviation far below any `min_std`


@BACKENDS
def test_merge_moments_of_no_episodes_is_what_was(backend):
    rows = Moments(np.zeros(0, np.int64), np.zeros((0, 2)), np.zeros((0, 2)))
    count, mean, m2 = backend.merge_moments(4, np.array([1.0, 2.0]), np.array([3.0, 4.0]), rows)
    assert (count, mean.tolist(), m2.tolist()) == (4, [1.0, 2.0], [3.0, 4.0])


@BACKENDS
def test_filter_uses_the_sample_variance_with_ddof_1(backend):
    mean, scale = backend.filter_from_moments(3, np.array([3.0]), np.array([8.0]), 1, 0.0, 0.0, 1e-7)
    assert (mean.tolist(), scale.tolist()) == ([3.0], [0.5])


@BACKENDS
def test_filter_uses_the_population_variance_with_ddof_0(backend):
    _, scale = backend.filter_from_moments(2, np.array([3.0]), np.array([8.0]), 0, 0.0, 0.0, 1e-7)
    assert scale.tolist() == [0.5]


@BACKENDS
def test_filter_adds_epsilon_to_the_deviation_and_var_epsilon_to_the_variance(backend):
    _, scale = backend.filter_from_moments(2, np.array([3.0]), np.array([6.0]), 0, 2.0, 1.0, 1e-7)
    assert scale.tolist() == [0.25]  # 1 / (sqrt(3 + 1) + 2)


@BACKENDS
def test_filter_counts_a_constant_feature_zero(backend):
    mean, scale = backend.filter_from_moments(9, np.array([3.0, 1.0]), np.array([0.0, 8.0]), 1, 0.0, 0.0, 1e-7)
    assert (mean.tolist(), scale.tolist()) == ([3.0, 1.0], [0.0, 1.0])


@BACKENDS
def test_filter_never_divides_by_zero(backend):
    _, scale = backend.filter_from_moments(9, np.zeros(1), np.zeros(1), 1, 0.0, 0.0, 0.0)
    assert scale.tolist() == [0.0]


@BACKENDS
@pytest.mark.parametrize(("count", "ddof"), [(0, 0), (0, 1), (1, 1)])
def test_filter_of_too_few_observations_has_mean_0_and_variance_1(backend, count, ddof):
    """As the original's, x / (1 + 1e-8), and VecNormalize's, x / sqrt(1 + 1e-8), in the first iteration."""
    for epsilon, var_epsilon in ((0.0, 0.0), (1e-8, 0.0), (0.0, 1e-8), (0.5, 3.0)):
        mean, scale = backend.filter_from_moments(count, np.array([7.0]), np.zeros(1), ddof, epsilon, var_epsilon, 1e-7)
        assert (mean.tolist(), scale.tolist()) == ([0.0], [1.0 / (np.sqrt(1.0 + var_epsilon) + epsilon)])
