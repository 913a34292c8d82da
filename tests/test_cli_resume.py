"""A run that was stopped and resumed is the run that was never stopped."""

import csv
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from broken_envs import Walk
from test_cli import COMMAND, ENVIRONMENT, only_error, run

import fastars
from fastars import ARS, learning
from fastars.cli import commands, main
from fastars.files import manifest
from fastars.files.checkpoint_names import checkpoints

OPTIONS = ("CartPole-v1", "--seed", "5", "--n-threads", "1", "--n-delta", "4", "--variant", "V2")
OPTIONS += ("--learning-rate", "0.001", "--total-timesteps", "40000")
OFTEN = ("--eval-episodes", "3", "--eval-freq", "7000", "--save-freq", "9000", "--keep-checkpoints", "3", "--no-progress")


def train(folder, *args):
    return commands.parse(["train", *OPTIONS, *OFTEN, "--run-folder", str(folder), *args]).run()


@pytest.fixture(scope="module")
def never_stopped(tmp_path_factory):
    folder = tmp_path_factory.mktemp("never_stopped") / "run"
    assert train(folder) == 0
    return folder


def progress_of(folder):
    """Rows of the log, without what the clock says."""
    with open(folder / "progress.csv", newline="") as file:
        return [{key: row[key] for key in row if key not in ("time/fps", "time/time_elapsed")} for row in csv.DictReader(file)]


def assert_same_run(folder, expected):
    for name in ("model.zip", "best_model.zip"):
        assert (folder / name).read_bytes() == (expected / name).read_bytes(), name
    with np.load(folder / "evaluations.npz") as found, np.load(expected / "evaluations.npz") as wanted:
        for name in ("timesteps", "results", "ep_lengths"):
            np.testing.assert_array_equal(found[name], wanted[name])
    ours, wanted = progress_of(folder), progress_of(expected)
    assert len(ours) == len(wanted)
    for row, other in zip(ours, wanted, strict=True):
        assert row == other
    assert [steps for steps, _ in checkpoints(folder)] == [steps for steps, _ in checkpoints(expected)]


def wait_for_rows(log, n_rows, process):
    deadline = time.monotonic() + 60
    while not (log.exists() and log.read_bytes().count(b"\n") > n_rows):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.001)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)])
def test_a_stopped_and_resumed_run_is_the_one_never_stopped(tmp_path, never_stopped, number, code):
    arguments = ["train", *OPTIONS, *OFTEN, "--run-folder", "run"]
    slowed = ENVIRONMENT | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ENVIRONMENT['PYTHONPATH']}"}
    # An iteration of 300 us is too short to be hit from outside.
    (tmp_path / "sitecustomize.py").write_text(
        "import fastars.ars, time\nARS = fastars.ars.ARS\ncommit = ARS._commit\n"
        "def slow(self, *args, **kwargs):\n    commit(self, *args, **kwargs)\n    time.sleep(0.02)\nARS._commit = slow\n"
    )
    process = subprocess.Popen([*COMMAND, *arguments], cwd=tmp_path, env=slowed, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        wait_for_rows(tmp_path / "run" / "progress.csv", 25, process)
        process.send_signal(number)
        process.communicate(timeout=60)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == code
    assert ARS.load(tmp_path / "run" / "model.zip").num_timesteps < 100_000
    resumed = run("resume", "run", cwd=tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    assert re.match(r"Going on with run after [\d.]+ k steps, from model.zip\n", resumed.stdout)
    assert re.search(r"training +[\d,]+ steps, of them [\d,]+ in ", resumed.stdout)
    assert_same_run(tmp_path / "run", never_stopped)


class Killed(BaseException):
    """Stands for SIGKILL: nothing is written after it."""


class Dying(ARS):
    """A model whose process is killed at the n-th file that is written, counted over all models."""

    n_files = 0

    def save(self, *args, **kwargs):
        if Dying.n_files == 0:
            raise Killed
        Dying.n_files -= 1
        super().save(*args, **kwargs)


@pytest.mark.parametrize("n_files", [1, 2, 3, 4, 5, 9, 10, 11, 12, 13])
def test_a_run_killed_between_two_files_goes_on_as_if_nothing_was(tmp_path, never_stopped, monkeypatch, n_files):
    with monkeypatch.context() as patch:
        patch.setattr(fastars.ars, "ARS", Dying)
        Dying.n_files = n_files
        with pytest.raises(Killed):
            train(tmp_path / "run")
    assert main(["resume", str(tmp_path / "run"), "--no-progress"]) == 0
    assert_same_run(tmp_path / "run", never_stopped)


def test_seconds_count_on(tmp_path):
    train(tmp_path / "run")
    for seconds, total in ((100.0, "50000"), (200.0, "60000")):
        stretch(tmp_path / "run" / "progress.csv", seconds)
        start = time.monotonic()
        assert main(["resume", str(tmp_path / "run"), "--total-timesteps", total, "--no-progress"]) == 0
        whole = time.monotonic() - start
        with open(tmp_path / "run" / "progress.csv", newline="") as file:
            times = [float(row["time/time_elapsed"]) for row in csv.DictReader(file) if row["time/time_elapsed"]]
        assert seconds < times[-1] < seconds + whole


def stretch(path, seconds):
    """Let the last row of a log be at so many seconds."""
    with open(path, newline="") as file:
        header, *rows = list(csv.reader(file))
    column = header.index("time/time_elapsed")
    last = max(index for index, row in enumerate(rows) if row[column])
    rows[last][column] = str(seconds)
    with open(path, "w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *rows])


def test_a_finished_run_says_so_and_is_not_touched(tmp_path, never_stopped, capsys):
    shutil.copytree(never_stopped, tmp_path / "run")
    before = {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()}
    assert main(["resume", str(tmp_path / "run")]) == 0
    said = capsys.readouterr().out
    assert re.fullmatch(r".*run is finished: 4\d,\d{3} steps\. A larger --total-timesteps goes on with it\.\n", said)
    assert {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()} == before


def test_a_finished_run_goes_on_to_more_steps_as_one_that_was_so_long(tmp_path, never_stopped):
    shutil.copytree(never_stopped, tmp_path / "run")
    assert main(["resume", str(tmp_path / "run"), "--total-timesteps", "60000", "--no-progress"]) == 0
    assert train(tmp_path / "long", "--total-timesteps", "60000") == 0
    np.testing.assert_array_equal(*(ARS.load(tmp_path / name / "model.zip").theta for name in ("run", "long")))
    config = (tmp_path / "run" / "config.toml").read_text()
    assert "total_timesteps = 60000\n" in config
    assert "eval_freq = 7000\n" in config


def test_iterations_end_a_run_and_can_be_raised(tmp_path):
    assert train(tmp_path / "run", "--iterations", "4") == 0
    assert ARS.load(tmp_path / "run" / "model.zip").iteration == 4
    assert main(["resume", str(tmp_path / "run"), "--iterations", "6", "--no-progress"]) == 0
    assert ARS.load(tmp_path / "run" / "model.zip").iteration == 6


def test_the_newest_checkpoints_are_kept(never_stopped):
    kept = [steps for steps, _ in checkpoints(never_stopped)]
    assert len(kept) == 3
    assert kept[0] > 35_000
    assert ARS.load(never_stopped / f"model_{kept[0]}_steps.zip").num_timesteps == kept[0]


@pytest.mark.filterwarnings("default::RuntimeWarning")
def test_of_damaged_files_the_newest_whole_one_is_taken(tmp_path, never_stopped, capsys):
    folder = tmp_path / "run"
    shutil.copytree(never_stopped, folder)
    newest, older, _ = (path for _, path in checkpoints(folder))
    (folder / "model.zip").write_bytes((folder / "model.zip").read_bytes()[:-7])
    newest.write_bytes(b"")
    assert main(["resume", str(folder), "--no-progress"]) == 0
    said = capsys.readouterr()
    assert "model.zip: no zip directory at its end: it was cut short" in said.err
    assert f"{newest.name}: no zip directory at its end" in said.err
    assert said.err.count("; the checkpoint before it is taken\n") == 2
    assert f"from {older.name}\n" in said.out
    assert_same_run(folder, never_stopped)


@pytest.mark.filterwarnings("default::RuntimeWarning")
def test_damaged_evaluations_are_said_and_the_run_goes_on(tmp_path, never_stopped, capsys):
    folder = tmp_path / "run"
    shutil.copytree(never_stopped, folder)
    (folder / "evaluations.npz").write_bytes(b"PK")
    (folder / "best_model.zip").write_bytes(b"PK")
    assert main(["resume", str(folder), "--total-timesteps", "50000", "--no-progress"]) == 0
    said = capsys.readouterr().err
    assert "evaluations.npz is damaged, the evaluations in it are lost: " in said
    assert "the run keeps the best policy from here on" in said
    np.testing.assert_array_equal(ARS.load(folder / "model.zip").theta.shape, (8,))


@pytest.mark.parametrize(
    ("damage", "code", "message"),
    [
        (lambda folder: shutil.rmtree(folder), 2, "there is no run folder"),
        (lambda folder: (folder / "config.toml").unlink(), 2, "is no run folder: it has no config.toml"),
        (lambda folder: (folder / "config.toml").write_text("[run"), 1, "config.toml is damaged: "),
        (lambda folder: (folder / "config.toml").write_bytes(b"\xff"), 1, "config.toml is damaged: "),
        (lambda folder: (folder / "config.toml").write_text("schema = 1"), 1, "it lacks one of the tables [env], [run]"),
        (
            lambda folder: edit(folder, "eval_freq = 7000", 'eval_freq = "often"'),
            1,
            "eval_freq must be an integer from 1 to 2**63 - 1",
        ),
        (lambda folder: edit(folder, "eval_freq = 7000", ""), 1, "config.toml is damaged: "),
        (lambda folder: edit(folder, "schema = 1", "schema = 2"), 1, "was written by a newer fastars (schema 2; this one reads 1)"),
        (lambda folder: edit(folder, "schema = 1", 'schema = "x"'), 1, "schema must be an integer of at least 1, got 'x'"),
        (lambda folder: [path.unlink() for path in folder.glob("model*.zip")], 1, "has no model.zip"),
    ],
)
def test_what_is_no_whole_run_folder_is_an_error_of_one_line(tmp_path, never_stopped, capsys, damage, code, message):
    folder = tmp_path / "run"
    shutil.copytree(never_stopped, folder)
    damage(folder)
    assert main(["resume", str(folder)]) == code
    said = capsys.readouterr()
    assert message in said.err
    assert said.err.count("\n") == 1
    assert said.out == ""


def edit(folder, old, new):
    text = (folder / "config.toml").read_text()
    assert old in text
    (folder / "config.toml").write_text(text.replace(old, new))


@pytest.mark.filterwarnings("default::RuntimeWarning")
def test_a_model_of_a_newer_version_is_named(tmp_path, never_stopped, monkeypatch, capsys):
    folder = tmp_path / "run"
    shutil.copytree(never_stopped, folder)
    for path in folder.glob("model_*.zip"):
        path.unlink()
    with monkeypatch.context() as patch:
        patch.setattr(manifest, "SCHEMA", manifest.SCHEMA + 1)
        ARS("LinearPolicy", "CartPole-v1", seed=0).save(folder / "model.zip")
    assert main(["resume", str(folder)]) == 1
    assert "written by a newer fastars (schema 2; this one reads 1): upgrade fastars" in capsys.readouterr().err


def test_fewer_steps_than_there_are_is_wrong_use(never_stopped, capsys):
    assert main(["resume", str(never_stopped), "--total-timesteps", "10"]) == 2
    assert "total_timesteps must be at least the 4" in capsys.readouterr().err


def test_a_run_that_is_still_running_is_refused(tmp_path):
    process = subprocess.Popen(
        [*COMMAND, "train", "CartPole-v1", "--total-timesteps", "1000000000", "--run-folder", "run"],
        cwd=tmp_path,
        env=ENVIRONMENT,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for_rows(tmp_path / "run" / "progress.csv", 20, process)
        result = run("resume", "run", cwd=tmp_path)
    finally:
        process.kill()
        process.wait()
    assert result.returncode == 2
    assert "run folder run is in use by another process" in only_error(result)


def test_an_environment_in_python_is_named_again_and_gives_the_same(tmp_path):
    """Nothing is imported for a file."""
    path = {"PYTHONPATH": f"{Path(__file__).parent}{os.pathsep}{ENVIRONMENT['PYTHONPATH']}"}
    options = ("--seed", "1", "--eval-episodes", "2", "--eval-freq", "1000", "--no-progress")
    for name, steps in (("whole", "3000"), ("parts", "1000")):
        run("train", "broken_envs:Walk-v0", "--total-timesteps", steps, "--run-folder", name, *options, cwd=tmp_path, **path)
    resume = ("resume", "parts", "--total-timesteps", "3000")
    refused = run(*resume, cwd=tmp_path, **path)
    assert refused.returncode == 1
    assert "its environment 'Walk-v0' can't be made: it is not registered here" in only_error(refused)
    resumed = run(*resume, "--env", "broken_envs:Walk-v0", "--n-workers", "2", cwd=tmp_path, **path)
    assert resumed.returncode == 0, resumed.stderr
    assert "fastars eval parts --env broken_envs:Walk-v0" in resumed.stdout
    np.testing.assert_array_equal(*(ARS.load(tmp_path / name / "model.zip", env=Walk()).theta for name in ("parts", "whole")))


def test_every_event_of_stopping_is_at_a_row_of_the_log(tmp_path, monkeypatch):
    """A signal at any moment of an iteration leaves a log with a row for each iteration of the model."""
    functions, methods = ("ask", "make_candidates", "roll_out", "iterate"), ("_commit", "_write_episodes", "dump_logs")
    for moment in (*functions, *methods):
        owner = learning if moment in functions else ARS
        folder, original = tmp_path / moment, getattr(owner, moment)

        def signalled(*args, original=original, is_method=owner is ARS, **kwargs):
            if (args[0].iteration if is_method else args[1].counters.iteration) == 3:
                signal.raise_signal(signal.SIGINT)
            return original(*args, **kwargs)

        with monkeypatch.context() as patch:
            patch.setattr(owner, moment, signalled)
            assert main(["train", *OPTIONS, *OFTEN, "--run-folder", str(folder)]) == 130
        iteration = ARS.load(folder / "model.zip").iteration
        assert iteration in (3, 4)
        assert sum(bool(row["train/iterations"]) for row in progress_of(folder)) == iteration
