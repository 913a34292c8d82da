"""Vector environments over lanes and through `mj_step`: with lanes that MuJoCo itself steps, they have the same bits.

Broken on purpose, each seen red: nothing is remembered at a reset, or after a step; the solver's start is not kept from step to
step; the time limit is one step late; no forward pass at a reset; errors that name an inner function.
"""

import copy
import os
import pickle
import re
import subprocess
import sys

import numba
import numpy as np
import pytest

pytest.importorskip("mujoco", reason="MuJoCo environments need the mujoco package")

import gymnasium
from gymnasium.vector import AutoresetMode
from lane_mujoco import new_mujoco_lanes

import fastars.envs.mujoco.lanes
import fastars.physics
from fastars.envs import compiled_env, make
from fastars.envs.vector import CompiledVectorEnv

pytestmark = pytest.mark.filterwarnings("ignore:.*-v4 is out of date:DeprecationWarning")
compiled = pytest.mark.skipif(numba.config.DISABLE_JIT, reason="the lanes' own physics is compiled")
ASSETS = os.path.join(os.path.dirname(gymnasium.__file__), "envs", "mujoco", "assets")


@pytest.fixture(autouse=True)
def _in_temporary_folder(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def lanes_of_mujoco(monkeypatch):
    monkeypatch.setattr(fastars.physics, "new_lanes", new_mujoco_lanes)
    monkeypatch.setattr(fastars.envs.mujoco.lanes, "lanes_for", lambda env: env.model)


def pair(env, n, **settings):
    """The same environments, stepped by `mj_step` and over lanes."""
    env = compiled_env(env)
    return [CompiledVectorEnv(env._replace(physics=physics), n, **settings) for physics in ("mujoco", "lanes")]


def random_actions(env, rng):
    return rng.uniform(env.action_space.low, env.action_space.high).astype(np.float32)


def assert_same(theirs, ours):
    for of_theirs, of_ours in zip(theirs[:4], ours[:4], strict=True):
        assert of_theirs.dtype == of_ours.dtype
        assert of_theirs.tobytes() == of_ours.tobytes()
    assert theirs[4].keys() == ours[4].keys()
    if theirs[4]:
        np.testing.assert_array_equal(theirs[4]["_final_obs"], ours[4]["_final_obs"])
        for of_theirs, of_ours in zip(theirs[4]["final_obs"], ours[4]["final_obs"], strict=True):
            np.testing.assert_array_equal(of_theirs, of_ours)


def steps_alike(env, n, n_steps, seed=0, **settings):
    """Step both with the same actions; return how many terminations and truncations there were."""
    theirs, ours = pair(env, n, **settings)
    rng, ends = np.random.default_rng(seed), np.zeros(2, int)
    np.testing.assert_array_equal(ours.reset(seed=seed)[0], theirs.reset(seed=seed)[0])
    for _ in range(n_steps):
        actions = random_actions(theirs, rng)
        of_theirs, of_ours = theirs.step(actions), ours.step(actions)
        assert_same(of_theirs, of_ours)
        ends += [of_theirs[2].sum(), of_theirs[3].sum()]
    mask = rng.uniform(size=n) < 0.5
    mask[0] = True
    options = {"reset_mask": mask}
    np.testing.assert_array_equal(ours.reset(options=options)[0], theirs.reset(options=options)[0])
    actions = random_actions(theirs, rng)
    assert_same(theirs.step(actions), ours.step(actions))
    return ends


EVERY = [
    (env_id, mode, n)
    for mode in ("NextStep", "SameStep")
    for env_id, n in (("InvertedDoublePendulum-v5", 11), ("Ant-v5", 3), ("Reacher-v4", 8), ("Hopper-v5", 9))
]


@pytest.mark.parametrize(
    ("env_id", "mode", "n"), EVERY if numba.config.DISABLE_JIT else [pytest.param(*row, marks=pytest.mark.slow) for row in EVERY]
)
def test_every_step(env_id, mode, n, lanes_of_mujoco):
    terminations, truncations = steps_alike(env_id, n, 20, autoreset_mode=AutoresetMode(mode), max_episode_steps=9)
    assert terminations + truncations > n


@pytest.mark.skipif(not numba.config.DISABLE_JIT, reason="runs without compilation, from the test below")
def test_every_unstable_simulation_goes_on(lanes_of_mujoco, tmp_path):
    with open(os.path.join(ASSETS, "hopper.xml")) as file:
        text = file.read()
    path = tmp_path / "long_steps.xml"
    path.write_text(text.replace('timestep="0.002"', 'timestep="0.2"'))
    env = make("Hopper-v5", xml_file=str(path), terminate_when_unhealthy=False, disable_env_checker=True)
    theirs, ours = pair(env, 5)
    rng, most = np.random.default_rng(0), 0
    np.testing.assert_array_equal(ours.reset(seed=0)[0], theirs.reset(seed=0)[0])
    for _ in range(60):
        actions = random_actions(theirs, rng)
        of_theirs = theirs.step(actions)
        assert_same(of_theirs, ours.step(actions))
        most = max(most, sum(int(sim.bad.any()) for sim in theirs._batch._simulations))
    assert most > 0


@compiled
def test_every_environment_without_compilation():
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-x", "-W", "ignore::RuntimeWarning"]
    command += ["-k", "test_every", __file__]
    process = subprocess.run(command, env={**os.environ, "NUMBA_DISABLE_JIT": "1"}, capture_output=True, text=True)
    assert process.returncode == 0, process.stdout
    assert f"{len(EVERY) + 1} passed" in process.stdout


# --- With the lanes' own physics

ID = "InvertedPendulum-v5"


def stepped(n=20):
    _, env = pair(ID, n)
    env.reset(seed=1)
    rng = np.random.default_rng(0)
    for _ in range(10):
        env.step(random_actions(env, rng))
    return env


@compiled
def test_steps_are_those_of_mujoco_to_rounding():
    theirs, ours = pair(ID, 20)
    np.testing.assert_array_equal(ours.reset(seed=1)[0], theirs.reset(seed=1)[0])
    rng, n_ends = np.random.default_rng(0), 0
    for _ in range(30):
        actions = random_actions(theirs, rng)
        of_theirs, of_ours = theirs.step(actions), ours.step(actions)
        np.testing.assert_allclose(of_ours[0], of_theirs[0], rtol=0, atol=1e-9)
        np.testing.assert_array_equal(of_ours[2], of_theirs[2])
        n_ends += of_theirs[2].sum()
    assert n_ends > 20


@compiled
@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda env: pickle.loads(pickle.dumps(env))])
def test_a_copy_goes_on_alike(copied):
    env = stepped()
    other = copied(env)
    rng = np.random.default_rng(1)
    for _ in range(20):
        actions = random_actions(env, rng)
        assert_same(env.step(actions), other.step(actions))
    before = other.step(actions)[0]
    env.reset(seed=7)
    assert (other.step(actions)[0] != before).any()


@compiled
def test_an_environment_does_not_depend_on_its_place():
    """Number 3 of 20 environments, and the same one alone, where seven lanes have no environment."""
    env, alone = pair(ID, 20)[1], pair(ID, 1)[1]
    first, _ = env.reset(seed=1)
    of_alone, _ = alone.reset(seed=4)
    np.testing.assert_array_equal(of_alone[0], first[3])
    rng = np.random.default_rng(0)
    for _ in range(30):
        actions = random_actions(env, rng)
        results, of_alone = env.step(actions), alone.step(actions[3:4])
        for ours, theirs in zip(of_alone[:4], results[:4], strict=True):
            np.testing.assert_array_equal(ours[0], theirs[3])


@pytest.mark.parametrize(
    ("env_id", "given", "message"),
    [
        (ID, {"physics": "lane"}, "make_vec(): physics must be one of 'mujoco', 'lanes', got 'lane'; did you mean 'lanes'?"),
        ("CartPole-v1", {"physics": "lanes"}, "make_vec(): physics must be 'mujoco' for CartPole-v1, got 'lanes'"),
        ("CartPole-v1", {"copy": 2}, "make_vec(): copy must be True or False, got 2"),
    ],
)
def test_errors_begin_with_the_function_that_was_called(env_id, given, message):
    with pytest.raises((ValueError, TypeError), match=f"^{re.escape(message)}"):
        gymnasium.make_vec(f"fastars/{env_id}", 2, **given)


@compiled
def test_make_vec_takes_the_physics():
    env = gymnasium.make_vec(f"fastars/{ID}", 9, physics="lanes")
    assert type(env.unwrapped._batch).__name__ == "PhysicsBatch"
    assert env.reset(seed=0)[0].shape == (9, 4)
