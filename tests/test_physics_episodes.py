"""Episodes over lanes end as episodes in MuJoCo do: in the same step, with the same status, also where numbers become bad.

Policies are random, and episodes short enough that differences of 1e-14 have not grown into other motions.

Broken on purpose, one at a time, each with a test red: `check_acceleration` not called; controls checked before they are clamped;
a bad lane not cleared for its next episode; a lane with a bad control put back to the first state.
"""

import re
from pathlib import Path

import gymnasium
import numba
import numpy as np
import pytest

pytest.importorskip("mujoco", reason="MuJoCo environments need the mujoco package")

from fastars._compiled.structs import NONFINITE, TERMINATED, TRUNCATED, UNSTABLE, LinearPolicy, identity_filter
from fastars.envs import compiled_env, make
from fastars.envs.mujoco.agreement import mujoco_steps
from fastars.envs.mujoco.lane_steps import lane_steps
from fastars.envs.mujoco.messages import collected_warnings
from fastars.envs.mujoco.reachable import reachable_states
from fastars.physics import lane_model
from fastars.samplers.physics import PhysicsSampler
from fastars.samplers.simulated import SimulatedSampler

pytestmark = pytest.mark.skipif(numba.config.DISABLE_JIT, reason="lanes are compiled")
ASSETS = Path(gymnasium.__file__).parent / "envs" / "mujoco" / "assets"


def in_both(env, weights, seeds, filter=None, clip_actions=True):
    """Run an episode per candidate in MuJoCo and over lanes; return both results."""
    compiled = compiled_env(env)
    filter = filter or identity_filter(compiled.n_obs)
    spec, seeds = compiled.rollout_spec(LinearPolicy(), clip_actions), np.asarray(seeds, np.uint64)
    samplers = SimulatedSampler(compiled, spec, 1), PhysicsSampler(compiled, spec, 1, lane_model(compiled.model))
    return [sampler.evaluate(weights, filter, seeds, True) for sampler in samplers]


def random_weights(env, n, scale):
    compiled = compiled_env(env)
    return scale * np.random.default_rng(0).standard_normal((n, compiled.n_act * compiled.n_obs))


def assert_alike(in_mujoco, over_lanes, rtol=1e-4):
    assert over_lanes.status.tolist() == in_mujoco.status.tolist()
    assert over_lanes.lengths.tolist() == in_mujoco.lengths.tolist()
    np.testing.assert_allclose(over_lanes.returns, in_mujoco.returns, rtol=rtol, atol=rtol)
    assert over_lanes.moments.count.tolist() == in_mujoco.moments.count.tolist()


@pytest.mark.parametrize("scale", [0.01, 1.0, 100.0])
@pytest.mark.parametrize("name", ["Hopper", "InvertedPendulum"])
def test_episodes_terminate_in_the_same_step(name, scale):
    env = make(f"{name}-v5", max_episode_steps=40)
    in_mujoco, over_lanes = in_both(env, random_weights(env, 64, scale), range(64))
    assert (in_mujoco.status == TERMINATED).any()
    assert_alike(in_mujoco, over_lanes)


@pytest.fixture
def wild(tmp_path):
    """A function that makes an inverted pendulum with a motor of some strength."""

    def make_wild(gear, **kwargs):
        text = (ASSETS / "inverted_pendulum.xml").read_text()
        path = tmp_path / "wild.xml"
        path.write_text(re.sub(r'gear="[^"]*"', f'gear="{gear:g}"', text))
        assert f'gear="{gear:g}"' in path.read_text()
        return make("InvertedPendulum-v5", xml_file=str(path), **kwargs)

    return make_wild


def test_motors_of_every_strength_end_episodes_alike(wild):
    """From those that tip the pendulum over to those that overflow at once: UNSTABLE takes the place of TERMINATED on the way."""
    seen = set()
    for power in range(2, 15):
        env = wild(10.0**power, max_episode_steps=30)
        in_mujoco, over_lanes = in_both(env, random_weights(env, 16, 0.3), range(16))
        assert_alike(in_mujoco, over_lanes)
        seen |= {(int(status), int(length)) for status, length in zip(in_mujoco.status, in_mujoco.lengths, strict=True)}
    assert {TERMINATED, UNSTABLE} <= {status for status, _ in seen}
    assert len(seen) > 4


@pytest.mark.parametrize("size", [1e8, 1e12, 1e300])
def test_actions_that_are_not_clipped_are_clamped_to_the_range_of_the_control(size):
    """However large they are; an action above float32's largest number is infinite."""
    env = make("InvertedPendulum-v5", max_episode_steps=10)
    weights = np.zeros((4, 4))
    weights[:, 1] = size  # times 1, about
    filter = identity_filter(4)._replace(mean=np.array([0.0, -1.0, 0.0, 0.0]))
    in_mujoco, over_lanes = in_both(env, weights, range(4), filter, clip_actions=False)
    assert_alike(in_mujoco, over_lanes)
    assert not (in_mujoco.status == UNSTABLE).any()


def test_actions_that_are_no_numbers_are_unstable():
    env = compiled_env("InvertedPendulum-v5")
    filter = identity_filter(4)._replace(scale=np.full(4, 1e300))
    weights = np.tile([[1e300, -1e300, 1e300, -1e300]], (20, 1))
    in_mujoco, over_lanes = in_both(env, weights, range(20), filter)
    assert (in_mujoco.status == UNSTABLE).any()
    assert_alike(in_mujoco, over_lanes)


def test_a_bad_lane_changes_no_bit_of_its_neighbours_and_of_the_next_episode(wild):
    """Every third candidate overflows at once: the others have the bits that they have without it."""
    env = wild(1e12, max_episode_steps=30)
    weights = np.zeros((40, 4))
    weights[::3] = 1.0
    _, mixed = in_both(env, weights, range(40))
    assert (mixed.status[::3] == UNSTABLE).all()
    rest = np.arange(40) % 3 != 0
    _, alone = in_both(env, weights[rest], np.arange(40)[rest])
    assert (alone.status != UNSTABLE).all()
    for name in ("returns", "lengths", "status"):
        assert np.array_equal(getattr(mixed, name)[rest], getattr(alone, name))
    assert np.array_equal(mixed.moments.mean[rest], alone.moments.mean)


@pytest.mark.parametrize("name", ["Hopper", "HalfCheetah", "Reacher", "Ant"])
@pytest.mark.parametrize("field", ["qpos", "qvel", "ctrl"])
def test_bad_numbers_of_one_step_are_those_of_mujoco(name, field):
    model = compiled_env(f"{name}-v5").model
    rng, first = np.random.default_rng(0), {"qpos": 0, "qvel": model.nq, "ctrl": model.nq + model.nv}[field]
    size = {"qpos": model.nq, "qvel": model.nv, "ctrl": model.nu}[field]
    states = reachable_states(model, 128)
    values = [np.nan, np.inf, -np.inf, 1.0000001e10, -1.0000001e10, 1e11, -1e300]
    for state in states[::2]:
        state[first + rng.integers(size)] = rng.choice(values)
    with collected_warnings():
        theirs = mujoco_steps(model, states)
    ours = lane_steps(model, lane_model(model), states)
    assert theirs.is_bad[::2].any()
    assert not theirs.is_bad[1::2].any()
    assert ours.is_bad.tolist() == theirs.is_bad.tolist()
    np.testing.assert_allclose(ours.rows[1::2], theirs.rows[1::2, : ours.rows.shape[1]], rtol=1e-6, atol=1e-6)
    n = model.nq + model.nv  # a vector environment goes on from there: from the model's first state, or without controls
    np.testing.assert_allclose(ours.rows[::2, :n], theirs.rows[::2, :n], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", ["Hopper", "HalfCheetah", "Ant"])
def test_velocities_of_every_size_are_bad_where_mujoco_finds_them_bad(name):
    """Up to where accelerations overflow. A few states are so near to the bound that rounding decides."""
    model = compiled_env(f"{name}-v5").model
    rng, states = np.random.default_rng(1), reachable_states(model, 384)
    states[:, model.nq : model.nq + model.nv] *= 10.0 ** rng.uniform(0.0, 9.0, (len(states), 1))
    with collected_warnings():
        theirs = mujoco_steps(model, states)
    ours = lane_steps(model, lane_model(model), states)
    assert 0.1 < theirs.is_bad.mean() < 0.9
    assert (ours.is_bad != theirs.is_bad).sum() <= 2


def test_observations_that_are_not_finite_end_episodes_alike(wild):
    """A reset far out: velocities of 1e308 overflow in the observation's float64 only in MuJoCo's own eyes."""
    env = wild(1.0, reset_noise_scale=1e308)
    in_mujoco, over_lanes = in_both(env, random_weights(env, 8, 0.1), range(8))
    assert set(in_mujoco.status) <= {UNSTABLE, NONFINITE}
    assert over_lanes.status.tolist() == in_mujoco.status.tolist()


def test_time_limits_are_gymnasiums():
    env = make("Hopper-v5", max_episode_steps=7)
    in_mujoco, over_lanes = in_both(env, random_weights(env, 9, 0.1), range(9))
    assert (over_lanes.status == TRUNCATED).all()
    assert (over_lanes.lengths == 7).all()
    assert_alike(in_mujoco, over_lanes)
