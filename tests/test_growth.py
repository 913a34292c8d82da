"""The rows of the picture of growth are of the points that its command measures, and exponents are what a fit by hand gives.

Broken on purpose: another number of directions in `bench/growth.py` -> test_rows_are...; a fit over all points ->
test_an_exponent....
"""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent.parent))

from bench import growth, pictures


def test_rows_are_of_the_points_that_are_measured_today():
    rows = pictures.rows_of("growth")
    assert [(row["kind"], row["x"], row["n_delta"]) for row in rows] == [
        (kind, x, settings["n_delta"]) for kind, x, settings in growth.plan()
    ]


@pytest.mark.parametrize("kind", ["directions", "weights", "horizon", "threads"])
def test_the_first_point_of_each_kind_has_the_size_of_its_row(kind):
    row = next(row for row in pictures.rows_of("growth") if row["kind"] == kind)
    made = growth.point(*next(each for each in growth.plan() if each[0] == kind), budget=0.0)
    assert {name: made[name] for name in ("x", "n_delta", "n_weights", "steps")} == {
        name: row[name] for name in ("x", "n_delta", "n_weights", "steps")
    }
    assert min(made["rollouts_s"], made["update_s"]) > 0.0


def test_an_exponent_is_of_the_last_two_decades():
    x = np.array([1.0, 10.0, 100.0, 1_000.0, 10_000.0])
    cost = 7.0 * np.maximum(x, 100.0) ** 1.5  # constant before them
    assert growth.exponent(x, cost) == pytest.approx(1.5)


def test_memory_that_a_function_holds_for_a_moment_is_counted():
    n_bytes = 1 << 26
    held = growth.most_memory(lambda: np.ones(n_bytes // 8).sum())
    assert held is None or held == pytest.approx(n_bytes, rel=0.05)
