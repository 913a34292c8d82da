"""Numbers at the edges: equal returns, one direction, features that never change, rewards of 1e300 and of 1e-300."""

import itertools

import numpy as np
import pytest

from fastars import ARS
from fastars.config import PRESETS

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
    """The weights after each iteration of a run that is told these returns."""
    model = ARS("LinearPolicy", env, n_delta=n_delta, seed=3, noise_size=1 << 12, **settings)
    thetas = []
    for returns in returns_of:
        model.ask()
        model.tell(returns[: 2 * n_delta])
        thetas.append(model.theta)
    assert model.dropped_pairs == 0
    return np.array(thetas)


@pytest.mark.promise(19)
@pytest.mark.parametrize("n_delta", [1, 2, 8])
@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_returns_at_the_edges_leave_theta_finite_and_warn_of_nothing(preset, n_delta, tally):
    """In kernels and twins, which agree, for every shaping and optimizer."""
    n = 0
    for shaping, optimizer in itertools.product(SHAPED, OPTIMIZERS):
        settings = {"preset": preset, "fitness_shaping": shaping, "optimizer": optimizer, **OPTIMIZERS[optimizer]}
        settings |= {"n_delta": n_delta, "n_top": min(n_delta, 5), "weight_decay": 0.01}
        ours, theirs = (told(RETURNS.values(), backend=backend, **settings) for backend in ("numba", "numpy"))
        assert np.isfinite(ours).all()
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-15, err_msg=str(settings))
        n += ours.size // ours.shape[1] * 2
    tally(f"iterations on degenerate returns, {preset}, n_delta={n_delta}", n, of=n)
