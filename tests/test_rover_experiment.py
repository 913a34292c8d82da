"""The rover between metres and radians: what docs/experiments.md says of it."""

import runpy
from pathlib import Path

import numpy as np
import pytest

from fastars.envs import USER_ENVS

PATH = Path(__file__).parent.parent / "examples" / "experiments" / "rover.py"
N_SEEDS = 5


@pytest.fixture(scope="module")
def left():
    """Mean and largest angle, mean distance, by method."""
    rover = runpy.run_path(str(PATH))
    rows = [rover["measure"](name, N_SEEDS, weighting=name) for name in ("fixed", "gradnorm", "std")]
    rows.append(rover["measure"]("best static", N_SEEDS, preference=[1.0, 1_000.0]))
    USER_ENVS.pop("Rover-v0", None)
    return {row["method"]: {"distance": np.mean(row["distance"]), "angle": np.mean(row["angle"])} for row in rows}


def test_equal_weights_do_little_for_the_camera(left):
    assert left["fixed"]["angle"] > 0.5 * 0.0594  # of a camera that does nothing


@pytest.mark.parametrize("method", ["gradnorm", "std"])
def test_balancing_does_both(left, method):
    assert left[method]["angle"] < 0.4 * left["fixed"]["angle"]
    assert left[method]["distance"] < 1.1 * left["fixed"]["distance"]


def test_balancing_comes_to_the_knee_of_static_weights(left):
    assert left["gradnorm"]["angle"] < 1.4 * left["best static"]["angle"]
    assert left["gradnorm"]["distance"] < 1.1 * left["best static"]["distance"]
