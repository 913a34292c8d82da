"""A MuJoCo task of the user's own: the functions do the same compiled and in plain Gymnasium, and errors name the one at fault.

Broken on purpose: `merge_moments` takes what is not finite -> test_bad_observations_are_not_in_the_filter red.
"""

import functools
import hashlib
import importlib.util
import math
import os
import re
import subprocess
import sys
import warnings
from pathlib import Path
from typing import NamedTuple

import numba
import numpy as np
import pytest

pytest.importorskip("mujoco", reason="MuJoCo environments need the mujoco package")

import gymnasium
import mujoco
from gymnasium.utils.env_checker import check_env

import fastars
from fastars import ARS, CheckpointError, MujocoTask, SimulationError, UnsupportedEnvError, evaluate_candidates, evaluate_policy
from fastars._compiled import kernel_cache
from fastars._compiled.structs import NONFINITE, TERMINATED, TRUNCATED, UNSTABLE, LinearPolicy, Simulation, identity_filter
from fastars.envs import compiled_env
from fastars.envs.mujoco import task as task_module
from fastars.samplers import make_sampler

pytestmark = pytest.mark.skipif(numba.config.DISABLE_JIT, reason="holds compiled functions against uncompiled ones")
ROOT = Path(__file__).parent.parent

# --- Tasks

POINT = """<mujoco><option timestep="0.01"/><worldbody><body>
<joint name="x" type="slide" axis="1 0 0" damping="1"/><geom size="0.1" mass="1"/></body></worldbody>
<actuator><motor name="push" joint="x" ctrllimited="true" ctrlrange="-1 1" gear="5"/></actuator></mujoco>"""


def observe_point(constants, sim, observation):
    observation[0] = sim.qpos[0]
    observation[1] = sim.qvel[0]


def reward_point(constants, sim, action, before):
    return -abs(sim.qpos[0])


def point(**changes):
    settings = {
        "model": POINT,
        "observe": observe_point,
        "reward": reward_point,
        "n_obs": 2,
        "max_episode_steps": 20,
        "name": "Point-v0",
    }
    return MujocoTask(**{**settings, **changes})


# A two-link arm over a floor that it may touch: two actuators of which one has a state, contact forces, arrays among the constants.
ARM = """
<mujoco>
  <option timestep="0.005"/>
  <worldbody>
    <geom type="plane" size="2 2 0.1" pos="0 0 -0.3"/>
    <body name="upper">
      <joint name="shoulder" axis="0 1 0" damping="0.2"/>
      <geom type="capsule" fromto="0 0 0 0.3 0 0" size="0.03"/>
      <body name="lower" pos="0.3 0 0">
        <joint name="elbow" axis="0 1 0" damping="0.2"/>
        <geom type="capsule" fromto="0 0 0 0.3 0 0" size="0.03"/>
        <site name="tip" pos="0.3 0 0"/>
      </body>
    </body>
  </worldbody>
  <actuator>
    <motor joint="shoulder" ctrllimited="true" ctrlrange="-3 3"/>
    <general joint="elbow" ctrllimited="true" ctrlrange="-1 2" dyntype="filter" dynprm="0.05" gainprm="1.5"/>
  </actuator>
</mujoco>
"""


class Arm(NamedTuple):
    target: np.ndarray  # (3,), m
    costs: np.ndarray  # (2,), one per actuator
    tip: int
    limits: tuple[float, float]  # rad
    is_fast: bool = True


@numba.njit
def squared_distance(a, b):
    total = 0.0
    for k in range(3):
        total += (a[k] - b[k]) * (a[k] - b[k])
    return total


def observe_arm(arm, sim, observation):
    for k in range(2):
        observation[k] = math.sin(sim.qpos[k])
        observation[2 + k] = math.cos(sim.qpos[k])
    observation[4:6] = sim.qvel
    observation[6] = sim.act[0]
    observation[7] = sim.cfrc_ext[2, 5]  # N, upwards


def reward_arm(arm, sim, action, before):
    cost = 0.1 * action[0] * arm.costs[0] + 0.1 * (action[1] * action[1]) * arm.costs[1]  # other bits if actions were float32
    speed = (sim.qpos[0] - before[0]) / 0.01
    bonus = 0.01 * speed if arm.is_fast else 0.0
    return bonus - cost - math.sqrt(squared_distance(sim.site_xpos[arm.tip], arm.target))


def terminated_arm(arm, sim):
    low, high = arm.limits
    return not low < sim.qpos[1] < high


@functools.cache
def example():
    spec = importlib.util.spec_from_file_location("own_mujoco_task", ROOT / "examples" / "own_mujoco_task.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.task


@functools.cache
def arm():
    model = mujoco.MjModel.from_xml_string(ARM)
    constants = Arm(np.array([0.4, 0.0, 0.2], np.float32), np.array([1, 2]), model.site("tip").id, (-2.5, 2.5))
    return MujocoTask(
        model,
        observe_arm,
        numba.njit(reward_arm),
        terminated_arm,
        n_obs=8,
        constants=constants,
        frame_skip=2,
        max_episode_steps=150,
        reset_noise_scale=0.3,
        contact_forces=True,
        name="TwoLinkArm-v0",
    )


@functools.cache
def plain():
    """No constants, and nothing but the time limit ends an episode."""
    return point(reset_noise_scale=0.5)


TASKS = {"example": example, "arm": arm, "plain": plain}


@pytest.fixture(params=TASKS)
def task(request):
    return TASKS[request.param]()


def policies(task, n, scale=2.0, seed=0):
    """(weights with bias (n, n_weights), seeds)."""
    rng = np.random.default_rng(seed)
    n_act = task.action_space.shape[0]
    weights = np.concatenate([scale * rng.standard_normal((n, n_act * task.n_obs)), np.zeros((n, n_act))], axis=1)
    return weights, rng.integers(0, 2**63, n).astype(np.uint64)


def replay(task, weights, seed, max_steps=10**9):
    """An episode in plain Gymnasium: (return, length, terminated, observations acted on)."""
    n_act, n_obs = task.action_space.shape[0], task.n_obs
    env = task.make()
    observation, _ = env.reset(seed=int(seed))
    total, observations, ended, terminated = 0.0, [], False, False
    while not ended and len(observations) < max_steps:
        observations.append(observation)
        scores = np.zeros(n_act)
        for j in range(n_obs):
            scores += weights[: n_act * n_obs].reshape(n_act, n_obs)[:, j] * observation[j]
        action = np.clip(scores.astype(np.float32), task.action_space.low, task.action_space.high)
        observation, reward, terminated, truncated, _ = env.step(action)
        total += reward
        ended = terminated or truncated
    return total, len(observations), terminated, np.array(observations)


# --- Compiled and plain


def test_twenty_episodes_are_those_of_plain_gymnasium_bit_for_bit(task):
    weights, seeds = policies(task, 20)
    sampler = make_sampler(compiled_env(task), LinearPolicy(True))
    rollouts = sampler.evaluate(weights, identity_filter(task.n_obs), seeds, True)
    theirs = [replay(task, row, seed) for row, seed in zip(weights, seeds, strict=True)]
    assert rollouts.returns.tolist() == [total for total, *_ in theirs]
    assert rollouts.lengths.tolist() == [length for _, length, *_ in theirs]
    assert rollouts.status.tolist() == [TERMINATED if terminated else TRUNCATED for *_, terminated, _ in theirs]
    assert len(set(rollouts.returns)) == 20
    means = np.array([observations.mean(axis=0) for *_, observations in theirs])
    np.testing.assert_allclose(rollouts.moments.mean, means, rtol=1e-9, atol=1e-12)


def test_tasks_of_the_tests_end_in_both_ways_and_touch_the_ground():
    weights, seeds = policies(arm(), 60)
    sampler = make_sampler(compiled_env(arm()), LinearPolicy(True))
    rollouts = sampler.evaluate(weights, identity_filter(8), seeds, True)
    assert {TERMINATED, TRUNCATED} == set(rollouts.status)
    assert np.count_nonzero(rollouts.moments.mean[:, 6]) == 60  # the actuator's state
    assert 0 < np.count_nonzero(rollouts.moments.mean[:, 7]) < 60  # the force on the lower link


def test_first_observation_is_that_of_reset_bit_for_bit(task):
    weights, seeds = policies(task, 20)
    env = compiled_env(task)._replace(max_steps=1)
    rollouts = make_sampler(env, LinearPolicy(True)).evaluate(weights, identity_filter(task.n_obs), seeds, True)
    plain_env = task.make()
    assert rollouts.moments.mean.tolist() == [plain_env.reset(seed=int(seed))[0].tolist() for seed in seeds]


def test_reset_draws_as_gymnasiums_environments_do():
    """HopperEnv's reset: positions, then velocities, from the environment's generator."""
    observation, _ = plain().make().reset(seed=5)
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence(5)))
    assert observation.tolist() == [*(rng.uniform(-0.5, 0.5, 1)), *rng.uniform(-0.5, 0.5, 1)]


def test_numpy_backend_is_the_twin(task):
    models = [
        ARS("LinearPolicy", task, n_delta=4, variant="V2", seed=3, backend=backend, n_threads=2) for backend in ("numba", "numpy")
    ]
    for model in models:
        model.learn(1)
        model.learn(1, reset_num_timesteps=False)
    assert models[0].num_timesteps == models[1].num_timesteps
    np.testing.assert_allclose(models[0].theta, models[1].theta, rtol=1e-9)
    weights, seeds = policies(task, 4)
    ours, theirs = (model.sampler.evaluate(weights, identity_filter(task.n_obs), seeds, False) for model in models)
    for mine, other in zip(ours[:3], theirs[:3], strict=True):
        assert mine.tolist() == other.tolist()


def test_training_episodes_can_be_replayed_from_their_seeds(task):
    model = ARS("LinearPolicy", task, n_delta=4, seed=2)
    seen = {}
    evaluate = model.sampler.evaluate

    def watch(weights, filter, seeds, *args):
        rollouts = evaluate(weights, filter, seeds, *args)
        seen.update(weights=weights, seeds=seeds, returns=rollouts.returns)
        return rollouts

    model.sampler.evaluate = watch
    model.learn(1)
    replays = [replay(task, row, seed)[0] for row, seed in zip(seen["weights"], seen["seeds"], strict=True)]
    assert seen["returns"].tolist() == replays


def test_trained_policy_has_the_same_returns_in_both(task):
    model = ARS("LinearPolicy", task, n_delta=4, variant="V2", seed=1).learn(3000)
    ours = model.evaluate(5, seed=10)
    for env in (task, task.make()):
        returns, lengths = evaluate_policy(model, env, 5, return_episode_rewards=True, seed=10)
        assert returns == ours.returns.tolist()
        assert lengths == ours.lengths.tolist()


def test_theta_is_the_same_for_any_number_of_threads(task):
    def theta(n_threads):
        model = ARS("LinearPolicy", task, n_delta=5, n_top=3, variant="V2-t", seed=4, n_threads=n_threads)
        model.learn(1)
        model.learn(1000, reset_num_timesteps=False)
        return hashlib.sha256(model.theta.tobytes() + model.policy.filter.scale.tobytes()).hexdigest()

    assert len({theta(n_threads) for n_threads in (1, 2, 3)}) == 1


def test_example_is_learnt():
    model = ARS("LinearPolicy", example(), n_delta=8, delta_std=0.5, learning_rate=0.1, seed=0)
    assert model.evaluate(20).returns.mean() < 100
    assert model.learn(100_000).evaluate(20).returns.mean() > 480


def test_tasks_with_the_same_functions_do_not_disturb_each_other():
    heavy = point(model=POINT.replace('mass="1"', 'mass="20"'), name="Heavy-v0", reset_noise_scale=0.5, max_episode_steps=30)
    weights, seeds = policies(heavy, 5)
    first = evaluate_candidates(plain(), weights[:, :2], seeds)
    theirs = evaluate_candidates(heavy, weights[:, :2], seeds)
    again = evaluate_candidates(plain(), weights[:, :2], seeds)
    assert first.returns.tolist() == again.returns.tolist()
    assert theirs.returns.tolist() == [replay(heavy, row, seed)[0] for row, seed in zip(weights, seeds, strict=True)]
    assert (first.lengths == 20).all()
    assert (theirs.lengths == 30).all()
    assert type(compiled_env(heavy).constants) is not type(compiled_env(plain()).constants)


def test_kernels_of_a_task_are_not_cached(monkeypatch):
    """Their code comes from outside the package: a file in the cache would not show when it changes."""
    written = []
    monkeypatch.setattr(kernel_cache, "_write_atomically", lambda path, content: written.append(path.name))
    evaluate_candidates(point(), np.zeros((1, 2)), [0])
    assert not [name for name in written if re.search("roll_out|run_episode", name)]
    evaluate_candidates("InvertedPendulum-v5", np.zeros((1, 4)), [0])
    if not [name for name in written if re.search("roll_out", name)]:  # unless it was there
        assert list(Path(kernel_cache.cache_directory()).glob("*roll_out_simulated*"))


gain = 2.0


def test_globals_are_read_when_the_task_is_made(monkeypatch):
    def reward(constants, sim, action, before):
        return gain

    task = point(reward=reward)
    monkeypatch.setitem(globals(), "gain", 5.0)
    assert evaluate_candidates(task, np.zeros((1, 2)), [0]).returns.tolist() == [40.0]


# --- As an environment


def test_environment_is_one_of_gymnasiums(task):
    env = task.make()
    assert env.spec.id == task.name
    assert env.spec.max_episode_steps == task.max_episode_steps
    assert isinstance(env, gymnasium.wrappers.TimeLimit)
    assert env.observation_space == gymnasium.spaces.Box(-np.inf, np.inf, (task.n_obs,), np.float64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # advice about ranges
        check_env(env.unwrapped, skip_render_check=True)


def test_action_space_is_the_range_of_the_controls():
    assert arm().action_space == gymnasium.spaces.Box(np.array([-3, -1], np.float32), np.array([3, 2], np.float32))
    with pytest.raises(ValueError, match=r"action must have shape \(2,\), got \(\)"):
        arm().make().unwrapped.step_sim(0.5)


def test_names_of_the_simulation_are_mujocos(task):
    env = task.make().unwrapped
    for name in set(Simulation._fields) - {"model", "data", "frame", "fault", "bad"}:
        assert getattr(env.sim, name).shape == getattr(env.data, name).shape
        assert np.shares_memory(getattr(env.sim, name), getattr(env.data, name)) or getattr(env.sim, name).size == 0


@pytest.mark.parametrize("form", ["path", "text of a path", "text", "model"])
def test_model_is_given_in_any_form(form, tmp_path):
    path = tmp_path / "point.xml"
    path.write_text(POINT)
    model = {"path": path, "text of a path": str(path), "text": "\n " + POINT, "model": mujoco.MjModel.from_xml_string(POINT)}[form]
    task = point(model=model, reset_noise_scale=0.5)
    env = task.make()
    env.reset(seed=1)
    assert env.step(np.ones(1, np.float32))[0].tolist() == replay(plain(), np.array([1e9, 0, 0]), 1)[3][1].tolist()
    assert repr(task) == f"MujocoTask({task.source!r}, n_obs=2, n_act=1, name='Point-v0')"


def test_model_that_is_given_is_copied():
    model = mujoco.MjModel.from_xml_string(POINT)
    task = point(model=model)
    model.opt.timestep = 1.0
    assert task.dt == 0.01
    assert task.make().unwrapped.model.opt.timestep == 0.01


def test_made_environment_can_be_trained_on_and_its_time_limit_counts():
    compiled = compiled_env(plain().make(max_episode_steps=7))
    assert compiled._replace(max_steps=20) == plain().compiled
    assert evaluate_candidates(plain().make(max_episode_steps=7), np.zeros((1, 2)), [0]).lengths.tolist() == [7]
    with pytest.raises(UnsupportedEnvError, match="'Point-v0' has no time limit"):
        compiled_env(plain().make(max_episode_steps=-1))


def test_changed_environment_is_refused():
    env = plain().make()
    env.unwrapped.model.opt.gravity[2] = 0.0
    with pytest.raises(UnsupportedEnvError, match="'Point-v0' was changed: its MuJoCo model"):
        compiled_env(env)
    with pytest.raises(UnsupportedEnvError, match="wrapper ClipAction"):
        compiled_env(gymnasium.wrappers.ClipAction(plain().make()))


def test_anything_else_is_no_environment():
    for call in (compiled_env, lambda env: evaluate_policy(None, env)):
        with pytest.raises(TypeError, match=r"must be an environment id, a gymnasium\.Env.* MujocoTask.*, not int: 3"):
            call(3)


RENDER = """
import mujoco, sys
try:
    context = mujoco.GLContext(64, 64)
    context.make_current()
    context.free()
    from gymnasium.envs.mujoco.mujoco_rendering import MujocoRenderer
except Exception as error:
    sys.exit(f"no rendering: {error}")
from test_mujoco_task import arm, plain
env = arm().make(render_mode="rgb_array")  # the camera would follow the body of `plain`, which is alone in its world
env.reset(seed=0)
first = env.render()
for _ in range(15):
    env.step([1.0, 1.0])
assert first.shape == (480, 480, 3) and (first != env.render()).any(), first.shape
env.close()
env = plain().make(render_mode="rgb_array")
print(env.metadata["render_fps"])
"""


def test_environment_is_rendered():
    environment = {**os.environ, "MUJOCO_GL": os.environ.get("MUJOCO_GL", "egl")}
    done = subprocess.run(
        [sys.executable, "-c", RENDER], cwd=ROOT / "tests", env=environment, capture_output=True, text=True, check=False
    )
    if done.stderr.startswith("no rendering"):
        pytest.skip(done.stderr)
    assert done.stdout == "100\n", done.stderr


# --- Files


def test_saved_model_needs_its_task_to_be_loaded(tmp_path):
    path = tmp_path / "arm.zip"
    model = ARS("LinearPolicy", arm(), n_delta=4, variant="V2", seed=6).learn(1000)
    model.save(path)
    assert (model.env_id, model.env_kwargs) == ("TwoLinkArm-v0", {"max_episode_steps": 150})
    with pytest.raises(
        CheckpointError, match=rf"{path}: its environment 'TwoLinkArm-v0' can't be made: .*ARS\.load\(path, env=\.\.\.\)"
    ):
        ARS.load(path).evaluate(1)
    loaded = ARS.load(path, env=arm())
    for each in (model, loaded):
        each.learn(1000, reset_num_timesteps=False)
    assert loaded.theta.tobytes() == model.theta.tobytes()
    assert loaded.evaluate(3).returns.tolist() == model.evaluate(3).returns.tolist()
    with pytest.raises(CheckpointError, match="observations of 8 numbers; an observation of Point-v0 has 2"):
        ARS.load(path, env=plain())


# --- Bad numbers


def reward_nan(constants, sim, action, before):
    zero = sim.qpos[0] * 0.0
    return zero / zero


def reward_nan_on_the_right(constants, sim, action, before):
    return math.nan if before[0] > 0.01 else 1.0


def observe_partly(constants, sim, observation):
    observation[0] = sim.qpos[0]
    if sim.qpos[0] < 0.02:
        observation[1] = sim.qvel[0]


@pytest.mark.promise(7)
def test_reward_that_is_nan_ends_the_episode_and_drops_the_pair():
    task = point(reward=reward_nan)
    rollouts = evaluate_candidates(task, np.zeros((3, 2)), [0, 1, 2])
    assert (rollouts.status == NONFINITE).all()
    assert np.isnan(rollouts.returns).all()
    assert (rollouts.lengths == 1).all()
    model = ARS("LinearPolicy", task, n_delta=3, seed=0).learn(1)
    assert model.dropped_pairs == 3
    assert model.record["health/nonfinite_returns"] == 3
    assert not model.theta.any()
    with pytest.raises(fastars.NonFiniteReturnsError, match="3 of 3 pairs"):
        ARS("LinearPolicy", task, n_delta=3, seed=0, on_nonfinite="raise").learn(1)
    with pytest.raises(fastars.NonFiniteReturnsError, match="for 10 iterations"):
        model.learn(1000)


@pytest.mark.promise(7)
@pytest.mark.parametrize(
    "change", [{"reward": reward_nan_on_the_right}, {"observe": observe_partly}], ids=["reward", "observation"]
)
def test_some_nan_are_counted_alike_by_kernels_and_twin(change):
    """An entry of the observation that is not written is NaN, whatever the last episode left there."""
    task = point(**change, reset_noise_scale=0.02)
    models = [ARS("LinearPolicy", task, n_delta=8, seed=1, backend=backend) for backend in ("numba", "numpy")]
    weights, seeds = policies(task, 30)
    ours, theirs = (model.sampler.evaluate(weights, identity_filter(2), seeds, False) for model in models)
    for mine, other in zip(ours[:3], theirs[:3], strict=True):
        np.testing.assert_array_equal(mine, other)
    assert {NONFINITE, TRUNCATED} == set(ours.status)
    assert np.array_equal(np.isnan(ours.returns), ours.status == NONFINITE)
    for model in models:
        model.learn(1)
    assert 0 < models[0].dropped_pairs == models[1].dropped_pairs < 8
    with pytest.raises(fastars.NonFiniteReturnsError, match="had a NaN or infinite return; theta is unchanged"):
        ARS("LinearPolicy", task, n_delta=8, seed=1, on_nonfinite="raise").learn(1)


def observe_badly(constants, sim, observation):
    observation[0] = x = sim.qpos[0]
    observation[1] = math.nan if x > 0.018 else -1e300 if x > 0.015 else 1.0


@pytest.mark.promise(8)
def test_bad_observations_are_not_in_the_filter(tally):
    """In the kernels, in the twin and in Python: a NaN ends its episode, the filter learns nothing of one with 1e300 in it."""
    task, n, found = point(observe=observe_badly, reset_noise_scale=0.02), tally.of(fast=3, full=50), []
    for env, way in ((task, {}), (task, {"backend": "numpy"}), (task.make(), {"compiled": False})):
        model = ARS("LinearPolicy", env, n_delta=8, seed=1, variant="V2", **way)
        for _ in range(n):
            model.learn(1, reset_num_timesteps=False)
        count, mean, m2 = model.state.moments
        assert 0 < count < model.num_timesteps < 16 * 20 * n
        assert (mean[1], m2[1]) == (1.0, 0.0)
        assert 0 < model.dropped_pairs < 8 * n
        assert all(np.isfinite(part).all() for part in (m2, *model.policy.filter[:2], model.theta))
        found.append((count, model.num_timesteps, model.dropped_pairs))
    assert found[0] == found[1] == found[2]
    tally("pairs dropped in MuJoCo where an observation was NaN", 3 * found[0][2], of=3 * found[1][2])
    tally("steps in MuJoCo kept out of the filter where one was 1e300", 3 * (found[0][1] - found[0][0]))


@pytest.mark.promise(8)
def test_unstable_physics_end_the_episode_in_both(tmp_path, monkeypatch, capfd):
    """In the kernels it has a status of its own; in Gymnasium its reward is NaN and MuJoCo's words are in `info`."""
    monkeypatch.chdir(tmp_path)
    task = point(model=POINT.replace('gear="5"', 'gear="1e13"'))
    weights, seeds = policies(task, 6)
    ours, theirs = (
        ARS("LinearPolicy", task, backend=backend).sampler.evaluate(weights, identity_filter(2), seeds, False)
        for backend in ("numba", "numpy")
    )
    assert (ours.status == UNSTABLE).all()
    assert (theirs.status == NONFINITE).all()
    assert ours.lengths.tolist() == theirs.lengths.tolist()
    assert np.isnan([ours.returns, theirs.returns]).all()
    env = task.make()
    env.reset(seed=0)
    _, reward, terminated, truncated, info = env.step(np.ones(1))
    assert math.isnan(reward)
    assert (terminated, truncated) == (True, False)
    assert "QACC" in info["warnings"][0]
    model = ARS("LinearPolicy", task, n_delta=2, zero_policy=False, seed=0).learn(1)
    assert (model.unstable_episodes, model.dropped_pairs) == (4, 2)
    assert capfd.readouterr() == ("", "")
    assert list(tmp_path.iterdir()) == []  # no MUJOCO_LOG.TXT


def cramped():
    """A task with a box that falls, whose memory is too small for its contacts with the ground: a fatal error in MuJoCo."""
    for memory in ("1K", "6K", "8K"):
        xml = f"""<mujoco><size memory="{memory}"/><worldbody><geom type="plane" size="1 1 1"/><body pos="0 0 0.3"><freejoint/>
        <geom type="box" size="0.1 0.1 0.1"/></body><body pos="5 5 5"><joint name="x" type="slide"/><geom size="0.01"/></body>
        </worldbody><actuator><motor joint="x" ctrlrange="-1 1"/></actuator></mujoco>"""
        task = point(model=xml, max_episode_steps=1000, reset_noise_scale=0.0, name="Box-v0")
        env = task.make().unwrapped
        env.reset(seed=0)
        try:
            for steps in range(1, 1000):  # noqa: B007
                env.step(np.zeros(1))
        except SimulationError as error:
            return task, steps, str(error)
    pytest.fail("no size of memory is too small")


def test_fatal_error_in_mujoco_is_told_by_the_name_of_the_task():
    task, steps, text = cramped()
    assert text.startswith("MuJoCo failed in Box-v0: ")
    with pytest.raises(SimulationError, match=rf"MuJoCo failed in Box-v0, in step {steps} of the episode with seed 3: ") as raised:
        evaluate_candidates(task, np.zeros((1, 2)), [3])
    assert str(raised.value).rpartition(": ")[2].split("\n")[0] in text


def test_index_beyond_an_array_is_an_error_in_the_kernel(recwarn):
    def observe(constants, sim, observation):
        observation[0] = sim.qpos[0]
        observation[1 if sim.qpos[0] < 0.02 else 2] = 0.0  # which is not reached when the task is tried

    task = point(observe=observe, reset_noise_scale=0.05)
    model = ARS("LinearPolicy", task, n_delta=8, zero_policy=False, seed=0)
    theta = model.theta.copy()
    with pytest.raises(IndexError, match="index is out of bounds"):
        model.learn(1)
    assert model.iteration == 0
    assert (model.theta == theta).all()
    good = point()
    assert evaluate_candidates(good, np.zeros((2, 2)), [0, 1]).lengths.tolist() == [20, 20]
    assert len(recwarn) == 0


# --- What is refused when a task is made


def nothing(constants, sim, observation):
    pass


def one_entry(constants, sim, observation):
    observation[0] = 1.0


def first_entry_nan(constants, sim, observation):
    observation[0] = math.nan
    observation[1] = 0.0


def beyond(constants, sim, observation):
    observation[0] = observation[1] = observation[2] = 0.0


def beyond_qpos(constants, sim, action, before):
    return sim.qpos[1]


def wrong_size(constants, sim, observation):
    observation[:] = np.zeros(3)


def gives_array(constants, sim, observation):
    observation[:] = 0.0
    return observation


def writes_to_constants(constants, sim, observation):
    constants[0][0] = 1.0


def two(constants, sim):
    return 0.0


def gives(value):
    return lambda constants, sim, *more: value


PLAIN = "must be a plain function"
WRONG = {
    "observe is no function": ({"observe": 3}, TypeError, rf"observe {PLAIN} observe\(constants, sim, observation\), got 3"),
    "observe is None": ({"observe": None}, TypeError, rf"observe {PLAIN} .*, got None"),
    "observe is built in": ({"observe": print}, TypeError, rf"observe {PLAIN} .*, got <built-in function print>"),
    "observe is a partial": ({"observe": functools.partial(observe_point)}, TypeError, f"observe {PLAIN}"),
    "reward is no function": ({"reward": "x"}, TypeError, rf"reward {PLAIN} reward\(constants, sim, action, before\), got 'x'"),
    "terminated is no function": ({"terminated": True}, TypeError, rf"terminated {PLAIN} terminated\(constants, sim\), got True"),
    "observe with 2": (
        {"observe": two},
        TypeError,
        r"observe must take the parameters of observe\(constants, sim, observation\), got observe\(constants, sim\)",
    ),
    "reward with 2": ({"reward": two}, TypeError, r"reward must take the parameters of .*, got reward\(constants, sim\)"),
    "terminated with 3": (
        {"terminated": nothing},
        TypeError,
        r"terminated must take .* got terminated\(constants, sim, observation\)",
    ),
    "n_obs": ({"n_obs": 0}, ValueError, "n_obs must be an integer of at least 1, got 0"),
    "n_obs a float": ({"n_obs": 2.5}, ValueError, "n_obs must be an integer of at least 1, got 2.5"),
    "n_obs a bool": ({"n_obs": True}, TypeError, "n_obs must be an integer of at least 1, got True"),
    "frame_skip": ({"frame_skip": -1}, ValueError, r"frame_skip must be an integer from 1 to 2\*\*31 - 1, got -1"),
    "max_episode_steps": ({"max_episode_steps": 0}, ValueError, "max_episode_steps must be an integer of at least 1, got 0"),
    "noise": ({"reset_noise_scale": -0.1}, ValueError, r"reset_noise_scale must be a finite number of at least 0, got -0\.1"),
    "noise NaN": ({"reset_noise_scale": math.nan}, ValueError, "reset_noise_scale must be a finite number of at least 0, got nan"),
    "noise a text": (
        {"reset_noise_scale": "0.1"},
        TypeError,
        r"MujocoTask\(\): reset_noise_scale must be a finite number of at least 0, got '0.1'",
    ),
    "contact_forces": ({"contact_forces": 2}, TypeError, "contact_forces must be True or False, got 2"),
    "constants a dict": ({"constants": {"a": 1}}, TypeError, r"constants must be a NamedTuple or a tuple, got \{'a': 1\}"),
    "constants with a list": ({"constants": (1, [2.0])}, TypeError, r"constants\.1 must be a number, .* got \[2\.0\]"),
    "constants with a text": (
        {"constants": Arm("x", 0, 0, (0.0, 0.0))},
        TypeError,
        r"constants\.target must be a number, .* got 'x'",
    ),
    "constants too large": (
        {"constants": (2**63,)},
        ValueError,
        r"constants\.0 must be an integer of 64 bits, got 9223372036854775808",
    ),
    "name taken": ({"name": "Hopper-v5"}, ValueError, "name must be one that no registered environment has, got 'Hopper-v5'"),
    "name malformed": ({"name": "my task"}, ValueError, "name must be an id such as 'MyTask-v0', got 'my task'"),
    "name no text": ({"name": 3}, ValueError, "name must be an id such as 'MyTask-v0', got 3"),
    "model no model": ({"model": 3}, TypeError, "model must be the path of an MJCF file, its XML text or an mujoco.MjModel, got 3"),
    "model no file": (
        {"model": "no/such.xml"},
        FileNotFoundError,
        r"model must be the path of an MJCF file, or XML text that starts with '<'; no file 'no/such\.xml'",
    ),
    "model bad text": (
        {"model": "<mujoco><bod/></mujoco>"},
        ValueError,
        r"model must be MJCF that MuJoCo can compile; of the XML text it says: .*Schema violation",
    ),
    "model no XML": ({"model": "<mujoco"}, ValueError, "model must be MJCF that MuJoCo can compile; of the XML text it says: "),
    "no actuator": (
        {"model": re.sub("<actuator>.*</actuator>", "", POINT)},
        ValueError,
        "model must have an actuator, the XML text has none",
    ),
    "no control range": (
        {"model": POINT.replace('ctrllimited="true" ctrlrange="-1 1"', "")},
        ValueError,
        r"""actuator 'push' of the XML text has the range \[0, 0\]\. Give it ctrllimited="true" and ctrlrange=""",
    ),
    "an actuator without a name": (
        {"model": POINT.replace('name="push"', "").replace('ctrllimited="true" ctrlrange="-1 1"', "")},
        ValueError,
        r"model must limit its controls: actuator 0 of",
    ),
    "nothing observed": ({"observe": nothing}, ValueError, "all of the n_obs=2 entries: not written, or NaN, are 0, 1"),
    "one entry not observed": ({"observe": one_entry}, ValueError, "observe must write all of .* not written, or NaN, are 1"),
    "NaN observed": ({"observe": first_entry_nan}, ValueError, "observe must write all of .* not written, or NaN, are 0$"),
    "observe beyond": (
        {"observe": beyond},
        IndexError,
        r"observe goes beyond an array: index 2 is out of bounds .* \(n_obs=2, nq=1",
    ),
    "reward beyond": (
        {"reward": beyond_qpos},
        IndexError,
        r"reward goes beyond an array: index 1 is out of bounds .* \(n_obs=2, nq=1",
    ),
    "observe of a wrong size": (
        {"observe": wrong_size},
        ValueError,
        "observe failed when it was tried: ValueError: could not broadcast",
    ),
    "observe gives an array": (
        {"observe": gives_array},
        TypeError,
        "observe must write into its third argument and give nothing, got ndarray: array",
    ),
    "constants written to": (
        {"observe": writes_to_constants, "constants": (np.zeros(2),)},
        ValueError,
        "observe failed when it was tried: ValueError: assignment destination is read-only",
    ),
    "reward an array": ({"reward": gives(np.ones(1))}, TypeError, r"reward must give a number, got ndarray: array\(\[1\.\]\)"),
    "reward a text": ({"reward": gives("1")}, TypeError, "reward must give a number, got str: '1'"),
    "reward nothing": ({"reward": gives(None)}, TypeError, "reward must give a number, got NoneType: None"),
    "reward complex": ({"reward": gives(1j)}, TypeError, "reward must give a number, got complex: 1j"),
    "terminated a number": ({"terminated": gives(0)}, TypeError, "terminated must give a bool, got int: 0"),
    "terminated an array": ({"terminated": gives(np.array([True]))}, TypeError, "terminated must give a bool, got ndarray: array"),
}


@pytest.mark.parametrize(("change", "kind", "text"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_said_when_the_task_is_made(change, kind, text, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(kind, match=text) as raised:
        point(**change)
    assert type(raised.value) is kind
    assert capfd.readouterr() == ("", "")
    assert list(tmp_path.iterdir()) == []


def test_broken_file_is_named(tmp_path):
    path = tmp_path / "broken.xml"
    path.write_text("<mujoco><worldbody><body><joint/></body></worldbody></mujoco>")
    with pytest.raises(ValueError, match=rf"of {path} it says: .*mass"):
        point(model=path)


def open_file(constants, sim, observation):
    observation[:] = 0.0
    with open(os.devnull):
        pass


def reward_by_dict(constants, sim, action, before):
    return {"a": 1.0, 2: 3.0}["a"]


def terminated_by_helper(constants, sim):
    return not_compiled(sim.qpos[0])


def not_compiled(x):
    return x > 1.0


def reward_sometimes(constants, sim, action, before):
    if sim.qpos[0] < 1.0:
        return 1.0


def terminated_sometimes(constants, sim):
    if sim.qpos[0] < 1.0:
        return False


def reward_sometimes_text(constants, sim, action, before):
    return 1.0 if sim.qpos[0] < 1.0 else "far"


@pytest.mark.parametrize(
    ("change", "kind", "text"),
    [
        (
            {"observe": open_file},
            UnsupportedEnvError,
            r"(?s)^MujocoTask\(\): observe must be a function that Numba can compile\. Numba says: .*with",
        ),
        (
            {"reward": reward_by_dict},
            UnsupportedEnvError,
            r"(?s)^MujocoTask\(\): reward must be a function that Numba can compile\. Numba says: .*",
        ),
        (
            {"terminated": terminated_by_helper},
            UnsupportedEnvError,
            r"(?s)^MujocoTask\(\): terminated must .*Numba says: .*not_compiled",
        ),
        ({"reward": reward_sometimes}, TypeError, "reward must give a number wherever it returns; Numba finds the type "),
        ({"terminated": terminated_sometimes}, TypeError, "terminated must give a bool wherever it returns; Numba finds the type "),
        ({"reward": reward_sometimes_text}, UnsupportedEnvError, r"(?s)^MujocoTask\(\): reward must be .*Numba says: .*unify"),
    ],
)
def test_what_numba_cannot_compile_is_said_by_name(change, kind, text):
    with pytest.raises(kind, match=text) as raised:
        point(**change)
    assert "\x1b" not in str(raised.value)


@pytest.mark.parametrize("value", [1, np.float32(0.5), np.bool_(True)], ids=repr)
def test_reward_is_any_number(value):
    task = point(reward=gives(value))
    total = 20.0 * float(value)
    assert evaluate_candidates(task, np.zeros((1, 2)), [0]).returns.tolist() == [total]
    assert replay(task, np.zeros(3), 0)[0] == total


def test_constants_are_copied_and_computed_with_in_64_bits():
    mine, doubles = np.array([0.1, 0.2], np.float32), np.array([1.0])
    assert point(constants=(doubles,)).constants[0] is not doubles
    task = point(constants=Arm(mine, np.array([[1, 2], [3, 4]], np.uint8)[:, ::-1], np.int32(3), (np.float32(0.5), 2)))
    mine[:] = 7.0
    constants = task.constants
    assert type(constants) is Arm
    assert (constants.target.dtype, constants.costs.dtype) == (np.float64, np.int64)
    assert constants.target.tolist() == [float(np.float32(0.1)), float(np.float32(0.2))]
    assert constants.costs.tolist() == [[2, 1], [4, 3]]
    assert not constants.target.flags.writeable
    assert doubles.flags.writeable
    assert [type(value) for value in (constants.tip, *constants.limits)] == [int, float, int]


def test_words_of_mujoco_about_the_model_are_python_warnings(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "deprecated.xml"
    path.write_text(POINT.replace("<mujoco>", '<mujoco><compiler settotalmass="2"/>'))
    if tuple(map(int, mujoco.__version__.split(".")[:1])) < (4,):
        pytest.skip(f"mujoco {mujoco.__version__} has nothing to say about settotalmass")
    with pytest.warns(UserWarning, match=rf"MuJoCo on {path}: .*settotalmass.* is deprecated") as warned:
        task = point(model=path)
    assert warned[0].filename == __file__
    evaluate_candidates(task, np.zeros((1, 2)), [0])
    evaluate_candidates(task.make(), np.zeros((1, 2)), [0])
    assert capfd.readouterr() == ("", "")
    assert [path.name for path in tmp_path.iterdir()] == ["deprecated.xml"]


def test_nothing_is_left_in_the_folder_by_training(tmp_path):
    program = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from test_mujoco_task import ARS, evaluate_policy, point, POINT\n"
        "task = point(model=POINT.replace('gear=\"5\"', 'gear=\"1e13\"'))\n"
        "for backend in ('numba', 'numpy'):\n"
        "    model = ARS('LinearPolicy', task, n_delta=1, seed=0, zero_policy=False, backend=backend).learn(1)\n"
        "    evaluate_policy(model, task, 1)\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program, str(ROOT / "tests")], cwd=tmp_path, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert list(tmp_path.iterdir()) == []


def test_without_mujoco_the_name_is_there_and_says_what_to_install(tmp_path):
    program = (
        "import sys; sys.modules['mujoco'] = None\n"
        "from fastars import MujocoTask, UnsupportedEnvError, evaluate_candidates\n"
        "evaluate_candidates('CartPole-v1', [[0.0] * 8], [0])\n"
        "def f(constants, sim, *more): pass\n"
        "try:\n"
        "    MujocoTask('<mujoco/>', f, f, n_obs=1)\n"
        "except UnsupportedEnvError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert 'need the mujoco package: pip install "gymnasium[mujoco]"' in done.stdout, done.stderr


def test_example_of_the_docstring_learns():
    code = re.findall(r"^    (?:>>>|\.\.\.) ?(.*)", task_module.MujocoTask.__doc__, re.MULTILINE)
    scope = {}
    exec("\n".join(code), scope)
    assert -35 < scope["model"].evaluate(10).returns.mean() < 0
