"""`fastars train --seeds`: each seed is the run that `train --seed` makes, and stopping or failing loses none of the others.

Broken on purpose -> red: one seed for all (`number_of_seeds_begins_at_seed`); an error that ends all, and exit code 0 in spite
of one (`failing_seed`); links followed (`no_link_leads_out`); ends moved only when a seed's turn comes (`train_further`); folders
left on a full disk (`full_disk`); the number of worker processes lost (`worker_processes`);
a seed without a curve that ends the picture (`without_a_curve`).
"""

import csv
import os
import re
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
from test_cli import COMMAND, ENVIRONMENT, run
from test_cli_python_envs import MODULES
from test_cli_resume import assert_same_run, wait_for_rows

import fastars.ars
from fastars import ARS
from fastars.cli import main
from fastars.cli.errors import WrongUseError
from fastars.cli.seeds import parse_seeds
from fastars.plot import score_interval

OPTIONS = ("CartPole-v1", "--n-threads", "1", "--n-delta", "4", "--variant", "V2", "--learning-rate", "0.001")
OPTIONS += ("--total-timesteps", "12000", "--eval-episodes", "5", "--eval-freq", "3000", "--save-freq", "4000", "--no-progress")


def train(*args):
    return main(["train", *OPTIONS, *map(str, args)])


def rows_of(parent):
    with open(parent / "seeds.csv", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """Folders of seeds that were trained one by one."""
    folder = tmp_path_factory.mktemp("alone")
    for seed in (3, 5, 6):
        assert train("--seed", seed, "--run-folder", folder / f"seed_{seed}") == 0
    return folder


# --- Which seeds


@pytest.mark.parametrize(
    ("text", "first", "seeds"),
    [
        ("3", None, [0, 1, 2]),
        ("1", None, [0]),
        ("3", 5, [5, 6, 7]),
        ("0,3,7", None, [0, 3, 7]),
        ("7, 3", None, [7, 3]),
        ("3-5", None, [3, 4, 5]),
        ("9,3-5,0", None, [9, 3, 4, 5, 0]),
        ("4-4", None, [4]),
        ("2", 2**64 - 2, [2**64 - 2, 2**64 - 1]),
    ],
)
def test_a_number_or_a_list_names_the_seeds(text, first, seeds):
    assert parse_seeds(text, first) == seeds


@pytest.mark.parametrize(
    ("text", "first", "told"),
    [
        ("0", None, "1 to 1,000 seeds"),
        ("1001", None, "1 to 1,000 seeds"),
        ("99999999999999999999", None, "1 to 1,000 seeds"),
        ("0-99999999999", None, "1 to 1,000 seeds"),
        ("7-3", None, "from low to high"),
        ("-3", None, "such as 10, or seeds, such as 0,3,7 or 3-7; got '-3'"),
        ("three", None, "got 'three'"),
        ("1,,2", None, "got '1,,2'"),
        ("1.5", None, "got '1.5'"),
        ("3,1-4", None, "names 3 twice"),
        ("1,2", 5, "leave out --seed"),
        ("2", 2**64 - 1, r"below 2\*\*64"),
    ],
)
def test_what_names_no_seeds_is_refused(text, first, told):
    with pytest.raises(WrongUseError, match=told):
        parse_seeds(text, first)


# --- Results


def test_each_seed_is_the_run_that_it_is_alone(tmp_path, alone, capsys):
    assert train("--seeds", "3,5-6", "--run-folder", tmp_path / "all") == 0
    for seed in (3, 5, 6):
        assert_same_run(tmp_path / "all" / f"seed_{seed}", alone / f"seed_{seed}")
        ours, theirs = (folder / f"seed_{seed}" for folder in (tmp_path / "all", alone))
        assert (ours / "config.toml").read_text() == (theirs / "config.toml").read_text()
        assert sorted(os.listdir(ours)) == sorted(os.listdir(theirs))
    told = capsys.readouterr().out
    for row in rows_of(tmp_path / "all"):
        model = ARS.load(tmp_path / "all" / f"seed_{row['seed']}" / "best_model.zip")
        assert float(row["best_return"]) == model.evaluate(5, seed=0).returns.mean()
        assert re.search(rf"^ +{row['seed']} +{int(row['steps']):,} +\S+ +{float(row['best_return']):.1f}", told, re.M)
    best = score_interval([float(row["best_return"]) for row in rows_of(tmp_path / "all")])
    interval = f"95 % interval {best.low:.1f} to {best.high:.1f}"
    assert re.search(rf"best policies +interquartile mean {best.center:.1f}, {interval}", told)


def test_a_number_of_seeds_begins_at_seed(tmp_path, monkeypatch, alone):
    monkeypatch.chdir(tmp_path)
    assert train("--seed", "5", "--seeds", "2") == 0
    assert sorted(os.listdir("runs/CartPole-v1_1")) == ["learning_curve.png", "seed_5", "seed_6", "seeds.csv", "seeds.toml"]
    assert_same_run(tmp_path / "runs/CartPole-v1_1/seed_6", alone / "seed_6")


def test_environments_in_python_run_in_worker_processes(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", MODULES["PYTHONPATH"])  # of the workers
    walk = ["train", "broken_envs:Walk-v0", "--total-timesteps", "900", "--eval-episodes", "2", "--n-delta", "2", "--no-progress"]
    walk += ["--n-workers", "2"]
    assert main([*walk, "--seeds", "1-2", "--run-folder", str(tmp_path / "all")]) == 0
    assert main([*walk, "--seed", "2", "--run-folder", str(tmp_path / "two")]) == 0
    assert_same_run(tmp_path / "all" / "seed_2", tmp_path / "two")
    assert (tmp_path / "all/seed_2/config.toml").read_text() == (tmp_path / "two/config.toml").read_text()
    assert "n_workers = 2" in (tmp_path / "two/config.toml").read_text()


@pytest.mark.parametrize(
    "options",
    [
        ("--preset", "modestyachts", "--n_iter", "3", "--n_directions", "4"),
        ("--env-kwargs", "sutton_barto_reward=True", "max_episode_steps=60"),
        ("--policy", "MlpPolicy", "--net-arch", "4", "--zero-policy", "False", "--monitor"),
        ("--backend", "numpy", "--iterations", "2", "--max-episode-steps", "20"),
    ],
)
def test_settings_reach_every_seed(tmp_path, options):
    short = ("CartPole-v1", "--total-timesteps", "1500", "--eval-episodes", "2", "--no-progress", *options)
    assert main(["train", *short, "--seeds", "4-5", "--run-folder", str(tmp_path / "all")]) == 0
    assert main(["train", *short, "--seed", "5", "--run-folder", str(tmp_path / "alone")]) == 0
    assert_same_run(tmp_path / "all" / "seed_5", tmp_path / "alone")
    assert (tmp_path / "all/seed_5/config.toml").read_text() == (tmp_path / "alone/config.toml").read_text()
    assert sorted(os.listdir(tmp_path / "all/seed_5")) == sorted(os.listdir(tmp_path / "alone"))


def test_progress_names_the_seed(tmp_path, capsys):
    options = [option for option in OPTIONS if option != "--no-progress"]
    assert main(["train", *options, "--seeds", "3", "--run-folder", str(tmp_path / "all")]) == 0
    told = re.findall(r"^seed (\d) \((\d) of 3\): done in ", capsys.readouterr().err, re.M)
    assert told == [("0", "1"), ("1", "2"), ("2", "3")]


@pytest.mark.slow
def test_kernels_are_compiled_once(tmp_path):
    told = run("train", *OPTIONS, "--seeds", "3", "--run-folder", "all", cwd=tmp_path, FASTARS_CACHE_DIR=str(tmp_path / "cache"))
    assert told.returncode == 0, told.stderr
    assert told.stderr.count("Compiled the kernels") == 1


def test_the_curves_of_all_seeds_are_drawn(tmp_path, capsys):
    pytest.importorskip("matplotlib", reason="curves are drawn by matplotlib")
    assert train("--seeds", "2", "--run-folder", tmp_path / "all") == 0
    assert f"picture        {tmp_path / 'all' / 'learning_curve.png'}" in capsys.readouterr().out
    picture = (tmp_path / "all" / "learning_curve.png").read_bytes()
    assert picture.startswith(b"\x89PNG")
    (tmp_path / "all" / "learning_curve.png").unlink()
    assert main(["plot", str(tmp_path / "all")]) == 0  # the folder stands for its seeds
    assert (tmp_path / "all" / "learning_curve.png").exists()


def test_seeds_without_a_curve_are_left_out_of_the_picture(tmp_path, capsys):
    pytest.importorskip("matplotlib", reason="curves are drawn by matplotlib")
    parent = tmp_path / "all"
    assert train("--seeds", "4", "--run-folder", parent) == 0
    (parent / "seed_1" / "evaluations.npz").unlink()  # killed before the first evaluation
    for name, keep in (("seed_2", lambda value: value[:1]), ("seed_3", lambda value: value * np.nan)):
        with np.load(parent / name / "evaluations.npz") as stored:
            arrays = dict(stored)
        kept = keep(arrays["results"])
        np.savez(parent / name / "evaluations.npz", **{**arrays, "results": kept, "timesteps": arrays["timesteps"][: len(kept)]})
    capsys.readouterr()
    assert main(["plot", str(parent), "--out", str(tmp_path / "some.svg")]) == 0
    assert "without seed_1, seed_2, seed_3: a curve needs at least 2 points" in capsys.readouterr().err
    shutil.rmtree(parent / "seed_0")
    assert main(["plot", str(parent)]) == 2
    assert "all has no seed with two points of a curve" in capsys.readouterr().err


def test_without_matplotlib_there_is_a_table(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert train("--seeds", "2", "--run-folder", tmp_path / "all") == 0
    assert re.search(r"picture +none: .*matplotlib", capsys.readouterr().out)
    assert len(rows_of(tmp_path / "all")) == 2


# --- Stopped, failed, strange


class Stopping(ARS):
    """Seed 5 gets Ctrl-C in its third update."""

    def _commit(self, *args, **kwargs):
        super()._commit(*args, **kwargs)
        if (self.seed, self.iteration) == (5, 3):
            signal.raise_signal(signal.SIGINT)


def test_ctrl_c_keeps_what_is_done_and_resume_goes_on(tmp_path, alone, monkeypatch, capsys):
    parent = tmp_path / "all"
    with monkeypatch.context() as patch:
        patch.setattr(fastars.ars, "ARS", Stopping)
        assert train("--seeds", "3,5,6", "--run-folder", parent) == 130
    told = capsys.readouterr().err
    assert f"interrupted at seed 5 (2 of 3); all seeds keep what they have. To go on: fastars resume {parent}\n" in told
    assert_same_run(parent / "seed_3", alone / "seed_3")
    assert [ARS.load(parent / f"seed_{seed}" / "model.zip").iteration for seed in (5, 6)] == [3, 0]
    assert main(["resume", str(parent)]) == 0
    for seed in (3, 5, 6):
        assert_same_run(parent / f"seed_{seed}", alone / f"seed_{seed}")
    assert "seed 3 (1 of 3): was done before" in capsys.readouterr().err
    assert [row["seed"] for row in rows_of(parent)] == ["3", "5", "6"]


def test_a_killed_process_loses_no_seed(tmp_path, alone):
    arguments = ["train", *OPTIONS, "--seeds", "3,5,6", "--run-folder", "all"]
    slowed = ENVIRONMENT | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ENVIRONMENT['PYTHONPATH']}"}
    (tmp_path / "sitecustomize.py").write_text(
        "import fastars.ars, time\nARS = fastars.ars.ARS\ncommit = ARS._commit\n"
        "def slow(self, *args, **kwargs):\n    commit(self, *args, **kwargs)\n    time.sleep(0.01)\nARS._commit = slow\n"
    )
    process = subprocess.Popen([*COMMAND, *arguments], cwd=tmp_path, env=slowed, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        wait_for_rows(tmp_path / "all" / "seed_5" / "progress.csv", 5, process)
    finally:
        process.kill()
        process.communicate()
    resumed = run("resume", "all", cwd=tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    for seed in (3, 5, 6):
        assert_same_run(tmp_path / "all" / f"seed_{seed}", alone / f"seed_{seed}")


class Failing(ARS):
    """Seed 5 fails in its third update."""

    def _commit(self, *args, **kwargs):
        if (self.seed, self.iteration) == (5, 2):
            raise ArithmeticError("the floor gave way")
        super()._commit(*args, **kwargs)


def test_a_failing_seed_does_not_lose_the_others(tmp_path, alone, monkeypatch, capsys):
    parent = tmp_path / "all"
    with monkeypatch.context() as patch:
        patch.setattr(fastars.ars, "ARS", Failing)
        assert train("--seeds", "3,5,6", "--run-folder", parent) == 1
    told = capsys.readouterr()
    assert "seed 5 (2 of 3) failed, and the others go on: ArithmeticError: the floor gave way" in told.err
    assert re.search(r"^ +5 +failed", told.out, re.M)
    assert f"failed         seed 5. To try again: fastars resume {parent}" in told.out
    assert [(row["seed"], row["error"][:15]) for row in rows_of(parent)] == [("3", ""), ("6", ""), ("5", "ArithmeticError")]
    for seed in (3, 6):
        assert_same_run(parent / f"seed_{seed}", alone / f"seed_{seed}")
    assert main(["resume", str(parent)]) == 0
    assert_same_run(parent / "seed_5", alone / "seed_5")


def test_all_seeds_train_further(tmp_path, monkeypatch, capsys):
    """A new end holds for the seeds that were not reached before the run was stopped, too."""
    parent = tmp_path / "all"
    assert train("--seeds", "5-6", "--run-folder", parent) == 0
    with monkeypatch.context() as patch:
        patch.setattr(fastars.ars.ARS, "learn", lambda *_, **__: signal.raise_signal(signal.SIGINT))
        assert main(["resume", str(parent), "--total-timesteps", "20000", "--no-progress"]) == 130
    assert main(["resume", str(parent), "--no-progress"]) == 0
    assert all(20_000 <= int(row["steps"]) < 22_000 for row in rows_of(parent))
    assert main(["resume", str(parent), "--total-timesteps", "15000"]) == 2
    assert "total_timesteps must be at least the" in capsys.readouterr().err


@pytest.mark.parametrize("command", [["eval"], ["verify"], ["export", "--to", "npz"], ["video"]])
def test_a_command_for_one_run_names_the_seeds(tmp_path, capsys, command):
    parent = tmp_path / "all"
    assert train("--seeds", "5-6", "--run-folder", parent, "--total-timesteps", "500") == 0
    capsys.readouterr()
    assert main([command[0], str(parent), *command[1:]]) == 2
    assert f"{parent} has the runs of 2 seeds: name one of them, such as {parent / 'seed_5'}" in capsys.readouterr().err


def test_a_seed_is_a_run_like_any_other(tmp_path, capsys):
    parent = tmp_path / "all"
    assert train("--seeds", "5-6", "--run-folder", parent, "--monitor") == 0
    assert main(["eval", str(parent / "seed_5"), "--n-eval-episodes", "2"]) == 0
    assert main(["verify", str(parent / "seed_6"), "--episodes", "30", "--seed", "0"]) == 0
    assert main(["resume", str(parent / "seed_6"), "--total-timesteps", "14000", "--no-progress"]) == 0
    assert main(["resume", str(parent), "--no-progress"]) == 0
    steps = {row["seed"]: int(row["steps"]) for row in rows_of(parent)}
    assert steps["5"] < 14_000 <= steps["6"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("schema = 1\nseeds = [1, 1]\n", "must name each seed once"),
        ("schema = 1\nseeds = []\n", "must be a list of 1 to 1,000 integers"),
        ("schema = 1\nseeds = 3\n", "must be a list"),
        ('schema = 1\nseeds = ["../x"]\n', "must be an integer from 0"),
        ("schema = 1\nseeds = [-1]\n", "must be an integer from 0"),
        ("seeds = [1]\n", "schema must be an integer"),
        ("schema = 9\nseeds = [1]\n", "written by a newer fastars"),
        ("schema", "is damaged"),
    ],
)
def test_a_damaged_list_of_seeds_is_an_error(tmp_path, capsys, text, told):
    (tmp_path / "seeds.toml").write_text(text)
    for command in ("resume", "plot", "eval"):
        assert main([command, str(tmp_path)]) in (1, 2)
        assert told in capsys.readouterr().err


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no symbolic links for everybody")
def test_no_link_leads_out_of_the_folder_of_seeds(tmp_path, capsys):
    assert train("--seeds", "5-6", "--run-folder", tmp_path / "all", "--total-timesteps", "500") == 0
    shutil.move(tmp_path / "all" / "seed_6", tmp_path / "mine")
    (tmp_path / "all" / "seed_6").symlink_to(tmp_path / "mine")
    before = (tmp_path / "mine" / "progress.csv").read_bytes()
    assert main(["resume", str(tmp_path / "all"), "--total-timesteps", "900"]) == 1
    assert "seed_6 is a symbolic link, which is not followed" in capsys.readouterr().err
    assert (tmp_path / "mine" / "progress.csv").read_bytes() == before


def test_wrong_use_leaves_no_folder(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for wrong in (["--seeds", "x"], ["--seeds", "2", "--n-workers", "0"], ["--seeds", "2", "--n-delta", "0"]):
        assert main(["train", "CartPole-v1", *wrong]) == 2
    assert os.listdir(tmp_path) == []
    assert capsys.readouterr().out == ""


def test_a_full_disk_at_the_beginning_leaves_nothing(tmp_path, monkeypatch, capsys):
    def full(self, *args, **kwargs):
        if self.seed == 6:
            raise OSError(28, "No space left on device", "model.zip")

    monkeypatch.setattr(fastars.ars.ARS, "save", full)
    assert train("--seeds", "5-7", "--run-folder", tmp_path / "all") == 1
    assert os.listdir(tmp_path / "all") == []
    assert "No space left on device" in capsys.readouterr().err
