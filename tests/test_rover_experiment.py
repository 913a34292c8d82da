"""The rover between metres and radians: what docs/experiments.md says of it.

Seen red: rows of an older GradNorm -> test_rows_of_the_page....
"""

import json
import runpy
from pathlib import Path

import numpy as np
import pytest

from fastars.envs import USER_ENVS

ROOT = Path(__file__).parent.parent
PATH = ROOT / "examples" / "experiments" / "rover.py"
N_SEEDS = 5


@pytest.fixture(scope="module")
def rows():
    """Distances and angles of the first seeds, by method as on the page."""
    rover = runpy.run_path(str(PATH))
    rows = [rover["measure"](name, N_SEEDS, weighting=rover["METHODS"][name]) for name in ("equal weights", "GradNorm", "1 / std")]
    rows.append(rover["measure"]("1 : 1,000", N_SEEDS, preference=[1.0, 1_000.0]))
    USER_ENVS.pop("Rover-v0", None)
    return {row["method"]: row for row in rows}


@pytest.fixture(scope="module")
def left(rows):
    """Mean distance and mean angle, by method."""
    return {name: {"distance": np.mean(row["distance"]), "angle": np.mean(row["angle"])} for name, row in rows.items()}


def test_rows_of_the_page_are_what_the_program_gives_today(rows):
    """Of the first seeds, to rounding: other CPUs round some functions in another way."""
    kept = json.loads((ROOT / "bench" / "results" / "rover.json").read_text(encoding="utf-8"))["rows"]
    of_page = {row["method"]: row for row in kept}
    for name, row in rows.items():
        for what in ("distance", "angle"):
            np.testing.assert_allclose(row[what], of_page[name][what][:N_SEEDS], rtol=1e-6, err_msg=f"{name}, {what}")


def test_equal_weights_do_little_for_the_camera(left):
    assert left["equal weights"]["angle"] > 0.5 * 0.0594  # of a camera that does nothing


@pytest.mark.parametrize("method", ["GradNorm", "1 / std"])
def test_balancing_does_both(left, method):
    assert left[method]["angle"] < 0.4 * left["equal weights"]["angle"]
    assert left[method]["distance"] < 1.1 * left["equal weights"]["distance"]


def test_balancing_comes_to_the_knee_of_static_weights(left):
    assert left["GradNorm"]["angle"] < 1.4 * left["1 : 1,000"]["angle"]
    assert left["GradNorm"]["distance"] < 1.1 * left["1 : 1,000"]["distance"]
