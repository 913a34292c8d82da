"""The two objectives in the plane: what docs/experiments.md says of them.

Seen red: rows of an older GradNorm -> test_rows_of_the_page....
"""

import json
import runpy
from functools import cache
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parent.parent
toy = runpy.run_path(str(ROOT / "examples" / "experiments" / "two_objectives.py"))
measured = cache(toy["measure"])


@pytest.mark.parametrize("point", [(-8.5, 7.5), (0.3, 0.2), (9.0, -1.0), (-7.5, -0.5), (2.0, 3.0)])
def test_slopes_are_those_of_the_losses(point):
    x, y = point
    _, gradients = toy["objectives"](x, y)
    h = 1e-6
    along_x = (toy["objectives"](x + h, y)[0] - toy["objectives"](x - h, y)[0]) / (2 * h)
    along_y = (toy["objectives"](x, y + h)[0] - toy["objectives"](x, y - h)[0]) / (2 * h)
    np.testing.assert_allclose(gradients, np.transpose([along_x, along_y]), rtol=1e-5, atol=1e-8)


def test_losses_in_a_point_worked_by_hand():
    """In (7, -8) the first parabola is at its least, -20, and the second one at 14^2 / 10 - 20; tanh(4) is what is left of them."""
    losses, _ = toy["objectives"](7.0, -8.0)
    np.testing.assert_allclose(losses, [-2.0 * np.tanh(4.0), -0.4 * np.tanh(4.0)], rtol=1e-12)


def test_gradnorm_reaches_the_front_from_every_start():
    row = measured("GradNorm")
    assert row["on_front"] == [True] * 5
    firsts = [end[0] for end in row["ends"]]
    assert max(firsts) - min(firsts) > 5.0


def test_equal_weights_collapse_to_one_point_or_get_stuck():
    row = measured("equal weights")
    assert sum(row["on_front"]) <= 4
    firsts = [end[0] for end, reached in zip(row["ends"], row["on_front"], strict=True) if reached]
    assert max(firsts) - min(firsts) < 0.1


@pytest.mark.parametrize("name", ["GradNorm", "equal weights"])
def test_rows_of_the_page_are_what_the_program_gives_today(name):
    rows = json.loads((ROOT / "bench" / "results" / "two_objectives.json").read_text(encoding="utf-8"))["rows"]
    (of_page,) = [row for row in rows if row["method"] == name]
    row = measured(name)
    assert row["on_front"] == of_page["on_front"]
    for what in ("ends", "paths"):
        np.testing.assert_allclose(row[what], of_page[what], atol=0.011, err_msg=what)  # the rows are rounded
