"""GradNorm: its kernels by hand-worked numbers and by what holds for them, and the method."""

import math

import numpy as np
import pytest

from fastars import kernels
from fastars.kernels import bounded_weights, gradnorm_closed, gradnorm_gradient, gradnorm_log, gradnorm_softmax
from fastars.weighting import GradNorm
from fastars.weighting.adam import adam, first_moments

UPDATES = ("log", "closed", "paper", "softmax")
EVERY_UPDATE = pytest.mark.parametrize("update", UPDATES)
# Three tasks whose training rates and gradients differ.
RATIOS, NORMS = np.array([0.5, 1.0, 1.5]), np.array([3.0, 10.0, 0.5])


def values(*numbers):
    return np.array(numbers, np.float64)


def imbalance(weights, norms, ratios, alpha, targets=None):
    """L_grad, and its targets."""
    weighted = np.abs(weights) * norms
    if targets is None:
        targets = weighted.mean() * (ratios / ratios.mean()) ** alpha
    return np.abs(weighted - targets).sum(), targets


def descended(weights, norms, ratios, alpha, rate, n_steps):
    """Mean weights of the second half of plain descent on the weights."""
    weights, total = weights.copy(), np.zeros(len(weights))
    for step in range(n_steps):
        weights = np.maximum(weights - rate * gradnorm_gradient(weights, norms, ratios, alpha), 1e-4)
        weights *= len(weights) / weights.sum()
        total += weights * (step >= n_steps // 2)
    return total / (n_steps - n_steps // 2)


# --- Kernels


def test_gradient_by_hand():
    """G = (3, 1) and both targets are 2: the first weight must fall, the second rise."""
    np.testing.assert_array_equal(gradnorm_gradient(values(1, 1), values(3, 1), values(1, 1), 0.0), [3.0, -1.0])
    np.testing.assert_array_equal(gradnorm_gradient(values(-1, 1), values(3, 1), values(1, 1), 0.0), [-3.0, -1.0])


def test_gradient_is_zero_at_the_targets():
    """r = (1.5, 0.5) and mean(G) = 2: the targets are (3, 1)."""
    np.testing.assert_array_equal(gradnorm_gradient(values(1, 1), values(3, 1), values(3, 1), 1.0), [0.0, 0.0])


def test_closed_form_by_hand():
    np.testing.assert_allclose(gradnorm_closed(values(3, 1), values(1, 1), 0.0), [0.5, 1.5], rtol=1e-15)
    np.testing.assert_allclose(gradnorm_closed(values(3, 1), values(3, 1), 1.0), [1.0, 1.0], rtol=1e-15)
    np.testing.assert_allclose(gradnorm_closed(NORMS, RATIOS, 1.5), [0.0908, 0.0771, 2.8321], atol=5e-5)


def test_step_in_logarithms_by_hand():
    """G / targets = (3/2, 1/2): one tenth of the way is a factor of (2/3)^0.1 and of 2^0.1."""
    factors = values((2 / 3) ** 0.1, 2**0.1)
    np.testing.assert_allclose(
        gradnorm_log(values(1, 1), values(3, 1), values(1, 1), 0.0, 0.1, 0.0), 2 * factors / factors.sum(), rtol=1e-14
    )


def test_step_in_logarithms_is_clipped_around_its_mean():
    """log(w / closed) = log(101 / 200), log(101 / 2): minus their mean they are -+log(100) / 2, beyond 1."""
    factors = values(math.exp(0.1), math.exp(-0.1))
    np.testing.assert_allclose(
        gradnorm_log(values(1, 1), values(0.01, 1), values(1, 1), 0.0, 0.1, 0.0), 2 * factors / factors.sum(), rtol=1e-14
    )


def test_softmax_by_hand():
    """Equal logits: w = (1, 1), u = (3, -1), and T p (u - p . u) = u - 1."""
    weights, gradient = gradnorm_softmax(values(5, 5), values(3, 1), values(1, 1), 0.0)
    np.testing.assert_array_equal(weights, [1.0, 1.0])
    np.testing.assert_allclose(gradient, [2.0, -2.0], rtol=1e-15)


def test_bounded_weights_by_hand():
    np.testing.assert_allclose(bounded_weights(values(1, 3), 0.1, 2.0), [0.5, 1.5], rtol=1e-15)
    np.testing.assert_allclose(bounded_weights(values(0, 1, 3), 0.2, 3.0), [0.2, 0.7, 2.1], rtol=1e-15)
    np.testing.assert_allclose(bounded_weights(values(-1, 1, 99), 0.2, 3.0), [0.2, 0.2, 2.6], rtol=1e-15)


@pytest.mark.parametrize("alpha", [0.0, 0.12, 1.0, 1.5, 3.0, -1.5])
def test_gradient_is_that_of_the_imbalance_with_constant_targets(alpha):
    draw = np.random.default_rng(0)
    for _ in range(20):
        weights, norms, ratios = draw.uniform(0.2, 2.0, (3, 5))
        _, targets = imbalance(weights, norms, ratios, alpha)
        differences = [
            (imbalance(weights + h, norms, ratios, alpha, targets)[0] - imbalance(weights - h, norms, ratios, alpha, targets)[0])
            / 2e-6
            for h in 1e-6 * np.eye(5)
        ]
        np.testing.assert_allclose(gradnorm_gradient(weights, norms, ratios, alpha), differences, rtol=1e-6)


def test_gradient_with_respect_to_logits_is_that_of_finite_differences():
    logits, norms, ratios = np.random.default_rng(1).uniform(0.2, 2.0, (3, 5))
    weights, gradient = gradnorm_softmax(logits, norms, ratios, 1.5)
    _, targets = imbalance(weights, norms, ratios, 1.5)

    def imbalance_at(shifted):
        return imbalance(gradnorm_softmax(shifted, norms, ratios, 1.5)[0], norms, ratios, 1.5, targets)[0]

    differences = [(imbalance_at(logits + h) - imbalance_at(logits - h)) / 2e-6 for h in 1e-6 * np.eye(5)]
    np.testing.assert_allclose(gradient, differences, rtol=1e-6)


@pytest.mark.parametrize("alpha", [0.0, 0.12, 1.0, 1.5, 3.0])
def test_steps_in_logarithms_end_at_the_closed_form(alpha):
    weights = np.ones(3)
    for _ in range(2000):
        weights = gradnorm_log(weights, NORMS, RATIOS, alpha, 0.1, 0.0)
    np.testing.assert_allclose(weights, gradnorm_closed(NORMS, RATIOS, alpha), atol=1e-4)


@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_descent_ends_at_the_closed_form_where_the_rates_powers_have_the_mean_1(alpha):
    weights = descended(np.ones(3), NORMS, RATIOS, alpha, 2e-4, 20_000)
    np.testing.assert_allclose(weights, gradnorm_closed(NORMS, RATIOS, alpha), atol=5e-3)


def test_descent_ends_elsewhere_for_other_alpha():
    """The paper's targets sum to more than the norms, so the L1 norm's balance is not where every norm is its target."""
    weights = descended(np.ones(3), NORMS, RATIOS, 1.5, 2e-4, 20_000)
    np.testing.assert_allclose(weights, [0.101, 0.085, 2.814], atol=5e-3)


@pytest.mark.parametrize("alpha", [0.0, 0.12, 1.5, 3.0])
def test_weighted_gradients_do_not_depend_on_the_scale_of_a_task(alpha):
    draw = np.random.default_rng(2)
    scales = 10.0 ** draw.uniform(-6, 6, 4)
    weights, norms, ratios = draw.uniform(0.2, 2.0, (3, 4))

    def direction(weights, norms):
        return weights * norms / np.linalg.norm(weights * norms)

    closed = gradnorm_closed(norms, ratios, alpha), gradnorm_closed(norms * scales, ratios, alpha)
    np.testing.assert_allclose(direction(closed[0], norms), direction(closed[1], norms * scales), rtol=1e-12)
    log = (
        gradnorm_log(weights, norms, ratios, alpha, 0.1, 0.0),
        gradnorm_log(weights / scales, norms * scales, ratios, alpha, 0.1, 0.0),
    )
    np.testing.assert_allclose(direction(log[0], norms), direction(log[1], norms * scales), rtol=1e-12)


def test_weights_sum_to_the_number_of_tasks_and_keep_their_bound_after_many_steps():
    draw = np.random.default_rng(3)
    norms, ratios = 10.0 ** draw.uniform(-10, 15, (100_000, 4)), 10.0 ** draw.uniform(-3, 3, (100_000, 4))
    weights, least, sums = np.ones(4), np.inf, np.empty(100_000)
    for step in range(100_000):
        weights = bounded_weights(gradnorm_log(weights, norms[step], ratios[step], 1.5, 0.5, 0.0), 1e-4, 4.0)
        least, sums[step] = min(least, *weights.tolist()), weights.sum()
    np.testing.assert_allclose(sums, 4.0, rtol=1e-12)
    assert least == 1e-4


# --- The method


@EVERY_UPDATE
def test_a_slow_task_gains_weight(update):
    """Losses are twice and half of what they were at the start: the first task is slow. The sign of alpha that is easily lost."""
    method = GradNorm(2, alpha=1.5, update=update, initial_losses=[1.0, 1.0])
    for _ in range(10):
        method.step(losses=[2.0, 0.5], norms=[1.0, 1.0])
    assert method.weights[0] > 1.0 > method.weights[1]


@EVERY_UPDATE
def test_a_task_with_a_large_gradient_loses_weight(update):
    method = GradNorm(2, alpha=0.0, update=update)
    for _ in range(10):
        method.step(norms=[10.0, 1.0])
    assert method.weights[0] < 1.0 < method.weights[1]


@EVERY_UPDATE
def test_a_step_returns_the_weights_it_began_with(update):
    """As in the paper's Algorithm 1: the network's step is made with w(t)."""
    method = GradNorm(2, update=update)
    np.testing.assert_array_equal(method.step(losses=[1.0, 1.0], norms=[3.0, 1.0]), [1.0, 1.0])
    following = method.weights
    assert following[0] < 1.0
    np.testing.assert_array_equal(method.step(losses=[1.0, 1.0], norms=[3.0, 1.0]), following)
    np.testing.assert_allclose(method.mean_weights_, (1.0 + following) / 2, rtol=1e-15)


@EVERY_UPDATE
def test_one_task_weighs_1(update):
    method = GradNorm(1, update=update)
    for norm in (1e-10, 3.0, 1e15, 0.0):
        assert method.step(losses=[0.7], norms=[norm]) == [1.0]
    assert method.weights == [1.0]


@pytest.mark.parametrize("update", ["log", "closed"])
@pytest.mark.parametrize("scale", [1e-150, 1e-10, 1e15, 1e150])
def test_common_scale_of_the_gradients_does_not_matter(update, scale):
    """It does for Adam, whose epsilon is 1e-8."""
    one, other = GradNorm(3, update=update), GradNorm(3, update=update)
    for _ in range(5):
        one.step(losses=RATIOS, norms=NORMS)
        other.step(losses=RATIOS, norms=NORMS * scale)
    np.testing.assert_allclose(other.weights, one.weights, rtol=1e-12)


@pytest.mark.parametrize("update", ["paper", "softmax"])
@pytest.mark.parametrize("scale", [1e-150, 1e-10, 1e15, 1e150])
def test_adams_weights_are_finite_for_gradients_of_any_scale(update, scale):
    method = GradNorm(3, update=update)
    for _ in range(5):
        method.step(losses=RATIOS, norms=NORMS * scale)
    assert (method.weights > 0.0).all()
    np.testing.assert_allclose(method.weights.sum(), 3.0, rtol=1e-12)


@EVERY_UPDATE
def test_a_task_without_a_gradient_keeps_its_weight(update):
    method = GradNorm(3, alpha=0.0, update=update)
    for _ in range(2000):
        method.step(norms=[1.0, 0.0, 2.0])
    assert method.weights[1] == 1.0
    np.testing.assert_allclose(method.weights, [4 / 3, 1.0, 2 / 3], atol=0.05)
    assert method.info["masked"].tolist() == [False, True, False]


@EVERY_UPDATE
def test_weights_stay_where_no_task_has_a_gradient(update):
    method = GradNorm(2, update=update)
    method.step(losses=[1.0, 1.0], norms=[3.0, 1.0])
    before = method.weights
    method.step(losses=[1.0, 1.0], norms=[0.0, 0.0])
    np.testing.assert_array_equal(method.weights, before)


def test_paper_update_is_adams_step():
    """Whose first one is the learning rate, whatever the gradient."""
    method = GradNorm(2, alpha=0.0, update="paper")
    method.step(norms=[3.0, 1.0])
    np.testing.assert_allclose(method.weights, [0.975, 1.025], rtol=1e-8)


def test_closed_update_is_the_closed_form():
    method = GradNorm(3, alpha=1.5, update="closed", initial_losses=[1.0, 1.0, 1.0])
    method.step(losses=RATIOS, norms=NORMS)
    np.testing.assert_allclose(method.weights, [0.0908, 0.0771, 2.8321], atol=5e-5)


def test_losses_are_not_needed_for_alpha_0():
    assert GradNorm(alpha=0.0).needs == ("norms",)
    assert GradNorm(alpha=1.5).needs == ("losses", "norms")


def test_initial_losses_are_those_of_the_first_step():
    method = GradNorm(2)
    method.step(losses=[4.0, 2.0], norms=[1.0, 1.0])
    np.testing.assert_array_equal(method.info["ratio"], [1.0, 1.0])
    method.step(losses=[1.0, 1.0], norms=[1.0, 1.0])
    np.testing.assert_array_equal(method.info["ratio"], [0.25, 0.5])


def test_initial_losses_may_be_given_for_some_tasks():
    """log(10), of a guess among ten classes, and what the first step finds."""
    method = GradNorm(initial_losses=[math.log(10), "first"])
    method.step(losses=[math.log(10) / 2, 5.0], norms=[1.0, 1.0])
    np.testing.assert_array_equal(method.info["ratio"], [0.5, 1.0])


def test_initial_losses_may_follow_the_losses():
    method = GradNorm(1, initial_losses_decay=0.75)
    for loss, ratio in [(4.0, 1.0), (8.0, 2.0), (10.0, 2.0)]:  # L(0) is 4, 4, and 0.75 * 4 + 0.25 * 8 = 5
        method.step(losses=[loss], norms=[1.0])
        np.testing.assert_array_equal(method.info["ratio"], [ratio])


def test_initial_loss_of_a_masked_task_is_that_of_its_first_step():
    method = GradNorm(2)
    method.mask = [True, False]
    method.step(losses=[4.0, 9.0], norms=[1.0, 1.0])
    method.mask = [True, True]
    method.step(losses=[2.0, 3.0], norms=[1.0, 1.0])
    np.testing.assert_array_equal(method.info["ratio"], [0.5, 1.0])


@EVERY_UPDATE
def test_masked_tasks_leave_the_others_as_if_they_were_alone(update):
    three, two = GradNorm(3, update=update), GradNorm(2, update=update)
    three.mask = [True, False, True]
    for seed in range(5):
        losses, norms = np.random.default_rng(seed).uniform(0.5, 2.0, (2, 3))
        three.step(losses=losses, norms=norms)
        two.step(losses=losses[[0, 2]], norms=norms[[0, 2]])
    np.testing.assert_allclose(three.weights[[0, 2]], two.weights, rtol=1e-12)
    assert three.weights[1] == 1.0
    np.testing.assert_array_equal(three.info["masked"], [False, True, False])


def test_info_says_how_far_the_balance_is():
    method = GradNorm(2, alpha=1.0, initial_losses=[1.0, 1.0])
    method.step(losses=[1.5, 0.5], norms=[1.0, 1.0])
    info = method.info
    np.testing.assert_array_equal(info["norms"], [1.0, 1.0])
    np.testing.assert_array_equal(info["weighted_norms"], [1.0, 1.0])
    np.testing.assert_array_equal(info["r"], [1.5, 0.5])
    np.testing.assert_array_equal(info["targets"], [1.5, 0.5])
    assert info["l_grad"] == 1.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"alpha": -0.5}, "alpha must be a finite number of at least 0, got -0.5"),
        ({"alpha": np.nan}, "alpha must be a finite number of at least 0, got nan"),
        ({"update": "adam"}, "update must be one of 'log', 'closed', 'paper', 'softmax', got 'adam'"),
        ({"learning_rate": -1.0}, "learning_rate must be a finite number of at least 0, got -1.0"),
        ({"min_weight": 1.0}, "min_weight must be a finite number of at least 0 and below 1, got 1.0"),
        ({"initial_losses": "mean"}, "initial_losses must be 'first' or an entry per task, got 'mean'"),
        (
            {"initial_losses": [1.0, 0.0]},
            "each entry of initial_losses that is not 'first' must be a finite number above 0, got 0.0",
        ),
        ({"initial_losses": [1.0, 1.0, 1.0]}, "initial_losses must have 2 entries, one per task"),
        ({"initial_losses_decay": 1.5}, "initial_losses_decay must be at most 1, got 1.5"),
    ],
)
def test_arguments_out_of_range_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        GradNorm(2, **arguments)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"losses": [-1.0, 1.0]}, "losses must be at least 0 for GradNorm, got -1 for task 'a'"),
        ({"losses": [np.nan, 1.0]}, "losses must be finite, got nan for task 'a'"),
        ({"norms": [1.0, np.inf]}, "norms must be finite, got inf for task 'b'"),
        ({"norms": [1.0, -1.0]}, "norms must be at least 0, got -1 for task 'b'"),
        ({"norms": [1.0, 1.0, 1.0]}, "norms must have 2 entries, one per task, got 3"),
        ({"losses": None}, r"GradNorm needs losses="),
        ({"norms": None}, r"GradNorm needs norms= \(or gram= or grads=\)"),
    ],
)
@pytest.mark.parametrize("n_before", [0, 3])
def test_bad_input_changes_nothing(given, message, n_before):
    method, untouched = GradNorm(names=("a", "b")), GradNorm(names=("a", "b"))
    for one in (method, untouched):
        for _ in range(n_before):
            one.step(losses=[1.0, 2.0], norms=[2.0, 1.0])
    with pytest.raises(ValueError, match=message):
        method.step(**{"losses": [1.0, 1.0], "norms": [1.0, 1.0], **given})
    for one in (method, untouched):
        one.step(losses=[1.0, 1.0], norms=[1.0, 1.0])
    assert method.n_steps == n_before + 1
    np.testing.assert_array_equal(method.weights, untouched.weights)


def test_kernel_takes_a_negative_alpha():
    """As some packages have it; the method refuses it."""
    slow, fast = kernels.gradnorm_closed(np.ones(2), values(2, 0.5), -1.5)
    assert slow < fast


def test_a_first_loss_of_zero_has_no_ratio():
    method = GradNorm(names=("a", "b"))
    with pytest.raises(ValueError, match="the first loss must be positive for GradNorm, got 0 for task 'b': give initial_losses"):
        method.step(losses=[1.0, 0.0], norms=[1.0, 1.0])
    assert method.n_steps == 0


@pytest.mark.parametrize("update", ["log", "closed", "paper", "softmax"])
def test_a_loss_may_come_to_zero(update):
    method = GradNorm(2, alpha=1.0, update=update)
    for losses in ([1.0, 1.0], [1.0, 0.0], [0.0, 0.0]):
        method.step(losses=losses, norms=[1.0, 1.0])
    assert (method.weights > 0.0).all()
    assert np.isfinite(method.weights).all()
    assert method.info["r"].tolist() == [1.0, 1.0]  # none is left: all alike


def test_a_step_that_updates_nothing_needs_nothing():
    method = GradNorm(2, alpha=0.0, update="closed", update_every=3)
    method.step(norms=[1.0, 3.0])
    assert not method.is_due
    assert method.step().tolist() == method.step().tolist() == [1.5, 0.5]
    with pytest.raises(ValueError, match=r"GradNorm\.step\(\): GradNorm needs norms="):
        method.step()


def test_norms_may_differ_by_orders_of_magnitude():
    method = GradNorm(2, alpha=0.0, update="closed")
    method.step(norms=[1e-3, 1e3])
    weighted = method.weights * [1e-3, 1e3]
    assert weighted[0] == pytest.approx(weighted[1], rel=1e-12)


def test_norms_may_differ_beside_ratios_that_do():
    """The closed form is reached where a weight is 1e-10."""
    method = GradNorm(2, 1.0, update="closed", initial_losses=[1.0, 1.0])
    method.step([1.0, 1e-4], norms=[1.0, 1e6])
    assert method.weights[1] / method.weights[0] == pytest.approx(1e-10, rel=1e-9)


def test_adams_first_step_is_that_of_each_task():
    """It is as long as the rate. Where a masked task counted the steps of others, its first one was 3 times as long."""
    state = first_moments(2)
    for _ in range(500):
        _, state = adam(state, np.array([0]), values(1.0), 0.1)
    down, state = adam(state, slice(None), values(1.0, -9.0), 0.1)
    np.testing.assert_allclose(down, [0.1, -0.1], rtol=1e-7)
    assert state["n_updates"].tolist() == [501, 1]
