"""Copies by `copy.copy`, `copy.deepcopy` and `pickle` are independent of what they were copied from, or refused.

Broken on purpose, one at a time: without `ARS.__copy__` -> "model, normalised", "load_from_vector", "weights in place", "record"
and "log" red by copy.copy; it shares the state, the policy, the record or the log -> some of these red; `ARS.__setstate__` left
out -> the same rows of models red by the two others; no refusal of models in a VecNormalize -> test_a_model_in_a_vec_normalize
red; without `TaskEnv.__setstate__` or `__copy__` -> test_a_copy_of_a_task_steps_its_own_simulation red; without `__copy__` of
callbacks, configs, algorithms, vector environments, logs and `TrainingEnv` -> their rows by copy.copy red; without `__getstate__`
of callbacks -> "callback", "list of callbacks" and test_a_callback_that_was_copied red; without `NoiseTable.__reduce__` -> models
red by the two others, and test_samplers_and_noise. The policy shares its values -> "policy in place" red; `Policy.__getstate__`
or `GymSampler.__getstate__` left out -> "policy", "model in Python" red; weights or sums of a method changed in place ->
"GradNorm", "FAMO", "DynamicWeightAverage" red; without `SimulatedSampler.__getstate__`
-> test_a_copy_of_a_model_in_mujoco_runs_its_own_simulations red by deepcopy and pickle; a copy that is the model itself -> all
rows of models and "ask" red.
"""

import copy
import pickle

import cloudpickle
import gymnasium
import numpy as np
import pytest

import fastars
from fastars import ARS, weighting
from fastars.callbacks import BaseCallback, CallbackList, CheckpointCallback, EvalCallback
from fastars.envs import compiled_env
from fastars.envs.vector import CompiledVectorEnv
from fastars.rllib import ARSConfig
from fastars.sb3.training_env import TrainingEnv

WAYS = {"copy": copy.copy, "deepcopy": copy.deepcopy, "pickle": lambda value: pickle.loads(pickle.dumps(value))}


def model(**settings):
    return ARS("LinearPolicy", "CartPole-v1", seed=0, n_delta=2, noise_size=1 << 16, n_threads=1, **settings).learn(200)


def in_python(env=None):
    return ARS("LinearPolicy", env or gymnasium.make("CartPole-v1"), seed=0, n_delta=1, compiled=False, noise_size=1 << 16).learn(
        50
    )


def train(one):
    one.learn(300, reset_num_timesteps=False)


def tasks():
    return ARS("LinearPolicy", "mo-mountaincar-v0", seed=0, n_delta=1, weighting="gradnorm", noise_size=1 << 16).learn(400)


def method(name):
    made = getattr(weighting, name)(3)
    feed(made)
    return made


def feed(made):
    known = {
        "losses": np.array([1.0, 2.0, 0.5]),
        "norms": np.array([3.0, 1.0, 2.0]),
        "grads": np.array([[1.0, 2, 0], [0, 1, -1], [2, 0, 1]]),
    }
    made.step(
        **{name: known[name] * (1 + made.state_dict()["n_steps"] if "n_steps" in made.state_dict() else 1.5) for name in made.needs}
    )


def evaluated():
    callback = EvalCallback("CartPole-v1", eval_freq=100, n_eval_episodes=2, verbose=0)
    ARS("LinearPolicy", "CartPole-v1", seed=0, n_delta=2, n_threads=1, noise_size=1 << 16).learn(300, callback=callback)
    return callback


class Counting(BaseCallback):
    def __init__(self):
        super().__init__()
        self.seen = [1, 2]

    def _on_step(self):
        self.seen.append(self.num_timesteps)
        return True


def listed():
    callback = CallbackList([Counting()])
    ARS("LinearPolicy", "CartPole-v1", seed=0, n_delta=2, n_threads=1, noise_size=1 << 16).learn(300, callback=callback)
    return callback


def vectors():
    envs = CompiledVectorEnv(compiled_env("CartPole-v1"), 2)
    envs.reset(seed=0)
    return envs


def episode(envs):
    return np.concatenate([copy.deepcopy(envs).step(np.array([0, 1]))[0].ravel() for _ in range(2)])


def training_env():
    env = TrainingEnv(gymnasium.make("CartPole-v1"))
    env.seed(0)
    env.reset()
    return env


def built():
    return (
        ARSConfig()
        .environment("CartPole-v1")
        .debugging(seed=0)
        .training(num_rollouts=2, rollouts_used=1, noise_size=1 << 18)
        .build()
    )


# What is copied: a function that makes it, one that changes it, and one that looks at it.
THINGS = {
    "model": (model, train, lambda one: one.theta),
    "model, normalised": (lambda: model(normalize_observations=True), train, lambda one: one.policy.filter.mean),
    "model, adam": (
        lambda: model(optimizer="adam"),
        train,
        lambda one: np.concatenate([np.ravel(slot) for slot in one.state.slots]),
    ),
    "model of tasks": (tasks, lambda one: one.learn(800, reset_num_timesteps=False), lambda one: one.objectives.averages.returns),
    "model in Python": (in_python, lambda one: one.learn(50, reset_num_timesteps=False), lambda one: one.theta),
    "load_from_vector": (model, lambda one: one.policy.load_from_vector(one.theta + 1), lambda one: one.theta),
    "weights in place": (model, lambda one: one.policy.weights.__iadd__(1.0), lambda one: one.theta),
    "ask": (model, lambda one: one.ask(), lambda one: one._asked is None),
    "record": (model, lambda one: one.record.clear(), lambda one: len(one.record)),
    "log": (model, lambda one: one.logger.record("mine", 1.0), lambda one: sorted(one.logger.name_to_value)),
    "policy": (lambda: model().policy, lambda one: one.load_from_vector(one.weights + 1), lambda one: one.weights),
    "policy in place": (lambda: model().policy, lambda one: one.weights.__iadd__(1.0), lambda one: one.weights),
    **{
        name: (lambda name=name: method(name), feed, lambda one: repr(one.state_dict()))
        for name in ("GradNorm", "FAMO", "DynamicWeightAverage")
    },
    "callback": (evaluated, lambda one: one.evaluations_results.append([1.0]), lambda one: len(one.evaluations_results)),
    "callback of one's own": (Counting, lambda one: one.seen.append(3), lambda one: len(one.seen)),
    "list of callbacks": (listed, lambda one: one.callbacks[0].seen.append(3), lambda one: len(one.callbacks[0].seen)),
    "vector environment": (vectors, lambda one: one.step(np.array([1, 1])), episode),
    "environment of get_env": (training_env, lambda one: one.step([1]), lambda one: copy.deepcopy(one).step([1])[0]),
    "config": (
        lambda: ARSConfig().training(model={"fcnet_hiddens": [3]}),
        lambda one: one.model["fcnet_hiddens"].append(4),
        lambda one: one.model["fcnet_hiddens"],
    ),
    "algorithm": (built, lambda one: one.train(), lambda one: one.model.theta),
}


@pytest.mark.promise(25)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", THINGS)
def test_a_copy_is_equal_at_first_and_independent(name, way, tally):
    make, change, look = THINGS[name]

    def seen(value):
        return copy.deepcopy(look(value))

    for first in (True, False):
        original = make()
        copied = WAYS[way](original)
        assert np.array_equal(seen(copied), seen(original))
        changed, other = (copied, original) if first else (original, copied)
        before = seen(other)
        change(changed)
        assert np.array_equal(seen(other), before)
        assert not np.array_equal(seen(changed), before)
    tally("copies that were equal at first and independent", 1, of=1)


@pytest.mark.parametrize("way", WAYS)
def test_a_copied_model_goes_on_to_the_same_bits(way):
    original = model(normalize_observations=True)
    copied = WAYS[way](original)
    train(original)
    train(copied)
    assert np.array_equal(original.theta, copied.theta)
    assert original.policy is not copied.policy


def test_a_model_in_a_vec_normalize_is_copied_with_its_statistics_or_not_at_all():
    theirs = pytest.importorskip("stable_baselines3.common.vec_env", reason="needs fastars[compat]")
    vec_env = theirs.VecNormalize(theirs.DummyVecEnv([lambda: gymnasium.make("CartPole-v1")]))
    original = ARS("LinearPolicy", vec_env, seed=0, n_delta=2, noise_size=1 << 16).learn(200)
    with pytest.raises(TypeError, match=r"copy\.copy can't copy a model in a VecNormalize"):
        copy.copy(original)
    copied, mean = copy.deepcopy(original), vec_env.obs_rms.mean.copy()
    train(copied)
    assert np.array_equal(vec_env.obs_rms.mean, mean)
    train(original)
    assert not np.array_equal(vec_env.obs_rms.mean, mean)
    assert np.array_equal(original.theta, copied.theta)


@pytest.mark.parametrize("way", WAYS)
def test_samplers_and_noise_of_a_copy_give_the_same(way):
    original = model()
    sampler, noise = WAYS[way](original.sampler), WAYS[way](original.run.noise)
    arguments = np.ones((1, 8)), original.policy.filter, np.arange(3, dtype=np.uint64)[:1], False
    assert np.array_equal(sampler.evaluate(*arguments).returns, original.sampler.evaluate(*arguments).returns)
    values = noise.whole().copy()
    original.run.noise.whole()[:] = 0.0
    assert np.array_equal(noise.whole(), values)
    python = in_python("CartPole-v1").sampler
    assert np.array_equal(WAYS[way](python).evaluate(*arguments).returns, python.evaluate(*arguments).returns)


@pytest.mark.promise(25)
@pytest.mark.parametrize("way", WAYS)
def test_a_copy_of_a_model_in_mujoco_runs_its_own_simulations(way):
    pytest.importorskip("mujoco", reason="mujoco is not installed: pip install '.[mujoco]'")
    settings = {"max_episode_steps": 60, "normalize_observations": True, "noise_size": 1 << 16, "n_threads": 1}
    original = ARS("LinearPolicy", "InvertedPendulum-v5", seed=3, n_delta=4, **settings).learn(300)
    copied = WAYS[way](original)
    assert np.array_equal(copied.evaluate(3).returns, original.evaluate(3).returns)
    train(copied)
    train(original)
    assert np.array_equal(original.theta, copied.theta)


@pytest.mark.parametrize("way", WAYS)
def test_a_callback_that_was_copied_serves_another_training(way):
    copied = WAYS[way](evaluated())
    n = len(copied.evaluations_results)
    model().learn(300, callback=copied, reset_num_timesteps=False)
    assert len(copied.evaluations_results) > n
    assert not hasattr(WAYS[way](copied), "model")
    assert WAYS[way](CheckpointCallback(100, "nowhere")).save_freq == 100


XML = """<mujoco><worldbody><body><joint name="hinge" axis="0 1 0" damping="1"/><geom size="0.1" pos="0 0 -1" mass="1"/></body>
</worldbody><actuator><motor joint="hinge" ctrllimited="true" ctrlrange="-1 1" gear="15"/></actuator></mujoco>"""


def observe(constants, sim, observation):
    observation[0] = sim.qpos[0]


def reward(constants, sim, action, before):
    return -abs(sim.qpos[0] - 1.0)


@pytest.mark.promise(25)
@pytest.mark.parametrize("way", [copy.copy, copy.deepcopy, lambda env: pickle.loads(cloudpickle.dumps(env))])
def test_a_copy_of_a_task_steps_its_own_simulation(way):
    pytest.importorskip("mujoco", reason="mujoco is not installed: pip install '.[mujoco]'")
    task = fastars.MujocoTask(XML, observe, reward, n_obs=1, max_episode_steps=50, name="CopiedTask-v0")

    def steps(env):
        return [env.step(np.array([0.5], np.float32))[1] for _ in range(3)]

    env = task.make().unwrapped
    env.reset(seed=1)
    copied = way(env)
    expected = steps(env)
    assert steps(copied) == expected
    assert len(set(expected)) == 3
    copied.reset(seed=2)
    position = env.data.qpos.copy()
    steps(copied)
    assert np.array_equal(env.data.qpos, position)


def test_vector_environments_of_mujoco_are_refused():
    pytest.importorskip("mujoco", reason="mujoco is not installed: pip install '.[mujoco]'")
    envs = CompiledVectorEnv(compiled_env("InvertedPendulum-v5"), 2)
    for way in WAYS.values():
        with pytest.raises(TypeError, match="InvertedPendulum-v5 can't be copied or pickled"):
            way(envs)
