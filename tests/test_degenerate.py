"""Numbers at the edges: equal returns, one direction, features that never change, rewards of 1e300 and of 1e-300.

Broken on purpose: NumPy warns of the arithmetic of an update, or sigma_R is `np.std` in the kernel, or leaves the range of
`math.ldexp` in the reference -> test_returns_at_the_edges_leave_theta_finite_and_warn_of_nothing red.
"""

import itertools

import faulty_envs
import numpy as np
import pytest

from fastars import ARS
from fastars._compiled.structs import TERMINATED, empty_rollouts
from fastars.training.presets import CHOICES as PRESETS
from fastars.weighting import METHODS

DRAW = np.random.default_rng(0)
PLAIN = DRAW.normal(size=16)
# What a run gets for its candidates, one iteration after the other.
RETURNS = {
    "equal": np.full(16, 7.0),
    "zero": np.zeros(16),
    "one last bit apart": np.where(np.arange(16) == 3, np.nextafter(7.0, 8.0), 7.0),
    "1e300": 1e300 * PLAIN,
    "the largest": np.where(PLAIN > 0, 1.7e308, -1.7e308),
    "1e-300": 1e-300 * PLAIN,
    "the smallest": 5e-324 * np.arange(16),
    "1e300 and 1e-300": np.where(np.arange(16) % 3, 1e-300, 1e300) * PLAIN,
    "plain again": PLAIN,
}
SHAPED = ["none", "centered_ranks", "sign"]
OPTIMIZERS = {"sgd": {"momentum": 0.5}, "adam": {}}


def told(returns_of, env="CartPole-v1", n_delta=8, **settings):
    """A run that is told these returns, and its weights after each iteration."""
    model = ARS("LinearPolicy", env, n_delta=n_delta, seed=3, noise_size=1 << 12, **settings)
    thetas = []
    for returns in returns_of:
        model.ask()
        model.tell(returns[: 2 * n_delta])
        thetas.append(model.theta)
    return model, np.array(thetas)


@pytest.mark.promise(19)
def test_returns_at_the_edges_leave_theta_finite_and_warn_of_nothing(tally):
    """In kernels and twins, which agree, for every preset, shaping and optimizer, with one direction and with more."""
    n = 0
    for preset, shaping, optimizer, n_delta in itertools.product(PRESETS, SHAPED, OPTIMIZERS, [1, 2, 8]):
        settings = {"preset": preset, "fitness_shaping": shaping, "optimizer": optimizer, **OPTIMIZERS[optimizer]}
        settings |= {"n_delta": n_delta, "n_top": min(n_delta, 5), "weight_decay": 0.01}
        runs = [told(RETURNS.values(), backend=backend, **settings) for backend in ("numba", "numpy")]
        (model, ours), (_, theirs) = runs
        assert np.isfinite(ours).all(), settings
        assert ours.any() or n_delta == 1, settings
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-15, err_msg=str(settings))
        assert model.dropped_pairs == 0
        n += 2 * len(ours)
    tally("iterations on degenerate returns, of all presets, shapings and optimizers", n, of=n)


@pytest.mark.promise(19)
def test_returns_of_tasks_at_the_edges_leave_theta_and_weights_finite(tally):
    """A pair is dropped if the weighted sum of its two task returns leaves the range of float64."""
    pairs = [np.stack(pair, axis=1) for pair in itertools.product(RETURNS.values(), repeat=2)]
    for method, backend in itertools.product(METHODS, ("numba", "numpy")):
        model, thetas = told(pairs, "fastars/mo-mountaincar-timespeed-v0", weighting=method, backend=backend)
        assert np.isfinite(thetas).all(), method
        assert thetas.any(), method
        assert np.isfinite(model.objectives.weights).all(), method
    n = 2 * len(METHODS) * len(pairs)
    tally("iterations on degenerate returns of two tasks, of all weighting methods", n, of=n)


@pytest.mark.promise(19)
def test_a_feature_that_never_changes_counts_nothing(tally):
    """Its weight may be anything: what the policy does is the same."""
    n = tally.of(fast=3, full=100)
    for preset in PRESETS:
        model = ARS("LinearPolicy", faulty_envs.Line, n_delta=4, seed=3, preset=preset, normalize_observations=True, delta_std=0.5)
        for _ in range(n):
            model.learn(1, reset_num_timesteps=False)
        _, mean, m2 = model.state.moments
        assert (mean[1], m2[1]) == (1.0, 0.0), preset
        assert m2[0] > 0.0
        assert np.isfinite(model.policy.filter[:2]).all(), preset
        before = model.evaluate(5)
        model.policy.load_from_vector(model.theta * [1.0, 1e9])
        after = model.evaluate(5)
        assert np.array_equal(before.returns, after.returns), preset
        assert model.theta.any()
    tally("iterations with a constant feature, of all presets", n * len(PRESETS), of=n * len(PRESETS))


@pytest.mark.promise(19)
def test_many_episodes_of_a_candidate_are_averaged(tally):
    """Of one direction, whose two candidates get 1 and 2 of some unit."""
    n = tally.of(fast=20_000, full=1_000_000)
    for unit in (1.0, 1e300, 1e-300):
        thetas = []
        for backend in ("numba", "numpy"):
            model = ARS("LinearPolicy", "CartPole-v1", n_delta=1, n_eval_episodes=n, seed=3, noise_size=1 << 12, backend=backend)
            model.sampler = Pays(unit * np.repeat([1.0, 2.0], n))
            model.learn(1)
            assert model.dropped_pairs == 0
            thetas.append(model.theta)
        assert np.isfinite(thetas).all()
        np.testing.assert_allclose(thetas[0], thetas[1], rtol=1e-9)
        assert thetas[0].any()
    tally("episodes averaged, of returns of 1, 1e300 and 1e-300", 3 * n, of=3 * n)


class Pays:
    """A sampler whose episodes have these returns."""

    takes_perturbed = False

    def __init__(self, returns):
        self.returns = returns

    takes_perturbed = False

    def evaluate(self, *arguments):
        rollouts = empty_rollouts(len(self.returns), 4, False)
        return rollouts._replace(returns=self.returns, lengths=rollouts.lengths + 1, status=rollouts.status + TERMINATED)
