"""Policies with hidden layers and what scores become: against hand-worked numbers, the twin, and each other."""

import math

import numba
import numpy as np
import pytest

from fastars import kernels, reference
from fastars._compiled.actions import choose
from fastars._compiled.jit import kernel
from fastars._compiled.structs import (
    Argmax,
    Choices,
    Clip,
    Filter,
    Identity,
    LinearPolicy,
    MlpPolicy,
    Relu,
    Signs,
    Squash,
    Swish,
    Tanh,
    Unclipped,
    identity_filter,
)
from fastars._compiled.trig import swish, tanh
from fastars.kernels.policy_layout import arranged_size, n_padding, n_scores, n_weights

BACKENDS = pytest.mark.parametrize("backend", [kernels, reference], ids=["kernels", "reference"])
PLAIN = identity_filter(2)


@kernel
def fill_tanh(x, out):
    for i in range(x.shape[0]):
        out[i] = tanh(x[i])


def tanh_of(x):
    out = np.empty(len(x))
    fill_tanh(np.asarray(x, np.float64), out)
    return out


def test_tanh_is_within_its_error_of_the_exact_value():
    draw = np.random.default_rng(0)
    n = 300 if numba.config.DISABLE_JIT else 100_000
    x = np.concatenate([draw.uniform(0.0, 1.0, n), draw.uniform(0.0, 20.0, n), 10.0 ** draw.uniform(-300, 0, n)])
    exact = np.tanh(x.astype(np.longdouble))  # of 64 bits or more on Linux; elsewhere it may be a float64 with an ulp of error
    ulps = np.abs(tanh_of(x).astype(np.longdouble) - exact) / np.spacing(exact.astype(np.float64))
    assert ulps.max() < (2.6 if np.finfo(np.longdouble).nmant > 52 else 4.0)
    assert ulps.mean() < 0.5


def test_tanh_is_odd_and_saturates():
    x = np.array([0.0, 5e-324, 1e-300, 1e-9, 0.1, 0.3, 1.0, 5.0, 18.0, 19.1, 20.0, 1e5, 1e300, np.inf])
    y = tanh_of(x)
    np.testing.assert_array_equal(tanh_of(-x), -y)
    assert np.signbit(tanh_of([-0.0]))[0]
    assert y[1] == 5e-324
    assert (y[-5:] == 1.0).all()
    assert np.isnan(tanh_of([np.nan, -np.nan])).all()


@kernel
def fill_swish(x, out):
    for i in range(x.shape[0]):
        out[i] = swish(x[i])


def swish_of(x):
    out = np.empty(len(x))
    fill_swish(np.asarray(x, np.float64), out)
    return out


def test_swish_is_within_its_error_of_the_exact_value():
    draw = np.random.default_rng(0)
    n = 300 if numba.config.DISABLE_JIT else 100_000
    x = np.concatenate(
        [draw.uniform(-1.0, 1.0, n), draw.uniform(-700.0, 700.0, n), draw.choice([-1, 1], n) * 10.0 ** draw.uniform(-300, 0, n)]
    )
    wide = x.astype(np.longdouble)
    exact = wide / (1 + np.exp(-wide))
    ulps = np.abs(swish_of(x).astype(np.longdouble) - exact) / np.spacing(np.abs(exact).astype(np.float64))
    assert ulps.max() < 4.0
    assert ulps.mean() < 0.6


def test_swish_of_large_numbers():
    assert swish_of([800.0, 1e300, np.inf]).tolist() == [800.0, 1e300, np.inf]
    small = swish_of([-750.0, -1e300, -np.inf])
    assert ((small > -1e-304) & (small <= 0.0)).all()
    assert np.isnan(swish_of([np.nan, -np.nan])).all()
    assert swish_of([0.0])[0] == 0.0


# W1 = [[1, 2], [-1, 1]], b1 = (0.5, -3), W2 = [[2, 4]], b2 = (10,)
GOLDEN = np.array([1.0, 2.0, -1.0, 1.0, 0.5, -3.0, 2.0, 4.0, 10.0])


@BACKENDS
def test_mlp_of_hand_worked_numbers(backend):
    observation = np.array([1.0, 2.0], np.float32)  # sums of the hidden layer: (5.5, -2)
    relu, smooth = MlpPolicy((2,), Relu()), MlpPolicy((2,), Tanh())
    assert backend.action_scores(relu, GOLDEN, observation, PLAIN).tolist() == [2 * 5.5 + 0.0 + 10.0]
    (score,) = backend.action_scores(smooth, GOLDEN, observation, PLAIN)
    assert score == pytest.approx(10.0 + 2.0 * math.tanh(5.5) + 4.0 * math.tanh(-2.0), rel=1e-15)
    (score,) = backend.action_scores(MlpPolicy((2,), Swish()), GOLDEN, observation, PLAIN)
    assert score == pytest.approx(10.0 + 2.0 * 5.5 / (1 + math.exp(-5.5)) - 4.0 * 2.0 / (1 + math.exp(2.0)), rel=1e-15)
    assert backend.action_scores(MlpPolicy((2,), Identity()), GOLDEN, observation, PLAIN).tolist() == [2 * 5.5 - 4 * 2 + 10.0]


@BACKENDS
def test_mlp_without_bias(backend):
    weights = GOLDEN[[0, 1, 2, 3, 6, 7]]  # sums of the hidden layer: (5, 1)
    scores = backend.action_scores(MlpPolicy((2,), Relu(), False), weights, np.array([1.0, 2.0], np.float32), PLAIN)
    assert scores.tolist() == [14.0]


@BACKENDS
def test_mlp_sees_the_filtered_observation(backend):
    filter = Filter(np.array([1.0, 0.0]), np.array([2.0, 0.5]), 1.5)
    observation = np.array([5.0, 2.0], np.float32)  # x = (1.5, 1): sums (4, -3.5)
    assert backend.action_scores(MlpPolicy((2,)), GOLDEN, observation, filter).tolist() == [18.0]


@BACKENDS
def test_mlp_lets_nan_through(backend):
    weights = GOLDEN.copy()
    weights[4] = np.nan  # a bias of the hidden layer
    for activation in (Relu(), Tanh(), Swish(), Identity()):
        assert np.isnan(backend.action_scores(MlpPolicy((2,), activation), weights, np.ones(2, np.float32), PLAIN)).all()


ARCHITECTURES = [(), (1,), (3,), (8,), (64, 64), (5, 9), (4, 3, 2)]


@pytest.mark.parametrize("with_bias", [True, False])
@pytest.mark.parametrize("net_arch", ARCHITECTURES, ids=str)
def test_relu_scores_equal_the_twins_to_the_bit(net_arch, with_bias):
    policy, draw = MlpPolicy(net_arch, Relu(), with_bias), np.random.default_rng(1)
    for n_obs, n_act in [(1, 1), (4, 2), (7, 6)]:
        weights = draw.standard_normal(n_weights(policy, n_obs, n_act))
        observations = draw.standard_normal((5, n_obs)).astype(np.float32)
        filter = Filter(draw.standard_normal(n_obs), draw.uniform(0.0, 2.0, n_obs), 1.5)
        scores = kernels.batch_action_scores(policy, weights, observations, filter)
        np.testing.assert_array_equal(scores, reference.batch_action_scores(policy, weights, observations, filter))
        assert scores.shape == (5, n_act)
        assert n_scores(policy, len(weights), n_obs) == n_act


@pytest.mark.parametrize("activation", [Tanh(), Swish()])
def test_scores_are_close_to_the_twins(activation):
    policy, draw = MlpPolicy((64, 64), activation), np.random.default_rng(1)
    weights = 0.3 * draw.standard_normal(n_weights(policy, 4, 2))
    observations = draw.standard_normal((20, 4))
    scores = kernels.batch_action_scores(policy, weights, observations, identity_filter(4))
    np.testing.assert_allclose(
        scores, reference.batch_action_scores(policy, weights, observations, identity_filter(4)), rtol=1e-12, atol=1e-13
    )


def test_mlp_without_hidden_layers_is_the_linear_policy():
    draw = np.random.default_rng(2)
    observations = draw.standard_normal((9, 5))
    for with_bias in (True, False):
        weights = draw.standard_normal(3 * (5 + with_bias))
        linear = kernels.batch_action_scores(LinearPolicy(with_bias), weights, observations, identity_filter(5))
        mlp = kernels.batch_action_scores(MlpPolicy((), Tanh(), with_bias), weights, observations, identity_filter(5))
        np.testing.assert_array_equal(mlp, linear)


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="looks at compiled functions")
def test_sizes_of_layers_are_not_compiled_in():
    counts = []
    for sizes in [(6, 5), (64, 64)]:
        policy = MlpPolicy(sizes, Tanh())
        kernels.action_scores(policy, np.zeros(n_weights(policy, 3, 2)), np.zeros(3, np.float32), identity_filter(3))
        counts.append(len(kernels.action_scores.signatures))
    assert counts[0] == counts[1]


def test_numbers_of_weights():
    assert n_weights(LinearPolicy(), 4, 2) == 8
    assert n_weights(LinearPolicy(True), 4, 2) == 10
    assert n_weights(MlpPolicy((64, 64)), 4, 2) == 5 * 64 + 65 * 64 + 65 * 2
    assert n_weights(MlpPolicy((64, 64), Relu(), False), 4, 2) == arranged_size(MlpPolicy((64, 64)), 4, 2) - 64 - 64 - 2
    assert [n_padding(policy, 2) for policy in (LinearPolicy(), LinearPolicy(True), MlpPolicy((), Relu(), False))] == [2, 0, 0]


def test_weights_have_the_order_of_torchs_parameters():
    torch = pytest.importorskip("torch")
    draw, layers = np.random.default_rng(3), []
    for n_in, n_out in [(4, 8), (8, 6), (6, 2)]:  # as stable-baselines3's create_mlp
        layers += [torch.nn.Linear(n_in, n_out, dtype=torch.float64), torch.nn.Tanh()]
    net = torch.nn.Sequential(*layers[:-1])
    weights = torch.nn.utils.parameters_to_vector(net.parameters()).detach().numpy()
    observations = draw.standard_normal((10, 4))
    expected = net(torch.from_numpy(observations)).detach().numpy()
    scores = kernels.batch_action_scores(MlpPolicy((8, 6), Tanh()), weights, observations, identity_filter(4))
    np.testing.assert_allclose(scores, expected, rtol=1e-12)


# Scores and the actions they stand for, worked by hand.

SCORES = np.array([[0.25, -3.0, 0.5, 0.5], [7.0, 0.0, -0.0, 1.0]])
LOW, HIGH = np.array([-1.0, -2.0, 0.0, 0.75]), np.array([1.0, 0.0, 0.5, 2.0])
BY_HAND = {
    "Argmax": (Argmax(3), np.int64, [[5], [3]]),
    "Clip": (Clip(), np.float64, [[0.25, -2.0, 0.5, 0.75], [1.0, 0.0, 0.0, 1.0]]),
    "Clip, float32": (Clip(), np.float32, [[0.25, -2.0, 0.5, 0.75], [1.0, 0.0, 0.0, 1.0]]),
    "Unclipped": (Unclipped(), np.float32, SCORES.tolist()),
    "Choices": (Choices(np.array([4, -1]), np.array([2, 2])), np.int64, [[4, -1], [4, 0]]),
    "Signs": (Signs(), np.int64, [[1, 0, 1, 1], [1, 0, 0, 1]]),
}


def actions_of(backend, kind, dtype, scores, low=LOW, high=HIGH, n=4):
    out = np.full((len(scores), n), 99, dtype)
    backend.fill_actions(kind, low.astype(dtype), high.astype(dtype), scores, out)
    return out


@BACKENDS
@pytest.mark.parametrize("name", BY_HAND)
def test_actions_of_hand_worked_scores(backend, name):
    kind, dtype, expected = BY_HAND[name]
    assert actions_of(backend, kind, dtype, SCORES, n=len(expected[0])).tolist() == expected


@BACKENDS
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_squashed_actions_span_the_box(backend, dtype):
    scores = np.array([[0.0, 0.0, 0.0, 0.0], [40.0, -40.0, 1e300, -1e300], [np.arctanh(0.5)] * 4])
    actions = actions_of(backend, Squash(), dtype, scores)
    assert actions[0].tolist() == [0.0, -1.0, 0.25, 1.375]  # the middle
    assert actions[1].tolist() == [1.0, -2.0, 0.5, 0.75]
    np.testing.assert_allclose(actions[2], [0.5, -0.5, 0.375, 1.6875], rtol=1e-6 if dtype == np.float32 else 1e-14)


@BACKENDS
def test_squashed_actions_stay_within_bounds_that_rounding_would_cross(backend):
    draw = np.random.default_rng(0)
    low, high = draw.uniform(-1.0, 0.0, 200), draw.uniform(0.0, 0.1, 200)
    assert (low + (high - low) > high).any()
    for dtype in (np.float64, np.float32):
        actions = actions_of(backend, Squash(), dtype, np.full((1, 200), 50.0), low, high, n=200)
        assert (actions <= high.astype(dtype)).all()
        np.testing.assert_allclose(actions[0], high, rtol=1e-6)


@BACKENDS
def test_score_beyond_float32_is_clipped_or_infinite(backend):
    scores = np.array([[1e300, -1e300, 1e39, 0.0]])
    with np.errstate(over="ignore"):
        assert actions_of(backend, Clip(), np.float32, scores).tolist() == [[1.0, -2.0, 0.5, 0.75]]
        assert actions_of(backend, Unclipped(), np.float32, scores).tolist() == [[np.inf, -np.inf, np.inf, 0.0]]


@BACKENDS
@pytest.mark.parametrize("kind", [Clip(), Squash(), Unclipped()], ids=lambda kind: type(kind).__name__)
def test_nan_score_is_a_nan_action(backend, kind):
    actions = actions_of(backend, kind, np.float32, np.array([[np.nan, 0.0, 0.0, 1.0]]))
    assert np.isnan(actions[0]).tolist() == [True, False, False, False]


@kernel
def fill_chosen(actions, scores, low, high, out):
    """Write the action that the scores of each lane stand for."""
    for row in range(scores.shape[0]):
        action = choose(actions, (scores[row, 0], scores[row, 1], scores[row, 2], scores[row, 3]), low, high)
        for k, value in enumerate(action):
            out[row, k] = value


@pytest.mark.parametrize("kind", [Clip(), Unclipped(), Squash()], ids=lambda kind: type(kind).__name__)
def test_lanes_and_arrays_take_the_same_actions(kind):
    scores = np.random.default_rng(4).normal(0, 2, (300, 4))
    chosen = np.empty((300, 4), np.float32)
    fill_chosen(kind, scores, tuple(LOW.astype(np.float32)), tuple(HIGH.astype(np.float32)), chosen)
    np.testing.assert_array_equal(actions_of(kernels, kind, np.float32, scores), chosen)
