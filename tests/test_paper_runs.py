"""The study of the paper: its seeds, its grid of evaluations, when a threshold is reached, and runs that are killed and go on.

Broken on purpose, one at a time, each seen by the test of its name: the same episodes at every evaluation, the confirming episodes
those of the evaluation, seeds of evaluations below 2**32 -> never_saw; confirmed means by text after a resume, a new model with
the old curve, one name for all checkpoints -> killed; a checkpoint of any settings taken -> other_settings; one of the two means
not looked at -> both_means; a grid that is twice as wide -> double; Walker2d's V2-t with half its budget -> budget; V1 with the
filter -> without_the_filter; the words of another number -> rule; a failed seed counted as 0 -> infinite; a step limit twice as
far -> first_steps; seeds that are done run again, claims without an answer -> run_once; any file added to -> not_added_to; nine
directions for Hopper's V2-t -> means_of_the_paper; rows that are none run -> by_the_command; every warning an error, as it was at
first -> of_its_age; no warning one -> without_its_physics; a mean of no number rounded, among the best, or of the first steps ->
unstable; seeds in the order of their ends -> run_once; an error that ends the process, or is not in its exit code -> seed_alone.
"""

import json
import math
import os
import signal
import subprocess
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

pytest.importorskip("mujoco", reason="the paper's tasks are MuJoCo's")

from bench.paper import rows, runs  # noqa: E402
from bench.paper.__main__ import run  # noqa: E402
from bench.paper.crossing import crossing  # noqa: E402
from bench.paper.rows import PLAN, TASKS, Row, Task, all_rows, evaluated_iterations  # noqa: E402
from bench.paper.seeds import PAPER_SEEDS, RANDOM_SEEDS, first_seeds  # noqa: E402
from bench.paper.store import Store  # noqa: E402
from bench.paper.summary import best_until, median_to_threshold, reached, state  # noqa: E402
from fastars.training import presets  # noqa: E402

ROW = Row("Swimmer", "V2")
# What a second process runs: as `tiny` does, until the third checkpoint.
PROGRAM = """
import os, pathlib, signal, sys
from bench.paper import rows, runs
rows.TASKS["Swimmer"] = rows.Task(-1e3, {"V2": 80})
runs.N_EPISODES, runs.N_CONFIRMING = 2, 3
write, calls = runs.write_atomically, []
def write_and_die(*arguments):
    calls.append(arguments)
    if len(calls) == 3 and sys.argv[2] == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    write(*arguments)
    if len(calls) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
runs.write_atomically = write_and_die
runs.run_seed(rows.Row("Swimmer", "V2"), 237, pathlib.Path(sys.argv[1]), checkpoint_s=0.0)
"""


@pytest.fixture(scope="module")
def tiny():
    """Swimmer with 40 iterations, and a threshold that the first evaluation reaches."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(rows.TASKS, "Swimmer", Task(-1e3, {"V2": 80}))
        patch.setattr(runs, "N_EPISODES", 2)
        patch.setattr(runs, "N_CONFIRMING", 3)
        yield


@pytest.fixture(scope="module")
def whole(tiny, tmp_path_factory):
    """The result of a run that nothing stopped, and the seeds of its evaluations."""
    seen, evaluate, folder = [], runs.ARS.evaluate, tmp_path_factory.mktemp("whole")

    def watched(model, n_episodes, seed):
        seen.extend(range(seed, seed + n_episodes))
        return evaluate(model, n_episodes, seed)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs.ARS, "evaluate", watched)
        result = runs.run_seed(ROW, 237, folder)
    assert list(folder.iterdir()) == []
    return result, seen


def without_times(result):
    return {name: value for name, value in result.items() if name not in ("train_s", "evaluate_s", "machine")}


# --- The plan, the seeds and the grid


def test_seeds_are_those_of_the_rule():
    """The words of SeedSequence were written down before the first run."""
    assert first_seeds(2) == (237, 759, 959, 3090561942, 1598160366)
    assert len({*PAPER_SEEDS, *RANDOM_SEEDS}) == 103


def test_evaluations_are_every_tenth_iteration_then_eight_while_the_iterations_double():
    assert evaluated_iterations(35) == [10, 20, 30, 35]
    assert evaluated_iterations(40) == [10, 20, 30, 40]
    grid = evaluated_iterations(700)
    assert grid[:16] == list(range(10, 161, 10))
    assert grid[16:] == [180, 200, 220, 240, 260, 280, 300, 320, 360, 400, 440, 480, 520, 560, 600, 640, 700]


def test_a_budget_is_twice_what_the_paper_took():
    for row in all_rows():
        if row.paper_episodes is not None:
            assert row.budget >= 2 * row.paper_episodes


def test_the_means_of_the_paper_are_made_of_evaluations_of_the_settings():
    """It evaluated every ten iterations: three times a mean is a whole number of evaluations, up to the rounding of the mean."""

    def fits(row):
        sum_of_three, apart = 3 * row.paper_episodes, 10 * row.episodes_per_iteration
        return any(value % apart == 0 for value in range(sum_of_three - 2, sum_of_three + 3))

    assert {row.name for row in all_rows() if row.paper_episodes and not fits(row)} == {"Ant-v5_V1-t"}


def test_the_plan_has_every_row_with_the_three_seeds():
    assert {row for row, _ in PLAN} == set(all_rows())
    assert {(row.task, row.variant) for row in all_rows() if row.paper_episodes} >= {("Swimmer", "V1"), ("Humanoid", "V2")}
    assert all(0 <= n_random <= len(RANDOM_SEEDS) for _, n_random in PLAN)


def test_settings_are_the_papers_and_v1_is_without_the_filter():
    assert Row("Ant", "V2-t").settings == {
        "preset": "paper",
        "physics": "lanes",
        "learning_rate": 0.015,
        "delta_std": 0.025,
        "n_delta": 60,
        "n_top": 20,
        "alive_bonus_offset": -1.0,
        "normalize_observations": True,
    }
    assert Row("Hopper", "tuned").settings == {"preset": "tuned", "physics": "lanes", **presets.rows("tuned", "Hopper")[0]}
    assert Row("Walker2d", "V1").settings == Row("Walker2d", "V2").settings | {"normalize_observations": False}
    assert [Row("Humanoid", "V2").settings[name] for name in ("physics", "alive_bonus_offset", "n_top")] == ["mujoco", -5.0, 230]


# --- When the threshold is reached


def test_a_threshold_is_reached_where_both_means_reach_it():
    """Of four evaluations the second and the third reach 325; the hundred episodes after the second don't."""
    curve = [(10, 20_000, 324.9), (20, 40_000, 326.0), (30, 60_000, 325.0), (40, 80_000, 200.0)]
    assert crossing(curve, {20: 324.0, 30: 325.5}, 325.0) == {"iteration": 30, "steps": 60_000, "mean": 325.5}
    assert crossing(curve, {20: 324.0}, 325.0) is None
    assert crossing(curve, {10: 400.0}, 325.0) is None


def crossed(episodes, steps):
    return {"crossed": {"episodes": episodes, "steps": steps}}


def test_a_failed_seed_counts_as_infinite():
    three, failed = [crossed(100, 9_000), crossed(300, 1_000), crossed(200, 5_000)], [{"crossed": None}]
    assert median_to_threshold(three, "episodes") == 200
    assert median_to_threshold(three, "steps") == 5_000
    assert median_to_threshold(three + failed, "episodes") == 250
    assert median_to_threshold([three[0], *failed], "episodes") == math.inf
    assert reached(three + failed) == 3


def test_the_best_return_of_the_first_steps():
    kept, result = {}, {"means": [5.0, 9.0, 7.0, 11.0], "ksteps": [200, 600, 1_000, 1_100]}
    assert best_until(kept, result, 1_000_000) == 9.0


def test_a_row_of_v4_runs_though_gymnasium_warns_of_its_age(monkeypatch, tmp_path):
    monkeypatch.setitem(rows.TASKS, "Hopper", Task(3120.0, {"V2-t": 16}))
    monkeypatch.setattr(runs, "N_EPISODES", 1)
    with pytest.warns(DeprecationWarning, match="Hopper-v4 is out of date"):
        result = runs.run_seed(Row("Hopper", "V2-t", 4), 237, tmp_path)
    assert len(result["means"]) == 1
    assert result["crossed"] is None


def test_an_evaluation_of_unstable_episodes_has_no_mean(monkeypatch, tmp_path):
    means = iter([7.0, math.nan, 9.4, 8.0])
    monkeypatch.setitem(rows.TASKS, "Swimmer", Task(1e4, {"V2": 80}))
    monkeypatch.setattr(runs.ARS, "learn", lambda model, *_, **__: setattr(model, "iteration", model.iteration + 10))
    monkeypatch.setattr(runs.ARS, "iteration", 0)
    monkeypatch.setattr(runs.ARS, "evaluate", lambda *_, **__: SimpleNamespace(returns=np.array([next(means)])))
    result = runs.run_seed(ROW, 237, tmp_path)
    assert result["means"] == [7, None, 9, 8]
    assert result["best"] == 9
    assert best_until({}, result, 1_000_000) == 9


def test_a_row_without_its_physics_is_not_run(monkeypatch, tmp_path):
    monkeypatch.setattr(runs, "ARS", lambda *_, **__: warnings.warn("lanes can't be had", UserWarning, stacklevel=1))
    with pytest.raises(UserWarning, match="lanes can't be had"):
        runs.run_seed(Row("Hopper", "V2-t"), 237, tmp_path)


# --- The result files


def result_of(seed, episodes=None):
    met = None if episodes is None else {"iteration": 10, "steps": 1_000 * episodes, "episodes": episodes, "mean": 330.0}
    return {"seed": seed, "crossed": met, "best": 1.0, "train_s": 1800.0, "evaluate_s": 1800.0, "means": [1.0], "ksteps": [2]}


def test_seeds_are_run_once_and_written_one_by_one(monkeypatch, tmp_path):
    ran = []

    def run_seed(row, seed, folder):
        ran.append((seed, len(Store(tmp_path).done(row))))
        return result_of(seed, 100)

    monkeypatch.setattr(runs, "run_seed", run_seed)
    store = Store(tmp_path)
    run(ROW, (759, 237, 959), store)
    with store.claim(ROW, 5) as is_mine, store.claim(ROW, 5) as is_mine_too:
        assert is_mine
        assert not is_mine_too
        run(ROW, (759, 5, 6), store)
    assert ran == [(759, 0), (237, 1), (959, 2), (6, 3)]
    assert [result["seed"] for result in store.read(ROW)["seeds"]] == [237, 759, 959, 6]  # in the order of the rule
    assert state(store.read(ROW), first_seeds(5)) == "Swimmer-v5 V2: 3 of 8 seeds, 3 reach 325; 3.00 CPU hours, 5.0 to go"
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["Swimmer-v5_V2.json"]
    assert json.loads(store.path(ROW).read_text())["seeds"][0] == result_of(237, 100) | {"machine": 0}


def test_an_error_ends_its_seed_alone(monkeypatch, tmp_path, capsys):
    def run_seed(row, seed, folder):
        return result_of(seed) if seed != 759 else 1 / 0

    monkeypatch.setattr(runs, "run_seed", run_seed)
    store = Store(tmp_path)
    assert run(ROW, first_seeds(0), store) == 1
    assert store.done(ROW) == {237, 959}
    assert "Swimmer-v5_V2 759: Traceback" in capsys.readouterr().err
    monkeypatch.setattr(runs, "run_seed", lambda row, seed, folder: result_of(seed, 100))
    assert run(ROW, first_seeds(0), store) == 0  # the seed is free
    assert store.done(ROW) == {*PAPER_SEEDS}


def test_results_of_other_settings_are_not_added_to(monkeypatch, tmp_path):
    store = Store(tmp_path)
    store.add(ROW, result_of(237))
    monkeypatch.setitem(rows.TASKS, "Swimmer", TASKS["Swimmer"]._replace(threshold=1.0))
    with pytest.raises(SystemExit, match=r"Swimmer-v5_V2\.json has other threshold than Swimmer-v5_V2 now"):
        store.add(ROW, result_of(759))


def test_a_row_is_run_by_the_command(tmp_path):
    """The command without seeds to run: what it says of a row, and of one that there is not."""

    def command(*arguments):
        line = [sys.executable, "-m", "bench.paper", *arguments, "--results", str(tmp_path)]
        return subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60, env=os.environ)

    Store(tmp_path).add(Row("Ant", "V2-t"), result_of(237))
    assert command("Ant", "V2-t", "--paper-seeds", "--state").stdout.startswith("Ant-v5 V2-t: 1 of 3 seeds, 0 reach 3580; ")
    assert "Swimmer-v5_V2-t is no row of the study: Swimmer-v5_V1, " in command("Swimmer", "V2-t").stderr


# --- Runs: the fixture `tiny` holds from here on


def test_a_seed_is_evaluated_on_its_grid_in_episodes_that_training_never_saw(whole):
    result, seen = whole
    assert ROW.grid == [10, 20, 30, 40]
    assert result["ksteps"] == [20, 40, 60, 80]  # two episodes of 1,000 steps in each iteration
    assert len(result["means"]) == 4
    assert result["crossed"] == {"iteration": 10, "steps": 20_000, "episodes": 20, "mean": result["crossed"]["mean"]}
    assert len(seen) == len(set(seen)) == 4 * 2 + 3  # the first evaluation was confirmed
    assert min(seen) >= 2**32


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_run_that_was_killed_goes_on_to_the_same_result(whole, tmp_path, when):
    """Killed while the third checkpoint is written, and after it."""
    killed = subprocess.run([sys.executable, "-c", PROGRAM, tmp_path, when], cwd=ROOT, check=False, timeout=120)
    assert killed.returncode == -signal.SIGKILL
    kept = json.loads((tmp_path / "Swimmer-v5_V2_237.json").read_text())
    assert kept["model"] == f"Swimmer-v5_V2_237.{20 if when == 'before' else 30}.zip"
    assert without_times(runs.run_seed(ROW, 237, tmp_path)) == without_times(whole[0])
    assert list(tmp_path.iterdir()) == []


def test_a_checkpoint_of_other_settings_is_not_gone_on_with(whole, tmp_path):
    kept = {"model": "none.zip", "settings": ROW.settings | {"delta_std": 0.5}, "found": {}}
    (tmp_path / "Swimmer-v5_V2_237.json").write_text(json.dumps(kept))
    assert without_times(runs.run_seed(ROW, 237, tmp_path)) == without_times(whole[0])
