"""The command, run as users run it: in a process of its own, and once on a terminal."""

import contextlib
import csv
import importlib.metadata
import importlib.util
import io
import itertools
import math
import os
import re
import select
import shlex
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fastars
from fastars import ARS, evaluate_policy
from fastars._compiled.announcing import announce
from fastars._runtime.signals import let_signals_in
from fastars._validate import user_facing
from fastars.cli import WrongUseError, commands, main
from fastars.cli.environment import parse_kwargs
from fastars.cli.interrupts import Interrupted, Interrupts
from fastars.cli.plan import Plan
from fastars.cli.progress import Progress, compiling, progress
from fastars.cli.report import count, duration
from fastars.cli.run_folder import next_run_folder
from fastars.cli.settings import PRESETS as PRESETS_TEXT
from fastars.cli.settings import Preset, Settings, Variant
from fastars.cli.terminal import console
from fastars.cli.toml import toml
from fastars.cli.training import TrainingRun, warm_up
from fastars.training.config import VARIANTS, Config
from fastars.training.presets import CHOICES as PRESETS

ROOT = Path(fastars.__file__).parents[1]
COMMAND = [sys.executable, "-m", "fastars"]
ENVIRONMENT = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "FASTARS_TRACEBACK", "FORCE_COLOR")}
# An empty entry would be the current folder.
ENVIRONMENT |= {"PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))}
LONG = ("train", "CartPole-v1", "--total-timesteps", "1000000000", "--n-threads", "1", "--run-folder", "long")
needs_mujoco = pytest.mark.skipif(importlib.util.find_spec("mujoco") is None, reason="needs fastars[mujoco]")


def run(*args, cwd, **env):
    return subprocess.run([*COMMAND, *args], cwd=cwd, env=ENVIRONMENT | env, capture_output=True, text=True, timeout=120)


def run_python(code):
    return subprocess.run([sys.executable, "-c", code], env=ENVIRONMENT, capture_output=True, text=True, timeout=60)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """(folder where the command ran, what it did): too short a run to be perfect, so returns differ."""
    cwd = tmp_path_factory.mktemp("trained")
    options = ("--total-timesteps", "6000", "--eval-episodes", "20", "--seed", "5", "--with-bias", "True")
    return cwd, run("train", "CartPole-v1", *options, cwd=cwd)


def only_error(result):
    """The error of a command that failed: one line and no traceback."""
    lines = [line for line in result.stderr.splitlines() if not line.startswith("fastars: warning: ")]
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("fastars: error: ")
    assert result.stdout == ""
    return lines[0]


# --- Help, version, what is missing


@pytest.mark.parametrize("args", [["--help"], ["train", "--help"], ["eval", "--help"]])
def test_help_imports_neither_numba_nor_gymnasium_nor_numpy(args):
    result = run_python(
        f"import sys, fastars.cli\ntry: fastars.cli.main({args})\nexcept SystemExit as end: assert end.code == 0\n"
        "print([name for name in ('numba', 'gymnasium', 'numpy') if name in sys.modules], file=sys.stderr)"
    )
    assert result.stderr == "[]\n"
    assert "usage: fastars" in result.stdout


def test_version_is_printed(tmp_path):
    result = run("--version", cwd=tmp_path)
    assert (result.returncode, result.stdout) == (0, f"fastars {fastars.__version__}\n")


@pytest.mark.parametrize("name", ["tyro", "rich"])
def test_a_missing_extra_is_one_sentence(name):
    code = f"import sys; sys.modules[{name!r}] = None\nfrom fastars.cli import main; sys.exit(main(['envs']))"
    result = run_python(code)
    assert result.returncode == 2
    assert only_error(result) == f"fastars: error: the command needs {name}: pip install tyro rich"


def test_options_are_settings_of_the_package():
    options = set(Settings.__dataclass_fields__)
    assert options <= set(Config.__dataclass_fields__) | {"preset", "variant"}
    assert Preset.__args__ == tuple(PRESETS)
    assert f"{{{','.join(PRESETS)}}}" == PRESETS_TEXT
    assert set(Variant.__args__) == set(VARIANTS)


@pytest.mark.parametrize("env_id", [*fastars.compiled_env_ids("classic"), pytest.param("HalfCheetah-v5", marks=needs_mujoco)])
@pytest.mark.filterwarnings("ignore:.*out of date")
def test_the_command_has_the_settings_of_the_tuned_preset(env_id):
    model = commands.parse(["train", env_id, "--seed", "3"])._model()
    assert model.preset == "tuned"
    assert model.config == ARS("LinearPolicy", env_id, preset="tuned", seed=3).config


def test_given_settings_go_before_those_that_suit():
    config = commands.parse(["train", "MountainCar-v0", "--learning-rate", "0.5", "--n-delta", "4"])._model().config
    assert (config.learning_rate, config.n_delta, config.normalize_observations) == (0.5, 4, True)
    assert config.n_top == 4  # not the 8 that suit 32 directions
    assert config.with_bias
    assert not commands.parse(["train", "MountainCar-v0", "--with-bias", "False"])._model().config.with_bias


def test_a_preset_or_variant_has_its_own_settings():
    assert Settings(preset="paper").resolved() == {"preset": "paper"}
    assert Settings(variant="V1").resolved() == {"variant": "V1"}
    assert Settings(preset="tuned", variant="V2").resolved() == {"preset": "tuned", "variant": "V2"}
    model = commands.parse(["train", "MountainCar-v0", "--variant", "V1", "--seed", "3"])._model()
    assert (model.preset, model.config) == ("fastars", Config(seed=3))


@pytest.mark.parametrize(
    ("args", "counts"),
    [
        (["CartPole-v1"], (100_000, 4_000, 100)),
        (["HalfCheetah-v4"], (6_000_000, 240_000, 20)),
        (["Swimmer-v5", "--eval-episodes", "7"], (1_000_000, 40_000, 7)),
        (["Pendulum-v1", "--total-timesteps", "10", "--eval-freq", "3"], (10, 3, 100)),
    ],
)
def test_steps_and_episodes_suit_the_environment(args, counts):
    plan = commands.parse(["train", *args])._plan(most_steps=1)
    assert (plan.total_timesteps, plan.eval_freq, plan.eval_episodes) == counts


# --- Arguments of an environment


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("0.5", 0.5),
        ("True", True),
        ("None", None),
        ("(0.7, inf)", (0.7, math.inf)),
        ("-inf", -math.inf),
        ("[1, 2]", [1, 2]),
        ("torso", "torso"),
        ("./my.xml", "./my.xml"),
        ("a=b", "a=b"),
        ("", ""),
        ("(1, two)", "(1, two)"),
        ("__import__('os').getpid()", "__import__('os').getpid()"),
        ("(" * 9999, "(" * 9999),
    ],
)
def test_values_are_literals_or_else_texts(text, value):
    assert parse_kwargs([f"key={text}"]) == {"key": value}


literals = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.tuples(st.floats(allow_nan=False))
)


@given(literals)
def test_what_python_writes_is_read_back(value):
    assert parse_kwargs([f"key={value!r}"]) == {"key": value}


@pytest.mark.parametrize(
    ("items", "message"),
    [
        (["g"], "--env-kwargs takes KEY=VALUE, got 'g'"),
        (["=3"], "got '=3'"),
        (["a-b=3"], "got 'a-b=3'"),
        (["g=1", "g=2"], "--env-kwargs has g twice"),
    ],
)
def test_what_is_no_keyword_argument_is_wrong_use(items, message):
    with pytest.raises(WrongUseError, match=message):
        parse_kwargs(items)


def test_env_kwargs_may_be_given_more_than_once():
    parsed = commands.parse(
        ["train", "Pendulum-v1", "--env-kwargs", "g=2.5", "--seed", "1", "--env-kwargs", "max_episode_steps=30"]
    )
    assert parsed._model().env_kwargs == {"g": 2.5, "max_episode_steps": 30}


ASSETS = Path(gymnasium.__file__).parent / "envs" / "mujoco" / "assets"
WRONG_KWARGS = [
    ("Pendulum-v1", ["g"], "--env-kwargs takes KEY=VALUE"),
    ("Pendulum-v1", ["f=3"], "Pendulum-v1 has no argument f for training; it has g, max_episode_steps"),
    ("Pendulum-v1", ["g=heavy"], "g must be a float such as 10.0, got 'heavy'"),
    ("Pendulum-v1", ["max_episode_steps=0"], "Pendulum-v1 can't be made with max_episode_steps=0: "),
    ("Pendulum-v1", ["g=inf"], "g must be a finite number"),
    ("Pendulm-v1", ["g=3"], "no environment 'Pendulm-v1'; did you mean 'Pendulum-v1'"),
]
WRONG_MUJOCO_KWARGS = [
    (
        "HalfCheetah-v5",
        ["render_mode=human"],
        "HalfCheetah-v5 has no argument render_mode for training; it has xml_file, frame_skip",
    ),
    ("HalfCheetah-v5", ["entry_point=os:system"], "has no argument entry_point"),
    ("HalfCheetah-v5", ["exclude_current_positions_from_observation=false"], "must be a bool such as True, got 'false'"),
    ("HalfCheetah-v5", ["frame_skip=0"], "HalfCheetah-v5 can't be made with frame_skip=0: "),
    ("HalfCheetah-v5", ["ctrl_cost_weight=None"], "ctrl_cost_weight must be a number"),
    ("Hopper-v5", ["healthy_z_range=(1,)"], "healthy_z_range must be two numbers, got (1,)"),
    ("Hopper-v5", ["reset_noise_scale=-1"], "Hopper-v5 can't be made with reset_noise_scale=-1: "),
    ("HalfCheetah-v5", ["xml_file=./none.xml"], "File ./none.xml does not exist"),
    ("HalfCheetah-v5", ["xml_file=none.xml"], "(for a file of your own, begin with ./ or /)"),
    ("HalfCheetah-v5", ["xml_file=./bad.xml"], "xml_file ./bad.xml: XML"),
    ("HalfCheetah-v5", ["xml_file=3"], "HalfCheetah-v5 can't be made with xml_file=3: "),
    ("HalfCheetah-v4", ["xml_file=./bad.xml"], "HalfCheetah-v4 has no argument xml_file for training; it has"),
]


@pytest.mark.parametrize(
    ("env_id", "items", "message"), WRONG_KWARGS + [pytest.param(*case, marks=needs_mujoco) for case in WRONG_MUJOCO_KWARGS]
)
@pytest.mark.filterwarnings("ignore:.*out of date")
def test_wrong_env_kwargs_are_wrong_use_and_leave_nothing(tmp_path, monkeypatch, capsys, env_id, items, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.xml").write_text("<mujoco><worldbody><geom type='boxx'/></worldbody></mujoco>")
    assert main(["train", env_id, "--total-timesteps", "1", "--env-kwargs", *items]) == 2
    said = capsys.readouterr()
    errors = [line for line in said.err.splitlines() if not line.startswith("fastars: warning: ")]
    assert len(errors) == 1
    assert message in errors[0]
    assert said.out == ""
    assert [path.name for path in tmp_path.iterdir()] == ["bad.xml"]


@pytest.fixture(scope="module")
def trained_with_kwargs(tmp_path_factory):
    """(folder where the command ran, what it did): a hopper of the user's own on the moon, in short episodes."""
    cwd = tmp_path_factory.mktemp("trained_with_kwargs")
    text = (ASSETS / "hopper.xml").read_text()
    (cwd / "my.xml").write_text(text.replace("<option ", '<option gravity="0 0 -1.6" '))
    assert "-1.6" in (cwd / "my.xml").read_text()
    kwargs = ("xml_file=./my.xml", "healthy_z_range=(0.5, inf)", "max_episode_steps=50")
    return cwd, run("train", "Hopper-v5", "--total-timesteps", "500", "--n-delta", "4", "--env-kwargs", *kwargs, cwd=cwd)


@needs_mujoco
def test_env_kwargs_reach_config_and_model(trained_with_kwargs):
    cwd, result = trained_with_kwargs
    assert result.returncode == 0
    kwargs = {"xml_file": str(cwd / "my.xml"), "healthy_z_range": (0.5, math.inf), "max_episode_steps": 50}
    config = tomllib.loads((cwd / "runs" / "Hopper-v5_1" / "config.toml").read_text())
    assert config["env"] == {"id": "Hopper-v5", **kwargs, "healthy_z_range": [0.5, math.inf]}
    assert (config["run"]["preset"], config["run"]["eval_episodes"]) == ("tuned", 20)
    assert config["settings"]["alive_bonus_offset"] == -1.0
    assert config["versions"]["mujoco"] == importlib.metadata.version("mujoco")
    model = ARS.load(cwd / "runs" / "Hopper-v5_1" / "model.zip", trust=True)
    assert model.env_kwargs == kwargs
    assert model.run.env.model.opt.gravity[2] == -1.6


@needs_mujoco
def test_eval_replays_the_environment_of_the_kwargs(trained_with_kwargs, tmp_path):
    cwd, trained = trained_with_kwargs
    folder = str(cwd / "runs" / "Hopper-v5_1")
    refused = run("eval", folder, cwd=tmp_path)
    assert refused.returncode == 1
    assert f"xml_file='{cwd}/my.xml', and no path in a file is opened" in refused.stderr
    (again,) = re.findall(r"fastars eval runs/Hopper-v5_1 (--env .*)", trained.stdout)  # the arguments that the run names
    options = [option.replace("./my.xml", f"{cwd}/my.xml") for option in shlex.split(again)]
    result = run("eval", folder, "--last", "--n-eval-episodes", "2", *options, cwd=tmp_path)
    model = ARS.load(cwd / "runs" / "Hopper-v5_1" / "model.zip", trust=True)
    env = gymnasium.make("Hopper-v5", xml_file=str(cwd / "my.xml"), healthy_z_range=(0.5, math.inf), max_episode_steps=50)
    returns, lengths = evaluate_policy(model, env, 2, return_episode_rewards=True, seed=0)
    env.close()
    assert result.returncode == 0
    rows = re.findall(r"^ +\d+ +(-?[\d.]+) +(\d+)", result.stdout, re.MULTILINE)
    assert rows == [(f"{value:.2f}", str(length)) for value, length in zip(returns, lengths, strict=True)]
    assert re.search(r"Hopper-v5 with .*xml_file='.*/my\.xml'.*: return ", result.stdout)
    assert list(tmp_path.iterdir()) == []  # no MUJOCO_LOG.TXT


@needs_mujoco
def test_a_changed_environment_is_named_and_has_no_threshold(trained_with_kwargs):
    _, result = trained_with_kwargs
    assert re.search(
        r"environment +Hopper-v5 with xml_file='.*/my\.xml', healthy_z_range=\(0\.5, inf\), max_episode_steps=50\n", result.stdout
    )
    assert "solved" not in result.stdout


@needs_mujoco
@pytest.mark.parametrize("args", [["train", "HalfCheetah-v5"], ["eval", "runs/HalfCheetah-v5_1"]])
def test_mujocos_warnings_about_a_file_are_said_once_and_leave_no_log(tmp_path, args):
    """MuJoCo 4 warns of an attribute that half_cheetah.xml has; of older versions, nothing is said."""
    (tmp_path / "my.xml").write_text((ASSETS / "half_cheetah.xml").read_text())
    short = ("--env-kwargs", "xml_file=./my.xml", "max_episode_steps=5")
    train = run("train", "HalfCheetah-v5", "--total-timesteps", "1", "--eval-episodes", "1", *short, cwd=tmp_path)
    result = train if args[0] == "train" else run(*args, "--env", "HalfCheetah-v5", *short, cwd=tmp_path)
    assert result.returncode == 0
    warned = [line for line in result.stderr.splitlines() if "warning: MuJoCo on" in line]
    assert len(warned) == (1 if importlib.metadata.version("mujoco") >= "4" else 0)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["my.xml", "runs"]


@needs_mujoco
def test_the_warm_up_is_of_the_same_environment(tmp_path, monkeypatch):
    made = []

    class Recorded(ARS):
        def learn(self, *args, **kwargs):
            made.append((self.env_kwargs, self.config.clip_actions))
            return super().learn(*args, **kwargs)

    env = gymnasium.make("Hopper-v5", healthy_z_range=(0.5, 3.0), max_episode_steps=10)
    model = ARS("LinearPolicy", env, preset="paper", seed=0)
    env.close()
    monkeypatch.setattr("fastars.cli.training.ARS", Recorded)
    warm_up(model)
    assert made == [({"healthy_z_range": (0.5, 3.0), "max_episode_steps": 10}, False)]


# --- Without MuJoCo


def run_without(name, *args, cwd):
    """The command where a package can't be imported."""
    code = f"import sys; sys.modules[{name!r}] = None\nfrom fastars.cli import main; sys.exit(main(sys.argv[1:]))"
    return subprocess.run(
        [sys.executable, "-c", code, *args], cwd=cwd, env=ENVIRONMENT, capture_output=True, text=True, timeout=120
    )


@pytest.mark.parametrize("name", ["mujoco", "imageio"])
def test_envs_says_what_mujoco_needs_where_it_is_missing(tmp_path, name):
    result = run_without(name, "envs", cwd=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    assert re.search(r"CartPole-v1 +4 numbers +one of 2 +500 +475", result.stdout)
    assert re.search(r"HalfCheetah-v5 +- +- +1000 +4800", result.stdout)
    (needed,) = (line for line in result.stdout.splitlines() if "pip install" in line)
    assert 'pip install "gymnasium[mujoco]" "mujoco<5"' in needed
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kwargs", [[], ["--env-kwargs", "frame_skip=4"]])
@pytest.mark.parametrize("name", ["mujoco", "imageio"])
def test_training_where_mujoco_is_missing_is_one_sentence(tmp_path, name, kwargs):
    result = run_without(name, "train", "HalfCheetah-v5", *kwargs, cwd=tmp_path)
    assert result.returncode == 2
    assert "MuJoCo environments need " in only_error(result)
    assert 'pip install "gymnasium[mujoco]" "mujoco<5"' in result.stderr
    assert list(tmp_path.iterdir()) == []


@needs_mujoco
def test_eval_where_mujoco_is_missing_is_one_sentence(trained_with_kwargs):
    cwd, _ = trained_with_kwargs
    result = run_without("mujoco", "eval", "runs/Hopper-v5_1", cwd=cwd)
    assert result.returncode == 1
    assert 'pip install "gymnasium[mujoco]" "mujoco<5"' in only_error(result)


@needs_mujoco
@pytest.mark.parametrize("version", ["2.3.7", "3.1.6", "5.0.0"])
def test_mujoco_of_a_version_that_does_not_fit_is_one_sentence(tmp_path, version):
    code = (
        f"import sys, mujoco\nmujoco.mj_versionString = lambda: {version!r}\n"
        "from fastars.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", code]
    options = {"cwd": tmp_path, "env": ENVIRONMENT, "capture_output": True, "text": True, "timeout": 120}
    train = subprocess.run([*command, "train", "HalfCheetah-v5"], **options)
    assert train.returncode == 2
    assert f"mujoco {version} is not supported: install one from 3.2 to 4.x" in only_error(train)
    listed = subprocess.run([*command, "envs"], **options)
    assert listed.returncode == 0
    assert listed.stdout.count(f"mujoco {version} is not supported") == 1


# --- Train


def test_train_without_options_solves_cartpole(tmp_path):
    result = run("train", "CartPole-v1", cwd=tmp_path)
    assert result.returncode == 0
    rows = re.findall(r"^ (last|best) +[\d,]+ +([\d.]+)", result.stdout, re.MULTILINE)
    assert [name for name, _ in rows] == ["last", "best"]
    assert float(rows[1][1]) >= 475
    assert "solved" in result.stdout
    assert "not solved" not in result.stdout
    assert "fastars eval runs/CartPole-v1_1" in result.stdout


def test_train_leaves_a_whole_run_folder(trained):
    cwd, result = trained
    assert result.returncode == 0
    folder = cwd / "runs" / "CartPole-v1_1"
    assert sorted(path.name for path in folder.iterdir()) == [
        "best_model.zip",
        "config.toml",
        "evaluations.npz",
        "model.zip",
        "progress.csv",
    ]
    assert ARS.load(folder / "model.zip").num_timesteps >= 6000


def test_config_says_what_was_run(trained):
    folder = trained[0] / "runs" / "CartPole-v1_1"
    config = tomllib.loads((folder / "config.toml").read_text())
    assert config["env"] == {"id": "CartPole-v1", "max_episode_steps": 500}
    assert (config["run"]["seed"], config["run"]["total_timesteps"], config["run"]["variant"]) == (5, 6000, "V1")
    assert (config["run"]["preset"], config["run"]["eval_episodes"]) == ("tuned", 20)
    assert config["settings"]["with_bias"] is True
    assert config["versions"]["fastars"] == fastars.__version__
    model = ARS.load(folder / "model.zip")
    given = {name: value for name, value in model.config.to_dict().items() if value is not None and name != "seed"}
    assert config["settings"] == given


def test_the_settings_of_config_repeat_the_run(trained):
    folder = trained[0] / "runs" / "CartPole-v1_1"
    config = tomllib.loads((folder / "config.toml").read_text())
    settings = Config.from_dict({**config["settings"], "seed": config["run"]["seed"]})
    model = ARS(env=config["env"]["id"], **settings.arguments())
    model.learn(config["run"]["total_timesteps"])
    np.testing.assert_array_equal(model.theta, ARS.load(folder / "model.zip").theta)


def test_evaluations_have_the_arrays_of_stable_baselines3(trained):
    with np.load(trained[0] / "runs" / "CartPole-v1_1" / "evaluations.npz", allow_pickle=False) as evaluations:
        timesteps, results, lengths = evaluations["timesteps"], evaluations["results"], evaluations["ep_lengths"]
    assert np.all(np.diff(timesteps) > 0)
    assert results.shape == lengths.shape == (len(timesteps), 20)
    np.testing.assert_array_equal(results, lengths)  # CartPole pays 1 a step


def test_the_best_model_is_the_best_that_was_evaluated(trained):
    folder = trained[0] / "runs" / "CartPole-v1_1"
    with np.load(folder / "evaluations.npz") as evaluations:
        means = evaluations["results"].mean(axis=1)
        timesteps = evaluations["timesteps"]
    best = ARS.load(folder / "best_model.zip")
    assert best.num_timesteps == timesteps[len(means) - 1 - np.argmax(means[::-1])]  # the later of equals
    assert best.evaluate(20).returns.mean() == means.max()


def test_progress_has_a_row_per_iteration_and_per_evaluation(trained):
    folder = trained[0] / "runs" / "CartPole-v1_1"
    with open(folder / "progress.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    with np.load(folder / "evaluations.npz") as evaluations:
        means = evaluations["results"].mean(axis=1)
    assert sum(row["train/iterations"] != "" for row in rows) == ARS.load(folder / "model.zip").iteration
    assert [float(row["eval/mean_reward"]) for row in rows if row["eval/mean_reward"]] == pytest.approx(list(means))


def test_piped_output_has_no_control_characters(trained):
    _, result = trained
    assert not re.search(r"[\x00-\x09\x0b-\x1f]", result.stdout + result.stderr)


def test_the_next_free_number_is_one_above_the_highest(tmp_path):
    for name in ("CartPole-v1_2", "CartPole-v1_10", "CartPole-v1_x", "Other_99"):
        (tmp_path / name).mkdir()
    assert next_run_folder(tmp_path, "CartPole-v1").name == "CartPole-v1_11"
    assert next_run_folder(tmp_path, "CartPole-v1").name == "CartPole-v1_12"
    assert next_run_folder(tmp_path / "new", "CartPole-v1") == tmp_path / "new" / "CartPole-v1_1"


def test_an_existing_run_folder_is_refused_and_untouched(tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "model.zip").write_text("precious")
    result = run("train", "CartPole-v1", "--run-folder", "mine", cwd=tmp_path)
    assert result.returncode == 2
    assert "mine exists and is not empty" in only_error(result)
    assert [path.name for path in folder.iterdir()] == ["model.zip"]
    assert (folder / "model.zip").read_text() == "precious"


# --- Eval


def printed_mean(result):
    return re.search(r"return (-?[\d.]+), std ([\d.]+), over (\d+) episodes", result.stdout).groups()


def test_eval_is_evaluate_policy(trained):
    cwd, _ = trained
    result = run("eval", "runs/CartPole-v1_1", "--last", "--seed", "7", "--n-eval-episodes", "3", cwd=cwd)
    model = ARS.load(cwd / "runs" / "CartPole-v1_1" / "model.zip")
    mean, std = evaluate_policy(model, "CartPole-v1", 3, seed=7)
    assert result.returncode == 0
    assert printed_mean(result) == (f"{mean:.2f}", f"{std:.2f}", "3")
    assert "Gymnasium" in result.stdout


def test_eval_replays_the_episodes_of_the_final_evaluation(trained):
    cwd, training = trained
    best = re.search(r"^ best +[\d,]+ +([\d.]+) +([\d.]+)", training.stdout, re.MULTILINE).groups()
    result = run("eval", "runs/CartPole-v1_1", "--n-eval-episodes", "20", cwd=cwd)
    mean, std, n = printed_mean(result)
    assert (f"{float(mean):.1f}", f"{float(std):.1f}", n) == (*best, "20")


def test_eval_takes_the_environment_as_it_was_made(tmp_path):
    env = gymnasium.make("Pendulum-v1", g=2.0, max_episode_steps=30)
    ARS("LinearPolicy", env, seed=0).save(tmp_path / "moon.zip")
    env.close()
    result = run("eval", "moon.zip", "--n-eval-episodes", "2", cwd=tmp_path)
    rows = re.findall(r"^ +\d+ +-[\d.]+ +(\d+)", result.stdout, re.MULTILINE)
    assert rows == ["30", "30"]


@pytest.mark.parametrize("content", [b"", b"no model", "cut"])
def test_eval_of_a_damaged_or_foreign_file_fails_in_one_line(trained, tmp_path, content):
    if content == "cut":
        content = (trained[0] / "runs" / "CartPole-v1_1" / "model.zip").read_bytes()[:-100]
    (tmp_path / "model.zip").write_bytes(content)
    result = run("eval", ".", cwd=tmp_path)
    assert result.returncode == 1
    assert "model.zip" in only_error(result)


@pytest.mark.parametrize("path", ["nothing", "empty"])
def test_eval_without_a_run_is_wrong_use(tmp_path, path):
    (tmp_path / "empty").mkdir()
    result = run("eval", path, cwd=tmp_path)
    assert result.returncode == 2
    assert path in only_error(result)


def test_envs_lists_the_compiled_environments_in_80_columns(tmp_path):
    result = run("envs", cwd=tmp_path)
    # But for those that other tests have registered in this process.
    names = {env_id.removeprefix("fastars/") for env_id in fastars.compiled_env_ids()} - set(fastars.compiled_env_ids("user"))
    assert [name for name in names if name not in result.stdout] == []
    assert re.search(r"CartPole-v1 +4 numbers +one of 2 +500 +475", result.stdout)
    assert re.search(r"Pendulum-v1 +3 numbers +one in \[-2, 2\] +200 +-", result.stdout)
    if importlib.util.find_spec("mujoco"):
        assert re.search(r"HalfCheetah-v5 +17 numbers +6 numbers +1000 +4800", result.stdout)
        assert "pip install" not in result.stdout
    assert result.stderr == ""  # nothing of MuJoCo's warnings about Gymnasium's files
    assert list(tmp_path.iterdir()) == []
    assert max(map(len, result.stdout.splitlines())) <= 80


# --- Errors


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["train", "CartPol-v1"], "no environment 'CartPol-v1'; did you mean 'CartPole-v1'"),
        (["train", "CartPole-v1", "--net-arch", "8"], "policy_kwargs of LinearPolicy are"),
        (["train", "CartPole-v1", "--n-delta", "0"], "n_delta must be an integer of at least 1, got 0"),
        (["train", "CartPole-v1", "--delta-std", "nan"], "delta_std must be a finite number"),
        (["train", "CartPole-v1", "--learning-rate", "-1"], "learning_rate must be a finite number of at least 0"),
        (["train", "CartPole-v1", "--noise-size", "2"], "noise_size must be at least the 8 weights"),
        (["train", "CartPole-v1", "--variant", "V1-t"], "needs n_top < n_delta"),
        (["train", "CartPole-v1", "--n-threads", "0"], "n_threads must be an integer of at least 1"),
        (
            ["train", "CartPole-v1", "--total-timesteps", "0"],
            "total_timesteps must be an integer from 1 to 2**63 - 1",
        ),
        (["train", "CartPole-v1", "--seed", "-1"], "seed must be an integer from 0 to 2**64 - 1"),
    ],
)
def test_what_cannot_be_trained_is_wrong_use_and_leaves_nothing(tmp_path, args, message):
    result = run(*args, cwd=tmp_path)
    assert result.returncode == 2
    assert message in only_error(result)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("args", [[], ["trian", "CartPole-v1"], ["train"], ["train", "CartPole-v1", "--n-delt", "8"]])
def test_a_wrong_command_line_exits_with_2(tmp_path, args):
    result = run(*args, cwd=tmp_path)
    assert result.returncode == 2
    assert "fastars" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_folder_that_cannot_be_made_exits_with_1(tmp_path):
    (tmp_path / "file").touch()
    result = run("train", "CartPole-v1", "--log-dir", "file/runs", cwd=tmp_path)
    assert result.returncode == 1
    assert "file/runs" in only_error(result)


def test_a_warning_is_one_line_without_colours(tmp_path):
    result = run("train", "CartPole-v0", "--total-timesteps", "100", "--n-delta", "2", "--n-top", "3", cwd=tmp_path)
    assert result.returncode == 0
    assert "fastars: warning: The environment CartPole-v0 is out of date." in result.stderr
    assert "fastars: warning: n_top=3 is more than n_delta=2: all 2 directions are used\n" in result.stderr
    assert "\x1b" not in result.stderr


@pytest.mark.parametrize(("args", "env"), [(["--traceback"], {}), ([], {"FASTARS_TRACEBACK": "1"})])
def test_a_traceback_is_shown_when_asked_for(tmp_path, args, env):
    result = run("eval", "nothing", *args, cwd=tmp_path, **env)
    assert result.returncode == 2
    assert "Traceback (most recent call last)" in result.stderr


def test_an_unexpected_error_says_how_to_see_where(monkeypatch, capsys):
    def fail(arguments):
        raise KeyError("surprise")

    monkeypatch.setattr("fastars.cli._run", fail)
    assert main(["envs"]) == 1
    assert capsys.readouterr().err == "fastars: error: KeyError: 'surprise' (--traceback shows where)\n"


@pytest.mark.parametrize("argument", ["envs", "--version"])
def test_a_reader_that_leaves_is_no_error(tmp_path, argument):
    process = subprocess.Popen([*COMMAND, argument], cwd=tmp_path, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait(60) == 1


# --- Signals


@contextlib.contextmanager
def long_run(cwd):
    """The command in a run of minutes, that has begun to learn."""
    process = subprocess.Popen(
        [*COMMAND, *LONG], cwd=cwd, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    log = cwd / "long" / "progress.csv"
    try:
        deadline = time.monotonic() + 60
        while not (log.exists() and log.read_bytes().count(b"\n") > 20):
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.01)
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.timing
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_leaves_a_whole_run_folder_within_a_second(tmp_path, number, code, limit):
    with long_run(tmp_path) as process:
        start = time.monotonic()
        process.send_signal(number)
        _, stderr = process.communicate(timeout=30)
        seconds = time.monotonic() - start
    assert process.returncode == code
    told = r"fastars: interrupted after [\d,]+ steps; the policy is in long/model\.zip\. To go on: fastars resume long\n"
    assert re.fullmatch(told, stderr)
    model, best = ARS.load(tmp_path / "long" / "model.zip"), ARS.load(tmp_path / "long" / "best_model.zip")
    assert model.num_timesteps >= best.num_timesteps > 0
    assert seconds < limit(1.0)
    assert not [path.name for path in (tmp_path / "long").iterdir() if path.name.endswith(".tmp")]


def test_an_interrupted_policy_is_the_one_of_its_iteration(tmp_path):
    with long_run(tmp_path) as process:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    stopped = ARS.load(tmp_path / "long" / "model.zip")
    again = ARS("LinearPolicy", "CartPole-v1", seed=stopped.seed, n_threads=1)
    again.learn(10**9, lambda local, _: local["self"].iteration < stopped.iteration)
    np.testing.assert_array_equal(again.theta, stopped.theta)
    assert again.num_timesteps == stopped.num_timesteps


class Work:
    """Something with a part that must not be left half done."""

    def __init__(self, number):
        self.number, self.is_whole = number, False

    def whole(self):
        signal.raise_signal(self.number)
        self.is_whole = True


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_whole_method_is_finished_before_a_signal_is_heard(number):
    work = Work(number)
    with contextlib.suppress(Interrupted), Interrupts(work.whole) as interrupts:
        work.whole()
    assert work.is_whole
    assert interrupts.exit_code == 128 + number


def test_the_same_method_of_another_object_is_interrupted():
    work = Work(signal.SIGINT)
    with Interrupts(Work(signal.SIGINT).whole), pytest.raises(Interrupted):
        work.whole()
    assert not work.is_whole


class Decorated:
    """An atomic method and the interruptible one that it calls, both behind the decorator of public methods."""

    @user_facing
    def whole(self):
        self.part()

    @user_facing
    def part(self):
        signal.raise_signal(signal.SIGINT)
        pytest.fail("the signal was held back")


def test_a_signal_in_an_interruptible_part_is_heard_at_once():
    work = Decorated()
    with Interrupts(work.whole, interruptible=(work.part,)), pytest.raises(Interrupted):
        work.whole()
    with Interrupts(work.whole, interruptible=(Decorated().part,)) as interrupts, pytest.raises(pytest.fail.Exception):
        work.whole()
    assert interrupts.exit_code == 130


def test_a_signal_during_the_rollouts_of_an_iteration_stops_it_at_once(tmp_path, monkeypatch):
    model = ARS("LinearPolicy", "CartPole-v1", seed=0, n_threads=1)
    kind = type(model.sampler)
    original, n_calls = kind.evaluate, itertools.count()

    def evaluate(*args):
        rollouts = original(*args)
        if sys._getframe(1).f_code.co_name == "roll_out" and next(n_calls) == 2:
            signal.raise_signal(signal.SIGINT)
            let_signals_in()  # as between two blocks of episodes
            pytest.fail("the signal was held back")
        return rollouts

    monkeypatch.setattr("fastars.cli.training.warm_up", lambda model: None)
    monkeypatch.setattr(kind, "evaluate", evaluate)
    with pytest.raises(Interrupted, match="interrupted after"):
        TrainingRun(model, tmp_path, Plan(total_timesteps=100_000, eval_freq=10_000, eval_episodes=2)).run()
    assert ARS.load(tmp_path / "model.zip").iteration == 2


class SignalledInUpdate(ARS):
    """A run that is interrupted in the middle of its third update."""

    def _commit(self, *args, **kwargs):
        if self.iteration == 2:
            signal.raise_signal(signal.SIGINT)
        super()._commit(*args, **kwargs)


def test_a_signal_during_an_update_stops_after_it(tmp_path):
    model = SignalledInUpdate("LinearPolicy", "CartPole-v1", seed=0, n_threads=1)
    with pytest.raises(Interrupted) as interrupt:
        TrainingRun(model, tmp_path, Plan(total_timesteps=100_000, eval_freq=10_000, eval_episodes=2)).run()
    assert interrupt.value.exit_code == 130
    assert ARS.load(tmp_path / "model.zip").iteration == 3


# --- Progress


def on_a_terminal(args, cwd, width):
    """(exit code, all that was written) of the command on a pseudo-terminal."""
    import fcntl
    import pty
    import struct
    import termios

    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
    env = ENVIRONMENT | {"TERM": "xterm-256color"}
    process = subprocess.Popen([*COMMAND, *args], cwd=cwd, env=env, stdin=follower, stdout=follower, stderr=follower)
    os.close(follower)
    written = b""
    with contextlib.suppress(OSError):  # Linux's end of file on a terminal
        while select.select([leader], [], [], 60)[0] and (data := os.read(leader, 65536)):
            written += data
    os.close(leader)
    return process.wait(60), written.decode()


@pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals are of POSIX")
def test_a_terminal_shows_a_bar_that_fits_and_goes_away(tmp_path):
    code, written = on_a_terminal(("train", "CartPole-v1", "--total-timesteps", "20000000"), tmp_path, 80)
    assert code == 0
    plain = re.sub(r"\x1b\[[0-9;]*m", "", written)
    states = re.findall(r"(\d+)% ([\d.]+ [kM]) steps, [\d.]+ [kM] steps/s, best return [\d.]+, \d+ s left", plain)
    assert len(states) >= 2
    frames = re.split(r"\r|\n|\x1b\[\d*[A-HJK]", plain)
    assert max(len(re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", frame)) for frame in frames) <= 80
    assert written.rindex("steps, ") < written.rindex("\x1b[2K")  # the bar's line was erased at the end
    assert written.count("\x1b[?25l") == written.count("\x1b[?25h")  # hidden cursors come back
    assert "fastars eval runs/CartPole-v1_1" in written
    assert "0% 0 of 20.0 M steps" in plain  # until the first iteration is done


def test_progress_off_a_terminal_is_a_line_every_10_seconds(monkeypatch, capsys):
    now = [100.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    with progress(console(stderr=True), 4_000_000) as shown:
        for _ in range(250):
            now[0] += 0.1
            shown.update(steps := int((now[0] - 100) * 100_000), steps / 4e6, 12.34)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert re.fullmatch(r"1\.0\d M of 4\.00 M steps, 100 k steps/s, best return 12\.3, 30 s left", lines[0])


def test_progress_counts_evaluations_as_time_but_not_as_training(monkeypatch):
    now, shown = [0.0], []
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    bar = Progress(lambda *state: shown.append(state), 1.0, (0, 0.0))
    now[0] = 10.0
    bar.update(100, 0.1, 5.0, apart=8.0)
    assert shown == [(100, 0.1, 50.0, 5.0, 90.0)]


def test_progress_of_a_resumed_run_is_by_what_this_part_of_it_did(monkeypatch):
    now, shown = [0.0], []
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    bar = Progress(lambda *state: shown.append(state), 1.0, (800, 0.8))
    now[0] = 10.0
    bar.update(900, 0.9, 5.0)
    assert [round(value, 6) for value in shown[0]] == [900, 0.9, 10.0, 5.0, 10.0]


def test_progress_without_a_best_return_yet_leaves_it_out(monkeypatch, capsys):
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    with progress(console(stderr=True), 1000) as shown:
        now[0] = 10.0
        shown.update(100, 0.1, -math.inf)
    assert capsys.readouterr().err == "100 of 1.00 k steps, 10 steps/s, 1:30 left\n"


def test_updates_between_two_shown_ones_are_free():
    shown = []
    bar = Progress(lambda *state: shown.append(state), 3600.0, (0, 0.0))
    for steps in range(1000):
        bar.update(steps, steps / 1000, 0.0)
    assert shown == []


def test_compiling_is_said_once_for_all_kernels(capsys):
    with compiling(console(stderr=True)):
        announce(Path("a file of the cache"))
        announce(Path("another file"))
    said = capsys.readouterr().err
    assert said.count("Compiling the kernels for this processor, once: usually 5 to 20 s\n") == 1
    assert "Compiled the kernels in" in said


def test_compiling_is_not_said_when_nothing_is_compiled(capsys):
    with compiling(console(stderr=True)):
        time.sleep(0.4)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("n", "text"),
    [(0, "0"), (950, "950"), (999.6, "1.00 k"), (12_345, "12.3 k"), (123_456, "123 k"), (999_600, "1.00 M"), (4.56e9, "4.56 G")],
)
def test_counts_have_three_digits(n, text):
    assert count(n) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.0234, "0.023 s"), (1.26, "1.3 s"), (59.4, "59 s"), (59.6, "1:00"), (184, "3:04"), (7384, "2:03:04")]
)
def test_durations_are_read_at_a_glance(seconds, text):
    assert duration(seconds) == text


# --- TOML

values = st.one_of(
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.text(st.characters(exclude_categories=["Cs"])),
    st.lists(st.integers(-5, 5)),
)
keys = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
tables = st.recursive(st.dictionaries(keys, values), lambda inner: st.dictionaries(keys, values | inner), max_leaves=10)


@given(tables)
def test_toml_is_read_back_by_tomllib(document):
    assert tomllib.load(io.BytesIO(toml(document).encode())) == document


def test_toml_leaves_none_out_and_refuses_what_it_has_no_word_for():
    assert tomllib.loads(toml({"a": None, "b": {"c": None, "d": 1}, "n": math.nan}))["b"] == {"d": 1}
    with pytest.raises(TypeError, match="TOML has no object"):
        toml({"a": object()})
