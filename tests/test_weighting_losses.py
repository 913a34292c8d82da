"""Weights from the losses alone, but for those of uncertainty: dynamic weight average, random weights, FAMO and STCH."""

import math

import numpy as np
import pytest

from fastars.weighting import FAMO, STCH, UWSO, DynamicWeightAverage, RandomWeighting


def softmax(*scores):
    return np.exp(scores) / np.exp(scores).sum()


# --- Dynamic weight average


def test_dynamic_weight_average_by_hand():
    """Two steps of ones, then the change from the last but one to the last."""
    method = DynamicWeightAverage()
    np.testing.assert_array_equal(method.step(losses=[4.0, 1.0]), [1.0, 1.0])
    np.testing.assert_array_equal(method.step(losses=[2.0, 1.0]), [1.0, 1.0])
    np.testing.assert_allclose(method.weights, 2 * softmax(0.25, 0.5), rtol=1e-15)
    np.testing.assert_allclose(method.step(losses=[1.0, 3.0]), 2 * softmax(0.25, 0.5), rtol=1e-15)
    np.testing.assert_allclose(method.weights, 2 * softmax(0.25, 1.5), rtol=1e-15)


def test_dynamic_weight_average_begins_anew_where_a_task_takes_part_again():
    method = DynamicWeightAverage(3)
    method.mask = [True, True, False]
    for losses in ([4.0, 1.0, 9.0], [2.0, 1.0, 9.0]):
        method.step(losses=losses)
    held = method.weights
    np.testing.assert_allclose(held, [*(2 * softmax(0.25, 0.5)), 1.0], rtol=1e-15)
    method.mask = [True, True, True]
    method.step(losses=[1.0, 1.0, 3.0])
    np.testing.assert_array_equal(method.weights, held)
    method.step(losses=[1.0, 1.0, 3.0])
    np.testing.assert_allclose(method.weights, 1.0, rtol=1e-15)


# --- Random weights


def test_random_weights_are_those_of_the_seed_and_of_the_step():
    one, same, other = RandomWeighting(3), RandomWeighting(3), RandomWeighting(3, seed=1)
    weights = np.array([one.step() for _ in range(4)])
    assert len(np.unique(weights)) == 12
    np.testing.assert_array_equal([same.step() for _ in range(4)], weights)
    assert (np.array([other.step() for _ in range(4)]) != weights).all()


def test_random_weights_are_a_softmax_of_normal_numbers():
    """log(w_0 / w_1) is the difference of two: its variance is 2."""
    method = RandomWeighting(2)
    logits = np.array([math.log(w[0] / w[1]) for w in (method.step() for _ in range(4000))])
    assert logits.mean() == pytest.approx(0.0, abs=0.08)
    assert logits.var() == pytest.approx(2.0, abs=0.2)


# --- FAMO


def test_famo_by_hand():
    """Two equal losses; then the first halves, and xi moves by Adam's first step, which is the learning rate."""
    method = FAMO(decay=0.0)
    np.testing.assert_allclose(method.step(losses=[1.0, 1.0]), [0.5, 0.5], rtol=1e-15)
    weights = method.step(losses=[0.5, 1.0])
    z = softmax(-0.025, 0.025)
    expected = z / [0.5 + 1e-8, 1.0 + 1e-8]
    np.testing.assert_allclose(weights, expected / expected.sum(), rtol=1e-6)
    np.testing.assert_allclose(method.info["delta"], [math.log(2), 0.0], atol=1e-7)


def test_famo_gives_more_to_the_task_that_improves_less():
    method, losses = FAMO(), np.array([1.0, 1.0])
    for _ in range(50):
        method.step(losses=losses)
        losses = losses * [0.9, 0.99]
    xi = method.info["xi"]
    assert xi[0] < -0.5 < 0.5 < xi[1]


def test_famo_subtracts_lower_bounds():
    one, other = FAMO(), FAMO(lower_bounds=[-5.0, 2.0])
    for seed in range(4):
        losses = np.random.default_rng(seed).uniform(0.5, 2.0, 2)
        np.testing.assert_allclose(other.step(losses=losses + [-5.0, 2.0]), one.step(losses=losses), rtol=1e-9)


def test_famo_refuses_losses_below_their_bound():
    method = FAMO(lower_bounds=[0.0, 2.0], names=("a", "b"))
    with pytest.raises(ValueError, match=r"losses must be at least 2, the lower bound, got 1\.5 for task 'b'"):
        method.step(losses=[1.0, 1.5])
    assert method.n_steps == 0


def test_famo_waits_for_a_second_loss_of_a_task_that_takes_part_again():
    method = FAMO(2)
    method.step(losses=[1.0, 1.0])
    method.mask = [True, False]
    method.step(losses=[0.5, 1e-3])
    method.mask = [True, True]
    method.step(losses=[0.5, 1e3])
    np.testing.assert_array_equal(method.info["delta"], [0.0, 0.0])


# --- STCH


def smooth_maximum(losses, mu, preference, reference):
    return mu * np.log(np.exp(preference * (losses - reference) / mu).sum())


def test_smooth_tchebycheff_weights_are_the_gradient_of_the_smooth_maximum():
    losses, preference, reference = np.random.default_rng(0).uniform(0.5, 2.0, (3, 4))
    method = STCH(mu=0.3, preference=preference, reference=reference)
    differences = [
        (smooth_maximum(losses + h, 0.3, preference, reference) - smooth_maximum(losses - h, 0.3, preference, reference)) / 2e-6
        for h in 1e-6 * np.eye(4)
    ]
    np.testing.assert_allclose(method.step(losses=losses), differences, rtol=1e-6)


def test_smooth_tchebycheff_of_equal_preference_sums_to_1_over_t():
    np.testing.assert_allclose(STCH(mu=0.5).step(losses=[0.3, 2.0, 1.0]).sum(), 1 / 3, rtol=1e-15)


def test_a_small_mu_gives_all_weight_to_the_worst_task():
    np.testing.assert_allclose(STCH(mu=1e-3, normalize="sum").step(losses=[-3.0, 1.0, 1e3]), [0.0, 0.0, 1.0], atol=1e-300)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DynamicWeightAverage(2, temperature=0.0), "temperature must be a finite number above 0, got 0.0"),
        (lambda: RandomWeighting(2, seed=-1), "seed must be an integer of at least 0, got -1"),
        (lambda: FAMO(2, learning_rate=-1.0), "learning_rate must be a finite number of at least 0, got -1.0"),
        (lambda: FAMO(2, decay=np.inf), "decay must be a finite number of at least 0, got inf"),
        (lambda: FAMO(2, [1.0]), "lower_bounds must have 2 entries, one per task"),
        (lambda: FAMO(2, [1.0, np.nan]), "each entry of lower_bounds must be a finite number, got nan"),
        (lambda: STCH(2, mu=0.0), "mu must be a finite number above 0, got 0.0"),
        (lambda: STCH(2, preference=[1.0, 0.0]), "each entry of preference must be a finite number above 0, got 0.0"),
        (lambda: STCH(2, reference=[1.0]), "reference must have 2 entries, one per task"),
    ],
)
def test_arguments_out_of_range_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_losses_that_a_ratio_needs_must_be_positive():
    method = DynamicWeightAverage(2)
    with pytest.raises(ValueError, match="losses must be positive for DynamicWeightAverage, got -1 for task 0"):
        method.step(losses=[-1.0, 1.0])
    assert method.n_steps == 0


def test_a_softmax_of_scores_beyond_float64_has_its_limit():
    """Both were an error: 1 / L and L / mu were infinite."""
    np.testing.assert_array_equal(UWSO(3).step([5e-324, 5e-324, 1e-323]), [0.5, 0.5, 0.0])
    np.testing.assert_array_equal(UWSO(2).step([1e-310, 1.0]), [1.0, 0.0])
    np.testing.assert_array_equal(STCH(2).step([1e308, 1e308]), [0.25, 0.25])
    np.testing.assert_array_equal(STCH(2, mu=1e-5).step([1e308, 9e307]), [0.5, 0.0])
