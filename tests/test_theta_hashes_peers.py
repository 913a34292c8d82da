"""Short runs under stable-baselines3's vector environments end with the bits they ended with: see `test_theta_hashes.py`."""

import functools

import pytest

pytest.importorskip("stable_baselines3", reason="stable-baselines3 is not installed: pip install '.[compat]'")

import faulty_envs
import gymnasium
import numba
import test_theta_hashes as table
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecNormalize
from test_theta_hashes import HERE, MUJOCO, V2_T, check, iterate, read_table, row

pytestmark = pytest.mark.skipif(numba.config.DISABLE_JIT, reason="the table is of compiled kernels")


def normalized(env_id, n_envs=1, vec_env_cls=None, **settings):
    return VecNormalize(make_vec_env(env_id, n_envs, vec_env_cls=vec_env_cls), norm_reward=False, **settings)


def lines(maker=faulty_envs.Line):
    return VecNormalize(DummyVecEnv([maker] * 2), norm_reward=False)


def until_it_learns_no_more(model, row, folder):
    """The second half with the statistics of the first."""
    iterate(model, 2)
    model.get_vec_normalize_env().training = False
    iterate(model, 2)


def saved_and_loaded(model, row, folder):
    iterate(model, 2)
    model.save(folder / "model.zip")
    model.close()
    model = type(model).load(folder / "model.zip", env=row.env())
    iterate(model, 2)
    return model


peers = functools.partial(row, on=(*HERE, "stable_baselines3"), is_made=True)
ROWS = {
    "VecNormalize": peers(lambda: normalized("CartPole-v1"), n_top=2),
    "VecNormalize of two, clipped": peers(lambda: normalized("Pendulum-v1", 2, clip_obs=1.25)),
    "VecNormalize, statistics of another run": peers(lambda: normalized("Pendulum-v1"), until_it_learns_no_more),
    "VecNormalize, saved and loaded": peers(lambda: normalized("CartPole-v1"), saved_and_loaded, optimizer="adam"),
    "VecNormalize in Python": peers(lines, n_eval_episodes=2),
    "VecNormalize in two processes": peers(
        lambda: normalized("CartPole-v1", 2, vec_env_cls=SubprocVecEnv), compiled=False, common_random_numbers=True
    ),
    "VecNormalize, bad observations": peers(lambda: lines(table.NAN_SEEN), n_delta=12),
    "VecNormalize, HalfCheetah": peers(
        lambda: normalized("HalfCheetah-v5"), on=(*MUJOCO, "stable_baselines3"), max_episode_steps=30, delta_std=0.1
    ),
    "a DummyVecEnv": peers(lambda: make_vec_env("CartPole-v1", n_envs=2), **V2_T),
    "a SubprocVecEnv": peers(lambda: make_vec_env("CartPole-v1", 2, vec_env_cls=SubprocVecEnv), compiled=False, **V2_T),
    "a Monitor": peers(lambda: DummyVecEnv([lambda: gymnasium.make("Acrobot-v1")])),
}


@pytest.mark.parametrize("name", ROWS)
def test_a_run_ends_with_the_bits_it_ended_with(name, tmp_path):
    of_all = read_table()
    check(ROWS[name], of_all[__name__][name], of_all, tmp_path)


def test_the_table_has_these_rows_and_no_others():
    assert list(read_table()[__name__]) == list(ROWS)
