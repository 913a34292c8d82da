"""Counts in files start no processes, take no memory and do not run without end: they have limits, until the user asks for them.

Seen red on the code before, as far as they were run there: layers, windows, episodes without end, files of failures, twelve of
the hostile settings of an algorithm, the best policy of another run. Broken on purpose, one at a time: `limited_run` returns its
run -> tests of directions, noise and windows; `believed_workers` returns its argument ->
test_workers_of_a_file_are_no_more_than_cpus; an algorithm believes its file, or starts its workers before it has its model ->
test_workers_of_an_algorithm; a plan with no limits -> test_a_plan_that_asks_for_too_much_is_refused; limits of noise, bytes,
candidates, windows or plans that are lower -> test_counts_that_people_use, test_large_policies, test_plans_that_people_make; what
the user gives has limits -> test_what_the_user_gives; the model of an algorithm written before its counts are checked ->
test_an_algorithm_that_can_not_be_written; a row of weights for each episode -> test_episodes_of_one_policy; no check of the
layers of an episode -> test_layers_of_a_failure_are_those_of_its_weights; memory for
training looked at when a model is made from a file -> the tests of files that act red.
"""

import dataclasses
import io
import json
import os
import shutil
import threading
import time
import tracemalloc
import warnings
from pathlib import Path

import numpy as np
import pytest
from fuzz.targets import CORPUS

from fastars import ARS, CheckpointError, rllib
from fastars._runtime.cpus import available_cpus
from fastars.cli import main
from fastars.cli.plan import Plan, refuse_large_plan
from fastars.cli.recorded_episodes import recorded_episodes
from fastars.files import checkpoint
from fastars.replay import read_episode, replay
from fastars.rllib import ARSConfig
from fastars.training.file_limits import believed_workers, iteration_bytes

MIB = 2**20


def stored(config=(), arrays=(), **state):
    """The file of a model with some other settings."""
    file = io.BytesIO()
    before, of_model = checkpoint.load(CORPUS / "checkpoint_file" / "model.zip")
    changed = {**before, **state, "config": {**before["config"], **dict(config)}}
    checkpoint.save(file, changed, {**of_model, **dict(arrays)})
    return file


def peak_of(function):
    """(result, MiB) of a call."""
    tracemalloc.start()
    try:
        return function(), tracemalloc.get_traced_memory()[1] / MIB
    finally:
        tracemalloc.stop()


ACTIONS = np.zeros(4, np.float32)
LARGE = [
    {"n_delta": 2**31 - 1, "n_top": 1},
    {"n_delta": 10**7, "n_top": 1},
    {"n_eval_episodes": 2**31 - 1},
    {"n_eval_episodes": 10**7},
    {"noise_size": 2**40},
    {"noise_size": 2**48 - 1},
    {"noise_size": 2**28 + 1},
]


@pytest.mark.promise(6)
@pytest.mark.filterwarnings("ignore:noise_size=.* places where:UserWarning")
@pytest.mark.parametrize("config", LARGE, ids=str)
def test_a_file_that_asks_for_too_much_acts_but_does_not_train(config, tally):
    model, peak = peak_of(lambda: ARS.load(stored(config)))
    assert model.predict(ACTIONS)[0] in (0, 1)
    assert len(model.evaluate(3).returns) == 3
    name, value = next(iter(config.items()))
    for use in (lambda: model.learn(1), model.ask, lambda: ARS.load(stored(config), env="CartPole-v1").learn(1)):
        with pytest.raises(CheckpointError, match=rf"it asks for .*{name}={value}.*trust=True"):
            use()
    assert model.iteration == 0
    assert peak < 32
    assert not vars(model.run.noise).keys() & {"_values", "_is_filled"}  # it has no table
    assert ARS.load(stored(config), trust=True).run.excess == ("", "")
    tally(f"files with {name}={value} that acted and did not train", 1, of=1)


def test_a_window_without_end_is_refused_unless_it_is_given():
    with pytest.raises(CheckpointError, match="stats_window_size=1000000000, more than 1,000,000"):
        ARS.load(stored(stats_window_size=10**9)).learn(1)
    assert ARS.load(stored(stats_window_size=10**9), stats_window_size=10**9).learn(1).iteration == 1


def test_episodes_without_end_are_refused_also_where_they_only_evaluate():
    kwargs = checkpoint.load(CORPUS / "checkpoint_file" / "model.zip")[0]["env_kwargs"]
    file = stored(env_kwargs={**kwargs, "max_episode_steps": 2**62})
    for use in (lambda model: model.evaluate(1), lambda model: model.learn(1)):
        with pytest.raises(CheckpointError, match="it asks for episodes of 4611686018427387904 steps, more than 10,000,000"):
            use(ARS.load(file))
    assert len(ARS.load(file, trust=True).evaluate(3).returns) == 3
    assert len(ARS.load(file, env="CartPole-v1").evaluate(3).returns) == 3


def test_the_blocks_of_an_evaluation_are_no_more_than_its_episodes():
    import gymnasium

    model = ARS("LinearPolicy", gymnasium.make("CartPole-v1", max_episode_steps=2**62), seed=0)
    rollouts, peak = peak_of(lambda: model.evaluate(3))
    assert rollouts.lengths.max() < 1000
    assert peak < 10


@pytest.mark.parametrize(
    "config",
    [
        {"noise_size": 250_000_000, "n_delta": 320, "n_top": 160},  # of the original
        {"n_delta": 10_000, "n_top": 16, "n_eval_episodes": 10},
        {"noise_size": 2**28},
    ],
    ids=str,
)
def test_counts_that_people_use_train_without_a_word(config):
    assert ARS.load(stored(config, stats_window_size=100_000), n_threads=1).learn(1).iteration == 1


def test_large_policies_may_have_a_thousand_directions():
    settings = {"policy": "MlpPolicy", "policy_kwargs": {"net_arch": [256, 256]}, "n_delta": 1000, "seed": 0}
    model = ARS(env="Acrobot-v1", **settings)
    file = io.BytesIO()
    model.save(file)
    assert iteration_bytes(model.run, 1000, 1) > 2**28
    assert ARS.load(file).run.excess == ("", "")


@pytest.mark.filterwarnings("ignore:noise_size=.* places where:UserWarning")
def test_what_the_user_gives_has_no_limit():
    assert ARS.load(stored({"n_delta": 10**9, "n_top": 1}), n_delta=8, n_top=1).learn(1).iteration == 1
    assert ARS.load(stored(), n_delta=10**9).run.excess == ("", "")
    with pytest.raises(CheckpointError, match="n_eval_episodes=1000000000"):
        ARS.load(stored({"n_eval_episodes": 10**9}), n_delta=8).learn(1)


@pytest.mark.promise(6)
def test_layers_are_those_of_the_arrays_before_anything_is_made():
    wide = {"policy": "MlpPolicy", "net_arch": [10**6], "with_bias": False}  # fits an observation of one number
    arrays = {"theta": np.ones(10**6 * 3), "optimizer_0": np.zeros(10**6 * 3)}
    arrays |= {"filter_mean": np.zeros(1), "filter_m2": np.zeros(1)}
    file = stored(wide, arrays)

    def refused():
        with pytest.raises(CheckpointError, match="its policy takes observations of 1 numbers"):
            ARS.load(file, env="CartPole-v1")
        with pytest.raises(CheckpointError, match="its policy takes observations of 1 numbers"):
            ARS.load(file)

    zeros = 2 * 6 * 8 * 10**6 / MIB  # theta and slots of 6,000,000 zeros, which take no memory before something is written there
    assert peak_of(refused)[1] < zeros + 3 * len(file.getvalue()) / MIB
    with pytest.raises(CheckpointError, match="net_arch must be a list of at most 64 integers, got 100000"):
        ARS.load(stored({"policy": "MlpPolicy", "net_arch": [1] * 100_000}))


# Files of failures


def failure(path, **changes):
    state = json.loads((CORPUS / "episode" / "episode.json").read_text())
    config = {**state["config"], **changes.pop("config", {})}
    checkpoint.save(path, {**state, **changes, "config": config}, {"weights": np.ones(8), "mean": np.zeros(4), "scale": np.ones(4)})
    return path


def test_layers_of_a_failure_are_those_of_its_weights(tmp_path):
    path = failure(tmp_path / "failure.zip", config={"policy": "MlpPolicy", "net_arch": [9000, 9000]})

    def refused():
        with pytest.raises(CheckpointError, match="weights must be the weights of a policy of layers from 4, 9000, 9000 on, got 8"):
            replay(path)

    assert peak_of(refused)[1] < 10


def test_an_episode_without_end_is_asked_for(tmp_path):
    path = failure(tmp_path / "failure.zip", max_steps=2**62)
    assert read_episode(path).max_steps == 2**62
    with pytest.raises(CheckpointError, match=r"an episode of 4611686018427387904 steps, .* give max_steps=\.\.\. \(--max-steps\)"):
        replay(path)
    assert replay(path, max_steps=3) == (3.0, 3)


# RLlib's checkpoints


@pytest.fixture(scope="module")
def algorithm(tmp_path_factory):
    """The folder of a checkpoint."""
    made = ARSConfig().environment("CartPole-v1").debugging(seed=0).training(model={"fcnet_hiddens": []}, noise_size=10**6).build()
    made.train()
    return Path(made.save(tmp_path_factory.mktemp("rllib")))


def forged(algorithm, folder, **config):
    """A checkpoint whose `algorithm.zip` has other settings."""
    shutil.copytree(algorithm, folder)
    state, arrays = checkpoint.load(folder / "algorithm.zip")
    checkpoint.save(folder / "algorithm.zip", {**state, "config": {**state["config"], **config}}, arrays)
    return folder


def children():
    """The processes of this process."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if (path / "stat").read_text().rpartition(")")[2].split()[1] == str(os.getpid()):
                found.append(path.name)
        except OSError:
            continue
    return found


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"model": {"fcnet_hiddens": [9000, 9000], "fcnet_activation": "tanh"}}, r"fcnet_hiddens must be \(\), as in model.zip"),
        ({"model": {"fcnet_hiddens": [1] * 10**5, "fcnet_activation": "tanh"}}, r"fcnet_hiddens must be \(\), as in model.zip"),
        ({"model": {"fcnet_hiddens": 9000, "fcnet_activation": "tanh"}}, "not iterable"),
        ({"noise_size": 2**40}, "noise_size must be 1000000, as in model.zip, got 1099511627776"),
        ({"observation_filter": "NoFilter"}, "observation_filter must be MeanStdFilter, as in model.zip"),
        (
            {"evaluation_duration": 10**9},
            "evaluation_duration=1000000000 asks for 1000000000 episodes, more than the 100,000 of a file",
        ),
        ({"eval_prob": 1.0 - 2**-50}, "eval_prob=.* more than the 100,000"),
        ({"report_length": 2**40}, "report_length="),
        ({"num_rollout_workers": 2**70}, "num_rollout_workers"),
        ({"num_rollout_workers": float("nan")}, "num_rollout_workers"),
        ({"num_rollout_workers": "2"}, "num_rollout_workers"),
        ({"num_rollouts": True}, "num_rollouts"),
        ({"seed": "x"}, "seed"),
        ({"sgd_stepsize": float("inf")}, "sgd_stepsize"),
        ({"sgd_stepsize": -1.0}, "learning_rate"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_hostile_setting_of_an_algorithm_is_a_checkpoint_error(algorithm, tmp_path, config, message):
    folder = forged(algorithm, tmp_path / "a", **config)

    def refused():
        with pytest.raises(CheckpointError, match=message):
            rllib.ARS.from_checkpoint(folder)

    assert peak_of(refused)[1] < 32


@pytest.mark.filterwarnings("ignore:noise_size=.* places where:UserWarning")
@pytest.mark.parametrize("num_rollouts", [2**31, 10**8])
def test_directions_in_the_settings_of_an_algorithm_have_the_limits_of_a_file(algorithm, tmp_path, num_rollouts):
    folder = forged(algorithm, tmp_path / "a", num_rollouts=num_rollouts, eval_prob=0.0)
    restored = rllib.ARS.from_checkpoint(folder)
    restored.compute_single_action(ACTIONS)
    with pytest.raises(CheckpointError, match=r"it asks for n_delta=.*config=\.\.\. allows that"):
        restored.train()
    given = ARSConfig().environment("CartPole-v1").training(model={"fcnet_hiddens": []}, noise_size=10**6, num_rollouts=4)
    assert rllib.ARS.from_checkpoint(folder, given).train()["info"]["episodes_this_iter"] == 4


@pytest.mark.promise(6)
def test_workers_of_an_algorithm_are_no_more_than_cpus(tmp_path, tally):
    pytest.importorskip("gymnasium.envs.toy_text")
    settings = ARSConfig().environment("FrozenLake-v1").debugging(seed=0).training(model={"fcnet_hiddens": []}, noise_size=10**6)
    made = settings.rollouts(num_rollout_workers=1).build()
    made.train()
    folder = forged(Path(made.save(tmp_path)), tmp_path / "a", num_rollout_workers=64)
    before, most, is_done = len(children()), [0], threading.Event()

    def watch():
        while not is_done.is_set():
            most[0] = max(most[0], len(children()) - before)
            time.sleep(0.005)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        with pytest.warns(UserWarning, match=f"num_rollout_workers is {available_cpus()}, the CPUs here, not 64"):
            restored = rllib.ARS.from_checkpoint(folder)
        result = restored.train()
    finally:
        is_done.set()
        watcher.join()
    restored.stop()
    assert result["episode_reward_mean"] == made.train()["episode_reward_mean"]
    assert most[0] <= available_cpus()
    tally("workers of an algorithm's file beyond the CPUs", max(most[0] - available_cpus(), 0))


def test_an_algorithm_that_can_not_be_written_leaves_the_checkpoint_before(tmp_path):
    made = ARSConfig().environment("CartPole-v1").training(model={"fcnet_hiddens": []}, noise_size=10**6).build()
    made.save_into(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    made.train()
    made.config = made.config.copy(copy_frozen=False).environment(env_config={"key": "x" * 2**21})  # too much for a file
    with pytest.raises(ValueError, match=r"a manifest of \d+ bytes, more than"):
        made.save_into(tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


# Run folders


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "run"
    arguments = ["--total-timesteps", "300", "--eval-episodes", "3", "--n-delta", "2", "--seed", "1", "--no-progress", "--monitor"]
    assert main(["train", "CartPole-v1", "--run-folder", str(folder), *arguments]) == 0
    return folder


def edited(run_folder, folder, **values):
    shutil.copytree(run_folder, folder)
    lines = (folder / "config.toml").read_text().splitlines()
    kept = [line for line in lines if line.partition(" = ")[0] not in values]
    at = kept.index("[run]") + 1
    kept[at:at] = [f"{name} = {value}" for name, value in values.items()]
    (folder / "config.toml").write_text("\n".join(kept) + "\n")
    return folder


@pytest.mark.promise(6)
@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"eval_episodes": 200_000_000}, "it asks for eval_episodes=200000000, more than the 100,000 episodes of a file"),
        ({"eval_episodes": 2**62}, "it asks for eval_episodes=4611686018427387904"),
        (
            {"save_freq": 1, "keep_checkpoints": 10**9, "total_timesteps": 10**9},
            "checkpoints (save_freq=1, keep_checkpoints=1000000000)",
        ),
        ({"eval_freq": 1, "eval_episodes": 100_000, "total_timesteps": 10**6}, "evaluations (eval_freq=1) of 100000"),
        ({"n_workers": "true"}, "config.toml is damaged: n_workers must be an integer of at least 1, got True"),
        ({"n_workers": "1e30"}, "config.toml is damaged: n_workers must be"),
    ],
    ids=str,
)
def test_a_plan_that_asks_for_too_much_is_refused(run_folder, tmp_path, capsys, values, message, tally):
    folder = edited(run_folder, tmp_path / "run", **values)
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    start = time.process_time()
    assert main(["resume", str(folder), "--no-progress"]) == 1
    assert message in " ".join(capsys.readouterr().err.split())
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == files
    assert time.process_time() - start < 20
    tally("plans of run folders that ask for too much, refused", 1, of=1)


@pytest.mark.filterwarnings("ignore:noise_size=.* places where:UserWarning")
def test_a_model_that_asks_for_too_much_is_not_resumed(run_folder, tmp_path, capsys):
    shutil.copytree(run_folder, tmp_path / "run")
    state, arrays = checkpoint.load(run_folder / "model.zip")
    checkpoint.save(tmp_path / "run" / "model.zip", {**state, "config": {**state["config"], "n_delta": 10**8}}, arrays)
    assert main(["resume", str(tmp_path / "run"), "--total-timesteps", "600", "--no-progress"]) == 1
    assert "it asks for n_delta=100000000" in capsys.readouterr().err


def test_a_best_policy_of_another_run_is_passed_over(run_folder, tmp_path, capsys):
    shutil.copytree(run_folder, tmp_path / "run")
    settings = {"policy": "MlpPolicy", "policy_kwargs": {"net_arch": [3]}, "n_delta": 2, "seed": 1}
    ARS(env="CartPole-v1", **settings).save(tmp_path / "run" / "best_model.zip")
    with warnings.catch_warnings():
        warnings.simplefilter("always")  # as outside of tests
        assert main(["resume", str(tmp_path / "run"), "--total-timesteps", "600", "--no-progress"]) == 0
    said = " ".join(capsys.readouterr().err.split())
    assert "best_model.zip is of another run; the run keeps the best policy from here on" in said


@pytest.mark.promise(6)
@pytest.mark.parametrize(("stored", "cpus", "started"), [(1, 4, 1), (4, 4, 4), (12, 2, 2), (2**62, 8, 8)])
def test_workers_of_a_file_are_no_more_than_cpus(monkeypatch, stored, cpus, started):
    monkeypatch.setattr("fastars.training.file_limits.available_cpus", lambda: cpus)
    assert believed_workers(stored) == started


PLAN = Plan(total_timesteps=10**6, eval_freq=40_000, eval_episodes=100)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"eval_episodes": 100_000},
        {"save_freq": 1, "keep_checkpoints": 5},
        {"save_freq": 1000, "keep_checkpoints": 10_000},
        {"eval_freq": 1},
        {"total_timesteps": 10**10, "eval_freq": 4 * 10**8, "eval_episodes": 1000},
    ],
    ids=str,
)
def test_plans_that_people_make_are_not_refused(changes):
    refuse_large_plan(Path("run"), dataclasses.replace(PLAN, **changes), model_bytes=250_000, episodes=16)


def test_episodes_of_one_policy_share_its_weights(run_folder):
    """A row of weights for each episode took 8 bytes for each weight, where a row of the file has 6."""
    with recorded_episodes(run_folder, None, []) as (recorded, _):
        for episodes in recorded:
            assert len(episodes.weights) in (1, 4)
            assert episodes.agree(len(episodes.results) - 1, episodes.replay(len(episodes.results) - 1))
