"""`fastars.evaluate_policy` beside stable-baselines3's: the same model in the same environments gives the same episodes."""

import warnings

import gymnasium
import numpy as np
import pytest

sb3_contrib = pytest.importorskip("sb3_contrib", reason="stable-baselines3-contrib is not installed: pip install '.[compat]'")

from stable_baselines3.common.env_util import make_vec_env  # noqa: E402
from stable_baselines3.common.evaluation import evaluate_policy as theirs  # noqa: E402
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecMonitor, VecNormalize  # noqa: E402

from fastars import ARS  # noqa: E402
from fastars import evaluate_policy as ours  # noqa: E402


@pytest.fixture(scope="module")
def model():
    return ARS("LinearPolicy", "CartPole-v1", n_delta=2, seed=0, n_threads=1, noise_size=1 << 16, delta_std=0.5).learn(300)


def bare(n_envs):
    return DummyVecEnv([lambda: gymnasium.make("CartPole-v1") for _ in range(n_envs)])


ENVS = {
    "one": lambda: make_vec_env("CartPole-v1", n_envs=1),
    "three": lambda: make_vec_env("CartPole-v1", n_envs=3),
    "processes": lambda: make_vec_env("CartPole-v1", n_envs=2, vec_env_cls=SubprocVecEnv),
    "VecMonitor": lambda: VecMonitor(bare(2)),
    "bare": lambda: bare(3),
    "rewards changed": lambda: VecNormalize(bare(2), norm_obs=False),
    "rewards changed outside of Monitor": lambda: VecNormalize(make_vec_env("CartPole-v1", n_envs=2), norm_obs=False),
}


@pytest.mark.parametrize("name", ENVS)
def test_a_vec_env_gives_the_episodes_that_it_gives_theirs(name, model):
    found = []
    for evaluate, arguments in ((theirs, {}), (ours, {"seed": 3})):
        env = ENVS[name]()
        env.seed(3)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            returns, lengths = evaluate(model, env, 7, return_episode_rewards=True, **arguments)
        env.close()
        found.append(([float(each) for each in returns], [int(each) for each in lengths], [each.category for each in caught]))
    assert found[0] == found[1]
    assert len(found[1][0]) == 7
    assert len(set(found[1][1])) > 1


def test_the_warning_of_a_vec_env_without_a_monitor_can_be_left_out(model):
    with pytest.warns(UserWarning, match="a DummyVecEnv without a Monitor"):
        ours(model, bare(2), 2)
    ours(model, bare(2), 2, warn=False)


def test_arguments_are_in_their_order(model):
    steps, env = [], make_vec_env("CartPole-v1", n_envs=2)
    with pytest.raises(AssertionError, match=r"Mean reward below threshold: \d+\.\d\d < 600\.00"):
        theirs(model, env, 4, True, False, None, 600.0, True, False)
    arguments = 4, True, False, lambda seen, _: steps.append(seen), 600.0, True, False
    with pytest.raises(AssertionError, match=r"Mean reward below threshold: \d+\.\d\d < 600\.00"):
        ours(model, env, *arguments)
    assert {each["i"] for each in steps} == {0, 1}
    assert sum(bool(each["done"]) for each in steps) == 4
    assert all("episode" in each["info"] for each in steps if each["done"])


def test_an_environment_is_shown_and_watched(model):
    class Shown(gymnasium.Wrapper):
        n = 0

        def render(self):
            self.n += 1

    steps, env = [], Shown(gymnasium.make("CartPole-v1"))
    returns, lengths = ours(model, env, 1, render=True, callback=lambda seen, _: steps.append(seen), return_episode_rewards=True)
    assert [each["done"] for each in steps] == [False] * (lengths[0] - 1) + [True]
    assert sum(each["reward"] for each in steps) == returns[0]
    assert steps[0]["model"] is model
    assert env.n == lengths[0]


def test_what_a_vec_env_can_not_do_is_refused(model):
    for setting in ({"max_episode_steps": 5}, {"reward_weights": [1.0]}):
        with pytest.raises(ValueError, match="needs a single environment, not a DummyVecEnv"):
            ours(model, bare(2), **setting)


def test_their_model_is_evaluated_in_a_vec_env():
    model = sb3_contrib.ARS("LinearPolicy", "CartPole-v1", seed=0)
    mean, std = ours(model, model.get_env(), 3)
    assert 8.0 <= mean <= 11.0
    assert std >= 0.0


def test_a_life_lost_is_no_end_of_an_episode(model):
    class Lives(gymnasium.Wrapper):
        """Tells of an end after every fifth step, and goes on with the same episode after it."""

        def reset(self, **kwargs):
            if getattr(self, "is_over", True):
                self.seen, self.n, self.is_over = self.env.reset(**kwargs), 0, False
            return self.seen

        def step(self, action):
            observation, reward, terminated, truncated, info = self.env.step(action)
            self.seen, self.n, self.is_over = (observation, info), self.n + 1, terminated or truncated
            return observation, reward, terminated or self.n % 5 == 0, truncated, info

    found = []
    for evaluate in (theirs, ours):
        env = make_vec_env("CartPole-v1", n_envs=2, seed=1, wrapper_class=Lives)
        found.append(evaluate(model, env, 4, return_episode_rewards=True))
    assert [list(map(float, each)) for each in found[0]] == [list(map(float, each)) for each in found[1]]
    assert min(found[1][1]) > 5
    assert np.mean(found[1][1]) == np.mean(found[1][0])
