"""One script with callbacks runs with stable-baselines3-contrib's ARS and with ours: they count, act and name files alike.

The episodes are cut after 7 steps, before a pole can fall, and 252 steps are whole iterations with 1, 2 and 3 environments: both
packages take the same steps.

Broken on purpose, one at a time: no step but the last of an iteration is heard of -> test_a_callback_that_counts and most others
red; with `async_eval` a call for each step -> test_with_async_eval; rows with the steps of the iteration's end ->
test_rows_of_the_log.
"""

import warnings

import gymnasium
import numpy as np
import pytest

sb3_contrib = pytest.importorskip("sb3_contrib", reason="stable-baselines3-contrib is not installed: pip install '.[compat]'")

from stable_baselines3.common import callbacks as theirs  # noqa: E402
from stable_baselines3.common.env_util import make_vec_env  # noqa: E402
from stable_baselines3.common.monitor import Monitor  # noqa: E402
from stable_baselines3.common.vec_env import VecNormalize  # noqa: E402

import fastars  # noqa: E402
from fastars import callbacks as ours  # noqa: E402

N_STEPS = 7


def made(n_envs):
    def make():
        return gymnasium.make("CartPole-v1", max_episode_steps=N_STEPS)

    return Monitor(make()) if n_envs == 1 else make_vec_env(make, n_envs)


def learned(algorithm, callback, total=252, n_envs=1, env=None, **arguments):
    model = algorithm("LinearPolicy", made(n_envs) if env is None else env, n_delta=3, seed=0)
    return model.learn(total, callback=callback, **arguments)


def with_both(script, folder):
    """Run a script with theirs, and with ours and the callbacks of either package."""
    results = []
    for i, (algorithm, module) in enumerate([(sb3_contrib.ARS, theirs), (fastars.ARS, theirs), (fastars.ARS, ours)]):
        (folder / str(i)).mkdir()
        results.append(script(algorithm, module, folder / str(i)))
    return results


TESTS = {
    "n_calls": lambda self: self.n_calls % 20 == 0,
    "n_calls, its own attribute": lambda self: self.n_calls % self.every_n == 0,
    "num_timesteps": lambda self: self.num_timesteps % 60 == 0,
    "the model's": lambda self: self.model.num_timesteps % 50 == 0,
    "both": lambda self: self.n_calls * self.training_env.num_envs == self.num_timesteps,
}


@pytest.mark.parametrize("n_envs", [1, 3])
@pytest.mark.parametrize("test", TESTS)
def test_a_callback_that_counts_hits_as_often(test, n_envs, tmp_path):
    def script(algorithm, module, _):
        class Count(module.BaseCallback):
            every_n, hits = 40, 0

            def _on_step(self):
                self.hits += bool(TESTS[test](self))
                return True

        alone, listed, nested = Count(), Count(), Count()
        learned(algorithm, alone, n_envs=n_envs)
        learned(algorithm, [listed, module.CallbackList([nested])], n_envs=n_envs)
        return alone.hits, listed.hits, nested.hits

    expected, *found = with_both(script, tmp_path)
    assert expected[0] > 0
    assert found == [expected, expected]


def test_steps_come_in_the_same_order(tmp_path):
    def script(algorithm, module, _):
        class Watch(module.BaseCallback):
            def __init__(self):
                super().__init__()
                self.seen = []

            def _on_training_start(self):
                self.seen.append(("start", self.n_calls, self.num_timesteps))

            def _on_rollout_start(self):
                self.seen.append(("rollout", self.n_calls, self.num_timesteps))

            def _on_step(self):
                self.seen.append(("step", self.n_calls, self.num_timesteps, self.model.num_timesteps))
                return True

            def _on_rollout_end(self):
                self.seen.append(("rollout end", self.n_calls, self.num_timesteps))

            def _on_training_end(self):
                self.seen.append(("end", self.n_calls, self.num_timesteps, self.model.num_timesteps))

        watch = Watch()
        learned(algorithm, watch)
        return watch.seen

    expected, *found = with_both(script, tmp_path)
    assert found == [expected, expected]


def test_a_function_is_called_as_often(tmp_path):
    def script(algorithm, *_):
        seen = []
        learned(algorithm, lambda local, names: seen.append((local["self"].num_timesteps, "ARS" in names)))
        return seen

    expected, *found = with_both(script, tmp_path)
    assert len(expected) == 252
    assert found == [expected, expected]


@pytest.mark.parametrize("n_envs", [1, 2])
def test_files_have_the_same_names(n_envs, tmp_path):
    def script(algorithm, module, folder):
        env = VecNormalize(make_vec_env(lambda: made(1), n_envs), norm_reward=False)
        every = module.CheckpointCallback(max(50 // n_envs, 1), str(folder), save_vecnormalize=True)
        named = module.CheckpointCallback(1, str(folder), name_prefix="event")
        learned(algorithm, [every, module.EveryNTimesteps(120, named)], env=env)
        return sorted(path.name for path in folder.iterdir())

    expected, *found = with_both(script, tmp_path)
    assert {"rl_model_100_steps.zip", "rl_model_vecnormalize_100_steps.pkl", "event_120_steps.zip"} <= set(expected)
    assert found == [expected, expected]


@pytest.mark.parametrize("n_envs", [1, 2])
def test_evaluations_are_at_the_same_steps(n_envs, tmp_path):
    def script(algorithm, module, folder):
        counts = []

        class After(module.BaseCallback):
            def _on_step(self):
                counts.append((self.n_calls, self.num_timesteps, self.parent.n_calls))
                return True

        settings = {"eval_freq": 35, "n_eval_episodes": 2, "log_path": str(folder), "verbose": 0}
        learned(algorithm, module.EvalCallback(made(n_envs), callback_after_eval=After(), **settings), n_envs=n_envs)
        with np.load(folder / "evaluations.npz") as file:
            return counts, {name: (file[name].shape, file[name].dtype) for name in file.files}, file["timesteps"].tolist()

    expected, *found = with_both(script, tmp_path)
    assert len(expected[2]) >= 3
    assert found == [expected, expected]


def test_with_async_eval_a_call_stands_for_a_step_of_each_process(tmp_path):
    from sb3_contrib.common.vec_env import AsyncEval

    def script(algorithm, module, _):
        seen = []

        class Watch(module.BaseCallback):
            def _on_step(self):
                seen.append((self.n_calls, self.num_timesteps))
                return True

        model = algorithm("LinearPolicy", made(1), n_delta=3, seed=0)
        kind = AsyncEval if algorithm is sb3_contrib.ARS else fastars.AsyncEval
        workers = kind([lambda: make_vec_env(lambda: made(1)) for _ in range(2)], model.policy)
        model.learn(252, callback=Watch(), async_eval=workers)
        return seen

    expected, *found = with_both(script, tmp_path)
    assert expected[-1] == (126, 252)
    assert found == [expected, expected]


def test_rows_of_the_log_are_written_at_the_same_steps(tmp_path):
    from stable_baselines3.common.logger import configure

    def script(algorithm, module, folder):
        model = algorithm("LinearPolicy", made(1), n_delta=3, seed=0)
        model.set_logger(configure(str(folder), ["csv"]))
        model.learn(252, callback=module.LogEveryNTimesteps(64), log_interval=None)
        model.logger.close()
        header, *rows = (line.split(",") for line in (folder / "progress.csv").read_text().splitlines())
        return [row[header.index("time/total_timesteps")] for row in rows]

    expected, *found = with_both(script, tmp_path)
    assert expected[0] == "64"
    assert found == [expected, expected]


def test_patience_counts_the_same_evaluations(tmp_path):
    def script(algorithm, module, _):
        patience = module.StopTrainingOnNoModelImprovement(max_no_improvement_evals=10_000, min_evals=2)
        evaluation = module.EvalCallback(made(1), callback_after_eval=patience, eval_freq=35, n_eval_episodes=1, verbose=0)
        learned(algorithm, evaluation)
        return patience.n_calls, patience.no_improvement_evals

    expected, *found = with_both(script, tmp_path)
    assert found == [expected, expected]


def test_progress_bars_reach_the_same_end(tmp_path):
    tqdm = pytest.importorskip("tqdm", reason="tqdm is not installed")
    warnings.simplefilter("ignore", tqdm.TqdmExperimentalWarning)

    def script(algorithm, *_):
        bar = theirs.ProgressBarCallback()
        learned(algorithm, bar)
        return bar.pbar.n, bar.pbar.total

    expected, *found = with_both(script, tmp_path)
    assert found == [expected, expected]


def test_max_episodes_stop_at_the_same_step():
    steps = []
    for module in (theirs, ours):
        stop = module.StopTrainingOnMaxEpisodes(max_episodes=8)
        model = learned(fastars.ARS, stop, total=10_000)
        steps.append((stop.n_episodes, stop.n_calls, stop.num_timesteps, model.iteration))
    assert steps == [(8, 8 * N_STEPS, 8 * N_STEPS, 2)] * 2


NAMES = "async_eval log_interval progress_bar reset_num_timesteps self tb_log_name total_steps total_timesteps"


def test_callbacks_find_the_same_things(tmp_path):
    def script(algorithm, module, _):
        seen = []

        class Look(module.BaseCallback):
            def _on_step(self):
                if self.n_calls == 30:
                    local = {name: self.locals[name] for name in NAMES.split()}
                    assert local.pop("self") is self.model
                    assert self.training_env is self.model.get_env() is self.model.env
                    assert self.logger is self.model.logger
                    model = self.model
                    numbers = model.num_timesteps, model._num_timesteps_at_start, model._total_timesteps, model.n_envs
                    seen.append((local, self.globals["__name__"].rpartition(".")[2], self.parent, self.verbose, numbers))
                return True

        learned(algorithm, Look())
        return seen

    expected, *found = with_both(script, tmp_path)
    assert len(expected) == 1
    assert found == [expected, expected]
