"""The original's command line and files: `--preset modestyachts`."""

import json
import re
import shlex
import time

import numpy as np
import pytest
from test_cli import ROOT

from fastars import ARS, exchange
from fastars.cli import WrongUseError, commands, main, original
from fastars.cli.original import translate

THEIRS = ["train", "--preset", "modestyachts", "--env_name", "CartPole-v1"]


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("--n_iter 5", ["--iterations=5"]),
        ("-n 5", ["--iterations=5"]),
        ("--n_directions 4", ["--n-delta=4", "--n-top=4"]),
        ("--n_directions 32", ["--n-delta=32", "--n-top=8"]),
        ("-nd 32 -du 16", ["--n-delta=32", "--n-top=16"]),
        ("--deltas_used=3", ["--n-top=3"]),
        ("--step_size 0.1", ["--learning-rate=0.1"]),
        ("-s 0.1", ["--learning-rate=0.1"]),
        ("--delta_std 0.2", ["--delta-std=0.2"]),
        ("-std 0.2", ["--delta-std=0.2"]),
        ("--n_workers 18", ["--n-threads=18", "--n-workers=18"]),
        ("--rollout_length 50", ["--max-episode-steps=50"]),
        ("--shift 1", ["--alive-bonus-offset=-1.0"]),
        ("--shift 0", ["--alive-bonus-offset=0.0"]),
        ("--policy_type linear", ["--policy=LinearPolicy"]),
        ("--filter NoFilter", ["--normalize-observations=False"]),
        ("--filter MeanStdFilter", ["--normalize-observations=True"]),
        ("--dir_path data", ["--run-folder=data"]),
        ("--seed 3", ["--seed", "3"]),
    ],
)
def test_the_originals_flags_are_ours(theirs, ours):
    command, env, *rest = translate([*THEIRS, *theirs.split()])
    assert (command, env) == ("train", "CartPole-v1")
    assert rest[:2] == ["--preset", "modestyachts"]
    assert rest[2:] == ours


def test_what_is_ours_is_left_alone():
    arguments = ["train", "CartPole-v1", "--n_directions", "4"]
    assert translate(arguments) == arguments  # and refused: without the preset there is no such flag
    arguments = ["train", "CartPole-v1", "--preset", "modestyachts", "--n-delta", "4", "--n-workers", "2"]
    assert translate(arguments) == arguments


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--policy_type mlp", "--policy_type must be linear, got 'mlp'"),
        ("--filter Other", "--filter must be MeanStdFilter or NoFilter, got 'Other'"),
        ("--shift one", "--shift must be a number, got 'one'"),
        ("--n_iter", "--n_iter needs a value"),
    ],
)
def test_what_has_no_meaning_here_is_wrong_use(flags, message, capsys):
    with pytest.raises(WrongUseError, match=message):
        translate([*THEIRS, *flags.split()])
    assert main([*THEIRS, *flags.split()]) == 2
    assert message in capsys.readouterr().err


def test_what_is_not_said_is_as_the_original_has_it():
    config = commands.parse(THEIRS)._model().config
    assert (config.delta_std, config.learning_rate, config.n_delta, config.n_top) == (0.03, 0.02, 8, 8)
    assert config.variant == "V2"
    assert config.keep_ties
    config = commands.parse([*THEIRS, "--filter", "NoFilter", "--rollout_length", "50", "--shift", "1"])._model().config
    assert (config.variant, config.max_episode_steps, config.alive_bonus_offset) == ("V1", 50, -1.0)


def log_of(folder):
    header, *rows = (line.split("\t") for line in (folder / "log.txt").read_text().splitlines())
    return header, [list(map(float, row)) for row in rows]


def train(folder, n_iter, *args):
    return main([*THEIRS, "--dir_path", str(folder), "--n_iter", n_iter, "--seed", "1", "-nd", "4", "-s", "0.0003", *args])


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("original") / "data"
    assert train(folder, "35", "--n_workers", "1", "--no-progress") == 0
    return folder


def test_the_log_has_the_originals_columns_and_a_row_per_ten_iterations(trained):
    header, rows = log_of(trained)
    assert header == ["Time", "Iteration", "AverageReward", "StdRewards", "MaxRewardRollout", "MinRewardRollout", "timesteps"]
    assert [row[1] for row in rows] == [10, 20, 30]
    for _, _, mean, std, most, least, steps in rows:
        assert least < mean < most
        assert std > 0
        assert steps > 0
    assert sorted(rows) == rows


def test_the_times_in_the_log_are_seconds_since_the_start(tmp_path):
    start = time.monotonic()
    train(tmp_path / "data", "30", "--no-progress")
    whole = time.monotonic() - start
    times = [row[0] for row in log_of(tmp_path / "data")[1]]
    assert 0.0 < times[0] < times[1] < times[2] < whole


def test_rows_are_about_the_policy_itself(tmp_path):
    train(tmp_path / "data", "10", "--no-progress")
    _, ((_, _, mean, std, most, least, steps),) = log_of(tmp_path / "data")
    model = ARS.load(tmp_path / "data" / "model.zip")
    returns = model.evaluate(100).returns
    assert (mean, std, most, least) == (returns.mean(), returns.std(), returns.max(), returns.min())
    assert steps == model.num_timesteps


def test_the_policy_is_in_the_originals_file(tmp_path, trained):
    model = ARS.load(trained / "model.zip")
    policy = exchange.read(trained / "lin_policy_plus.npz")
    assert policy.source == "original"
    np.testing.assert_array_equal(policy.weights, model.theta)
    np.testing.assert_array_equal(policy.mean, model.policy.filter.mean)
    train(tmp_path / "raw", "1", "--filter", "NoFilter", "--no-progress")
    assert exchange.read(tmp_path / "raw" / "lin_policy_plus.npz").mean is None


def test_a_network_is_no_policy_of_the_original_and_is_left_out(tmp_path):
    train(tmp_path / "net", "1", "--policy", "MlpPolicy", "--net-arch", "2", "--no-progress")
    assert (tmp_path / "net" / "model.zip").exists()
    assert not (tmp_path / "net" / "lin_policy_plus.npz").exists()


def test_params_are_said_by_the_originals_names(trained):
    params = json.loads((trained / "params.json").read_text())
    assert params.pop("dir_path") == str(trained)
    assert params == {
        "env_name": "CartPole-v1",
        "n_iter": 35,
        "n_directions": 4,
        "deltas_used": 4,
        "step_size": 0.0003,
        "delta_std": 0.03,
        "n_workers": 1,
        "rollout_length": 500,
        "shift": 0.0,
        "seed": 1,
        "policy_type": "linear",
        "filter": "MeanStdFilter",
    }


def test_a_resumed_run_has_each_row_once(tmp_path, trained):
    """Stopped in an iteration that has a row, and resumed, with a row of an iteration that comes again."""
    train(tmp_path / "data", "20", "--no-progress")
    with open(tmp_path / "data" / "log.txt", "a") as file:
        file.write("1.0\t30\t1.0\t1.0\t1.0\t1.0\t99999\n2.0\t4")
    assert main(["resume", str(tmp_path / "data"), "--iterations", "35", "--no-progress"]) == 0
    (header, ours), (_, theirs) = log_of(tmp_path / "data"), log_of(trained)
    assert header[1] == "Iteration"
    np.testing.assert_array_equal(np.array(ours)[:, 1:], np.array(theirs)[:, 1:])
    assert json.loads((tmp_path / "data" / "params.json").read_text())["n_iter"] == 35


def test_the_page_has_every_flag_and_its_command_is_one():
    page = (ROOT / "docs" / "coming_from_the_original.md").read_text()
    table = {name for row in re.findall(r"^\| (`--.*?) \|", page, re.MULTILINE) for name in re.findall(r"`(-.*?)`", row)}
    assert table == {*original._TRANSLATIONS, *original._SHORT, "--env_name", "--seed"}
    (block,) = re.findall(r"```sh\n(.*?)```", page, re.DOTALL)
    assert commands.parse(shlex.split(block.replace("\\\n", " "))[1:]).iterations == 20


def test_the_commands_of_the_page_are_commands():
    page = (ROOT / "docs" / "command.md").read_text()
    lines = [
        line
        for block in re.findall(r"```sh\n(.*?)```", page, re.DOTALL)
        for line in block.splitlines()
        if line.startswith("fastars ")
    ]
    parsed = [commands.parse(shlex.split(line, comments=True)[1:]) for line in lines]
    assert len(parsed) >= 13
    for name in commands.COMMANDS:
        assert f"fastars {name}" in page or f"`{name}`" in page


def test_other_presets_write_none_of_it(tmp_path):
    assert main(["train", "CartPole-v1", "--iterations", "1", "--run-folder", str(tmp_path / "run"), "--no-progress"]) == 0
    assert not {"log.txt", "params.json", "lin_policy_plus.npz"} & {path.name for path in (tmp_path / "run").iterdir()}
