"""Vector environments of stable-baselines3 that can't be taken apart are driven by their own `reset` and `step`.

Broken on purpose: an error in the place of `DrivenVecEnv` (as it was) -> all red; seeds go to `VecEnv.seed` alone ->
test_the_number and test_an_episode_depends red; the `Monitor` is not asked -> test_returns_are red; an end without the Monitor's
word counts -> "Lives" red; all environments are taken for alike -> test_the_candidates_of_a_direction red; a truncation counts as a
termination -> test_statuses red; `Unlike` sends what can't be pickled -> "lambda in processes" red (the process ends); attributes
are not compared -> test_arguments_are_compared red; the end of a connection has no note -> test_a_failure_in_a_process red.
"""

import gymnasium
import numpy as np
import pytest
from vec_env_classes import Lives, Unrecorded, Walk, doubling

sb3_contrib = pytest.importorskip("sb3_contrib", reason="stable-baselines3-contrib is not installed: pip install '.[compat]'")
from stable_baselines3.common.env_util import make_vec_env  # noqa: E402
from stable_baselines3.common.evaluation import evaluate_policy  # noqa: E402
from stable_baselines3.common.monitor import Monitor  # noqa: E402
from stable_baselines3.common.vec_env import (  # noqa: E402
    DummyVecEnv,
    SubprocVecEnv,
    VecCheckNan,
    VecEnvWrapper,
    VecExtractDictObs,
    VecFrameStack,
    VecMonitor,
    VecNormalize,
)

import fastars  # noqa: E402
from fastars import ARS  # noqa: E402
from fastars._compiled.structs import TERMINATED, TRUNCATED  # noqa: E402
from fastars.envs.driven import DrivenVecEnv  # noqa: E402

both = pytest.mark.parametrize("algorithm", [sb3_contrib.ARS, ARS], ids=["sb3", "fastars"])
SEEDS = np.arange(10, dtype=np.uint64) * np.uint64(1000) + np.uint64(7)


def small(env, **settings):
    return ARS("LinearPolicy", env, **{"n_delta": 3, "seed": 0, "noise_size": 4096, "zero_policy": False, **settings})


class Halving(VecEnvWrapper):
    """A wrapper of the user's."""

    def reset(self):
        return self.venv.reset() / 2

    def step_wait(self):
        observations, *rest = self.venv.step_wait()
        return observations / 2, *rest


class Plain(VecEnvWrapper):
    def reset(self):
        return self.venv.reset()

    def step_wait(self):
        return self.venv.step_wait()


class OwnVecEnv(DummyVecEnv):
    """A vector environment of the user's, which keeps the seeds in its own way."""

    def seed(self, seed=None):
        self.first = seed
        return [seed] * self.num_envs

    def reset(self):
        self._seeds = [None if self.first is None else self.first + 100 * i for i in range(self.num_envs)]
        return super().reset()


def parted():
    env = Walk()
    env.observation_space = gymnasium.spaces.Dict(walk=Walk.observation_space)
    observation = env.observation
    env.observation = lambda: {"walk": observation()}
    return env


PROCESSES = {"vec_env_cls": SubprocVecEnv, "vec_env_kwargs": {"start_method": "fork"}}  # 9 s less for each
GIVEN = {
    "VecFrameStack": lambda: VecFrameStack(make_vec_env("CartPole-v1", 2), 3),
    "VecFrameStack of a class": lambda: VecFrameStack(make_vec_env(Walk, 3), 2),
    "VecCheckNan": lambda: VecCheckNan(make_vec_env(Walk, 2), raise_exception=True),
    "VecExtractDictObs": lambda: VecExtractDictObs(DummyVecEnv([parted] * 2), "walk"),
    "a wrapper of the user's": lambda: Halving(DummyVecEnv([Walk])),
    "a vector environment of the user's": lambda: OwnVecEnv([Walk] * 2),
    "VecNormalize inside": lambda: VecFrameStack(VecNormalize(make_vec_env(Walk, 2)), 2),
    "VecNormalize outside": lambda: VecNormalize(VecFrameStack(make_vec_env(Walk, 2), 2)),
    "VecMonitor outside": lambda: VecMonitor(VecCheckNan(DummyVecEnv([Walk] * 2))),
    "environments that differ": lambda: DummyVecEnv([lambda: Walk(0.1), lambda: Walk(0.4)]),
    "classes in processes": lambda: make_vec_env(Walk, 2, **PROCESSES),
    "lambda in processes": lambda: make_vec_env(
        lambda: gymnasium.wrappers.TransformReward(gymnasium.make("CartPole-v1"), lambda reward: 2 * reward),
        2,
        **PROCESSES,
    ),
    "a wrapper without a record in processes": lambda: make_vec_env("CartPole-v1", 2, wrapper_class=Unrecorded, **PROCESSES),
}


@pytest.mark.filterwarnings("ignore:The environment is already wrapped with a `Monitor`")
@pytest.mark.parametrize("name", GIVEN)
def test_one_script_runs_with_both(name):
    found = []
    for algorithm in (sb3_contrib.ARS, ARS):
        env = GIVEN[name]()
        model = algorithm("LinearPolicy", env, n_delta=2, seed=3)
        model.learn(120)
        actions = model.predict(env.reset(), deterministic=True)[0]
        mean, _ = evaluate_policy(model, model.get_env(), 2, warn=False)
        found.append(
            (actions.shape, str(actions.dtype), np.isfinite(mean), model.num_timesteps >= 120, model.get_env() is env, model.n_envs)
        )
        found[-1] += (model.get_vec_normalize_env() is not None,)
        env.close()
    assert found[0] == found[1]
    assert isinstance(model.run.env.env, DrivenVecEnv)


STILL = {
    "DummyVecEnv": lambda: make_vec_env("CartPole-v1", 2),
    "VecMonitor and VecNormalize": lambda: VecNormalize(VecMonitor(DummyVecEnv([lambda: gymnasium.make("CartPole-v1")] * 2))),
    "SubprocVecEnv": lambda: make_vec_env("CartPole-v1", 2, **PROCESSES),
}


@pytest.mark.parametrize("name", STILL)
def test_what_can_be_taken_apart_runs_compiled(name):
    env = STILL[name]()
    assert small(env).is_compiled
    env.close()


SAME = {
    "2 environments": lambda: Plain(DummyVecEnv([Walk] * 2)),
    "3 environments, checked": lambda: VecCheckNan(DummyVecEnv([Walk] * 3)),
    "4 environments with a Monitor each": lambda: Plain(make_vec_env(Walk, 4)),
    "2 processes": lambda: SubprocVecEnv([Walk] * 2, start_method="fork"),
    "different wrappers": lambda: DummyVecEnv([Walk, lambda: Unrecorded(Walk())]),
}


@pytest.mark.parametrize("name", SAME)
@pytest.mark.parametrize("n_eval_episodes", [1, 3])
def test_the_number_of_environments_is_without_effect(name, n_eval_episodes):
    alone = small(Walk(), n_eval_episodes=n_eval_episodes).learn(400)
    env = SAME[name]()
    model = small(env, n_eval_episodes=n_eval_episodes).learn(400)
    env.close()
    assert np.array_equal(model.theta, alone.theta)
    assert model.num_timesteps == alone.num_timesteps


def played(env, model, seed):
    """Return (return, length) of one episode, stepped by hand."""
    env.seed(int(seed))
    observation, total, length, done = env.reset(), 0.0, 0, [False]
    while not done[0]:
        observation, reward, done, _ = env.step(model.predict(observation)[0])
        total, length = total + float(reward[0]), length + 1
    return total, length


@pytest.mark.parametrize("wrapped", [Plain, Halving, lambda env: VecFrameStack(env, 3)], ids=["Plain", "Halving", "VecFrameStack"])
def test_an_episode_depends_on_its_seed_alone(wrapped):
    model = small(wrapped(DummyVecEnv([Walk] * 4))).learn(200)
    rollouts = model.evaluate(10, seed=20)
    by_hand = [played(wrapped(DummyVecEnv([Walk])), model, seed) for seed in range(20, 30)]
    assert list(zip(rollouts.returns.tolist(), rollouts.lengths.tolist(), strict=True)) == by_hand
    assert len(set(rollouts.lengths.tolist())) > 2


def test_statuses_are_told_apart():
    model = small(Plain(DummyVecEnv([lambda: Walk(0.01)] * 3)))
    rollouts = model.evaluate(40)
    assert set(rollouts.status.tolist()) == {TERMINATED, TRUNCATED}
    assert (rollouts.lengths[rollouts.status == TRUNCATED] == 30).all()
    assert (small(Plain(DummyVecEnv([Walk] * 3)), max_episode_steps=4).evaluate(9).lengths <= 4).all()


@pytest.mark.parametrize("wrapper", [Lives, doubling])
def test_returns_are_those_of_the_monitor(wrapper):
    env = Plain(make_vec_env(Walk, 3, wrapper_class=wrapper))
    model = small(env)
    rollouts = model.evaluate(9, seed=40)
    plain = small(Walk())
    plain.set_parameters(model.get_parameters())
    expected = plain.evaluate(9, seed=40)
    assert rollouts.lengths.tolist() == expected.lengths.tolist()
    assert np.allclose(rollouts.returns, expected.returns, atol=1e-6)
    cut = small(env, max_episode_steps=3)
    cut.set_parameters(model.get_parameters())
    assert np.isfinite(cut.evaluate(6, seed=40).returns).all()


def test_environments_that_differ_share_the_episodes_of_each_candidate():
    counted = [Walk(slope) for slope in (0.1, 0.2, 0.3)]
    env = DummyVecEnv([lambda walk=walk: walk for walk in counted])
    model = small(env, n_eval_episodes=3)
    model.learn(1)
    assert model.num_episodes == 18
    alone = [small(Walk(walk.slope), n_eval_episodes=3).learn(1) for walk in counted]
    apart = [each.state.recent.returns.reshape(6, 3) for each in alone]  # episode 3 c + i of candidate c runs in environment i
    mixed = model.state.recent.returns.reshape(6, 3)
    assert np.array_equal(mixed, np.stack([apart[i][:, i] for i in range(3)], axis=1))


def test_the_candidates_of_a_direction_run_in_the_same_environment():
    returns = [small(Walk(slope)).learn(1).state.recent.returns for slope in (0.1, 0.4)]
    mixed = small(DummyVecEnv([lambda: Walk(0.1), lambda: Walk(0.4)])).learn(1).state.recent.returns
    assert mixed.tolist() == [returns[candidate // 2 % 2][candidate] for candidate in range(6)]


def test_arguments_are_compared():
    assert isinstance(small(DummyVecEnv([lambda: Walk(0.1), lambda: Walk(0.1)])).run.env.env, Walk)
    assert isinstance(small(DummyVecEnv([lambda: Walk(0.1), lambda: Walk(0.2)])).run.env.env, DrivenVecEnv)
    assert isinstance(small(DummyVecEnv([lambda: doubling(Walk()), lambda: Unrecorded(Walk())])).run.env.env, DrivenVecEnv)


@both
@pytest.mark.parametrize("wrapped", [lambda env: env, Plain], ids=["alone", "wrapped"])
def test_a_failure_of_an_environment_is_the_error(algorithm, wrapped):
    env = wrapped(DummyVecEnv([Walk, lambda: Walk(fails_at=3)]))
    model = algorithm("LinearPolicy", env, n_delta=2, seed=0, n_eval_episodes=2)
    with pytest.raises(ArithmeticError, match=r"^the walk is over$"):
        model.learn(100)


def test_a_failure_in_a_process_of_the_vector_environment_names_the_place(capfd):
    # A fork would keep the other end of the connection open, and a server of forks the stderr of the test that started it.
    env = SubprocVecEnv([Walk, lambda: Walk(fails_at=3)], start_method="spawn")
    model = small(env, n_eval_episodes=2)
    with pytest.raises(EOFError) as caught:
        model.learn(100)
    assert "an environment of the SubprocVecEnv failed, and its process ended" in caught.value.__notes__[0]
    assert model.iteration == 0
    env.processes[1].join()
    assert "ArithmeticError: the walk is over" in capfd.readouterr().err
    for process in env.processes:
        process.terminate()


@both
def test_a_monitor_around_each_environment_is_filled(algorithm):
    env = VecCheckNan(make_vec_env(Walk, 2))
    model = algorithm("LinearPolicy", env, n_delta=3, seed=0)
    model.learn(100)
    rewards = [one for each in env.env_method("get_episode_rewards") for one in each]
    assert len(rewards) >= 6


def test_workers_for_a_vector_environment_are_without_effect():
    model = small(Plain(DummyVecEnv([Walk] * 2)))
    with pytest.warns(UserWarning, match="async_eval has no effect: a Plain steps its environments by its own means"):
        model.learn(50, async_eval=fastars.AsyncEval([Walk, Walk]))


def test_fastars_evaluates_a_wrapper_of_the_users():
    env = Halving(DummyVecEnv([lambda: Monitor(Walk())] * 1))
    model = small(env).learn(100)
    assert np.isfinite(fastars.evaluate_policy(model, env, 3)[0])
    env.close()


def test_a_model_moves_into_a_vector_environment_that_is_driven():
    model = small(Walk()).learn(100)
    model.set_env(Plain(DummyVecEnv([Walk] * 2)))
    model.learn(100, reset_num_timesteps=False)
    whole = small(Walk()).learn(100).learn(100, reset_num_timesteps=False)
    assert np.array_equal(model.theta, whole.theta)
