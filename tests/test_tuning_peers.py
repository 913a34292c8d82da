"""`fastars tune` with optuna: what it tries, what it writes, and how it goes on after any end.

Broken on purpose -> red: stopped trials not tried again, or not put into the queue (`stopped_search`, `without_a_trial`); a
sampler without a seed (`same_each_time`, `stopped_search`) or with the same one for each trial (`samplers_and_pruners`); a lock
that is taken though another process has it (`share`, `without_a_trial`), trials begun without the gate (`share`); one seed for
all runs of a trial, the last evaluation in other episodes (`returns_of_its_trial`); no evaluation after the first iteration
(`other_objectives`); NaN as a value (`not_finite`); an error of a trial that ends the search (`trial_that_fails`); the pruner
not asked (`stopped_early`); no trial with the usual settings (`first_trial`); the definition of the study not compared
(`as_it_was_begun`); a study of somebody else taken (`somebody_else`), or one to be minimised (`another_direction`), or with any
definition (`text_for_a_definition`), or a journal read without a name (`is_named`); a timeout passed over (`timeout`); rows and
columns of the picture exchanged (`picture`); a study of the sampler cma that goes on without trust (`pickle`). Seen red before
there were limits and checks: all of `asks_for_no_more`.
"""

import csv
import json
import os
import pickle
import re
import shlex
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

optuna = pytest.importorskip("optuna", reason='optuna is not installed: pip install "fastars[tune]"')
pytest.importorskip("tyro", reason='the command is not installed: pip install "fastars[cli]"')

from test_cli import ENVIRONMENT  # noqa: E402

from fastars import ARS  # noqa: E402
from fastars.cli import main  # noqa: E402
from fastars.cli.tuning.definition import Definition  # noqa: E402
from fastars.cli.tuning.study import Study  # noqa: E402
from fastars.cli.tuning.trial import BadValueError, average  # noqa: E402

# Small, and not perfect: the values of two trials differ.
SMALL = ("--total-timesteps", "3000", "--n-evaluations", "3", "--n-seeds", "2", "--eval-episodes", "5", "--noise-size", "65536")
COMMAND = ("tune", "CartPole-v1", *SMALL, "--run-folder", "search")
# Returns of Pendulum differ in every episode. Several evaluations, one of them after the first iteration.
PENDULUM = ("tune", "Pendulum-v1", *SMALL, "--total-timesteps", "13000", "--run-folder", "search")
# A process that gets a signal at the first evaluation of its third trial.
SIGNALLED = """
import os, signal, sys
from fastars.cli import main
from fastars.cli.tuning.study import Study
report = Study.report
def report_and_signal(self, trial, value, step):
    stopped = report(self, trial, value, step)
    if trial.number == 2 and step == 1:
        os.kill(os.getpid(), signal.{})
    return stopped
Study.report = report_and_signal
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture(autouse=True)
def in_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")


def trials(folder="search"):
    with open(Path(folder) / "trials.csv", newline="") as file:
        return list(csv.DictReader(file))


def results(folder="search"):
    """Return what a search found: settings and returns of each trial that ended by itself, in their order."""
    left_out = ("trial", "seconds")
    return [
        {name: value for name, value in row.items() if name not in left_out}
        for row in trials(folder)
        if row["state"] != "interrupted"
    ]


def interrupted(kind, *args):
    return subprocess.run(
        [sys.executable, "-c", SIGNALLED.format(kind), *args], env=ENVIRONMENT, capture_output=True, text=True, timeout=120
    )


def test_the_best_setting_trains_to_the_returns_of_its_trial(capsys):
    assert main([*PENDULUM, "--n-trials", "4"]) == 0
    assert "fastars train --config search/best.toml --seeds 10 --seed 2" in capsys.readouterr().out
    best = max(trials(), key=lambda row: (float(row["return"]), -int(row["trial"])))
    for seed in (0, 1):
        assert main(["train", "--config", "search/best.toml", "--seed", str(seed), "--run-folder", f"run{seed}"]) == 0
        returns = ARS.load(f"run{seed}/best_model.zip").evaluate(5, seed=0).returns
        assert repr(float(returns.mean())) == best[f"return_seed_{seed}"]
    assert float(best["return"]) == np.mean([float(best["return_seed_0"]), float(best["return_seed_1"])])
    settings = tomllib.loads(Path("search/best.toml").read_text())["settings"]
    assert settings["learning_rate"] == float(best["learning_rate"])
    assert settings["n_top"] == max(round(float(best["top_fraction"]) * settings["n_delta"]), 1)


@pytest.mark.parametrize("objective", ["last", "mean"])
def test_other_objectives_are_of_the_last_policy_and_of_all_evaluations(objective):
    assert main([*PENDULUM, "--n-delta", "8", "--n-trials", "2", "--n-seeds", "1", "--objective", objective]) == 0
    assert main(["train", "--config", "search/best.toml", "--run-folder", "run"]) == 0
    expected = {
        "last": lambda: ARS.load("run/model.zip").evaluate(5, seed=0).returns.mean(),
        "mean": lambda: np.load("run/evaluations.npz")["results"].mean(axis=1).mean(),
    }
    assert max(float(row["return"]) for row in trials()) == pytest.approx(expected[objective](), rel=1e-15)


def test_the_first_trial_has_the_settings_of_train_and_the_report_names_its_rank(capsys):
    assert main([*COMMAND, "--n-trials", "3", "--alive-bonus-offset", "0"]) == 0
    said = capsys.readouterr().out
    row = trials()[0]
    assert (row["learning_rate"], row["delta_std"], row["n_delta"]) == ("0.02", "0.05", "8")
    assert re.search(r"default +[\d.]+ with the settings of `fastars train`: trial 0, the (best|second best|third best)\n", said)


def test_a_search_is_the_same_each_time_and_another_one_with_another_seed():
    for folder, seed in (("search", 0), ("again", 0), ("other", 5)):
        assert main([*COMMAND[:-1], folder, "--n-trials", "4", "--seed", str(seed)]) == 0
    assert results("search") == results("again")
    assert [row["learning_rate"] for row in results("search")[1:]] != [row["learning_rate"] for row in results("other")[1:]]


@pytest.mark.parametrize(("kind", "code"), [("SIGTERM", 143), ("SIGKILL", -9)])
def test_a_stopped_search_goes_on_to_what_it_would_have_been(kind, code):
    """A trial that was running is tried again, whatever ended its process; the study is then that of a search without a stop."""
    asked = ("--n-trials", "5", "--n-startup-trials", "2")
    assert main(["tune", "CartPole-v1", *SMALL, *asked, "--run-folder", "whole"]) == 0
    stopped = interrupted(kind, *COMMAND, *asked)
    assert stopped.returncode == code, stopped.stderr
    again = ["fastars", *COMMAND[:2], "--run-folder", "search"]
    if kind != "SIGKILL":
        assert "interrupted after 2 trials" in stopped.stderr
        again = shlex.split(stopped.stderr.split("To go on: ")[1])
    assert main(again[1:]) == 0
    assert [row["state"] for row in trials()].count("interrupted") == 1
    assert results("search") == results("whole")


def test_processes_share_a_study(capsys):
    """Each trial is run by one of them, none twice, and together they run as many as were asked for."""
    command = [sys.executable, "-m", "fastars", *COMMAND, "--n-trials", "8", "--storage", "shared.log"]
    folders = [[*command[:-1], command[-1], "--run-folder", f"process{i}"] for i in range(2)]
    running = [
        subprocess.Popen(each, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for each in folders
    ]
    said = [process.communicate(timeout=120) for process in running]
    assert [process.returncode for process in running] == [0, 0], said
    lines = [re.findall(r"^trial (\d+): ", errors, re.M) for _, errors in said]
    assert sorted(map(int, lines[0] + lines[1])) == list(range(8))
    storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend("shared.log"))
    assert len({json.dumps(trial.params) for trial in optuna.load_study(study_name="CartPole-v1", storage=storage).trials}) == 8


def test_a_trial_that_fails_is_recorded_and_the_search_goes_on(capsys):
    args = ("--sampler", "grid", "--choices", "noise_size=1,65536", "n_delta=4,8")
    kept = [value for value in SMALL if value not in ("--noise-size", "65536")]
    assert main(["tune", "CartPole-v1", *kept, *args, "--run-folder", "search"]) == 0
    states = {(row["noise_size"], row["n_delta"]): row["state"] for row in trials()}
    assert states == {("1", "4"): "failed", ("1", "8"): "failed", ("65536", "4"): "complete", ("65536", "8"): "complete"}
    assert "noise_size" in next(row["error"] for row in trials() if row["state"] == "failed")
    assert "4: 2 failed, 2 complete" in capsys.readouterr().out


def test_a_search_in_which_every_trial_fails_is_an_error(capsys):
    kept = [value for value in SMALL if value not in ("--noise-size", "65536")]
    assert main(["tune", "CartPole-v1", *kept, "--choices", "noise_size=1,2", "--n-trials", "2", "--run-folder", "search"]) == 1
    assert "no trial reached its end (2: 2 failed); the last error: " in capsys.readouterr().err
    assert not Path("search/best.toml").exists()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_value_that_is_not_finite_fails_its_trial(value, monkeypatch, capsys):
    definition = Definition(env="", fixed={}, axes=(), base={}, total_timesteps=10, eval_episodes=1, n_seeds=2)
    with pytest.raises(BadValueError, match=r"not finite: 1 with seed 0, (nan|-?inf) with seed 1"):
        average(definition, [1.0, value])
    from fastars.cli.tuning import trial

    monkeypatch.setattr(trial.SeedRun, "final_value", lambda self: value if self.model.config.n_delta == 4 else 1.0)
    assert main([*COMMAND, "--sampler", "grid", "--choices", "n_delta=4,8"]) == 0
    assert [row["state"] for row in trials()] == ["failed", "complete"]


def test_a_setting_that_learns_nothing_is_stopped_early(capsys):
    """Steps of 0 leave the first policy, so the median of the others stops them after the first evaluations."""
    grid = ("--sampler", "grid", "--choices", "learning_rate=0.02,0.0201,0,0.0202", "--pruner", "median", "--n-startup-trials", "2")
    assert main([*COMMAND, *grid, "--n-evaluations", "6"]) == 0
    rows = trials()
    assert [row["state"] for row in rows] == ["complete", "complete", "stopped early", rows[3]["state"]]
    assert int(rows[2]["evaluations"]) < 6
    assert rows[2]["return"] == ""
    assert "trial 2: stopped early" in capsys.readouterr().err


@pytest.mark.parametrize(("sampler", "pruner"), [("random", "none"), ("cma", "halving"), ("tpe", "hyperband")])
def test_samplers_and_pruners_of_optuna(sampler, pruner):
    if sampler == "cma":
        pytest.importorskip("cmaes", reason="the sampler cma needs cmaes")
    asked = ("--sampler", sampler, "--pruner", pruner, "--n-trials", "6", "--n-startup-trials", "2", "--n-seeds", "1")
    assert main([*COMMAND, *asked]) == 0
    rows = trials()
    assert {row["state"] for row in rows} <= {"complete", "stopped early"}
    assert len({row["learning_rate"] for row in rows}) == 6
    for row in rows:
        assert 0.002 <= float(row["learning_rate"]) <= 0.5
        assert 4 <= int(row["n_delta"]) <= 64


@pytest.mark.parametrize("storage", ["mine.log", "mine.db"])
def test_a_storage_is_a_study_of_optuna(storage):
    asked = [*COMMAND, "--storage", storage, "--study-name", "mine", "--n-trials", "2"]
    assert main(asked) == 0
    journal = (
        optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(storage)) if storage.endswith(".log") else None
    )
    study = optuna.load_study(study_name="mine", storage=journal or f"sqlite:///{storage}")
    assert repr(study.best_value) in {row["return"] for row in trials()}
    assert study.best_trial.user_attrs["returns"]
    assert main([*COMMAND[:2], "--storage", storage, "--study-name", "mine", "--n-trials", "3", "--run-folder", "further"]) == 0
    assert len(trials("further")) == 3


def test_a_study_goes_on_as_it_was_begun_or_not_at_all(capsys):
    assert main([*COMMAND, "--n-trials", "1"]) == 0
    for option in (
        ["--total-timesteps", "9000"],
        ["--range", "learning_rate=0.1:0.2"],
        ["--n-delta", "4"],
        ["--sampler", "random"],
    ):
        assert main([*COMMAND[:2], "--run-folder", "search", *option]) == 2
        assert "the study has another" in capsys.readouterr().err
    assert len(trials()) == 1


def test_a_study_of_somebody_else_is_left_alone(capsys):
    optuna.create_study(storage="sqlite:///theirs.db", study_name="CartPole-v1").ask()
    assert main([*COMMAND, "--storage", "theirs.db"]) == 2
    assert "did not begin the study 'CartPole-v1'" in capsys.readouterr().err


class Pickled:
    """Code in a pickle, as a stranger may write it: it makes the folder `ran`."""

    def __reduce__(self):
        return os.mkdir, ("ran",)


def test_the_pickle_of_the_sampler_cma_is_read_with_trust_alone(capsys):
    pytest.importorskip("cmaes", reason="the sampler cma needs cmaes")
    assert main([*COMMAND, "--sampler", "cma", "--n-startup-trials", "1", "--n-trials", "1"]) == 0
    journal = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend("search/study.log"))
    study = optuna.load_study(study_name="CartPole-v1", storage=journal)
    known = study.best_trial
    attributes = {"cma:optimizer:0": pickle.dumps(Pickled()).hex()}
    study.add_trial(
        optuna.trial.create_trial(
            params=known.params,
            distributions=known.distributions,
            value=1.0,
            user_attrs=known.user_attrs,
            system_attrs=attributes,
        )
    )
    again = ["tune", "CartPole-v1", "--run-folder", "search", "--n-trials", "3"]
    assert main(again) == 2
    assert "--trust" in capsys.readouterr().err
    assert not Path("ran").exists()
    assert main([*again, "--trust"]) == 0
    assert Path("ran").exists()


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ({"axes": [{"name": "learning_rate"}]}, "theirs.db: the study is damaged: KeyError('choices')"),
        ({"axes": [{"name": "learning_rate", "choices": [], "low": "x", "high": 0.1, "log": True}]}, "theirs.db: the study: learn"),
        ({"axes": "abc"}, "theirs.db: the study is damaged"),
        ({"fixed": 3}, "theirs.db: the study is damaged"),
        ({"n_seeds": 10**9}, "theirs.db: its study asks for n_seeds=1000000000, more than the 1,000 of a file"),
        ({"eval_episodes": 10**9}, "theirs.db: its study asks for eval_episodes=1000000000, more than the 100,000 of a file"),
        ({"fixed": {"policy": "LinearPolicy", "noise_size": 2**30}}, "theirs.db: it asks for noise_size=1073741824, more than"),
    ],
)
def test_a_study_from_anybody_is_one_error_and_asks_for_no_more_than_a_file_may(part, message, capsys):
    axis = {"name": "learning_rate", "choices": [], "low": 0.01, "high": 0.1, "log": True}
    definition = Definition(
        env="CartPole-v1", fixed={"policy": "LinearPolicy"}, axes=(axis,), base={}, total_timesteps=300, n_evaluations=3,
        eval_episodes=5, n_seeds=1, n_trials=1,
    )  # fmt: skip
    study = optuna.create_study(storage="sqlite:///theirs.db", study_name="CartPole-v1", direction="maximize")
    study.set_user_attr("fastars", {**definition.plain(), **part})
    assert main(["tune", "CartPole-v1", "--storage", "theirs.db", "--run-folder", "search", "--no-progress"]) in (1, 2)
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line


def test_the_command_that_goes_on_with_cma_has_trust():
    """The study is the user's own."""
    pytest.importorskip("cmaes", reason="the sampler cma needs cmaes")
    stopped = interrupted("SIGINT", *COMMAND, "--sampler", "cma", "--n-trials", "4", "--n-startup-trials", "10")
    assert stopped.returncode == 130
    command = shlex.split(stopped.stderr.partition("To go on: ")[2])
    assert main(command[1:]) == 0
    assert len(results()) == 4


@pytest.mark.parametrize("directions", [["minimize"], ["minimize", "maximize"]])
def test_an_empty_study_with_another_direction_is_left_alone(directions, capsys):
    optuna.create_study(storage="sqlite:///theirs.db", study_name="CartPole-v1", directions=directions)
    assert main([*COMMAND, "--storage", "theirs.db", "--n-trials", "1"]) == 2
    assert "did not begin the study 'CartPole-v1'" in capsys.readouterr().err


def test_a_study_with_a_text_for_a_definition_is_left_alone(capsys):
    study = optuna.create_study(storage="sqlite:///theirs.db", study_name="CartPole-v1", direction="maximize")
    study.set_user_attr("fastars", "hello")
    assert main([*COMMAND, "--storage", "theirs.db", "--n-trials", "1"]) == 2
    assert "did not begin the study 'CartPole-v1'" in capsys.readouterr().err


def test_a_journal_that_is_none_is_named(capsys):
    Path("notes.log").write_text("notes\n")
    assert main([*COMMAND, "--storage", "notes.log"]) == 1
    assert "notes.log has no studies of optuna: " in capsys.readouterr().err


def test_a_timeout_begins_no_more_trials():
    assert main([*COMMAND, "--n-trials", "1000", "--timeout", "0.5"]) == 0
    assert 1 <= len(trials()) < 1000


def test_only_named_settings_are_searched_and_the_file_of_a_space_is_taken():
    Path("space.toml").write_text(
        'search = ["learning_rate", "policy", "net_arch"]\n[range]\nlearning_rate = [0.01, 0.1, "log"]\n'
        '[choices]\npolicy = ["LinearPolicy", "MlpPolicy"]\nnet_arch = [[4], [3]]\n'
    )
    assert main([*COMMAND, "--space", "space.toml", "--n-trials", "6", "--sampler", "random", "--n-seeds", "1"]) == 0
    rows = trials()
    assert {row["policy"] for row in rows} == {"LinearPolicy", "MlpPolicy"}
    assert "n_delta" not in rows[0]
    assert {row["state"] for row in rows} == {"complete"}
    assert all(0.01 <= float(row["learning_rate"]) <= 0.1 for row in rows)


def test_the_picture_has_the_values_of_the_trials(monkeypatch):
    pytest.importorskip("matplotlib", reason="the picture is drawn by matplotlib")
    from matplotlib.figure import Figure

    drawn = []
    monkeypatch.setattr(Figure, "savefig", lambda self, file, **options: drawn.append(self) or file.write(b"picture"))
    assert main([*COMMAND, "--n-trials", "3"]) == 0
    assert Path("search/history.png").read_bytes() == b"picture"
    lines = {line.get_label(): line.get_xydata().tolist() for line in drawn[0].axes[0].get_lines()}
    assert lines["trial"] == [[float(row["trial"]), float(row["return"])] for row in trials() if row["state"] == "complete"]


def test_a_process_without_a_trial_of_its_own_leaves_the_others_alone(tmp_path):
    """A trial that a living process runs is no stopped one."""
    definition = Definition(
        env="x", fixed={}, axes=({"name": "n_delta", "choices": [4, 8], "low": None, "high": None, "log": False},), base={},
        total_timesteps=10, eval_episodes=1,
    )  # fmt: skip
    code = (
        "import sys\nfrom pathlib import Path\nfrom fastars.cli.tuning.definition import Definition\n"
        "from fastars.cli.tuning.study import Study\n"
        f"study = Study(Path('study.log'), 'x')\nstudy.begin_study(Definition(**{definition.plain()!r}))\n"
        "print(study.begin().number, flush=True)\nsys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], env=ENVIRONMENT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout.readline() == "0\n"
        here = Study(Path("study.log"), "x")
        here.begin_study(definition)
        here.complete(here.begin(), 1.0, {})
        assert [trial.state.name for trial in here.trials()] == ["RUNNING", "COMPLETE"]
        other.send_signal(signal.SIGKILL)
        other.wait()
        assert here.begin().number == 2
        assert [trial.state.name for trial in here.trials()] == ["FAIL", "COMPLETE", "RUNNING"]
        assert here.trials()[2].params == here.trials()[0].params
