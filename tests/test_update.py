"""From returns to a step: golden values of the published programs, tie rules, degenerate numbers."""

import math

import numpy as np
import pytest

from fastars import kernels, reference
from fastars._compiled.jit import kernel
from fastars.kernels import sorting

BACKENDS = pytest.mark.parametrize("backend", [kernels, reference], ids=["kernels", "reference"])

# Computed with the published implementations' own code (modestyachts/ARS, RLlib 1.x, stable-baselines3-contrib 2.9).
DELTAS = np.arange(12) / 10 - 0.5  # a table whose directions are its rows of three
INDICES = np.array([0, 3, 6, 9])
RETURNS = np.array([[10, 4], [3, 8], [1, 2], [7, 7.5]])
STD_0, STD_1, STD_ALL = 2.8613807855648994, 3.304037933599835, 3.0304444806001642
ORIGINAL_GRADIENT = [-0.3494816226644151, -0.33200754153119444, -0.31453346039797364]
SB3_STEP = [-0.006053198351633424, -0.005750538434051754, -0.005447878516470081]


def gradient_of(backend, selected, std, std_epsilon):
    weights = backend.direction_weights(RETURNS, selected, len(selected), std, std_epsilon)
    gradient = np.empty(3)
    backend.weighted_sum(weights, DELTAS, INDICES[selected], gradient)
    return gradient


def step_of(backend, gradient):
    return backend.sgd_step(np.zeros(3), gradient, 0.02, 0.0, 0.0, np.ones(3))[1]


@BACKENDS
@pytest.mark.parametrize("keep_ties", [False, True])
def test_golden_selection(backend, keep_ties):
    selected = backend.top_directions(RETURNS, 2, keep_ties)
    assert selected.dtype == np.int64
    assert selected.tolist() == [0, 1]


@BACKENDS
def test_golden_deviations(backend):
    assert backend.return_std(RETURNS, np.array([0, 1]), 0) == pytest.approx(STD_0, rel=1e-15)
    assert backend.return_std(RETURNS, np.array([0, 1]), 1) == pytest.approx(STD_1, rel=1e-15)
    assert backend.return_std(RETURNS, np.arange(4), 0) == pytest.approx(STD_ALL, rel=1e-15)


@BACKENDS
def test_golden_step_of_the_original_and_of_rllib(backend):
    selected = backend.top_directions(RETURNS, 2, True)
    gradient = gradient_of(backend, selected, backend.return_std(RETURNS, selected, 0), 0.0)
    np.testing.assert_allclose(gradient, ORIGINAL_GRADIENT, rtol=1e-14)
    np.testing.assert_allclose(step_of(backend, gradient), 0.02 * np.array(ORIGINAL_GRADIENT), rtol=1e-14)
    assert backend.norm_sq(gradient) == pytest.approx(0.3312977099236641, rel=1e-14)


@BACKENDS
def test_golden_step_of_sb3(backend):
    selected = backend.top_directions(RETURNS, 2, False)
    gradient = gradient_of(backend, selected, backend.return_std(RETURNS, selected, 1), 1e-6)
    np.testing.assert_allclose(step_of(backend, gradient), SB3_STEP, rtol=1e-14)


@BACKENDS
def test_golden_centered_ranks(backend):
    ranks = backend.centered_ranks(np.array([[1.0, 5.0], [3.0, 2.0]]))
    np.testing.assert_allclose(ranks, [[-0.5, 0.5], [1 / 6, -1 / 6]], rtol=1e-15)


@BACKENDS
def test_candidate_returns_are_means_with_the_offset_per_step(backend):
    returns = np.array([[[1.0, 3.0], [5.0, 5.0]]])
    lengths = np.array([[[10, 20], [1, 1]]])
    values = backend.candidate_returns(returns, lengths, np.ones((1, 2, 2), np.int64), -0.5)
    assert values.tolist() == [[(1.0 - 5.0 + 3.0 - 10.0) / 2, 4.5]]


@BACKENDS
@pytest.mark.parametrize(("bad_return", "status"), [(0.0, 3), (np.nan, 1), (np.inf, 2), (-np.inf, 1)])
def test_candidate_returns_are_nan_where_an_episode_is_not_finite(backend, bad_return, status):
    returns, all_status = np.ones((2, 2, 3)), np.ones((2, 2, 3), np.int64)
    returns[1, 0, 2], all_status[1, 0, 2] = bad_return, status
    values = backend.candidate_returns(returns, np.ones((2, 2, 3), np.int64), all_status, 1.0)
    np.testing.assert_array_equal(values, [[2.0, 2.0], [np.nan, 2.0]])


@BACKENDS
def test_finite_pairs_need_both_returns(backend):
    returns = np.array([[1.0, 2.0], [np.nan, 1.0], [1.0, np.inf], [-np.inf, np.nan], [1e300, -1e300]])
    finite = backend.finite_pairs(returns)
    assert finite.dtype == np.bool_
    assert finite.tolist() == [True, False, False, False, True]


@BACKENDS
def test_penalized_returns_take_the_worst_of_the_iteration(backend):
    """The other of the pair keeps its own; a pair without a finite return stays as it is, and so does one that `FAILED`."""
    returns = np.array([[4.0, np.nan], [np.inf, 3.0], [np.nan, -np.inf], [-7.0, 9.0], [5.0, np.nan]])
    status = np.ones((5, 2, 2), np.int64)
    status[0, 1, 1], status[4, 1, 0] = 3, 5
    before = returns.copy()
    penalized = backend.penalized_returns(returns, status)
    np.testing.assert_array_equal(penalized, [[4.0, -7.0], [-7.0, 3.0], [np.nan, -np.inf], [-7.0, 9.0], [5.0, np.nan]])
    np.testing.assert_array_equal(returns, before)


@BACKENDS
def test_penalized_returns_of_no_finite_one_are_what_they_were(backend):
    returns = np.array([[np.nan, np.inf], [-np.inf, np.nan]])
    np.testing.assert_array_equal(backend.penalized_returns(returns, np.full((2, 2, 1), 3)), returns)


@BACKENDS
def test_top_directions_breaks_ties_by_the_lower_index(backend):
    returns = np.array([[5.0, 0.0], [9.0, 0.0], [0.0, 5.0], [5.0, 5.0], [1.0, 0.0]])
    assert backend.top_directions(returns, 3, False).tolist() == [0, 1, 2]


@BACKENDS
def test_top_directions_keeps_ties(backend):
    returns = np.array([[5.0, 0.0], [9.0, 0.0], [0.0, 5.0], [5.0, 5.0], [1.0, 0.0]])
    assert backend.top_directions(returns, 3, True).tolist() == [0, 1, 2, 3]


@BACKENDS
def test_top_directions_scores_by_the_better_of_a_pair(backend):
    returns = np.array([[-9.0, 8.0], [7.0, 7.0], [6.0, -100.0]])
    assert backend.top_directions(returns, 1, False).tolist() == [0]


@BACKENDS
def test_top_directions_with_ties_is_the_originals_percentile_rule(backend):
    draw = np.random.default_rng(0)
    for n in [*range(1, 40), 100, 230, 997]:
        for returns in (draw.normal(0, 100, (n, 2)), np.round(draw.uniform(0, 5, (n, 2))), draw.normal(0, 1e-300, (n, 2))):
            for n_top in sorted({1, max(1, n // 3), max(1, n - 1), n}):
                score = returns.max(axis=1)
                expected = np.flatnonzero(score >= np.percentile(score, 100 * (1 - n_top / n)))
                assert backend.top_directions(returns, n_top, True).tolist() == expected.tolist()


@kernel
def percentile(values, q):
    return sorting.percentile(values, q)


def test_percentile_is_numpys_to_the_bit():
    draw = np.random.default_rng(4)
    for n in (1, 2, 3, 10, 97, 230):
        for n_top in range(1, n + 1):
            values, q = np.sort(draw.normal(0, 100, n)), 100.0 * (1.0 - n_top / n)
            assert percentile(values, q) == np.percentile(values, q)


@BACKENDS
def test_top_directions_without_ties_is_the_head_of_a_stable_sort(backend):
    draw = np.random.default_rng(1)
    for n in [*range(1, 40), 1000]:
        returns = np.round(draw.uniform(0, 9, (n, 2)))
        for n_top in sorted({1, max(1, n // 3), max(1, n - 1), n}):
            expected = np.sort(np.argsort(-returns.max(axis=1), kind="stable")[:n_top])
            assert backend.top_directions(returns, n_top, False).tolist() == expected.tolist()


@BACKENDS
@pytest.mark.parametrize("keep_ties", [False, True])
def test_top_directions_takes_all_finite_pairs_if_there_are_no_more(backend, keep_ties):
    returns = np.array([[np.nan, 99.0], [1.0, 2.0], [3.0, np.inf], [0.0, 0.0]])
    assert backend.top_directions(returns, 2, keep_ties).tolist() == [1, 3]
    assert backend.top_directions(returns, 50, keep_ties).tolist() == [1, 3]
    assert backend.top_directions(returns, 1, keep_ties).tolist() == [1]


@BACKENDS
@pytest.mark.parametrize("keep_ties", [False, True])
def test_top_directions_of_no_finite_pair_is_empty(backend, keep_ties):
    selected = backend.top_directions(np.full((3, 2), np.nan), 2, keep_ties)
    assert (selected.dtype, selected.shape) == (np.int64, (0,))


@BACKENDS
@pytest.mark.parametrize("ddof", [0, 1])
def test_return_std_is_numpys(backend, ddof):
    draw = np.random.default_rng(2)
    for n in (1, 2, 8, 300):
        returns = draw.normal(100, 15, (n, 2))
        selected = np.flatnonzero(draw.uniform(size=n) < 0.7) if n > 2 else np.arange(n)
        assert backend.return_std(returns, selected, ddof) == pytest.approx(np.std(returns[selected], ddof=ddof), rel=1e-13)


@BACKENDS
@pytest.mark.parametrize("scale", [1e300, 1e-300, 5e-324])
def test_return_std_survives_extreme_returns(backend, scale):
    std = backend.return_std(np.array([[3.0, 1.0], [1.0, 3.0]]) * scale, np.array([0, 1]), 0)
    assert std == pytest.approx(scale, rel=1e-13)


@BACKENDS
def test_return_std_of_equal_returns_is_exactly_zero(backend):
    for value in (0.0, 0.1, -1e300, 1e-300, 1 / 3):
        assert backend.return_std(np.full((7, 2), value), np.arange(7), 1) == 0.0


@BACKENDS
def test_return_std_of_too_few_returns_is_zero(backend):
    assert backend.return_std(RETURNS, np.zeros(0, np.int64), 0) == 0.0
    assert backend.return_std(RETURNS, np.array([0]), 2) == 0.0


@BACKENDS
def test_direction_weights_of_equal_returns_are_zero(backend):
    weights = backend.direction_weights(np.full((4, 2), 5.0), np.array([0, 2]), 2, 0.0, 0.0)
    assert weights.tolist() == [0.0, 0.0]


@BACKENDS
def test_direction_weights_divide_by_divisor_times_std_plus_epsilon(backend):
    weights = backend.direction_weights(RETURNS, np.array([0, 3]), 4, 0.5, 1.0)
    assert weights.tolist() == [2.0, -0.5 / 3.0]


@BACKENDS
@pytest.mark.parametrize("scale", [1e300, 1e-300])
def test_a_step_of_extreme_returns_is_the_step_of_their_ratios(backend, scale):
    returns = RETURNS * scale
    selected = backend.top_directions(returns, 2, False)
    weights = backend.direction_weights(returns, selected, 2, backend.return_std(returns, selected, 0), 0.0)
    expected = backend.direction_weights(RETURNS, np.array([0, 1]), 2, STD_0, 0.0)
    np.testing.assert_allclose(weights, expected, rtol=1e-13)


@BACKENDS
def test_a_step_of_one_direction(backend):
    returns = np.array([[3.0, 1.0]])
    selected = backend.top_directions(returns, 1, False)
    assert backend.direction_weights(returns, selected, 1, backend.return_std(returns, selected, 0), 0.0).tolist() == [2.0]


@BACKENDS
def test_weighted_sum_of_hand_worked_numbers(backend):
    noise = np.array([1, 2, 3, 4, 5], np.float32)
    out = np.full(3, np.nan)
    backend.weighted_sum(np.array([1.0, -2.0, 0.5]), noise, np.array([0, 2, 1]), out)
    assert out.tolist() == [1 - 6 + 1, 2 - 8 + 1.5, 3 - 10 + 2]


@BACKENDS
@pytest.mark.parametrize("n", [0, 1, 2, 3, 4, 5, 7, 8, 9])
def test_weighted_sum_adds_each_direction_once(backend, n):
    noise = np.arange(20, dtype=np.float32)
    out = np.full(6, np.nan)
    backend.weighted_sum(np.ones(n), noise, np.arange(n), out)
    assert out.tolist() == [sum(range(k, k + n)) for k in range(6)]


@BACKENDS
def test_weighted_sum_of_columns_is_those_columns_of_the_sum(backend):
    draw = np.random.default_rng(3)
    noise, indices, weights = draw.standard_normal(20_000, np.float32), draw.integers(0, 10_000, 13), draw.standard_normal(13)
    whole, parts = np.empty(9_999), np.empty(9_999)
    backend.weighted_sum(weights, noise, indices, whole)
    for low, high in [(0, 1), (1, 4_097), (4_097, 9_000), (9_000, 9_999)]:
        backend.weighted_sum(weights, noise, indices + low, parts[low:high])
    np.testing.assert_array_equal(parts, whole)
    np.testing.assert_array_equal(backend.weighted_sums(weights, noise, indices, 9_999), whole)


@BACKENDS
def test_weighted_sum_reads_the_last_number_of_the_table(backend):
    out = np.empty(2)
    backend.weighted_sum(np.ones(4), np.array([1, 2, 3], np.float32), np.array([1, 1, 1, 1]), out)
    assert out.tolist() == [8.0, 12.0]


@BACKENDS
def test_centered_ranks_of_equals_are_their_mean(backend):
    ranks = backend.centered_ranks(np.array([[7.0, 7.0], [7.0, 1.0]]))
    np.testing.assert_allclose(ranks, [[1 / 6, 1 / 6], [1 / 6, -0.5]], rtol=1e-14)
    assert not backend.centered_ranks(np.full((4, 2), 3.0)).any()


@BACKENDS
def test_centered_ranks_leave_out_pairs_that_are_not_finite(backend):
    ranks = backend.centered_ranks(np.array([[np.nan, 99.0], [1.0, 2.0], [np.inf, 0.0]]))
    np.testing.assert_array_equal(ranks, [[np.nan, np.nan], [-0.5, 0.5], [np.nan, np.nan]])


@BACKENDS
def test_sign_returns_say_which_candidate_was_better(backend):
    signs = backend.sign_returns(np.array([[2.0, 1.0], [1.0, 2.0], [3.0, 3.0], [np.nan, 1.0]]))
    np.testing.assert_array_equal(signs, [[0.5, -0.5], [-0.5, 0.5], [0.0, 0.0], [np.nan, np.nan]])


@BACKENDS
def test_sgd_step_of_hand_worked_numbers(backend):
    velocity, step = backend.sgd_step(np.array([4.0]), np.array([8.0]), 0.5, 0.75, 0.25, np.array([16.0]))
    assert (velocity.tolist(), step.tolist()) == ([5.0], [0.5 * 5.0 - 0.5 * 0.25 * 16.0])


@BACKENDS
def test_sgd_step_without_momentum_is_the_learning_rate_times_the_gradient(backend):
    gradient = np.array([0.1, -3.0, 1e-300])
    velocity, step = backend.sgd_step(np.array([9.0, 9.0, 9.0]), gradient, 0.02, 0.0, 0.0, np.ones(3))
    np.testing.assert_array_equal(velocity, gradient)
    np.testing.assert_array_equal(step, 0.02 * gradient)


@BACKENDS
def test_adam_steps_of_hand_worked_numbers(backend):
    theta, m, v = np.array([2.0]), np.zeros(1), np.zeros(1)
    m, v, step = backend.adam_step(m, v, 1, np.array([4.0]), 0.1, 0.9, 0.99, 0.0, 0.0, theta)
    assert (m[0], v[0]) == (pytest.approx(0.4), pytest.approx(0.16))
    assert step[0] == pytest.approx(0.1)  # the first step is the learning rate, whatever the gradient
    m, v, step = backend.adam_step(m, v, 2, np.array([-4.0]), 0.1, 0.9, 0.99, 1.0, 0.5, theta)
    m_2, v_2 = 0.9 * 0.4 - 0.1 * 4.0, 0.99 * 0.16 + 0.01 * 16.0
    assert (m[0], v[0]) == (pytest.approx(m_2, abs=1e-15), pytest.approx(v_2))
    expected = 0.1 * math.sqrt(1 - 0.99**2) / (1 - 0.9**2) * m_2 / (math.sqrt(v_2) + 1.0) - 0.1 * 0.5 * 2.0
    assert step[0] == pytest.approx(expected)
