"""Callbacks of fastars, and how calls are counted; those of stable-baselines3: test_sb3_peers.py."""

import copy
import itertools
import pickle
import re
import types

import gymnasium
import numpy as np
import pytest

from fastars import ARS
from fastars.callbacks import (
    BaseCallback,
    CheckpointCallback,
    ConvertCallback,
    EvalCallback,
    EventCallback,
    EveryNTimesteps,
    LogEveryNTimesteps,
    ProgressBarCallback,
    StopTrainingOnMaxEpisodes,
    StopTrainingOnNoModelImprovement,
    StopTrainingOnRewardThreshold,
    make_callback,
    progress,
)
from fastars.logger import Logger


def small(env="CartPole-v1", **settings):
    return ARS("LinearPolicy", env, **{"n_delta": 2, "seed": 0, "n_threads": 1, "noise_size": 1 << 16, **settings})


class Noting(BaseCallback):
    """Notes what it is called for, and with what counts."""

    def __init__(self, answer=True, **frequencies):
        super().__init__()
        self.notes, self.counts, self.answer = [], [], answer
        vars(self).update(frequencies)

    def _init_callback(self):
        self.notes.append("init")

    def _on_training_start(self):
        self.notes.append("start")

    def _on_rollout_start(self):
        self.notes.append("rollout")

    def _on_step(self):
        self.notes.append("step")
        self.counts.append(self.n_calls)
        return self.answer

    def _on_rollout_end(self):
        self.notes.append("rollout end")

    def _on_training_end(self):
        self.notes.append("end")


def started(callback, num_timesteps=0):
    callback.init_callback(types.SimpleNamespace(num_timesteps=num_timesteps, n_envs=1))
    callback.on_training_start({}, {})
    return callback


def test_a_callback_is_called_in_this_order():
    noting = Noting()
    small().learn(1, callback=noting)
    steps = noting.notes.count("step")
    assert noting.notes == ["init", "start", "rollout", *["step"] * steps, "rollout end", "end"]
    assert noting.counts == list(range(1, steps + 1))


def test_callbacks_of_a_list_are_all_called_and_one_can_stop():
    first, second = Noting(answer=False), Noting()
    model = small().learn(10_000, callback=[first, second, lambda local, _: None])
    assert model.iteration == 1
    assert second.notes[-1] == "end"
    assert first.notes == second.notes


def test_a_function_gets_the_local_variables_of_learn():
    seen = []
    model = small()
    model.learn(10_000, callback=lambda local, names: seen.append((local["self"], local["total_timesteps"], names)) or False)
    assert seen[0][:2] == (model, 10_000)
    assert seen[0][2]["ARS"] is ARS


@pytest.mark.parametrize("callback", [3, "stop", [3]])
def test_what_is_no_callback_is_refused(callback):
    with pytest.raises(TypeError, match="callback must be a function"):
        make_callback(callback)


def test_counts_are_right_after_a_callback_that_raises():
    class Failing(BaseCallback):
        def _on_step(self):
            if self.n_calls == 30:
                raise OSError("disk full")
            return True

    failing = Failing()
    model = small()
    with pytest.raises(OSError, match="disk full"):
        model.learn(1000, failing)
    assert (failing.n_calls, failing.num_timesteps, model.iteration) == (30, 30, 1)
    assert model.num_timesteps > 30


def test_an_object_with_the_methods_is_a_callback():
    class Bare:
        """The methods, and nothing that counts."""

        __slots__ = ("notes", "parent")

        def __init__(self):
            self.notes = []

        def __getattr__(self, name):
            if not name.startswith("on_") and name not in ("init_callback", "update_locals"):
                raise AttributeError(name)
            return lambda *_: self.notes.append(name)

    bare = Bare()
    small().learn(1, callback=[bare, Noting()])
    assert [name for name, _ in itertools.groupby(bare.notes)] == [
        "init_callback",
        "on_training_start",
        "on_rollout_start",
        "update_locals",
        "on_step",
        "on_rollout_end",
        "on_training_end",
    ]


@pytest.mark.parametrize("copied", [lambda each: each, copy.copy, copy.deepcopy, lambda each: pickle.loads(pickle.dumps(each))])
def test_the_log_can_be_written_by_steps(copied):
    rows = []
    model = small()
    model.set_logger(Logger(formats=[types.SimpleNamespace(write=lambda row, excluded, steps: rows.append(steps))]))
    model.learn(1000, callback=copied(LogEveryNTimesteps(300)), log_interval=None)
    assert len(rows) >= 2
    assert np.diff([0, *rows]).min() >= 300


def test_nothing_is_called_after_the_evaluation_that_stops():
    after = Noting()
    stop = StopTrainingOnRewardThreshold(-1.0)
    model = small().learn(1000, callback=EvalCallback(None, stop, after, eval_freq=1, verbose=0))
    assert (model.iteration, after.counts) == (1, [])


def test_a_callback_for_an_event_counts_events():
    child = Noting()
    callback = EveryNTimesteps(50, child)
    model = small().learn(300, callback)
    assert child.counts == list(range(1, model.num_timesteps // 50 + 1))
    assert callback.n_calls == model.num_timesteps


def test_local_variables_reach_every_callback():
    child, sibling = Noting(), Noting()
    small().learn(1, callback=[EventCallback(child), sibling])
    assert len(child.locals["rewards"]) == len(sibling.locals["rewards"]) == 1
    assert child.locals["rollouts"] is sibling.locals["rollouts"]


def test_checkpoints_are_models(tmp_path):
    folder = tmp_path / "new" / "folder"
    model = small(max_episode_steps=20)
    model.learn(400, callback=CheckpointCallback(100, folder, name_prefix="ars"))
    paths = sorted(folder.iterdir(), key=lambda path: int(path.stem.split("_")[1]))
    assert [path.name for path in paths] == [f"ars_{steps}_steps.zip" for steps in (100, 200, 300, 400)]
    loaded = ARS.load(paths[1])
    assert 200 <= loaded.num_timesteps < 280  # of the whole iteration
    while loaded.num_timesteps < model.num_timesteps:
        loaded.learn(1, reset_num_timesteps=False)
    assert np.array_equal(loaded.theta, model.theta)


def test_evaluations_are_written_and_the_best_model_is_kept(tmp_path):
    callback = EvalCallback(n_eval_episodes=3, eval_freq=200, log_path=tmp_path, best_model_save_path=tmp_path / "best", verbose=0)
    model = small(max_episode_steps=30)
    rows = []
    model.set_logger(Logger(formats=[types.SimpleNamespace(write=lambda row, excluded, steps: rows.append({**row, "at": steps}))]))
    model.learn(1000, callback=callback)
    with np.load(tmp_path / "evaluations.npz") as written:
        assert written["results"].shape == written["ep_lengths"].shape == (len(written["timesteps"]), 3)
        assert written["timesteps"].tolist() == list(range(200, model.num_timesteps + 1, 200))
        assert callback.best_mean_reward == written["results"].mean(axis=1).max()
        assert callback.last_mean_reward == written["results"][-1].mean()
        assert [row["eval/mean_reward"] for row in rows if "eval/mean_reward" in row] == written["results"].mean(axis=1).tolist()
        assert [row["at"] for row in rows if "eval/mean_reward" in row] == written["timesteps"].tolist()
    best = ARS.load(tmp_path / "best" / "best_model.zip")
    assert best.evaluate(3).returns.mean() == callback.best_mean_reward
    assert len(callback.evaluations_timesteps) >= 4


@pytest.mark.parametrize("wrap", [lambda env: env, gymnasium.wrappers.RecordEpisodeStatistics, "python"])
def test_evaluation_takes_any_form_of_an_environment(wrap, tmp_path):
    env = gymnasium.make("CartPole-v1", max_episode_steps=9)
    env = gymnasium.wrappers.TransformReward(env, lambda reward: reward) if wrap == "python" else wrap(env)
    model = small()
    callback = EvalCallback(env, eval_freq=1, verbose=0)
    model.learn(1, callback=callback)
    model.set_env(env)
    assert callback.evaluations_results == [model.evaluate(5).returns.tolist()] * model.num_timesteps
    assert np.max(callback.evaluations_length) <= 9


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: CheckpointCallback(0, "x"), ValueError, "CheckpointCallback(): save_freq must be an integer of at least 1, got 0"),
        (lambda: CheckpointCallback(1, "x", save_vecnormalize="yes"), TypeError, "CheckpointCallback(): save_vecnormalize must be"),
        (lambda: EvalCallback(eval_freq="often"), TypeError, "EvalCallback(): eval_freq must be an integer, got 'often'"),
        (lambda: EveryNTimesteps(0, None), ValueError, "EveryNTimesteps(): n_steps must be"),
        (lambda: LogEveryNTimesteps(-1), ValueError, "LogEveryNTimesteps(): n_steps must be"),
        (lambda: StopTrainingOnMaxEpisodes(1.5), ValueError, "StopTrainingOnMaxEpisodes(): max_episodes must be"),
        (lambda: StopTrainingOnNoModelImprovement(-1), ValueError, "StopTrainingOnNoModelImprovement(): max_no_improvement_evals"),
        (lambda: StopTrainingOnRewardThreshold(np.nan), ValueError, "StopTrainingOnRewardThreshold(): reward_threshold must be"),
    ],
)
def test_a_wrong_argument_is_an_error_of_the_constructor(make, error, message):
    with pytest.raises(error) as caught:
        make()
    assert str(caught.value).startswith(message)


def test_a_threshold_of_infinity_and_a_frequency_of_0_are_allowed():
    stop = StopTrainingOnRewardThreshold(np.inf)
    evaluation = EvalCallback(callback_on_new_best=stop, eval_freq=0, verbose=0)
    model = small().learn(300, callback=evaluation)
    assert (model.iteration > 1, evaluation.evaluations_timesteps, stop.reward_threshold) == (True, [], np.inf)


def test_every_callback_of_a_list_is_closed_also_after_an_error():
    closed = []

    class Closing(BaseCallback):
        def _on_step(self):
            raise RuntimeError("no")

        def close(self):
            closed.append(self)

    first, second = Closing(), Closing()
    with pytest.raises(RuntimeError, match="no"):
        small().learn(300, callback=[first, [second]])
    assert closed == [first, second]


def test_evaluation_in_another_task_is_refused():
    with pytest.raises(ValueError, match="eval_env must have the spaces of CartPole-v1, got Pendulum-v1"):
        small().learn(1, callback=EvalCallback("Pendulum-v1"))


def test_evaluation_normalises_as_the_model_does():
    model = small(normalize_observations=True)
    callback = EvalCallback("CartPole-v1", eval_freq=1, verbose=0)
    model.learn(300, callback=callback)
    assert callback.evaluations_results[-1] == model.evaluate(5).returns.tolist()


def test_evaluation_says_what_it_found(capsys):
    small().learn(1, callback=EvalCallback(eval_freq=1))
    assert "mean return" in capsys.readouterr().out


def test_reward_threshold_stops():
    model = ARS("LinearPolicy", "CartPole-v1", seed=0, n_threads=1, noise_size=1 << 16)
    callback = EvalCallback(callback_on_new_best=StopTrainingOnRewardThreshold(100), eval_freq=500, verbose=0)
    model.learn(1_000_000, callback=callback)
    assert callback.best_mean_reward >= 100
    assert model.num_timesteps < 200_000


def test_no_improvement_stops():
    stop = StopTrainingOnNoModelImprovement(max_no_improvement_evals=2, min_evals=1)
    parent = types.SimpleNamespace(best_mean_reward=1.0)
    started(stop).parent = parent
    answers = []
    for best in (1, 1, 2, 2, 2, 2, 2):
        parent.best_mean_reward = best
        answers.append(stop.on_step())
    assert answers == [True, True, True, True, True, False, False]


@pytest.mark.parametrize("stop", [StopTrainingOnRewardThreshold(3), StopTrainingOnNoModelImprovement(3)])
def test_stops_by_evaluation_need_one(stop):
    with pytest.raises(ValueError, match="must be an argument of an EvalCallback"):
        small().learn(1, callback=stop)


def test_max_episodes_stop(capsys):
    model = small().learn(100_000, callback=StopTrainingOnMaxEpisodes(max_episodes=9, verbose=1))
    assert model.num_episodes == 12
    assert "after 9 episodes" in capsys.readouterr().out


def test_callback_after_evaluation_can_stop():
    model = small().learn(100_000, callback=EvalCallback(callback_after_eval=Noting(answer=False), eval_freq=100, verbose=0))
    assert model.num_timesteps < 1000


def test_progress_bar_shows_steps_and_leaves_the_terminal_as_it_was(capsys):
    model = small()
    model.learn(300, progress_bar=True)
    assert re.fullmatch(rf"{model.num_timesteps:,} of 300 steps in [\d.]+ s, [\d.]+( k| M)? steps/s\n", capsys.readouterr().out)


def test_progress_bar_is_stopped_by_an_error(monkeypatch):
    closed = []
    monkeypatch.setattr(ProgressBarCallback, "close", lambda self: closed.append(True))

    def failing(local, _):
        raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        small().learn(300, callback=failing, progress_bar=True)
    assert closed == [True]


def test_a_missing_package_is_named(monkeypatch):
    def need(name, extra, what="this"):
        raise ImportError(f"{what} needs {name}: {extra}")

    monkeypatch.setattr(progress, "need", need)
    with pytest.raises(ImportError, match=r"a progress bar needs rich\.console: cli"):
        small().learn(300, progress_bar=True)


def test_converted_functions_stop_by_false_alone():
    assert [started(ConvertCallback(lambda *_, answer=answer: answer)).on_step() for answer in (None, 0, True, False)] == [
        True,
        True,
        True,
        False,
    ]


@pytest.mark.parametrize("in_list", [False, True])
@pytest.mark.parametrize(("answer", "n_iterations"), [(np.bool_(False), 1), (None, 2), (0, 2), (np.bool_(True), 2)])
def test_false_stops_numpys_too_and_nothing_else(answer, n_iterations, in_list):
    class Answers(BaseCallback):
        def _on_step(self):
            return answer

    model = small()
    model.learn(1, Answers())
    steps = model.num_timesteps + 1
    model = small()
    model.learn(steps, [Answers()] if in_list else Answers())
    assert model.iteration == n_iterations
