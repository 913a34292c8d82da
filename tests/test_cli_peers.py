"""Files of the command, read by the libraries whose formats they have."""

import shutil

import numpy as np
import pytest

from fastars import ARS
from fastars.cli import main

accumulator = pytest.importorskip(
    "tensorboard.backend.event_processing.event_accumulator", reason="needs TensorBoard's reader: fastars[compat]"
)
monitor = pytest.importorskip("stable_baselines3.common.monitor", reason="needs stable-baselines3: fastars[compat]")
SHORT = ("CartPole-v1", "--seed", "5", "--n-delta", "4", "--no-progress", "--monitor", "--tensorboard")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("peers") / "run"
    assert main(["train", *SHORT, "--total-timesteps", "8000", "--save-freq", "3000", "--run-folder", str(folder)]) == 0
    return folder


def events_of(folder):
    reader = accumulator.EventAccumulator(str(folder))
    reader.Reload()
    return [(event.step, event.value) for event in reader.Scalars("rollout/ep_rew_mean")]


def test_tensorboard_reads_a_row_per_iteration(run):
    events = events_of(run)
    assert len(events) == ARS.load(run / "model.zip").iteration
    assert events[-1][0] == ARS.load(run / "model.zip").num_timesteps


def test_load_results_reads_every_episode(run):
    episodes = monitor.load_results(str(run))
    model = ARS.load(run / "model.zip")
    assert len(episodes) == model.num_episodes
    assert episodes["l"].sum() == model.num_timesteps
    assert list(episodes["r"]) == list(episodes["l"])  # CartPole pays 1 a step


def test_a_resumed_run_has_every_event_and_every_episode_once(tmp_path, run):
    """From a checkpoint before the end, so that what comes after it is there twice, if nothing is done about it."""
    shutil.copytree(run, tmp_path / "run")
    (tmp_path / "run" / "model.zip").unlink()
    for path in sorted((tmp_path / "run").glob("model_*.zip"), key=lambda path: len(path.name) * 100 + path.stat().st_mtime)[1:]:
        path.unlink()
    (left,) = (tmp_path / "run").glob("model_*.zip")
    assert ARS.load(left).num_timesteps < 7000
    assert main(["resume", str(tmp_path / "run"), "--no-progress"]) == 0
    assert events_of(tmp_path / "run") == events_of(run)
    resumed, whole = (monitor.load_results(str(folder)) for folder in (tmp_path / "run", run))
    np.testing.assert_array_equal(resumed[["r", "l"]], whole[["r", "l"]])
