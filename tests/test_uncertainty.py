"""Uncertainty weighting: its gradients, its fixed points, and the toy of its authors."""

import math

import numpy as np
import pytest

from fastars.weighting import UWSO, UncertaintyWeighting

# The stationary log variance of each kind for a loss, and the weight there.
STATIONARY = {
    "regression": (lambda loss: math.log(loss), lambda loss: 1 / (2 * loss)),
    "classification": (lambda loss: math.log(2 * loss), lambda loss: 1 / (2 * loss)),
    "laplace": (lambda loss: math.log(loss), lambda loss: 1 / loss),
    "liebel": (
        lambda loss: math.log((loss + math.sqrt(loss**2 + 8 * loss)) / 4),
        lambda loss: 2 / (loss + math.sqrt(loss**2 + 8 * loss)),
    ),
}
KINDS = tuple(STATIONARY)
EVERY_KIND = pytest.mark.parametrize("kind", KINDS)


def total(kind, s, loss):
    """A task's term of the total loss for a log variance."""
    method = UncertaintyWeighting(1, kind, initial_log_variance=s)
    method.step(losses=[loss])
    return method.info["total"]


def test_terms_by_hand():
    """At s = log 4 and L = 2, where exp(-s) L = 1/2."""
    s = math.log(4)
    assert total("regression", s, 2.0) == pytest.approx(1 / 4 + s / 2)
    assert total("classification", s, 2.0) == pytest.approx(1 / 2 + s / 2)
    assert total("laplace", s, 2.0) == pytest.approx(1 / 2 + s)
    assert total("liebel", s, 2.0) == pytest.approx(1 / 4 + math.log(5))


@EVERY_KIND
def test_weight_is_the_derivative_of_the_term_by_the_loss(kind):
    difference = (total(kind, 0.3, 2.0 + 1e-6) - total(kind, 0.3, 2.0 - 1e-6)) / 2e-6
    assert UncertaintyWeighting(1, kind, initial_log_variance=0.3).weights[0] == pytest.approx(difference, rel=1e-8)


@EVERY_KIND
@pytest.mark.parametrize("s", [-1.0, 0.0, 2.0])
def test_plain_step_goes_down_the_derivative_of_the_term(kind, s):
    difference = (total(kind, s + 1e-6, 0.7) - total(kind, s - 1e-6, 0.7)) / 2e-6
    method = UncertaintyWeighting(1, kind, update="sgd", learning_rate=0.5, initial_log_variance=s)
    method.step(losses=[0.7])
    assert method.state_dict()["state"]["log_variances"][0] == pytest.approx(s - 0.5 * difference, rel=1e-8)


@pytest.mark.parametrize("update", ["sgd", "adam"])
@EVERY_KIND
@pytest.mark.parametrize("loss", [0.05, 1.0, 8.0])
def test_log_variance_goes_to_the_stationary_one(update, kind, loss):
    method = UncertaintyWeighting(1, kind, update=update, learning_rate=0.3 if update == "sgd" else 0.02)
    for _ in range(2000):
        method.step(losses=[loss])
    s, weight = (f(loss) for f in STATIONARY[kind])
    assert method.info["log_variances"][0] == pytest.approx(s, abs=1e-8)
    assert method.weights[0] == pytest.approx(weight, rel=1e-8)


@EVERY_KIND
@pytest.mark.parametrize("loss", [1e-10, 0.05, 1.0, 8.0, 1e15])
def test_closed_update_is_stationary_at_once(kind, loss):
    method = UncertaintyWeighting(1, kind, update="closed")
    s, weight = (f(loss) for f in STATIONARY[kind])
    assert method.step(losses=[loss])[0] == pytest.approx(weight, rel=1e-12)
    assert method.weights[0] == pytest.approx(weight, rel=1e-12)
    assert method.info["log_variances"][0] == pytest.approx(s, abs=1e-12)


def test_total_may_be_negative_but_for_liebels_form():
    draw = np.random.default_rng(0)
    for _ in range(100):
        s, loss = draw.uniform(-6, 6), 10.0 ** draw.uniform(-6, 3)
        assert total("liebel", s, loss) >= 0.0
    for kind in ("regression", "classification", "laplace"):
        assert total(kind, -3.0, 0.01) < 0.0


def test_a_step_returns_the_weights_it_began_with():
    method = UncertaintyWeighting(2, update="sgd", learning_rate=0.1)
    np.testing.assert_array_equal(method.step(losses=[3.0, 1.0]), [0.5, 0.5])
    s = -0.1 * 0.5 * (1.0 - 3.0)
    np.testing.assert_allclose(method.weights, [0.5 * math.exp(-s), 0.5], rtol=1e-15)


def test_every_task_has_a_kind_of_its_own():
    method = UncertaintyWeighting(kind=KINDS, update="closed")
    np.testing.assert_allclose(method.step(losses=[2.0] * 4), [STATIONARY[kind][1](2.0) for kind in KINDS], rtol=1e-12)


def test_masked_task_is_no_part_of_the_total():
    method = UncertaintyWeighting(2)
    method.mask = [True, False]
    method.step(losses=[2.0, 50.0])
    assert method.info["total"] == 1.0


def test_softmax_by_hand():
    """1 / L = (1, 2), and a temperature of 1 / log 3."""
    np.testing.assert_allclose(UWSO(temperature=1 / math.log(3)).step(losses=[1.0, 0.5]), [0.25, 0.75], rtol=1e-14)


def test_softmax_of_small_losses_does_not_overflow():
    np.testing.assert_allclose(UWSO().step(losses=[1e-10, 1.0]), [1.0, 0.0], atol=1e-300)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: UncertaintyWeighting(2, "poisson"), "kind must be one of 'regression', 'classification', 'laplace', 'liebel'"),
        (lambda: UncertaintyWeighting(2, ["laplace"]), "kind must have 2 entries, one per task"),
        (lambda: UncertaintyWeighting(2, update="newton"), "update must be one of 'adam', 'sgd', 'closed', got 'newton'"),
        (lambda: UncertaintyWeighting(2, learning_rate=-0.1), "learning_rate must be a finite number of at least 0, got -0.1"),
        (lambda: UncertaintyWeighting(2, initial_log_variance=-np.inf), "initial_log_variance must be a finite number, got -inf"),
        (lambda: UWSO(2, temperature=0.0), "temperature must be a finite number above 0, got 0.0"),
    ],
)
def test_arguments_out_of_range_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("method", [UncertaintyWeighting(2), UWSO(2)])
def test_losses_must_be_positive(method):
    with pytest.raises(ValueError, match=r"losses must be positive for .*, got 0 for task 1"):
        method.step(losses=[1.0, 0.0])
    assert method.n_steps == 0


def test_a_variance_out_of_range_is_an_error_and_changes_nothing():
    method = UncertaintyWeighting(1, update="sgd", learning_rate=1e4)
    for _ in range(2):
        before = method.weights
        with pytest.raises(ValueError, match="has no finite weights for losses="):
            method.step(losses=[1e-10])
        np.testing.assert_array_equal(method.weights, before)


@pytest.mark.slow
def test_toy_of_the_authors_finds_the_deviations_of_its_noise():
    """Two functions of one input with noise of 10 and of 1. The network fits a part of it, and the first is still on its way up."""
    draw = np.random.RandomState(0)  # which has the notebook's result
    x = draw.randn(100, 1)
    y = np.hstack([2 * x + 8 + 10 * draw.randn(100, 1), 3 * x + 3 + draw.randn(100, 1)])
    bound = 1 / math.sqrt(1024)
    theta = [draw.uniform(-1, 1, (1, 1024)), draw.uniform(-1, 1, 1024), draw.uniform(-bound, bound, (1024, 2)), np.zeros(2)]
    m, v = [np.zeros_like(p) for p in theta], [np.zeros_like(p) for p in theta]
    method, t = UncertaintyWeighting(2, learning_rate=1e-3), 0
    for _ in range(2000):
        for batch in np.split(draw.permutation(100), 5):
            t += 1
            hidden = np.maximum(x[batch] @ theta[0] + theta[1], 0.0)
            errors = hidden @ theta[2] + theta[3] - y[batch]
            weights = method.step(losses=(errors**2).mean(axis=0))
            slopes = 2 * weights * errors / len(batch)
            back = (slopes @ theta[2].T) * (hidden > 0.0)
            for i, gradient in enumerate([x[batch].T @ back, back.sum(axis=0), hidden.T @ slopes, slopes.sum(axis=0)]):
                m[i] += 0.1 * (gradient - m[i])
                v[i] += 0.001 * (gradient**2 - v[i])
                theta[i] -= 1e-3 * (m[i] / (1 - 0.9**t)) / (np.sqrt(v[i] / (1 - 0.999**t)) + 1e-8)
    deviations = np.exp(method.info["log_variances"] / 2)
    np.testing.assert_allclose(deviations, [8.6, 0.92], atol=0.05)  # the notebook: 8.587 and 0.920
