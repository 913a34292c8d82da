"""The command on vector rewards."""

import csv
import re
import tomllib

from test_cli import run

OPTIONS = ("--total-timesteps", "20000", "--eval-episodes", "5", "--seed", "1")


def test_tasks_are_weighted_reported_and_replayed(tmp_path):
    weighting = ("--weighting", "gradnorm", "--preference", "3", "1", "1")
    trained = run("train", "mo-pendulum-v0", *OPTIONS, *weighting, cwd=tmp_path)
    assert trained.returncode == 0, trained.stderr
    assert re.search(r"tasks, best +angle -\d+\.\d\d, velocity -\d+\.\d\d, torque -\d+\.\d\d\n", trained.stdout)
    assert re.search(r"weights +angle \S+, velocity \S+, torque \S+ \(gradnorm\)", trained.stdout)
    assert "not solved" not in trained.stdout
    folder = tmp_path / "runs" / "mo-pendulum-v0_1"
    settings = tomllib.loads((folder / "config.toml").read_text())["settings"]
    assert settings["weighting"] == "gradnorm"
    assert settings["preference"] == [3.0, 1.0, 1.0]
    with (folder / "progress.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["train/iterations"]]
    assert float(rows[0]["tasks/velocity/weight"]) == 0.6  # all the same, times the preference
    assert float(rows[-1]["tasks/velocity/weight"]) != 0.6
    replayed = run("eval", str(folder), "--n-eval-episodes", "5", cwd=tmp_path)
    assert replayed.returncode == 0, replayed.stderr
    mean = re.search(r"return (\S+), std", replayed.stdout).group(1)
    best = re.search(r"best +\S+ +(\S+)", trained.stdout).group(1)
    assert f"{float(mean):.1f}" == best


def test_a_scalar_reward_has_nothing_to_weigh(tmp_path):
    result = run("train", "CartPole-v1", "--weighting", "gradnorm", cwd=tmp_path)
    assert result.returncode == 2
    assert "weighting needs a vector reward; the reward of CartPole-v1 is a scalar, got 'gradnorm'" in result.stderr


def test_an_unknown_weighting_is_wrong_use(tmp_path):
    result = run("train", "mo-pendulum-v0", "--weighting", "gradnrom", cwd=tmp_path)
    assert result.returncode == 2
    assert "got 'gradnrom'" in result.stderr
