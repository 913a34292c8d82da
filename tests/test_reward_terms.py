"""Rewards as vectors of their terms: the wrapper, and what is compiled of it. Their bits are compared in test_mujoco_envs.py."""

import gymnasium
import numba
import numpy as np
import pytest

pytest.importorskip("mujoco", reason="the environments that report terms need the mujoco package")

from fastars import RewardTerms, UnsupportedEnvError, evaluate_candidates
from fastars.envs import compiled_env, environment, make
from fastars.envs.terms import TERMS, with_terms

V5 = [env_id for env_id in TERMS if env_id.endswith("-v5")]
pytestmark = pytest.mark.filterwarnings("ignore:.*-v4 is out of date:DeprecationWarning")


@pytest.fixture(autouse=True)
def _in_temporary_folder(tmp_path, monkeypatch):
    """Gymnasium's own simulations write MUJOCO_LOG.TXT where they are."""
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("env_id", TERMS)
def test_step_gives_what_the_info_reports(env_id):
    plain, env = make(env_id, disable_env_checker=True), RewardTerms(make(env_id, disable_env_checker=True))
    plain.reset(seed=2)
    env.reset(seed=2)
    plain.action_space.seed(0)
    for _ in range(3):
        action = plain.action_space.sample()
        _, total, *_, info = plain.step(action)
        _, reward, *_, reported = env.step(action)
        assert reward.dtype == np.float64
        assert reward.tolist() == [float(info[term]) for term in TERMS[env_id]]
        assert reported["reward"] == total
        assert sum(reward) + env_id.startswith("HumanoidStandup") == pytest.approx(total, rel=1e-6)
        assert env.reward_space.contains(reward)
    assert env.reward_dim == len(env.task_names) == len(reward)
    assert set(info) <= set(reported)


def test_names_are_those_of_the_info():
    assert RewardTerms(make("Ant-v5")).task_names == ("forward", "ctrl", "contact", "survive")
    assert RewardTerms(make("InvertedDoublePendulum-v5")).task_names == ("survive", "distance_penalty", "velocity_penalty")


def test_terms_of_ones_choice_in_ones_order():
    env = RewardTerms(make("Hopper-v5"), ["reward_survive", "x_velocity"])
    env.reset(seed=0)
    _, reward, *_, info = env.step(env.action_space.low)
    assert reward.tolist() == [info["reward_survive"], info["x_velocity"]]
    assert env.task_names == ("survive", "x_velocity")
    with pytest.raises(UnsupportedEnvError, match="wrapper RewardTerms"):
        compiled_env(env)


@pytest.mark.parametrize(
    ("terms", "kind", "message"),
    [
        ("reward_ctrl", TypeError, "terms must be a sequence of keys of a step's info, got 'reward_ctrl'"),
        ([1], TypeError, r"terms must be a sequence of keys of a step's info, got \[1\]"),
        ([], ValueError, r"terms must be different keys of a step's info, at least one, got \[\]"),
        (["reward_ctrl", "reward_ctrl"], ValueError, "terms must be different keys"),
    ],
)
def test_wrong_terms_are_named(terms, kind, message):
    with pytest.raises(kind, match=message):
        RewardTerms(make("Hopper-v5"), terms)


def test_unknown_terms_are_named():
    with pytest.raises(
        ValueError, match=r"RewardTerms\(\): terms must be given as keys of a step's info: the terms of 'CartPole-v1' are not known"
    ):
        RewardTerms(gymnasium.make("CartPole-v1"))
    env = RewardTerms(gymnasium.make("CartPole-v1"), ("reward_upright",))
    env.reset(seed=0)
    with pytest.raises(KeyError, match="must have 'reward_upright', a term of its reward; it has nothing"):
        env.step(0)


@pytest.mark.parametrize("env_id", TERMS)
def test_unchanged_environments_are_compiled_and_made_again(env_id):
    env = RewardTerms(make(env_id))
    compiled = environment(env, compiled=True)
    assert compiled.task_names == env.task_names
    assert compiled.reward_space == env.reward_space
    assert compiled.n_tasks == env.reward_dim
    spec, kwargs = compiled.gymnasium()
    again = make(spec, max_episode_steps=7, **kwargs)
    assert again.get_wrapper_attr("terms") == env.terms
    assert compiled_env(again).max_steps == 7
    assert compiled_env(again).constants.env._replace(physics=None) == compiled.constants.env._replace(physics=None)


def test_several_rewards_of_an_id_are_its_terms():
    with_terms_around = environment(RewardTerms(make("Ant-v5")))
    compiled = environment("Ant-v5", tasks=True, max_episode_steps=9)
    assert compiled.task_names == with_terms_around.task_names
    assert type(compiled.constants) is type(with_terms_around.constants)
    assert compiled.max_steps == 9
    assert environment(make("Ant-v5"), tasks=True).n_tasks == 4
    assert environment("Ant-v5").n_tasks == environment("Hopper-v4", tasks=True).n_tasks == 0
    in_python = environment("Ant-v5", compiled=False, tasks=True)
    assert in_python.task_names == compiled.task_names
    assert in_python.maker()().reset(seed=1)[0].shape == (105,)


def test_arguments_are_taken_over():
    env = RewardTerms(make("HalfCheetah-v5", ctrl_cost_weight=0.7))
    compiled = compiled_env(gymnasium.wrappers.TimeLimit(env, 30))
    assert compiled.kwargs == {"ctrl_cost_weight": 0.7}
    assert compiled.constants.env.ctrl_cost_weight == 0.7
    assert compiled.max_steps == 30
    spec, kwargs = compiled.gymnasium()
    assert make(spec, **kwargs).unwrapped._ctrl_cost_weight == 0.7


def test_changed_environment_is_refused():
    env = RewardTerms(make("HalfCheetah-v5"))
    env.unwrapped._ctrl_cost_weight = 3.0
    with pytest.raises(UnsupportedEnvError, match=r"its attribute _ctrl_cost_weight is 3\.0"):
        compiled_env(env)


@pytest.mark.parametrize("env_id", ["CartPole-v1", "Hopper-v4"])
def test_environments_without_terms_have_none_compiled(env_id):
    with pytest.raises(UnsupportedEnvError, match=f"'{env_id}': its reward is a number, and no terms of it are compiled"):
        with_terms(compiled_env(env_id))


def test_registered_specs_stay_as_they_are():
    with_terms(compiled_env("Ant-v5"))
    assert gymnasium.spec("Ant-v5").additional_wrappers == ()


def test_rollouts_give_every_term_and_their_sum_is_the_reward():
    plain = make("HalfCheetah-v5", max_episode_steps=20)
    env = RewardTerms(make("HalfCheetah-v5", max_episode_steps=20))
    weights, seeds = np.random.default_rng(0).normal(size=(4, 6 * 17)), np.arange(4)
    n_threads = 1 if numba.config.DISABLE_JIT else 2  # as in test_mujoco_envs.py
    ours, scalar = (evaluate_candidates(each, weights, seeds, n_threads=n_threads) for each in (env, plain))
    assert ours.returns.tolist() == scalar.returns.tolist()
    for i in range(4):
        observation, _ = env.reset(seed=i)
        totals, rows = np.zeros(2), weights[i].reshape(6, 17)
        for _ in range(20):
            scores = np.cumsum(rows * observation, axis=1)[:, -1]  # from the first entry on, as the kernels add them
            observation, reward, *_ = env.step(np.clip(scores.astype(np.float32), -1.0, 1.0))
            totals += reward
        assert ours.task_returns[i].tolist() == totals.tolist()
