"""Rollouts over lanes against rollouts one after the other: with lanes that MuJoCo itself steps, they have the same bits.

So all that is not physics is right: the queue, resets, observations, actions, rewards, ends, moments.

Broken on purpose, each seen red: the solver's start of an episode is left from the last one; contact forces are not 0 at a
reset, or not where nobody wants them; controls are not read; returns, and returns of tasks, go on from the last episode; no
forward pass at a reset; an observation that is not finite is not seen; instability is not seen, or stays for the next
episode; another candidate's weights.
"""

import functools
import os
import subprocess
import sys

import numba
import numpy as np
import pytest

pytest.importorskip("mujoco", reason="MuJoCo environments need the mujoco package")

import gymnasium
from lane_mujoco import N_LANES, new_mujoco_lanes

import fastars
import fastars.samplers.physics
from fastars._compiled.structs import (
    NONFINITE,
    TERMINATED,
    TRUNCATED,
    UNSTABLE,
    LinearPolicy,
    MlpPolicy,
    Tanh,
    empty_rollouts,
    identity_filter,
)
from fastars.envs import compiled_env, make
from fastars.kernels.policy_layout import n_weights
from fastars.kernels.rollout_physics import roll_out_physics
from fastars.samplers.kernel_inputs import with_reward_weights
from fastars.samplers.physics import PhysicsSampler, new_episodes
from fastars.samplers.simulated import SimulatedSampler

pytestmark = pytest.mark.filterwarnings("ignore:.*-v4 is out of date:DeprecationWarning")
LINEAR, BIASED, MLP = LinearPolicy(False), LinearPolicy(True), MlpPolicy((5, 3), Tanh(), True)
N_THREADS = 1 if numba.config.DISABLE_JIT else 2  # as in test_mujoco_envs.py
STEPS = 8 if numba.config.DISABLE_JIT else 150  # of an episode, at most


@pytest.fixture(autouse=True)
def _lanes_of_mujoco(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(fastars.samplers.physics, "new_lanes", new_mujoco_lanes)


def both(env, spec, weights, n_episodes, reward_weights=None, n_threads=N_THREADS, filter=None):
    """Results of (a sampler of one simulation after the other, a sampler over lanes)."""
    seeds = np.arange(n_episodes, dtype=np.uint64) + np.uint64(7)
    filter = filter or identity_filter(env.n_obs)
    samplers = SimulatedSampler(env, spec, n_threads), PhysicsSampler(env, spec, n_threads, env.model)
    return [sampler.evaluate(weights, filter, seeds, True, reward_weights) for sampler in samplers]


def candidates(env, policy, n, largest=0.0):
    """Weights of all sizes, from those that hardly act to those that jump from bound to bound."""
    rng = np.random.default_rng(3)
    return rng.normal(size=(n, n_weights(policy, env.n_obs, env.n_act))) * 10 ** rng.uniform(-2.5, largest, (n, 1))


def assert_same_bits(ours, theirs):
    for name in ("returns", "lengths", "status", "task_returns"):
        assert getattr(ours, name).tobytes() == getattr(theirs, name).tobytes(), name
    for name, of_ours, of_theirs in zip(theirs.moments._fields, ours.moments, theirs.moments, strict=True):
        assert of_ours.tobytes() == of_theirs.tobytes(), name


def same(env_id, policy=LINEAR, n=5, terms=False, clip=True, squash=False, largest=0.0, **kwargs):
    """Run episodes in both ways, and return the results, which must have the same bits."""
    made = make(env_id, disable_env_checker=True, **kwargs)
    env = compiled_env(fastars.RewardTerms(made) if terms else made)
    env = env._replace(max_steps=STEPS)
    spec = env.rollout_spec(policy, clip, squash)
    weights = np.arange(env.n_tasks) - 0.5 if terms else None
    theirs, ours = both(env, spec, candidates(env, policy, n, largest), 2 * n, weights)
    assert_same_bits(ours, theirs)
    return ours


# --- Whatever the environment and the policy


def test_hopper_with_early_ends():
    ours = same("Hopper-v5", n=30)
    assert (ours.status == TERMINATED).any()
    assert len(set(ours.lengths)) > 5


EVERY = [
    ("HalfCheetah-v5", {}),
    ("HalfCheetah-v4", {"policy": BIASED, "squash": True}),
    ("Hopper-v4", {"policy": MLP}),
    ("Hopper-v5", {"terms": True}),
    ("Walker2d-v5", {"policy": BIASED, "terms": True}),
    ("Walker2d-v4", {"exclude_current_positions_from_observation": False}),
    ("Swimmer-v5", {"clip": False, "policy": MLP}),
    ("InvertedPendulum-v5", {"squash": True}),
    ("InvertedPendulum-v4", {"clip": False}),
    ("InvertedDoublePendulum-v5", {"terms": True, "policy": MLP}),
    ("InvertedDoublePendulum-v4", {}),
    ("Reacher-v5", {"terms": True}),
    ("Reacher-v4", {"policy": BIASED}),
    ("Ant-v4", {}),
    ("Ant-v4", {"use_contact_forces": True}),
    ("Ant-v5", {"terms": True, "policy": MLP, "squash": True}),
    ("Ant-v5", {"include_cfrc_ext_in_observation": False}),
    ("Pusher-v5", {"policy": MLP}),
    ("Humanoid-v5", {"include_cinert_in_observation": False, "include_cvel_in_observation": False}),
]


@pytest.mark.parametrize(
    ("env_id", "settings"),
    EVERY if numba.config.DISABLE_JIT else [pytest.param(*row, marks=pytest.mark.slow) for row in EVERY],
)
def test_every_environment(env_id, settings):
    same(env_id, **settings)


BALL = """<mujoco><option timestep="0.01"/><worldbody><geom type="plane" size="9 9 1"/><body pos="0 0 0.099"><freejoint/>
<geom size="0.1" mass="1"/><body pos="0 0 1"><joint name="hinge" axis="0 1 0"/><geom size="0.1" pos="0.3 0 0" mass="0.1"/></body>
</body></worldbody><actuator><motor joint="hinge" ctrllimited="true" ctrlrange="-1 1"/></actuator></mujoco>"""


def observe_ball(constants, sim, observation):
    """The force from the floor, which is there from the beginning, and a number that is not finite after a while."""
    observation[0] = sim.cfrc_ext[1].sum()
    observation[1] = sim.qpos[0] / (0.0 if sim.qpos[7] > 0.2 else 1.0)


def reward_of_ball(constants, sim, action, before):
    return sim.qpos[7] - before[7] + action[0] + sim.qacc[2]


@pytest.mark.skipif(not numba.config.DISABLE_JIT, reason="runs without compilation, from the test below")
@pytest.mark.parametrize("contact_forces", [False, True])
def test_every_environment_may_be_a_task_of_the_users(contact_forces):
    task = fastars.MujocoTask(
        BALL, observe_ball, reward_of_ball, n_obs=2, frame_skip=2, max_episode_steps=STEPS, contact_forces=contact_forces
    )
    env = compiled_env(task)
    theirs, ours = both(env, env.rollout_spec(BIASED), candidates(env, BIASED, 9), 18)
    assert_same_bits(ours, theirs)
    assert {NONFINITE, TRUNCATED} <= set(ours.status)
    assert ours.moments.mean[:, 0].any() == contact_forces


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="is this test")
def test_every_environment_without_compilation():
    """The same source, in plain Python: to compile it for each environment takes minutes."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-x", "-W", "ignore::RuntimeWarning"]
    command += ["-k", "every_environment", __file__]
    process = subprocess.run(command, env={**os.environ, "NUMBA_DISABLE_JIT": "1"}, capture_output=True, text=True)
    assert process.returncode == 0, process.stdout
    assert f"{len(EVERY) + 3} passed" in process.stdout


# --- Whatever the lane, its neighbours, the thread and the call


@functools.cache
def hopper():
    env = compiled_env("Hopper-v5")
    env = env._replace(max_steps=60)
    return env, env.rollout_spec(LINEAR)


@functools.cache
def serial(n):
    env, spec = hopper()
    return both(env, spec, candidates(env, LINEAR, n), n)[0]


@pytest.mark.parametrize("n", [1, 7, 8, 9, 30])
def test_any_number_of_episodes_and_threads(n):
    """With fewer episodes than lanes, lanes are idle from the beginning."""
    env, spec = hopper()
    for n_threads in (1, 3):
        _, ours = both(env, spec, candidates(env, LINEAR, n), n, n_threads=n_threads)
        assert_same_bits(ours, serial(n))


def counted(n_steps, width=N_LANES, n=30):
    """Results of calls of the kernel with `n_steps` steps, and how many steps all lanes took."""
    env, spec = hopper()
    lanes = new_mujoco_lanes(env.model, False)
    episodes = new_episodes(spec, lanes, env.n_obs, np.zeros(1, np.int64), width)
    out = empty_rollouts(n, env.n_obs, True)
    weights, seeds = candidates(env, LINEAR, n), np.arange(n, dtype=np.uint64) + np.uint64(7)
    n_calls = 1
    while roll_out_physics(spec, lanes, episodes, identity_filter(env.n_obs), weights, seeds, n_steps, out):
        n_calls += 1
    return out, int(episodes.steps[0]), n_calls


@pytest.mark.parametrize("n_steps", [1, 17, 10_000])
def test_a_call_ends_after_its_steps_and_goes_on_where_it_was(n_steps):
    out, steps, n_calls = counted(n_steps)
    assert_same_bits(out, serial(30))
    assert n_calls == steps // n_steps + 1 - (steps % n_steps == 0 and n_calls == steps // n_steps)


def test_a_lane_takes_the_next_episode_at_once():
    """Steps of all lanes are those of a list of episodes that eight hands take from."""
    out, steps, _ = counted(10_000)
    busy_until = np.zeros(N_LANES, np.int64)
    for length in out.lengths:
        busy_until[busy_until.argmin()] += length
    assert steps == busy_until.max()


@pytest.mark.parametrize("width", [1, 3])
def test_fewer_lanes_than_there_are(width):
    assert_same_bits(counted(10_000, width)[0], serial(30))


# --- Ends that are none of the environment's


def test_unstable_episodes_end_as_one_after_the_other(tmp_path):
    """Timesteps that are much too long."""
    assets = os.path.join(os.path.dirname(gymnasium.__file__), "envs", "mujoco", "assets")
    with open(os.path.join(assets, "hopper.xml")) as file:
        text = file.read()
    assert text.count('timestep="0.002"') == 1
    path = tmp_path / "long_steps.xml"
    path.write_text(text.replace('timestep="0.002"', 'timestep="0.2"'))
    ours = same("Hopper-v5", n=20, xml_file=str(path), terminate_when_unhealthy=False)
    assert (ours.status == UNSTABLE).any()
    assert np.isnan(ours.returns[ours.status == UNSTABLE]).all()
    assert (ours.status == TRUNCATED).any()


@pytest.mark.skipif(not numba.config.DISABLE_JIT, reason="runs without compilation, from the test above")
def test_every_environment_may_give_an_infinite_reward():
    """Terms of a reward times 1e308."""
    env = compiled_env(fastars.RewardTerms(make("Hopper-v5")))._replace(max_steps=60)
    spec = with_reward_weights(env.rollout_spec(LINEAR), [1e308, 1.0, 1e308])
    theirs, ours = both(env, spec, candidates(env, LINEAR, 30), 30, [1e308, 1.0, 1e308])
    assert_same_bits(ours, theirs)
    assert (ours.status == NONFINITE).any()


def test_no_episodes_give_no_results():
    env, spec = hopper()
    _, ours = both(env, spec, candidates(env, LINEAR, 2), 0)
    assert ours.returns.shape == (0,)
