"""Counters and seeds far beyond what a run reaches: nothing overflows, is rounded, or comes back otherwise from a file.

Broken on purpose: counters taken through float64 -> `test_high_counters_count_on_exactly` red.
"""

import warnings

import numpy as np
import pytest

from fastars import ARS
from fastars.training.iteration import ask
from fastars.training.state import ObsMoments


def small(**settings):
    return ARS("LinearPolicy", "CartPole-v1", n_delta=4, n_threads=1, **{"seed": 0, "normalize_observations": True, **settings})


@pytest.mark.parametrize("high", [2**31 - 1, 2**53 + 1, 2**62])
def test_high_counters_count_on_exactly(high, tmp_path):
    model, plain = small().learn(500), small().learn(500)
    counts = {"num_timesteps": high, "num_episodes": high, "num_updates": high, "dropped_pairs": high, "env_failures": high}
    before = {name: getattr(model, name) for name in counts}
    model.state = model.state.counting(**counts)
    model.learn(500, reset_num_timesteps=False)
    plain.learn(500, reset_num_timesteps=False)
    for name in counts:
        assert getattr(model, name) - high == getattr(plain, name) - before[name]
    assert model.record["time/total_timesteps"] == model.num_timesteps
    model.save(tmp_path / "model.zip")
    loaded = ARS.load(tmp_path / "model.zip")
    assert {name: getattr(loaded, name) for name in counts} == {name: getattr(model, name) for name in counts}


@pytest.mark.parametrize("high", [2**53 + 1, 2**62])
def test_a_filter_that_has_seen_so_much_counts_on_and_stays(high, tmp_path):
    """The count is an integer; the means, of float64, do not move any more."""
    model = small().learn(500)
    model.state = model.state._replace(moments=ObsMoments(high, np.full(4, 0.5), np.full(4, float(high))))
    model.learn(1, reset_num_timesteps=False)
    count, mean, m2 = model.state.moments
    assert isinstance(count, int)
    assert 0 < count - high < 10_000
    np.testing.assert_allclose(mean, 0.5, rtol=1e-12)
    np.testing.assert_allclose(m2, float(high), rtol=1e-12)
    np.testing.assert_allclose(model.policy.filter.scale, 1.0, rtol=1e-9)
    model.save(tmp_path / "model.zip")
    assert ARS.load(tmp_path / "model.zip").state.moments.count == count


@pytest.mark.parametrize("iteration", [2**31 - 1, 2**32 - 2])
def test_high_iterations_have_directions_of_their_own_that_the_reference_has_too(iteration):
    found = []
    for backend in ("numba", "numpy"):
        model = small(backend=backend, seed=2**64 - 1, noise_size=10_000)
        model.state = model.state.counting(iteration=iteration)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            model.learn(1, reset_num_timesteps=False)
        assert model.iteration == iteration + 1
        found.append(ask(model.run, model.state, 1.0).indices.tolist())
    assert found[0] == found[1]


def test_seeds_up_to_the_last_are_runs_of_their_own():
    seeds = 2**64 - 1, 2**64 - 2, 2**63, 2**63 - 1, 2**32, 2**32 - 1
    assert len({small(seed=seed).learn(500).theta.tobytes() for seed in seeds}) == len(seeds)
    with pytest.raises(ValueError, match=r"seed must be an integer from 0 to 2\*\*64 - 1, got 18446744073709551616"):
        small(seed=2**64)
