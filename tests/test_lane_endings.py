"""Ends of episodes in lanes: status, length, return and count of observations are those of a plain loop, episode by episode.

Each episode draws how it ends, so that lanes of one block end in all ways at once, at the time limit too. Broken on purpose, each
seen red: a step that terminates with a bad reward counts as terminated; a step that begins with a bad observation counts; the limit
goes before the end of an episode; a lane moves without its clock and mark; nobody looks at the age of lanes (hangs).
"""

import functools
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import NamedTuple

import gymnasium
import numba
import numpy as np
import pytest

import fastars
from fastars import reference
from fastars._compiled.structs import NONFINITE, TERMINATED, TRUNCATED, LinearPolicy, MlpPolicy, empty_rollouts, identity_filter
from fastars.envs import USER_ENVS, compiled_env
from fastars.kernels import rollout_lanes  # noqa: F401 - looked at by a test in another process
from fastars.kernels.policy_layout import n_weights
from fastars.kernels.rollout import roll_out
from fastars.samplers import compiled
from fastars.scalar import uniform

pytestmark = pytest.mark.skipif(numba.config.DISABLE_JIT, reason="the environments are the same functions then")
LIMIT = 9
N_EPISODES = 300  # more than two rounds of all lanes
ENDS, BAD_REWARD, BAD_OBSERVATION, BOTH = 1, 2, 3, 4  # BOTH: it ends with a bad reward. 0: it goes on to the limit


class Endings(NamedTuple):
    """A clock. Its first state says how an episode ends, and in which step: from its reset to a step after the limit.

    With `all_well` there are no bad numbers: an environment that is registered may have none in its first episodes.
    """

    all_well: bool = True


def reset(env, rng):
    return uniform(rng, 0.0, 5.0), uniform(rng, 0.0, 11.0), 0.0


def is_now(state, way):
    return state[0] // 1.0 == way and state[1] // 1.0 == state[2]


def observe(env, state):
    return state[2] + (np.inf if is_now(state, BAD_OBSERVATION) and not env.all_well else 0.0), 0.1 * state[0]


def step(env, state, action):
    after = state[0], state[1], state[2] + 1.0
    is_bad = (is_now(after, BAD_REWARD) or is_now(after, BOTH)) and not env.all_well
    reward = np.nan if is_bad else state[0] + 0.5 * action
    return after, reward, is_now(after, ENDS) or is_now(after, BOTH)


def step_for_two(env, state, action):
    after, reward, terminated = step(env, state, action)
    return after, (reward, 1.0), terminated


ENVS = {"Endings-v0": step, "EndingsTwo-v0": step_for_two}
REWARD_WEIGHTS = {"Endings-v0": (), "EndingsTwo-v0": (1.0, 0.25)}


def register():
    spaces = {"observation_space": gymnasium.spaces.Box(-9, 99, (2,)), "action_space": gymnasium.spaces.Discrete(2)}
    for env_id, function in ENVS.items():
        fastars.register_env(env_id, Endings(), reset, observe, function, max_episode_steps=LIMIT, **spaces)


@pytest.fixture(autouse=True, scope="module")
def registered():
    """Under their ids while these tests run."""
    register()
    yield
    for env_id in ENVS:
        del USER_ENVS[env_id], gymnasium.registry[env_id]


@functools.cache
def case(env_id, policy):
    """Return (spec, weights, seeds), and what a plain loop makes of them."""
    env = compiled_env(gymnasium.make(env_id, all_well=False))
    spec = env.rollout_spec(policy)._replace(reward_weights=REWARD_WEIGHTS[env_id])
    weights = np.random.default_rng(1).standard_normal((N_EPISODES, n_weights(policy, env.n_obs, env.n_act)))
    seeds = np.arange(N_EPISODES, dtype=np.uint64)
    return (spec, weights, seeds), reference.rollouts(spec._replace(env=env), identity_filter(2), weights, seeds, True)


def assert_same(found, expected):
    for name in ("status", "lengths", "returns", "task_returns"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name), err_msg=name)
    if len(found.moments.count):
        np.testing.assert_array_equal(found.moments.count, expected.moments.count)
        some = expected.moments.count > 0
        np.testing.assert_allclose(found.moments.mean[some], expected.moments.mean[some], rtol=1e-12)


def assert_endings(env_id, policy, size, track=True):
    """Run the episodes in blocks of so many."""
    (spec, weights, seeds), expected = case(env_id, policy)
    out = empty_rollouts(N_EPISODES, 2, track, len(spec.reward_weights))
    for first in range(0, N_EPISODES, size):
        roll_out(spec, identity_filter(2), weights, seeds, first, min(first + size, N_EPISODES), out)
    assert_same(out, expected)


def test_the_plain_loop_sees_all_endings():
    """Ended by the limit, in its step, and before it; a bad number in the first observation, in the last step, and after it."""
    _, expected = case("Endings-v0", LinearPolicy(True))
    endings = set(zip(expected.status.tolist(), expected.lengths.tolist(), strict=True))
    assert {(TRUNCATED, LIMIT), (TERMINATED, LIMIT), (TERMINATED, 1), (NONFINITE, 0), (NONFINITE, 1), (NONFINITE, LIMIT)} < endings


@pytest.mark.parametrize("size", [1, 7, 8, 9, 127, N_EPISODES])
@pytest.mark.parametrize(
    ("env_id", "policy"),
    [("Endings-v0", LinearPolicy(True)), ("EndingsTwo-v0", LinearPolicy(True)), ("Endings-v0", MlpPolicy((3,)))],
)
def test_episodes_in_lanes_end_as_in_a_plain_loop(env_id, policy, size):
    assert_endings(env_id, policy, size)


def test_they_do_when_nobody_wants_the_moments():
    assert_endings("Endings-v0", LinearPolicy(True), N_EPISODES, track=False)


@pytest.mark.parametrize("n_threads", [1, 2, 3, 5])
def test_they_do_on_threads(n_threads, monkeypatch):
    monkeypatch.setattr(compiled, "_CALL_STEPS", 40 * LIMIT)  # eight blocks
    (spec, weights, seeds), expected = case("EndingsTwo-v0", LinearPolicy(True))
    sampler = compiled.CompiledSampler(spec, n_threads)
    assert_same(sampler.evaluate(weights, identity_filter(2), seeds, True), expected)


def test_they_do_in_a_block_of_another_width(tmp_path):
    code = """
    from fastars._compiled import lane_rows
    lane_rows.LANES = 24
    import test_lane_endings as tests
    assert tests.rollout_lanes.LANES == 24
    tests.register()
    for size in (1, 23, 300):
        tests.assert_endings("Endings-v0", tests.LinearPolicy(True), size)
    """
    environment = {**os.environ, "FASTARS_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-c", textwrap.dedent(code)]
    done = subprocess.run(command, cwd=Path(__file__).parent, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
