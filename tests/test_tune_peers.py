"""ARS as a Trainable of Ray Tune, and the examples that need Ray.

Broken on purpose -> red: a checkpoint without the model's state (`goes_on_from`, `process_is_lost`, `pauses`); parameters of
the trial not given on loading (`other_parameters`), or without what follows from them (`directions_that_are_more`); a parameter
that can't change passed over (`can_not_change`); parameters compared as they were given, a drawn seed drawn again, a method
given by its name alone (`however_its_parameters_are_given`); a process that keeps its model (`another_trial`); the model closed
before the next one is there (`wrong_parameters`).
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ray = pytest.importorskip("ray", reason='Ray is not installed: pip install "fastars[ray]"')
pytest.importorskip("ray.tune", reason='Ray Tune is not installed: pip install "fastars[ray]"')

from ray import tune  # noqa: E402
from ray.tune.schedulers import PopulationBasedTraining  # noqa: E402
from ray_clusters import IGNORED  # noqa: E402

from fastars import ARS  # noqa: E402
from fastars.tune import Trainable  # noqa: E402

pytestmark = [pytest.mark.timeout(600), pytest.mark.filterwarnings(*IGNORED, "ignore::DeprecationWarning")]
ROOT = Path(__file__).parent.parent
SPACE = {"env": "CartPole-v1", "seed": 3, "n_delta": 4, "noise_size": 1 << 16}
EXPECTED = {
    "tune_step_and_noise": r"learning_rate \d\.\d+, delta_std \d\.\d+: return [1-5]\d\d\n\d+ of 12 trials were stopped early",
    "many_seeds": r"20 seeds: mean (?:4\d\d|500), interquartile mean (?:4\d\d|500)",
}


@pytest.fixture(scope="module")
def cluster():
    ray.init("local", num_cpus=2, include_dashboard=False, configure_logging=False, log_to_driver=False)
    yield
    ray.shutdown()


def trained(iterations, **settings):
    model = ARS("LinearPolicy", **{**SPACE, **settings})
    for _ in range(iterations):
        model.learn(1, reset_num_timesteps=False)
    return model


@pytest.fixture
def trial():
    """Makes trials, which end with the test."""
    made = []

    def make(**parameters):
        made.append(Trainable({**SPACE, **parameters}))
        return made[-1]

    yield make
    for one in made:
        one.stop()


def test_a_trial_goes_on_from_its_checkpoint(tmp_path):
    first, second = Trainable(dict(SPACE)), Trainable(dict(SPACE))
    first.train()
    first.save_checkpoint(str(tmp_path))
    second.load_checkpoint(str(tmp_path))
    rows = [trial.train() for trial in (first, second)]
    assert rows[0]["rollout/ep_rew_mean"] == rows[1]["rollout/ep_rew_mean"]
    for trial in (first, second):
        np.testing.assert_array_equal(trial.model.theta, trained(2).theta)
        trial.stop()


def test_a_result_has_the_row_of_the_log_and_counts():
    trial = Trainable({**SPACE, "steps_per_result": 500})
    row = trial.train()
    model = trial.model
    assert row["timesteps_this_iter"] == model.num_timesteps >= 500
    assert row["episodes_this_iter"] == model.num_episodes == 8 * model.iteration
    assert row["rollout/ep_rew_mean"] == model.record["rollout/ep_rew_mean"]
    trial.stop()


def test_a_trial_goes_on_from_another_one_with_other_parameters(tmp_path):
    first, second = Trainable(dict(SPACE)), Trainable({**SPACE, "delta_std": 0.3})
    first.train()
    first.save_checkpoint(str(tmp_path))
    second.load_checkpoint(str(tmp_path))
    second.train()
    expected = trained(1)
    expected.save(tmp_path / "expected.zip")
    expected = ARS.load(tmp_path / "expected.zip", delta_std=0.3).learn(1, reset_num_timesteps=False)
    np.testing.assert_array_equal(second.model.theta, expected.theta)
    for trial in (first, second):
        trial.stop()


def test_directions_that_are_more_are_all_used(trial, tmp_path):
    first, second = trial(n_delta=4), trial(n_delta=8)
    first.train()
    first.save_checkpoint(str(tmp_path))
    second.load_checkpoint(str(tmp_path))
    assert (second.model.config.n_delta, second.model.config.n_top) == (8, 8)


@pytest.mark.parametrize(
    "parameters",
    [
        {"policy": "MlpPolicy", "policy_kwargs": {"net_arch": [8]}},
        {"env": "mo-mountaincar-v0", "preference": [1.0, 2.0, 1.0]},
        {"env": "mo-mountaincar-v0", "preference": np.array([1.0, 2.0, 1.0])},
        {"env": "mo-mountaincar-v0", "weighting": "gradnorm", "weighting_kwargs": {"alpha": 0.7}},
        {"seed": None, "momentum": None, "learning_rate": None, "n_top": None},
        {"variant": "V2", "preset": "rllib"},
    ],
    ids=["network", "list", "array", "method", "none", "preset"],
)
def test_a_trial_goes_on_however_its_parameters_are_given(trial, tmp_path, parameters):
    first, second = trial(**parameters), trial(**parameters)
    first.train()
    first.save_checkpoint(str(tmp_path))
    second.load_checkpoint(str(tmp_path))
    for one in (first, second):
        one.train()
    np.testing.assert_array_equal(first.model.theta, second.model.theta)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"momentum": 0.5}, r"momentum can't change during a run: 0\.0 in the checkpoint, 0\.5 in the trial"),
        ({"variant": "V2"}, "normalize_observations can't change during a run: False in the checkpoint, True in the trial"),
        ({"preset": "rllib"}, "can't change during a run"),
        ({"policy_kwargs": {"with_bias": True}}, "policy_kwargs can't change during a run"),
    ],
    ids=["momentum", "variant", "preset", "policy"],
)
def test_what_can_not_change_is_named(trial, tmp_path, parameters, message):
    first, second = trial(), trial(**parameters)
    first.train()
    first.save_checkpoint(str(tmp_path))
    before = second.model
    with pytest.raises(ValueError, match=message):
        second.load_checkpoint(str(tmp_path))
    assert second.model is before


def test_a_method_of_weighting_can_not_change(trial, tmp_path):
    first = trial(env="mo-mountaincar-v0", weighting="fixed")
    second = trial(env="mo-mountaincar-v0", weighting="gradnorm")
    first.train()
    first.save_checkpoint(str(tmp_path))
    with pytest.raises(ValueError, match="weighting can't change during a run: 'fixed' in the checkpoint, 'gradnorm' in the trial"):
        second.load_checkpoint(str(tmp_path))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"steps_per_result": 0}, "steps_per_result must be an integer of at least 1, got 0"),
        ({"delta_std": -1}, "delta_std must be .*, got -1"),
    ],
    ids=["steps", "noise"],
)
def test_wrong_parameters_leave_the_trial_before(trial, monkeypatch, wrong, message):
    one = trial()
    before = one.model
    monkeypatch.setattr(before, "close", lambda: pytest.fail("the model was closed"))
    with pytest.raises(ValueError, match=message):
        one.reset_config({**SPACE, **wrong})
    assert one.model is before
    monkeypatch.undo()


@pytest.mark.parametrize("parameters", [{}, {"n_threads": None}, {"n_threads": 2}, {"n_workers": 3, "n_threads": 2}])
def test_a_trial_asks_for_the_cpus_of_its_threads_or_processes(parameters):
    expected = max((value for value in parameters.values() if value), default=1)
    assert Trainable.default_resource_request({**SPACE, **parameters}).bundles == [{"CPU": expected}]


def test_a_process_is_used_for_another_trial():
    trial = Trainable(dict(SPACE))
    trial.train()
    assert trial.reset({**SPACE, "delta_std": 0.3})
    trial.train()
    np.testing.assert_array_equal(trial.model.theta, trained(1, delta_std=0.3).theta)
    trial.stop()


@pytest.mark.usefixtures("cluster")
def test_a_population_is_trained(tmp_path):
    """Trials are paused, and go on from others' checkpoints with changed parameters."""
    scheduler = PopulationBasedTraining(
        time_attr="training_iteration",
        perturbation_interval=2,
        hyperparam_mutations={"delta_std": [0.01, 0.1, 1.0]},
        synch=True,
        log_config=False,
    )
    run = tune.RunConfig(storage_path=str(tmp_path), name="population", stop={"training_iteration": 6}, verbose=0)
    search = tune.TuneConfig(metric="rollout/ep_rew_mean", mode="max", num_samples=4, scheduler=scheduler, reuse_actors=True)
    space = {**SPACE, "delta_std": tune.choice([0.001, 0.05])}
    results = tune.Tuner(Trainable, param_space=space, tune_config=search, run_config=run).fit()
    assert not results.errors
    assert {result.config["delta_std"] for result in results} - {0.001, 0.05}  # the worst took over another one, and was changed
    assert [result.metrics["training_iteration"] for result in results] == [6] * 4
    for result in results:  # a file of each is there, and as far
        assert ARS.load(Path(result.checkpoint.path) / "model.zip").iteration >= 2


@pytest.mark.usefixtures("cluster")
def test_a_trial_that_a_scheduler_pauses_goes_on_to_the_bits_of_one_never_stopped(tmp_path):
    class Counted(Trainable):
        def load_checkpoint(self, checkpoint):
            super().load_checkpoint(checkpoint)
            (tmp_path / f"{self.config['delta_std']} goes on from {self.model.iteration}").touch()

    scheduler = PopulationBasedTraining(
        time_attr="training_iteration",
        perturbation_interval=2,
        quantile_fraction=0.0,  # nobody takes over another one
        hyperparam_mutations={"delta_std": [0.01, 0.1]},
        synch=True,
        log_config=False,
    )
    checkpoints = tune.CheckpointConfig(checkpoint_at_end=True)
    stop = {"training_iteration": 5}
    run = tune.RunConfig(storage_path=str(tmp_path), name="pauses", stop=stop, verbose=0, checkpoint_config=checkpoints)
    search = tune.TuneConfig(metric="rollout/ep_rew_mean", mode="max", scheduler=scheduler, reuse_actors=True)
    space = {**SPACE, "delta_std": tune.grid_search([0.01, 0.1]), "n_threads": 2}  # one at a time
    results = tune.Tuner(Counted, param_space=space, tune_config=search, run_config=run).fit()
    assert not results.errors
    for result in results:
        delta_std = result.config["delta_std"]
        assert (tmp_path / f"{delta_std} goes on from 2").exists()
        assert (tmp_path / f"{delta_std} goes on from 4").exists()
        found = ARS.load(Path(result.checkpoint.path) / "model.zip")
        np.testing.assert_array_equal(found.theta, trained(5, delta_std=delta_std).theta)


@pytest.mark.usefixtures("cluster")
def test_a_trial_whose_process_is_lost_goes_on_to_the_bits_of_one_never_stopped(tmp_path):
    class Dies(Trainable):
        def step(self):
            marker = tmp_path / "died"
            if self.model.iteration == 4 and not marker.exists():
                marker.touch()
                os._exit(1)
            return super().step()

    checkpoints = tune.CheckpointConfig(checkpoint_frequency=1, checkpoint_at_end=True)
    run = tune.RunConfig(
        storage_path=str(tmp_path),
        name="lost",
        stop={"training_iteration": 6},
        verbose=0,
        checkpoint_config=checkpoints,
        failure_config=tune.FailureConfig(max_failures=1),
    )
    (result,) = tune.Tuner(Dies, param_space=dict(SPACE), run_config=run).fit()
    assert (tmp_path / "died").exists()
    found = ARS.load(Path(result.checkpoint.path) / "model.zip")
    assert found.iteration == 6
    np.testing.assert_array_equal(found.theta, trained(6).theta)


@pytest.mark.parametrize("name", EXPECTED)
def test_example_on_ray_runs_and_prints_what_it_should(name, tmp_path):
    code = (ROOT / "examples" / "on_ray" / f"{name}.py").read_text()
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
        "HOME": str(tmp_path),
    }
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert re.search(EXPECTED[name], done.stdout), done.stdout
