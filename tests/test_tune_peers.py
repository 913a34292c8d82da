"""ARS as a Trainable of Ray Tune, and the examples that need Ray.

Broken on purpose -> red: a checkpoint without the model's state (`goes_on`, `paused`); parameters of the trial not given on
loading (`other_parameters`); a parameter that can't change passed over (`can_not_change`); a process that keeps its model
(`another_trial`).
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
    ray.init(num_cpus=2, include_dashboard=False, configure_logging=False, log_to_driver=False)
    yield
    ray.shutdown()


def trained(iterations, **settings):
    model = ARS("LinearPolicy", **{**SPACE, **settings})
    for _ in range(iterations):
        model.learn(1, reset_num_timesteps=False)
    return model


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


def test_what_can_not_change_is_named(tmp_path):
    first, second = Trainable(dict(SPACE)), Trainable({**SPACE, "momentum": 0.5})
    first.train()
    first.save_checkpoint(str(tmp_path))
    before = second.model
    with pytest.raises(ValueError, match=r"momentum can't change during a run: 0\.0 in the checkpoint, 0\.5 in the trial"):
        second.load_checkpoint(str(tmp_path))
    assert second.model is before
    for trial in (first, second):
        trial.stop()


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
