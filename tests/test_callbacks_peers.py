"""Callbacks of stable-baselines3 and of fastars within each other, and their readers on what ours write."""

import csv

import gymnasium
import numpy as np
import pytest

pytest.importorskip("stable_baselines3", reason="stable-baselines3 is not installed: pip install '.[compat]'")

from stable_baselines3.common import callbacks as theirs
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.monitor import Monitor, get_monitor_files, load_results
from stable_baselines3.common.results_plotter import ts2xy
from stable_baselines3.common.vec_env import VecNormalize

from fastars import ARS
from fastars import callbacks as ours
from fastars.logger import configure

each = pytest.mark.parametrize("module", [theirs, ours], ids=["sb3", "fastars"])


def small(env="CartPole-v1", **settings):
    return ARS("LinearPolicy", env, **{"n_delta": 2, "seed": 0, "n_threads": 1, "noise_size": 1 << 16, **settings})


def monitored():
    return Monitor(gymnasium.make("CartPole-v1"))


def steps_of(folder):
    return sorted(int(path.name.split("_")[-2]) for path in folder.iterdir())


@pytest.mark.parametrize("inner", [theirs, ours], ids=["sb3 inside", "fastars inside"])
@pytest.mark.parametrize("outer", [theirs, ours], ids=["sb3 outside", "fastars outside"])
def test_a_list_holds_callbacks_of_both(outer, inner, tmp_path):
    last = []

    class Last(inner.BaseCallback):
        def _on_step(self):
            last.append((self.n_calls, self.num_timesteps, self.locals["iteration"]))
            return True

    checkpoints = inner.CheckpointCallback(save_freq=250, save_path=str(tmp_path))
    model = small().learn(1000, callback=outer.CallbackList([checkpoints, Last()]))
    assert [calls for calls, *_ in last] == list(range(1, model.num_timesteps + 1))
    assert last[-1] == (model.num_timesteps, model.num_timesteps, model.iteration)
    assert steps_of(tmp_path) == list(range(250, model.num_timesteps + 1, 250))


@each
def test_events_come_by_steps(module, tmp_path):
    checkpoints = module.CheckpointCallback(save_freq=1, save_path=str(tmp_path))
    model = small().learn(1000, callback=module.EveryNTimesteps(300, checkpoints))
    assert steps_of(tmp_path) == list(range(300, model.num_timesteps + 1, 300))
    assert checkpoints.n_calls == len(steps_of(tmp_path))


@each
def test_the_log_can_be_written_by_steps(module, tmp_path):
    model = small()
    model.set_logger(configure(tmp_path, ["csv"]))
    model.learn(1000, callback=module.LogEveryNTimesteps(300), log_interval=None)
    header, *rows = (line.split(",") for line in (tmp_path / "progress.csv").read_text().splitlines())
    steps = [int(row[header.index("time/total_timesteps")]) for row in rows]
    assert steps == list(range(300, model.num_timesteps + 1, 300))


@pytest.mark.parametrize("inner", [theirs, ours], ids=["sb3 inside", "fastars inside"])
@each
def test_evaluation_calls_callbacks_of_both(module, inner, tmp_path):
    stop = inner.StopTrainingOnRewardThreshold(reward_threshold=300.0)
    patience = inner.StopTrainingOnNoModelImprovement(max_no_improvement_evals=10_000)
    evaluation = module.EvalCallback(monitored(), stop, patience, eval_freq=100, log_path=str(tmp_path), verbose=0)
    model = small().learn(200_000, callback=evaluation)
    n_evaluations = len(evaluation.evaluations_timesteps)
    assert evaluation.best_mean_reward >= 300.0
    assert model.num_timesteps < 200_000
    assert patience.n_calls == n_evaluations - 1 >= 1  # not after the one that stops
    assert 1 <= stop.n_calls <= n_evaluations


@each
def test_no_improvement_stops(module):
    stop = module.StopTrainingOnNoModelImprovement(max_no_improvement_evals=2, min_evals=1)
    evaluation = module.EvalCallback(monitored(), callback_after_eval=stop, eval_freq=20, n_eval_episodes=1, verbose=0)
    evaluation.best_mean_reward = 1e9
    model = small().learn(50_000, callback=evaluation)
    assert stop.n_calls == 4  # the first aside, and then the third in a row
    assert model.iteration < 4


@each
def test_episodes_are_counted_per_environment(module):
    model = small(env=make_vec_env("CartPole-v1", n_envs=2))
    model.learn(100_000, callback=module.StopTrainingOnMaxEpisodes(max_episodes=5))
    assert model.num_episodes == 12  # the iteration that has the tenth


def test_evaluations_hold_what_theirs_do(tmp_path):
    for module in (theirs, ours):
        folder = str(tmp_path / module.__name__)
        evaluation = module.EvalCallback(monitored(), eval_freq=200, log_path=folder, n_eval_episodes=3, verbose=0)
        small().learn(700, callback=evaluation)
        assert evaluation.evaluations_timesteps
    files = [np.load(tmp_path / module.__name__ / "evaluations.npz") for module in (theirs, ours)]
    assert set(files[0].files) == set(files[1].files)
    assert np.array_equal(files[0]["timesteps"], files[1]["timesteps"])
    for name in ("timesteps", "results", "ep_lengths"):
        assert (files[0][name].dtype, files[0][name].shape) == (files[1][name].dtype, files[1][name].shape)


@each
@pytest.mark.parametrize("log_interval", [3, None])
def test_an_evaluation_is_in_the_log_when_it_happens(module, log_interval, tmp_path):
    model = small()
    logger = configure(str(tmp_path), ["csv"])
    model.set_logger(logger)
    evaluation = module.EvalCallback(monitored(), eval_freq=150, log_path=str(tmp_path), verbose=0)
    model.learn(1000, callback=evaluation, log_interval=log_interval)
    logger.close()
    with open(tmp_path / "progress.csv", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["eval/mean_reward"]]
    assert [int(row["time/total_timesteps"]) for row in rows] == evaluation.evaluations_timesteps
    means = np.mean(evaluation.evaluations_results, axis=1)
    assert [float(row["eval/mean_reward"]) for row in rows] == pytest.approx(means.tolist())


@each
def test_evaluation_normalises_by_the_statistics_of_training(module):
    env, other = (VecNormalize(make_vec_env("CartPole-v1"), norm_reward=False, training=train) for train in (True, False))
    model = small(env=env)
    evaluation = module.EvalCallback(other, eval_freq=100, verbose=0)
    means = []
    model.learn(400, callback=[evaluation, lambda local, _: means.append(env.obs_rms.mean.copy())])
    assert evaluation.last_mean_reward > 5.0
    if module is theirs:  # ours takes the statistics from the model
        assert any(np.array_equal(other.obs_rms.mean, mean) for mean in means)


def test_a_callback_that_reads_the_episodes_keeps_the_best_model(tmp_path):
    class KeepBest(theirs.BaseCallback):
        """Acts every `check_freq` steps on the mean return of the last episodes in the monitor's files."""

        def __init__(self, check_freq):
            super().__init__()
            self.check_freq, self.seen = check_freq, []

        def _on_step(self):
            if self.n_calls % self.check_freq == 0:
                steps, returns = ts2xy(load_results(str(tmp_path)), "timesteps")
                assert steps[-1] >= self.num_timesteps  # the episodes of this iteration are in the file
                self.seen.append(returns[-100:].mean())
                if self.seen[-1] == max(self.seen):
                    self.model.save(tmp_path / "best")
            return True

    keep = KeepBest(400)
    model = small(monitor_dir=tmp_path).learn(2000, callback=keep)
    assert len(keep.seen) == model.num_timesteps // 400
    assert get_monitor_files(str(tmp_path)) == [str(tmp_path / "0.monitor.csv")]
    assert len(load_results(str(tmp_path))) == model.num_episodes
    assert ARS.load(tmp_path / "best.zip").num_timesteps <= model.num_timesteps
