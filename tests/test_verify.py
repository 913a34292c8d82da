"""`fastars verify`: a run's episodes again in plain Gymnasium; what was changed in its folder is found out.

Broken on purpose: episodes that all start from seed 0, candidates of the next iteration, a pole of another length in the kernels
-> test_what_a_run_says_is_found_again red; `agree` always true -> all tests of what was changed red.
"""

import importlib.util
import math
import re
import shutil

import numpy as np
import pytest
from test_cli import COMMAND, run

from fastars import ARS
from fastars.cli import WrongUseError, commands, main, verify
from fastars.cli.recorded_episodes import Episode, RecordedEpisodes
from fastars.files import checkpoint
from fastars.files.atomic import save_arrays

OPTIONS = ("--seed", "5", "--n-delta", "4", "--n-threads", "1", "--no-progress", "--eval-episodes", "3", "--noise-size", "65536")
ALL = ("--episodes", "1000", "--seed", "0")
needs_mujoco = pytest.mark.skipif(importlib.util.find_spec("mujoco") is None, reason="needs fastars[mujoco]")


def train(folder, *args):
    assert commands.parse(["train", *args, *OPTIONS, "--run-folder", str(folder)]).run() == 0


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run of CartPole with checkpoints and rows of its episodes."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    settings = ("--variant", "V2", "--learning-rate", "0.001", "--total-timesteps", "20000", "--n-eval-episodes", "2")
    train(folder, "CartPole-v1", *settings, "--monitor", "--save-freq", "5000", "--eval-freq", "3000")
    return folder


@pytest.fixture
def copied(trained, tmp_path):
    return shutil.copytree(trained, tmp_path / "run")


def test_what_a_run_says_is_found_again(trained, capsys):
    assert main(["verify", str(trained), *ALL]) == 0
    text = capsys.readouterr().out
    n = int(re.search(r"All (\d+) are what Gymnasium gives", text)[1])
    rows = [line.split() for line in text.splitlines() if line.startswith((" model", " best", " the first"))]
    assert sum(int(row[-1]) for row in rows) == sum(int(row[-2]) for row in rows) == sum(int(row[-3]) for row in rows) == n
    assert len([row for row in rows if "training," in row]) >= 4  # the first iteration, and those of three checkpoints
    assert any(row[:2] == ["model.zip", "evaluation"] for row in rows)


@pytest.mark.parametrize(
    ("env_id", "settings"),
    [
        ("Pendulum-v1", ("--variant", "V2", "--total-timesteps", "12000", "--with-bias", "True")),
        pytest.param("InvertedPendulum-v5", ("--variant", "V2", "--total-timesteps", "2000"), marks=needs_mujoco),
        ("fastars/mo-pendulum-v0", ("--weighting", "gradnorm", "--total-timesteps", "12000")),
        ("broken_envs:Walk-v0", ("--total-timesteps", "2000")),
    ],
)
def test_so_it_is_in_other_environments(tmp_path, capsys, env_id, settings):
    folder = tmp_path / "run"
    train(folder, env_id, *settings, "--monitor", "--save-freq", "700")
    named = ("--env", env_id) if ":" in env_id else ()
    capsys.readouterr()
    assert main(["verify", str(folder), "--episodes", "12", *named]) == 0
    assert "All 12 are what Gymnasium gives" in capsys.readouterr().out


def test_on_a_terminal_nothing_is_cut_off(trained, tmp_path):
    pytest.importorskip("pyte", reason="needs pyte, a terminal in memory: fastars[test]")
    from test_terminal import Terminal

    terminal = Terminal([*COMMAND, "verify", str(trained), *ALL], tmp_path)
    assert terminal.end() == 0
    assert re.search(r"^ policy +episodes of +recorded +replayed +equal$", terminal.text, re.MULTILINE)
    assert "\u2026" not in terminal.text
    piped = run("verify", str(trained), *ALL, cwd=tmp_path)
    assert (piped.returncode, piped.stderr) == (0, "")
    assert "\x1b" not in piped.stdout
    assert piped.stdout.splitlines()[-1] == terminal.text.splitlines()[-1]


# --- What was changed


def is_refused(folder, capsys):
    """Assert that `fastars verify` refuses a folder, and return its output."""
    assert main(["verify", str(folder), *ALL]) == 1
    return capsys.readouterr().out


@pytest.mark.parametrize(("column", "better"), [(0, lambda text: f"{float(text) + 1:.6f}"), (1, lambda text: str(int(text) + 1))])
def test_a_row_of_the_monitor_file_is_found_out(copied, capsys, column, better):
    path = copied / "0.monitor.csv"
    lines = path.read_text().splitlines()
    cells = lines[7].split(",")
    cells[column] = better(cells[column])
    lines[7] = ",".join(cells)
    path.write_text("\n".join(lines) + "\n")
    text = is_refused(copied, capsys)
    assert "0.monitor.csv, line 8: return" in text
    assert re.search(r"1 of \d+ differ", text)


def test_a_missing_row_is_found_out(copied, capsys):
    path = copied / "0.monitor.csv"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:-5], *lines[-4:]]) + "\n")
    n_episodes = ARS.load(copied / "model.zip").num_episodes
    assert f"0.monitor.csv has {n_episodes - 1:,} rows, after {n_episodes:,} episodes" in is_refused(copied, capsys)


def test_an_evaluation_is_found_out(copied, capsys):
    with np.load(copied / "evaluations.npz") as file:
        arrays = dict(file)
    arrays["results"][-1, 1] += 1.0
    save_arrays(copied / "evaluations.npz", **arrays)
    text = is_refused(copied, capsys)
    assert re.search(r"1 of \d+ differ", text)
    assert f"evaluations.npz, {arrays['timesteps'][-1]} steps, episode 2: return" in text


def test_another_policy_is_found_out(copied, capsys):
    manifest, arrays = checkpoint.load(copied / "model.zip")
    arrays["theta"] = arrays["theta"] * -1.0
    checkpoint.save(copied / "model.zip", manifest, arrays)
    assert re.search(r"3 of \d+ differ", is_refused(copied, capsys))


def test_a_model_of_another_seed_is_found_out(copied, capsys):
    path = min(copied.glob("model_*_steps.zip"))  # not the last one, with which no iteration began
    model = ARS.load(path, seed=6)
    model.save(path)
    text = is_refused(copied, capsys)
    assert f"{path.name} is of seed 6 in CartPole-v1, config.toml of seed 5 in CartPole-v1" in text
    assert "differ" in text


def test_a_damaged_file_is_an_error_that_names_it(copied, capsys):
    path = copied / "0.monitor.csv"
    path.write_text(path.read_text().replace("\n", "\nx", 3))
    assert main(["verify", str(copied)]) == 1
    assert "0.monitor.csv, line 3 is damaged" in capsys.readouterr().err
    (copied / "evaluations.npz").write_bytes(b"PK\x03\x04")
    assert main(["verify", str(copied)]) == 1
    assert "evaluations.npz is damaged" in capsys.readouterr().err


# --- What can't be known


def test_a_run_without_rows_has_its_evaluations(copied, capsys):
    (copied / "0.monitor.csv").unlink()
    config = copied / "config.toml"
    config.write_text(config.read_text().replace("monitor = true", "monitor = false"))
    assert main(["verify", str(copied), *ALL]) == 0
    text = capsys.readouterr().out
    assert "training" not in text
    assert "0.monitor.csv" not in text


def test_a_folder_with_nothing_to_replay_is_an_error(copied, capsys):
    for name in ("0.monitor.csv", "evaluations.npz"):
        (copied / name).unlink()
    assert main(["verify", str(copied)]) == 1
    assert "has no episode that can be replayed" in capsys.readouterr().err


def test_an_episode_that_failed_in_the_run_is_not_drawn():
    results = [Episode(total, 3) for total in (1.0, math.nan, 2.0)]
    recorded = [RecordedEpisodes("", "", None, None, None, None, results, [], 0.0)] * 2
    drawn = verify.sample(recorded, 10, np.random.default_rng(0))
    assert sorted(i for _, i in drawn) == [0, 0, 2, 2]


def test_every_policy_has_its_share_of_the_sample():
    counts = {"a": 9, "b": 2, "c": 50}
    recorded = [RecordedEpisodes(name, "", None, None, None, None, [Episode(1.0, 1)] * n, [], 0.0) for name, n in counts.items()]
    drawn = verify.sample(recorded, 12, np.random.default_rng(0))
    assert [sum(each.policy == name for each, _ in drawn) for name in "abc"] == [5, 2, 5]
    assert len({(each.policy, i) for each, i in drawn}) == 12


@pytest.mark.parametrize(("option", "value"), [("--episodes", "0"), ("--seed", "-1")])
def test_a_bad_number_is_named_with_its_value(trained, option, value):
    with pytest.raises(WrongUseError, match=f"{option[2:]} must be an integer .*, got {value}"):
        commands.parse(["verify", str(trained), option, value]).run()


def test_a_folder_that_is_none_is_wrong_use(tmp_path):
    with pytest.raises(WrongUseError, match="is no run folder"):
        commands.parse(["verify", str(tmp_path)]).run()
