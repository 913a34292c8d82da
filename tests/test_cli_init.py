"""`fastars train --init`: a run of the command that starts from a policy, and the files that tell it.

Broken on purpose -> red: no `first_model.zip` (`repeated_from_its_folder`); normalisation left to the preset
(`preset_is_of_the_new_run`); `init` left out of what makes curves differ (`another_curve`).
"""

import hashlib
import os
import re
import tomllib
from pathlib import Path

import numpy as np
import pytest
from test_cli_resume import assert_same_run

from fastars import ARS
from fastars.cli import main
from fastars.plot import learning_curves, read_run

DATA = Path(__file__).parent / "data"
SHORT = ("CartPole-v1", "--seed", "5", "--n-delta", "4", "--n-threads", "1", "--total-timesteps", "9000", "--eval-episodes", "5")
SHORT += ("--eval-freq", "3000", "--no-progress")


def train(folder, *args):
    return main(["train", *SHORT, "--run-folder", str(folder), *map(str, args)])


@pytest.fixture(scope="module")
def earlier(tmp_path_factory):
    """A run that a policy is taken from."""
    folder = tmp_path_factory.mktemp("earlier") / "run"
    assert train(folder, "--variant", "V2", "--seed", "8") == 0
    return folder


def first_theta(folder):
    return ARS.load(folder / "first_model.zip").theta


@pytest.mark.parametrize("name", ["", "best_model.zip", "model.zip"])
def test_a_run_starts_from_a_policy_of_another_run(tmp_path, earlier, capsys, name):
    path = earlier / name if name else earlier
    assert train(tmp_path / "run", "--init", path) == 0
    file = earlier / (name or "best_model.zip")
    assert (
        f"Starting from {file}: LinearPolicy with weights of shape (2, 4), on normalised observations\n" in capsys.readouterr().out
    )
    assert np.array_equal(first_theta(tmp_path / "run"), ARS.load(file).theta)
    config = tomllib.loads((tmp_path / "run" / "config.toml").read_text())
    assert config["run"]["init"] == str(file)
    assert config["run"]["init_sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert config["run"]["variant"] == "V2"  # as the policy was trained, not as the preset says
    assert config["run"]["preset"] == "tuned"


def test_a_run_is_repeated_from_its_folder(tmp_path, earlier):
    assert train(tmp_path / "run", "--init", earlier) == 0
    assert train(tmp_path / "again", "--init", tmp_path / "run" / "first_model.zip") == 0
    assert_same_run(tmp_path / "again", tmp_path / "run")


def test_a_run_is_repeated_by_its_settings(tmp_path, earlier, capsys):
    assert train(tmp_path / "run", "--init", earlier) == 0
    again = ["train", "--config", str(tmp_path / "run"), "--n-threads", "1", "--no-progress", "--run-folder"]
    assert main([*again, str(tmp_path / "again")]) == 0
    assert_same_run(tmp_path / "again", tmp_path / "run")
    assert np.array_equal(first_theta(tmp_path / "again"), first_theta(tmp_path / "run"))
    (tmp_path / "run" / "first_model.zip").unlink()
    assert main([*again, str(tmp_path / "third")]) == 2
    assert f"there is no run folder or model file {tmp_path / 'run' / 'first_model.zip'}" in capsys.readouterr().err
    assert main([*again, str(tmp_path / "third"), "--init", str(earlier)]) == 0
    assert np.array_equal(first_theta(tmp_path / "third"), first_theta(tmp_path / "again"))


def test_a_stopped_run_goes_on_without_the_policy(tmp_path, earlier):
    assert train(tmp_path / "whole", "--init", earlier, "--total-timesteps", "12000") == 0
    os.link(earlier / "best_model.zip", tmp_path / "policy.zip")
    assert train(tmp_path / "run", "--init", tmp_path / "policy.zip", "--total-timesteps", "12000", "--iterations", "3") == 0
    (tmp_path / "policy.zip").unlink()
    assert main(["resume", str(tmp_path / "run"), "--total-timesteps", "12000", "--no-progress"]) == 0
    found, wanted = (ARS.load(tmp_path / name / "model.zip") for name in ("run", "whole"))
    assert found.num_timesteps == wanted.num_timesteps
    assert np.array_equal(found.theta, wanted.theta)


def test_episodes_of_the_first_iteration_are_verified(tmp_path, earlier, capsys):
    assert train(tmp_path / "run", "--init", earlier, "--monitor") == 0
    assert main(["verify", str(tmp_path / "run"), "--episodes", "40", "--seed", "0"]) == 0
    assert "the first policy" in capsys.readouterr().out
    (tmp_path / "run" / "first_model.zip").unlink()
    assert main(["verify", str(tmp_path / "run"), "--episodes", "40", "--seed", "0"]) == 1


@pytest.mark.parametrize(
    ("arrays", "variant"), [({}, "V1"), ({"mean": np.zeros(4), "std": np.ones(4), "count": 10}, "V2")], ids=["raw", "normalised"]
)
def test_arrays_are_a_start(tmp_path, arrays, variant):
    np.savez(tmp_path / "w.npz", W=np.arange(8.0).reshape(2, 4), **arrays)
    assert train(tmp_path / "run", "--init", tmp_path / "w.npz") == 0
    assert first_theta(tmp_path / "run").tolist() == list(range(8))
    assert tomllib.loads((tmp_path / "run" / "config.toml").read_text())["run"]["variant"] == variant


def test_the_policy_decides_the_layers(tmp_path, capsys):
    model = ARS("MlpPolicy", "CartPole-v1", seed=0, policy_kwargs={"net_arch": [6]}, zero_policy=False)
    model.save(tmp_path / "net.zip")
    assert train(tmp_path / "run", "--init", tmp_path / "net.zip") == 0
    assert "MlpPolicy with layers of 4, 6, 2 units, on raw observations" in capsys.readouterr().out
    assert train(tmp_path / "other", "--init", tmp_path / "net.zip", "--policy", "MlpPolicy", "--net-arch", "7") == 2
    told = capsys.readouterr().err
    assert re.search(r"policy_kwargs must have net_arch=\(6,\), as in init=.*net.zip; got \(7,\)", told)
    assert train(tmp_path / "other", "--init", tmp_path / "net.zip", "--policy", "LinearPolicy") == 2
    assert "policy must be 'MlpPolicy'" in capsys.readouterr().err
    assert not (tmp_path / "other").exists()


def test_a_preset_is_of_the_new_run(tmp_path, earlier):
    assert train(tmp_path / "run", "--init", DATA / "sb3_bias.zip", "--preset", "modestyachts") == 0
    config = tomllib.loads((tmp_path / "run" / "config.toml").read_text())
    assert config["settings"]["keep_ties"]
    assert not config["settings"]["normalize_observations"]  # the preset's own would be True
    assert config["settings"]["with_bias"]


def test_several_seeds_start_from_one_policy(tmp_path, earlier, capsys):
    assert main(["train", *SHORT, "--seeds", "2", "--init", str(earlier), "--run-folder", str(tmp_path / "all")]) == 0
    assert capsys.readouterr().out.count("Starting from") == 1
    assert train(tmp_path / "alone", "--seed", "6", "--init", earlier) == 0
    assert_same_run(tmp_path / "all" / "seed_6", tmp_path / "alone")
    assert np.array_equal(first_theta(tmp_path / "all" / "seed_5"), first_theta(tmp_path / "alone"))


def test_a_run_from_a_policy_is_another_curve(tmp_path, earlier):
    """Runs that differ only in their seed are one curve; this one differs in where it started."""
    assert train(tmp_path / "plain", "--variant", "V2") == 0
    assert train(tmp_path / "started", "--variant", "V2", "--init", earlier) == 0
    curves = learning_curves([read_run(tmp_path / "plain"), read_run(tmp_path / "started")])
    assert [len(curve.runs) for curve in curves] == [1, 1]
    assert "init=" in curves[1].label


@pytest.mark.parametrize(
    ("init", "code", "told"),
    [
        ("none.zip", 2, "there is no run folder or model file none.zip"),
        (".", 2, "is no run folder: it has no model.zip"),
        (str(DATA / "sb3_linear.zip"), 2, "weights of shape (1, 3); CartPole-v1 needs weights of shape (2, 4)"),
        (str(DATA / "sb3_actions.npz"), 2, "sb3_actions.npz"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*vecnormalize")
def test_what_is_no_start_is_said_in_one_line(tmp_path, monkeypatch, capsys, init, code, told):
    monkeypatch.chdir(tmp_path)
    assert main(["train", "CartPole-v1", "--init", init]) == code
    *_, line = capsys.readouterr().err.splitlines()
    assert told in line
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("n_bytes", [1 << 34, 1 << 40])
def test_a_huge_file_is_refused_by_its_size(tmp_path, monkeypatch, capsys, n_bytes):
    read = []
    monkeypatch.setattr(hashlib, "file_digest", lambda *arguments: read.append(arguments))
    with open(tmp_path / "huge.npy", "wb") as file:
        file.write(b"\x93NUMPY")
        file.truncate(n_bytes)
    assert train(tmp_path / "run", "--init", tmp_path / "huge.npy") == 2
    assert f"huge.npy: no file of a policy that this version can read: {n_bytes} bytes, more than" in capsys.readouterr().err
    assert not read


def test_what_is_no_file_is_named(tmp_path, capsys):
    assert train(tmp_path / "run", "--init", os.devnull) == 2
    assert f"{os.devnull}: " in capsys.readouterr().err
