"""The benchmarks' result files and the tables made from them. Running the benchmarks is `make bench`.

Broken on purpose: a benchmark that imports a function which is gone -> the test of what they import red.
"""

import inspect
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.presets import summarised
from fastars.training import presets

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from bench import drop_in  # noqa: E402
from bench.learning_compared import RUNS, SEEDS  # noqa: E402
from bench.learning_compared import rows as compared_rows  # noqa: E402
from bench.tables.__main__ import documents, update  # noqa: E402
from bench.tables.engine import Column, Pivot, Table, render  # noqa: E402
from bench.tables.figures import FIGURES  # noqa: E402

RESULTS = sorted((ROOT / "bench" / "results").glob("*.json"))


def run_tables(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "bench.tables", *arguments], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )


def test_benchmarks_import_what_there_is():
    """In a worker of pytest-xdist, pytest-benchmark would warn at the end, and the warning is an error."""
    command = [sys.executable, "-m", "pytest", "bench", "--collect-only", "--quiet", "-p", "no:cacheprovider"]
    alone = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    outcome = subprocess.run(command, cwd=ROOT, env=alone, capture_output=True, text=True, check=False, timeout=120)
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr


def test_tables_in_the_documents_are_those_of_the_result_files():
    outcome = run_tables("--check")
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr


ROWS = [{"kind": "a", "name": "x", "size": 1}, {"kind": "b", "name": "y", "size": 2}, {"kind": "a", "name": "z", "size": 3}]
SIZES = (Column("name", "name"), Column(lambda rows: f"{len(rows)} rows", lambda row: 2 * row["size"], lambda size: f"{size} m"))


def test_a_declared_table_has_a_line_for_each_row_of_its_kind():
    assert render((Table(SIZES, kind="a"),), ROWS) == "| name | 2 rows |\n| --- | ---: |\n| x | 2 m |\n| z | 6 m |"


def test_each_row_may_have_a_table_of_its_own_and_none_without_rows():
    page = (Table(SIZES, kind="a", each=True), Table(SIZES, kind="none"))
    assert render(page, ROWS) == "\n\n".join(f"| name | 1 rows |\n| --- | ---: |\n| {cells} |" for cells in ("x | 2 m", "z | 6 m"))


def test_a_cell_of_a_pivot_that_no_row_fills_is_marked():
    pivot = Pivot("by kind", line="kind", column="name", cell=lambda row: str(row["size"]))
    lines = ["| by kind | x | z | y |", "| --- | ---: | ---: | ---: |", "| a | 1 | 3 | - |", "| b | - | - | 2 |"]
    assert render((pivot,), ROWS) == "\n".join(lines)


def test_every_result_file_makes_a_table():
    outcome = run_tables("--show")
    assert outcome.returncode == 0, outcome.stderr
    for path in RESULTS:
        assert f"## {path.stem.replace('_', '-')}\n" in outcome.stdout


def test_results_of_presets_are_of_their_settings():
    for row in json.loads((ROOT / "bench" / "results" / "presets.json").read_text(encoding="utf-8"))["rows"]:
        assert [row["settings"]] == list(presets.rows("tuned", row["env"]) or [{}])
        assert row["total_timesteps"] == presets.timesteps(row["env"])
        assert presets.results()[row["env"]] == summarised(row)


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
def test_result_file_names_its_machine(path):
    result = json.loads(path.read_text(encoding="utf-8"))
    assert result["table"] == path.stem
    assert result["rows"]
    assert {"cpu", "threads", "date", "python", "versions"} <= set(result["machine"])


def rows_of(table):
    return json.loads((ROOT / "bench" / "results" / f"{table}.json").read_text(encoding="utf-8"))


def test_compared_means_and_intervals_are_those_of_the_runs():
    result = rows_of("learning_compared")
    assert result["rows"] == compared_rows(result["runs"])


def test_every_compared_run_is_there_once():
    runs = [(run["env"], run["steps"], run["side"], run["seed"]) for run in rows_of("learning_compared")["runs"]]
    assert len(runs) == len(set(runs))
    assert {(env_id, steps, "fastars", seed) for env_id, steps in RUNS for seed in SEEDS} <= set(runs)
    assert {env_id for env_id, _, side, _ in runs if side == "sb3-contrib"} == {env_id for env_id, _ in RUNS}


def test_each_side_is_timed_as_it_runs_fastest():
    rows = [row for row in rows_of("drop_in")["rows"] if row["kind"] == "learn"]
    assert {row["env_id"] for row in rows} >= {"CartPole-v1", "HalfCheetah-v5", "LunarLander-v3"}
    for row in rows:
        for side, rates in row["trials"].items():
            assert rates[row["modes"][side]] == max(rates.values())


def test_both_sides_of_the_same_script_did_its_steps():
    for row in rows_of("drop_in")["rows"]:
        if row["kind"] == "learn":
            ours, theirs = row["runs"]["fastars"], row["runs"]["stable-baselines3-contrib"]
            assert len(ours) == len(theirs) >= 2
            assert all(row["steps"] - 2 <= run["later_steps"] for run in ours + theirs)


def test_the_script_on_coming_from_sb3_is_the_one_that_is_timed():
    page = (ROOT / "docs" / "coming_from_sb3.md").read_text(encoding="utf-8")
    assert f"```python\n{inspect.getsource(drop_in.script).strip()}\n```" in page


def test_a_figure_in_a_sentence_is_made_from_the_result_files(tmp_path):
    page = tmp_path / "page.md"
    mark = "<!-- figure:lanes-speed -->{}<!-- /figure --> times, {}"
    page.write_text(mark.format("1 to 2", "<!-- figure:first-run -->0 s<!-- /figure -->\n"))
    assert update(page, {}, write=True)
    rates = [row["steps_per_s"] for row in rows_of("physics")["rows"] if row["kind"] == "rollouts"]
    times = [each["lanes"] / each["mj_step"] for each in rates]
    assert mark.format(f"{min(times):.0f} to {max(times):.0f}", "<!-- figure:first-run -->") in page.read_text()
    assert not update(page, {}, write=False)
    page.write_text("<!-- figure:unknown -->1<!-- /figure -->")
    with pytest.raises(SystemExit, match=r"page\.md: no figure:unknown; there are lanes-speed, "):
        update(page, {}, write=True)


def test_every_figure_is_on_a_page():
    pages = "".join(path.read_text(encoding="utf-8") for path in documents())
    assert {name for name in FIGURES if f"<!-- figure:{name} -->" in pages} == set(FIGURES)
