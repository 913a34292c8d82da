"""Wrappers that record episodes: `Monitor`, `VecMonitor`, `RecordEpisodeStatistics` have the episodes of training.

Broken on purpose: lists are left empty (as it was) -> test_the_users_own red; `RecordEpisodeStatistics` is left out ->
test_statistics red; environments in Python are recorded twice -> "Python" red; no warning -> test_a_film red.
"""

import time

import gymnasium
import numpy as np
import pytest
from gymnasium.wrappers import RecordEpisodeStatistics, RecordVideo
from vec_env_classes import Walk

sb3_contrib = pytest.importorskip("sb3_contrib", reason="stable-baselines3-contrib is not installed: pip install '.[compat]'")
from stable_baselines3.common.env_util import make_vec_env  # noqa: E402
from stable_baselines3.common.monitor import Monitor  # noqa: E402
from stable_baselines3.common.results_plotter import load_results, ts2xy  # noqa: E402
from stable_baselines3.common.vec_env import DummyVecEnv, VecMonitor  # noqa: E402

from fastars import ARS  # noqa: E402

both = pytest.mark.parametrize("algorithm", [sb3_contrib.ARS, ARS], ids=["sb3", "fastars"])
PLACES = {"compiled": lambda: gymnasium.make("CartPole-v1"), "Python": Walk}
places = pytest.mark.parametrize("place", PLACES)


@both
@places
def test_the_users_own_monitor_has_the_episodes(algorithm, place):
    env = Monitor(PLACES[place]())
    model = algorithm("LinearPolicy", env, n_delta=2, seed=0)
    start = time.time() - env.t_start
    model.learn(200)
    returns, lengths, times = env.get_episode_rewards(), env.get_episode_lengths(), env.get_episode_times()
    assert (type(returns), type(returns[0]), type(lengths[0])) == (list, float, int)
    assert len(returns) == len(lengths) == len(times)
    assert sum(lengths) == env.get_total_steps() == model.num_timesteps
    assert times == sorted(times)
    assert start <= times[0] <= times[-1] <= time.time() - env.t_start
    assert place == "Python" or returns == lengths
    n = len(returns)
    model.learn(200)
    assert len(returns) > n  # the same list goes on


@both
def test_its_file_and_its_lists_agree(algorithm, tmp_path):
    env = Monitor(gymnasium.make("CartPole-v1"), str(tmp_path))
    algorithm("LinearPolicy", env, n_delta=2, seed=0).learn(200)
    env.close()
    frame = load_results(str(tmp_path))
    assert frame["r"].tolist() == env.get_episode_rewards()
    assert ts2xy(frame, "timesteps")[0][-1] == env.get_total_steps()


@both
def test_monitors_in_a_vector_environment_share_the_episodes(algorithm):
    env = make_vec_env("CartPole-v1", 2)
    model = algorithm("LinearPolicy", env, n_delta=3, seed=0, n_eval_episodes=2)
    model.learn(100)
    assert all(len(each) >= 6 for each in env.env_method("get_episode_rewards"))
    if algorithm is ARS:
        assert sum(env.env_method("get_total_steps")) == model.num_timesteps


@both
def test_a_vec_monitor_counts_episodes(algorithm):
    env = VecMonitor(DummyVecEnv([lambda: gymnasium.make("CartPole-v1")]))
    algorithm("LinearPolicy", env, n_delta=3, seed=0).learn(1)
    assert env.episode_count == 6


@both
@places
@pytest.mark.parametrize("is_watched_twice", [False, True])
def test_statistics_of_gymnasium_have_the_episodes(algorithm, place, is_watched_twice):
    env = RecordEpisodeStatistics(PLACES[place](), buffer_length=5)
    model = algorithm("LinearPolicy", Monitor(env) if is_watched_twice else env, n_delta=3, seed=0)
    model.learn(1)
    assert env.episode_count == 6
    assert len(env.return_queue) == len(env.length_queue) == len(env.time_queue) == 5
    assert all(seconds >= 0.0 for seconds in env.time_queue)
    assert place == "Python" or list(env.return_queue) == list(env.length_queue)
    if algorithm is ARS:
        assert model.is_compiled == (place == "compiled")
        assert list(env.length_queue) == model.state.recent.lengths[-5:].tolist()
        model.learn(200, reset_num_timesteps=False)
        assert list(env.return_queue) == pytest.approx(model.state.recent.returns[-5:].tolist())


def test_a_film_of_compiled_episodes_is_missed_with_a_warning(tmp_path):
    pytest.importorskip("moviepy", reason="moviepy is not installed: pip install moviepy")
    env = RecordVideo(gymnasium.make("CartPole-v1", render_mode="rgb_array"), str(tmp_path / "films"))
    with pytest.warns(UserWarning, match="has the wrapper RecordVideo, and training makes no films") as caught:
        model = ARS("LinearPolicy", env, n_delta=1, seed=0).learn(50)
    assert len(caught) == 1
    assert model.is_compiled
    assert list((tmp_path / "films").iterdir()) == []


def test_an_evaluation_is_not_recorded():
    env = Monitor(gymnasium.make("CartPole-v1"))
    model = ARS("LinearPolicy", env, n_delta=1, seed=0)
    model.evaluate(5)
    assert env.get_episode_rewards() == []


def test_a_model_that_moves_fills_the_new_monitor():
    first, second = Monitor(gymnasium.make("CartPole-v1")), Monitor(RecordEpisodeStatistics(gymnasium.make("CartPole-v1")))
    model = ARS("LinearPolicy", first, n_delta=2, seed=0).learn(1)
    model.set_env(second)
    model.learn(1, reset_num_timesteps=False)
    assert len(first.get_episode_rewards()) == len(second.get_episode_rewards()) == 4
    assert second.env.episode_count == 4
    assert np.array_equal(second.get_episode_rewards(), list(second.env.return_queue))
