"""Bad observations under a `VecNormalize` of stable-baselines3, whose own statistics keep a NaN for ever.

Broken on purpose: statistics with a NaN are taken as they are -> test_statistics_that_are_not_finite_are_refused red.
"""

import faulty_envs
import numpy as np
import pytest

pytest.importorskip("stable_baselines3", reason="stable-baselines3 is not installed: pip install '.[compat]'")

from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from fastars import ARS


def normalized(fault, n_bad=1 << 31):
    make = faulty_envs.make(getattr(faulty_envs, f"gives_{fault}_observation"), n_bad)
    return VecNormalize(DummyVecEnv([make] * 2), norm_reward=False)


@pytest.mark.promise(8)
@pytest.mark.parametrize("fault", ["nan", "infinite", "huge"])
def test_the_statistics_of_a_vec_normalize_stay_finite(fault, tally):
    env = normalized(fault)
    model = ARS("LinearPolicy", env, n_delta=8, seed=7)
    n = tally.of(fast=3, full=100)
    for _ in range(n):
        model.learn(1, reset_num_timesteps=False)
    count, mean, m2 = model.state.moments
    if fault == "huge":
        assert 0 < count < model.num_timesteps  # whole episodes are passed over
    else:
        assert 0 < model.dropped_pairs < 8 * n
        assert count == model.num_timesteps
    assert np.array_equal(env.obs_rms.mean, mean)
    assert (np.abs(mean) < 10.0).all()
    assert all(np.isfinite(part).all() for part in (m2, env.obs_rms.var, *model.policy.filter[:2], model.theta))
    assert model.theta.any()
    tally(f"iterations under VecNormalize, {fault} observations", n, of=n)


@pytest.mark.promise(8)
def test_statistics_that_are_not_finite_are_refused(tally):
    """Those that theirs has after one NaN."""
    env = normalized("nan", n_bad=1 << 62)
    env.seed(0)
    env.reset()
    for _ in range(faulty_envs.AT):
        env.step(np.zeros((2, 1), np.float32))
    assert np.isnan(env.obs_rms.mean).any()  # so it is
    with pytest.raises(ValueError, match=r"VecNormalize whose obs_rms must be finite.* got mean \[ *nan"):
        ARS("LinearPolicy", env, seed=7)
    model = ARS("LinearPolicy", normalized("nan"), n_delta=2, seed=7)
    before = model.get_vec_normalize_env()
    with pytest.raises(ValueError, match="VecNormalize whose obs_rms must be finite"):
        model.set_env(env)
    assert model.get_vec_normalize_env() is before
    model.learn(1)
    tally("statistics with a NaN refused", 2, of=2)
