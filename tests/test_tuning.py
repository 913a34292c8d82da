"""The search space of `fastars tune`, and `fastars train --config`; the searches themselves are in `test_tuning_peers.py`.

Broken on purpose -> red: ranges not widened by the usual settings, n_top left out of a trial (`default_space`); values of a
space not checked (`no_space`); layers of a network given to a linear policy (`arguments_of_ars`). Of a config: arguments of the
environment or the preset left out (`repeats_it`); settings of the file before options, a seed of 0 taken for none
(`options_beside`); layers of the other policy kept (`another_policy`); counts or the environment not checked (`damaged`).
"""

import dataclasses
import shutil
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tyro", reason='the command is not installed: pip install "fastars[cli]"')

from fastars import ARS
from fastars.cli import WrongUseError, main
from fastars.cli.settings import Settings
from fastars.cli.tuning.asked import asked
from fastars.cli.tuning.definition import Definition
from fastars.cli.tuning.space import NAMES, Axis, arguments_of, default_axes, settings_of
from fastars.cli.tuning.study import storage_path
from fastars.training.config import Config, make_config

DEFAULTS = default_axes(Config())


def space(*, ranges=(), choices=(), search=(), file=None, fixed=(), is_grid=False):
    found = asked(ranges, choices, search, file).space(DEFAULTS, fixed, is_grid)
    return {axis.name: axis for axis in found}


# --- The space


def test_the_settings_that_can_be_searched_are_those_of_train():
    of_train = {field.name for field in dataclasses.fields(Settings)}
    assert set(NAMES) - {"top_fraction"} == of_train - {"preset", "variant", "preference", "utopia"}


@pytest.mark.parametrize("env_id", ["CartPole-v1", "Swimmer-v5", "Ant-v5", "Humanoid-v5"])
def test_the_default_space_has_the_settings_of_train(env_id):
    config = make_config("tuned", env_id=env_id)
    axes, base = default_axes(config), settings_of(config.to_dict())
    assert [axis.name for axis in axes.values() if not axis.has(base[axis.name])] == []
    found = Config(**arguments_of({name: base[name] for name in axes}, {}))
    assert [(getattr(found, name), getattr(config, name)) for name in ("n_delta", "n_top", "learning_rate")] == [
        (getattr(config, name),) * 2 for name in ("n_delta", "n_top", "learning_rate")
    ]
    assert ("alive_bonus_offset" in axes) == (env_id in ("Ant-v5", "Humanoid-v5"))


def test_ranges_and_choices_are_values_of_their_settings():
    found = space(
        ranges=["learning_rate=1e-3:1e-1:log", "n-delta=4:1e2"],
        choices=["normalize_observations=True,False", "policy=MlpPolicy", "net_arch=32,8 8"],
    )
    assert found["learning_rate"] == Axis(name="learning_rate", low=1e-3, high=0.1, log=True)
    assert (found["n_delta"].high, type(found["n_delta"].high)) == (100, int)
    assert found["normalize_observations"].choices == (True, False)
    assert found["net_arch"].choices == ("32", "8 8")
    assert list(found) == [*DEFAULTS, "policy", "net_arch"]


def test_named_and_given_settings_decide_what_is_searched():
    assert list(space(search=["delta_std", "n_delta"])) == ["delta_std", "n_delta"]
    assert list(space(search=["delta_std"], choices=["n_delta=4,8"])) == ["delta_std", "n_delta"]
    assert list(space(fixed=["learning_rate", "n_top"])) == ["delta_std", "n_delta", "normalize_observations"]
    assert list(space(ranges=["n_top=1:4"])) == ["learning_rate", "delta_std", "n_delta", "normalize_observations", "n_top"]
    assert list(space(choices=["n_delta=4,8"], is_grid=True)) == ["n_delta"]


def test_options_win_over_the_file_of_a_space(tmp_path):
    file = tmp_path / "space.toml"
    file.write_text('search = ["n_delta", "delta_std"]\n[range]\ndelta_std = [0.1, 0.2]\n[choices]\nn_delta = [4, 8]\n')
    found = space(file=file, choices=["n_delta=16,32"])
    assert found == {"n_delta": Axis(name="n_delta", choices=(16, 32)), "delta_std": Axis(name="delta_std", low=0.1, high=0.2)}


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"ranges": ["learning_rate"]}, "--range takes NAME=LOW:HIGH or NAME=LOW:HIGH:log, got 'learning_rate'"),
        ({"ranges": ["learning_rat=1:2"]}, "'learning_rat' is no setting that can be searched; did you mean 'learning_rate'?"),
        ({"ranges": ["learning_rate=0.1"]}, "learning_rate takes LOW:HIGH or LOW:HIGH:log"),
        ({"ranges": ["learning_rate=0.1:0.2:lin"]}, "learning_rate takes LOW:HIGH or LOW:HIGH:log"),
        ({"ranges": ["learning_rate=0.2:0.1"]}, "learning_rate needs LOW at most HIGH, got 0.2 to 0.1"),
        ({"ranges": ["learning_rate=0:0.1:log"]}, "learning_rate needs LOW above 0, and at most HIGH, got 0 to 0.1"),
        ({"ranges": ["learning_rate=a:b"]}, "--range: learning_rate must be a finite number, got 'a'"),
        ({"ranges": ["n_delta=0:8"]}, "--range: n_delta must be an integer of at least 1, got 0"),
        ({"ranges": ["n_delta=4:8.5"]}, "--range: n_delta must be an integer, got 8.5"),
        ({"ranges": ["policy=1:2"]}, "policy has no range, give its choices: policy=A,B,..."),
        ({"ranges": ["top_fraction=0.1:1.5"]}, "top_fraction must be at most 1, got 1.5"),
        ({"choices": ["policy=LinearPolcy"]}, "policy must be one of 'LinearPolicy', 'MlpPolicy', got 'LinearPolcy'; did you mean"),
        ({"choices": ["weighting=gradnrm"]}, "did you mean 'gradnorm'?"),
        ({"choices": ["normalize_observations=yes"]}, "normalize_observations must be True or False, got 'yes'"),
        ({"choices": ["n_delta=8,8"]}, "n_delta has a choice twice: 8, 8"),
        ({"choices": ["preset=paper"]}, "'preset' is no setting that can be searched"),
        ({"search": ["momentum"]}, "--search momentum needs a range or choices"),
        ({"search": ["momentun"]}, "--search: 'momentun' is no setting that can be searched; did you mean 'momentum'?"),
        ({"ranges": ["n_delta=4:8"], "fixed": ["n_delta"]}, "n_delta can't be both searched and given as --n-delta"),
        ({"search": ["top_fraction"], "fixed": ["n_top"]}, "top_fraction can't be both searched and given as --n-top"),
        ({"fixed": list(DEFAULTS)}, "nothing is left to search"),
        ({"is_grid": True}, "--sampler grid needs choices: --choices NAME=A,B,..."),
        ({"is_grid": True, "ranges": ["delta_std=0.1:0.2"]}, "--sampler grid needs choices of delta_std"),
        (
            {
                "is_grid": True,
                "choices": [f"{name}={','.join(map(str, range(1, 101)))}" for name in ("n_delta", "n_eval_episodes")],
            },
            "10,000 combinations or more",
        ),
    ],
)
def test_what_is_no_space_is_refused_with_what_is_allowed(said, message):
    with pytest.raises(WrongUseError) as refused:
        space(**said)
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[ranges]\n", "has 'ranges'; a space has the tables [range] and [choices]"),
        ("range = 3\n", "[range] and [choices] must be tables"),
        ("[range]\ndelta_std = 3\n", "range: delta_std takes LOW:HIGH"),
        ("[choices]\nn_delta = 8\n", "choices: n_delta takes a list of values, got 8"),
    ],
)
def test_a_file_that_is_no_space_is_named(tmp_path, text, message):
    (tmp_path / "space.toml").write_text(text)
    with pytest.raises(WrongUseError) as refused:
        space(file=tmp_path / "space.toml")
    assert message in str(refused.value)
    assert "space.toml" in str(refused.value)
    with pytest.raises(WrongUseError, match="there is no file"):
        space(file=tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("params", "fixed", "expected"),
    [
        ({"n_delta": 10, "top_fraction": 0.25}, {}, {"n_delta": 10, "n_top": 2}),
        ({"n_delta": 4, "top_fraction": 0.01}, {}, {"n_delta": 4, "n_top": 1}),
        ({"top_fraction": 0.5}, {"n_delta": 8}, {"n_delta": 8, "n_top": 4}),
        ({"n_delta": 4}, {"n_top": 6}, {"n_delta": 4, "n_top": 4}),
        ({"n_delta": 4, "top_fraction": 1.0}, {"variant": "V1-t"}, {"variant": "V1-t", "n_delta": 4, "n_top": 3}),
        (
            {"policy": "LinearPolicy", "net_arch": "4 4", "with_bias": True},
            {},
            {"policy": "LinearPolicy", "policy_kwargs": {"with_bias": True}},
        ),
        (
            {"policy": "MlpPolicy", "net_arch": "4 4"},
            {"policy_kwargs": {"activation_fn": "tanh"}},
            {"policy": "MlpPolicy", "policy_kwargs": {"activation_fn": "tanh", "net_arch": [4, 4]}},
        ),
    ],
)
def test_the_values_of_a_trial_are_arguments_of_ars(params, fixed, expected):
    assert arguments_of(params, fixed) == expected
    ARS(env="CartPole-v1", noise_size=1 << 16, **{"policy": "LinearPolicy", **expected})


def test_a_missing_optuna_is_one_sentence(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "optuna", None)
    assert main(["tune", "CartPole-v1"]) == 2
    assert capsys.readouterr().err == "fastars: error: fastars tune needs optuna: pip install optuna cmaes\n"


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--storage", "mysql://host/db"], "--storage takes a journal, FILE.log, or an SQLite database"),
        (["--storage", "study.txt"], "--storage takes a journal, FILE.log, or an SQLite database"),
        (["--run-folder", "used"], "run folder used is not empty and has no search"),
        (["--n-seeds", "0"], "n_seeds must be an integer of at least 1, got 0"),
        (["--timeout", "-1"], "timeout must be a positive number of seconds"),
        (["--total-timesteps", "5"], "n_evaluations must be at most total_timesteps (5), got 10"),
    ],
)
def test_wrong_use_is_one_line_and_leaves_no_folder(args, message, tmp_path, monkeypatch, capsys):
    pytest.importorskip("optuna", reason="optuna is not installed: pip install optuna")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "file").touch()
    assert main(["tune", "CartPole-v1", *args]) == 2
    assert message in capsys.readouterr().err
    assert [entry.name for entry in tmp_path.iterdir()] == ["used"]


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ({"fixed": {"tensorboard_log": "/"}}, "a fixed setting must be one of .*, got 'tensorboard_log'"),
        ({"axes": ({"name": "monitor_dir", "choices": ["/"]},)}, "a searched setting must be one of .*, got 'monitor_dir'"),
    ],
)
def test_a_study_of_somebody_else_names_settings_alone(part, message):
    """Other arguments of `ARS` name folders."""
    with pytest.raises(ValueError, match=message):
        Definition(**{"env": "", "fixed": {}, "axes": (), "base": {}, "total_timesteps": 10, "eval_episodes": 1, **part})


@pytest.mark.parametrize(
    ("text", "path"),
    [("a/b.log", "a/b.log"), ("b.db", "b.db"), ("sqlite:///b.db", "b.db"), ("sqlite:////a/b.sqlite3", "/a/b.sqlite3")],
)
def test_a_storage_is_a_file(text, path):
    assert storage_path(text) == Path(path)


# --- fastars train --config


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """A run folder: 3,000 steps with an environment and settings of its own."""
    folder = tmp_path_factory.mktemp("first") / "run"
    settings = ("--n-delta", "6", "--n-top", "3", "--with-bias", "True", "--noise-size", "65536", "--preset", "sb3")
    plan = ("--total-timesteps", "3000", "--eval-freq", "1000", "--eval-episodes", "5", "--seed", "4")
    assert (
        main(["train", "CartPole-v1", "--env-kwargs", "max_episode_steps=90", *settings, *plan, "--run-folder", str(folder)]) == 0
    )
    return folder


def trained(*args, folder):
    assert main(["train", *map(str, args), "--run-folder", str(folder)]) == 0
    return ARS.load(folder / "model.zip"), tomllib.loads((folder / "config.toml").read_text())


@pytest.mark.parametrize("name", ["config.toml", ""])
def test_the_config_of_a_run_repeats_it(first, name, tmp_path):
    model, config = trained("--config", first / name, folder=tmp_path / "again")
    before = tomllib.loads((first / "config.toml").read_text())
    np.testing.assert_array_equal(model.theta, ARS.load(first / "model.zip").theta)
    assert config == before
    assert (tmp_path / "again" / "evaluations.npz").exists()


def test_options_beside_a_config_win(first, tmp_path):
    options = ("--seed", "0", "--total-timesteps", "1000", "--n-delta", "4", "--squash-output", "False", "--learning-rate", "0.5")
    model, config = trained("--config", first, *options, folder=tmp_path / "other")
    assert (model.seed, config["run"]["total_timesteps"], config["run"]["eval_freq"]) == (0, 1000, 1000)
    assert (model.config.n_delta, model.config.n_top, model.config.with_bias, model.config.learning_rate) == (4, 3, True, 0.5)
    assert config["env"] == {"id": "CartPole-v1", "max_episode_steps": 90}


def test_a_config_serves_another_environment(first, tmp_path):
    model, _ = trained("Acrobot-v1", "--config", first, folder=tmp_path / "other")
    assert (model.env_id, model.env_kwargs["max_episode_steps"], model.config.n_delta) == ("Acrobot-v1", 500, 6)


def test_another_policy_beside_a_config_has_its_own_layers(first, tmp_path):
    model, _ = trained("--config", first, "--policy", "MlpPolicy", "--net-arch", "4", folder=tmp_path / "other")
    assert (model.config.policy, model.config.net_arch, model.config.squash_output) == ("MlpPolicy", (4,), True)


@pytest.mark.parametrize(
    ("old", "new", "code", "message"),
    [
        ("[settings]", "[setting]", 1, "it lacks one of the tables [env], [run] and [settings]"),
        ("n_delta = 6", "n_delta = 0", 1, "n_delta must be an integer of at least 1, got 0"),
        ("n_delta = 6", "n_dleta = 6", 1, "unknown settings: n_dleta"),
        ("eval_freq = 1000", 'eval_freq = "x"', 1, "eval_freq must be an integer"),
        ("seed = 4", "seed = -4", 1, "seed must be an integer"),
        ('preset = "sb3"', 'preset = "sb4"', 2, "preset must be one of"),
        ("noise_size = 65536", "noise_size = 1000000000", 2, "noise_size=1000000000, more than 268435456"),
        ('id = "CartPole-v1"', 'id = "theirs:CartPole-v1"', 2, "its environment 'theirs:CartPole-v1' can't be made"),
        ('id = "CartPole-v1"', 'id = "CartPole-v1"\ng = 3.0', 2, "give ENV beside --config"),
        ('id = "CartPole-v1"', "id = 3", 2, "its environment 3 can't be made"),
    ],
)
def test_a_config_that_is_damaged_or_asks_for_too_much_is_refused(first, tmp_path, capsys, old, new, code, message):
    text = (first / "config.toml").read_text()
    assert old in text
    (tmp_path / "other.toml").write_text(text.replace(old, new, 1))
    assert main(["train", "--config", str(tmp_path / "other.toml"), "--log-dir", str(tmp_path / "runs")]) == code
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ([], "fastars train takes ENV, such as CartPole-v1, or --config FILE"),
        (["--config", "none.toml"], "--config: there is no file none.toml"),
        (["--config", "run", "--preset", "paper"], "--preset has no effect with --config"),
    ],
)
def test_wrong_use_of_a_config_is_one_line(args, message, first, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(first, tmp_path / "run")
    assert main(["train", *args]) == 2
    assert message in capsys.readouterr().err
    assert not Path("runs").exists()
