"""The tables and the picture of the paper's study, from files with numbers that are worked out by hand.

Broken on purpose, one at a time: two seeds taken for the paper's three -> not_yet; the mean of those that reach it, an infinite
median as a number -> median_is_never; seeds that reach it among the failed -> failed_seeds; the paper's seeds among the random
ones -> table_1; evaluations up to two million steps -> table_2; the shift with the wrong sign -> settings; a curve that ends not
made longer, percentile 25, an evaluation without a mean counted, one episode for each direction -> a_curve.
"""

import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from bench.paper.rows import Row, all_rows  # noqa: E402
from bench.paper.seeds import PAPER_SEEDS, RANDOM_SEEDS  # noqa: E402
from bench.paper.store import Store  # noqa: E402
from bench.tables.paper import NOT_RUN, tables  # noqa: E402

ROW = Row("Hopper", "V2-t")


def result_of(seed, episodes, best, train_s=10.0):
    """A seed that is at the threshold after these episodes, each of 500 steps."""
    met = None if episodes is None else {"iteration": episodes // 16, "steps": 500 * episodes, "episodes": episodes, "mean": 3200.0}
    means, ksteps = [100.0, best - 1.0, best], [80, 1_000, 1_001]
    times = {"train_s": train_s, "evaluate_s": 5.0}
    return {"seed": seed, "crossed": met, "best": best, "means": means, "ksteps": ksteps, "machine": 0} | times


def store_of(folder, results, row=ROW):
    versions = {"numba": "1", "mujoco": "2"}
    machine = {"cpu": "a processor", "python": "3", "date": "2030-01-02", "versions": versions}
    kept = {**row.described, "machines": [machine], "seeds": results}
    (folder / f"{row.name}.json").write_text(json.dumps(kept))
    return Store(folder)


def line_of(table, name="Hopper-v5, V2-t"):
    (line,) = [line for line in table.splitlines() if line.startswith(f"| {name} |")]
    return [cell.strip() for cell in line.strip("|").split("|")][1:]


def test_table_1_has_the_mean_of_three_seeds_and_medians_of_the_random_ones(tmp_path):
    three = [result_of(seed, episodes, 3200.0) for seed, episodes in zip(PAPER_SEEDS, (1_000, 2_000, 6_000), strict=True)]
    some = [result_of(RANDOM_SEEDS[k], episodes, 3300.0) for k, episodes in enumerate((4_000, None, 2_000, 800))]
    made = tables(store_of(tmp_path, three + some))
    assert line_of(made["paper-table-1"]) == ["3,120", "1,973", "3,000", "3 of 4", "3,000", "1,500,000", "10.0 s"]
    assert made["paper-machines"] == "a processor, Python 3, numba 1, mujoco 2: 2030-01-02 to 2030-01-02."


def test_a_median_is_never_if_half_of_the_seeds_fail_and_the_mean_of_three_needs_all_of_them(tmp_path):
    three = [result_of(seed, episodes, 3000.0) for seed, episodes in zip(PAPER_SEEDS, (1_000, None, 6_000), strict=True)]
    some = [result_of(RANDOM_SEEDS[k], episodes, 3000.0) for k, episodes in enumerate((4_000, None))]
    made = tables(store_of(tmp_path, three + some))
    assert line_of(made["paper-table-1"])[2:6] == ["2 of 3 reach it", "1 of 2", "never", "never"]


def test_a_row_that_was_not_run_says_so(tmp_path):
    made = tables(Store(tmp_path))
    for row in all_rows():
        assert line_of(made["paper-table-1"], f"{row.env_id}, {row.variant}")[2:4] == [NOT_RUN, NOT_RUN]
    assert line_of(made["paper-table-1"], "Ant-v5, V1-t")[1] == "58,133"
    assert made["paper-failed"] == made["paper-machines"] == "No row was run yet."


def test_two_of_three_seeds_are_not_yet_the_papers_three(tmp_path):
    made = tables(store_of(tmp_path, [result_of(seed, 1_000, 3200.0) for seed in PAPER_SEEDS[:2]]))
    assert line_of(made["paper-table-1"])[2:4] == [NOT_RUN, NOT_RUN]


def test_table_2_has_the_best_evaluation_of_the_first_million_steps(tmp_path):
    three = [result_of(seed, None, best) for seed, best in zip(PAPER_SEEDS, (1_001.0, 2_001.0, 3_001.0), strict=True)]
    made = tables(store_of(tmp_path, [*three, result_of(RANDOM_SEEDS[9], None, 501.0)]))
    assert line_of(made["paper-table-2"]) == ["3,047", "2,000", "500"]


def test_failed_seeds_are_counted_and_the_papers_are_named(tmp_path):
    three = [
        result_of(seed, episodes, best)
        for seed, episodes, best in zip(PAPER_SEEDS, (1_000, None, None), (9.0, 20.0, 30.0), strict=True)
    ]
    made = tables(store_of(tmp_path, [*three, result_of(RANDOM_SEEDS[0], None, 1_000.0)]))
    assert line_of(made["paper-failed"]) == ["4", "3", "20, 30, 1,000", "759, 959"]


def test_settings_are_those_that_run(tmp_path):
    made = tables(Store(tmp_path))
    assert line_of(made["paper-settings"], "Ant-v5, V2-t") == ["0.015", "0.025", "60", "20", "1", "yes", "lanes", "80,000", "33"]
    assert line_of(made["paper-settings"], "Humanoid-v5, V2")[4:7] == ["5", "yes", "mujoco"]


def test_a_curve_is_of_the_random_seeds_if_there_are_ten(tmp_path):
    pytest.importorskip("matplotlib", reason="pictures are drawn by matplotlib")
    from bench.paper.picture import curves, draw

    n = len(ROW.grid)
    some = [result_of(seed, None, 0.0) | {"means": [float(k)] * n} for k, seed in enumerate(RANDOM_SEEDS[:11])]
    some[10]["means"] = [10.0]  # ended by an error: it keeps its last value
    some.append(result_of(RANDOM_SEEDS[11], None, 0.0) | {"means": [None] * n})
    three = [result_of(seed, None, 0.0) | {"means": [float(seed)] * n} for seed in PAPER_SEEDS]
    kept = {**ROW.described, "seeds": three + some}
    n_seeds, episodes, found = curves(kept)
    assert n_seeds == 12
    assert list(episodes[:3]) == [160, 320, 480]
    assert found[:, [0, -1]].T.tolist() == [[1.0, 5.0, 9.0]] * 2  # percentiles 10, 50 and 90 of 0, 1, ..., 10
    n_seeds, _, found = curves({**kept, "seeds": three + some[:9]})
    assert n_seeds == 3
    assert found[1, 0] == 759.0
    assert curves({**kept, "seeds": []})[0] == 0
    drawn = draw([kept]).axes
    assert [len(axes.get_lines()) for axes in drawn] == [1, 2, 1, 1, 1, 1]  # the threshold everywhere, and one median
    assert ["not run yet" in {text.get_text() for text in axes.texts} for axes in drawn] == [True, False, True, True, True, True]
