"""The pictures of the pages: each one is listed, drawn from its present rows, by the present code.

If the rows are what their command gives today, other tests say, as they run the same things: `test_learning_curves.py`,
`test_rover_experiment.py`, `test_multitask_experiments.py`, `test_two_objectives.py` and `test_ray_scaling.py`.

Broken on purpose: a row changed -> test_a_picture_was_drawn...; thicker lines -> test_a_picture_is_what....
"""

import io
import re
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

pytest.importorskip("matplotlib", reason="pictures are drawn by matplotlib")

import matplotlib  # noqa: E402
from matplotlib.image import imread  # noqa: E402

from bench import pictures  # noqa: E402

NAMES = pytest.mark.parametrize("name", pictures.PICTURES)


def test_every_picture_of_the_pages_is_listed_with_its_page_and_its_command():
    shown = {
        (name, page.name)
        for page in (ROOT / "docs").rglob("*.md")
        for name in re.findall(r"!\[[^\]]*\]\(images/([\w/]+)\.png\)", page.read_text(encoding="utf-8"))
    }
    taken = {(name, page) for name, (_, page) in pictures.TAKEN.items()}
    assert shown == {(name, picture.page) for name, picture in pictures.PICTURES.items()} | taken
    there = {path.relative_to(pictures.IMAGES).with_suffix("").as_posix() for path in pictures.IMAGES.rglob("*.png")}
    assert there == {*pictures.PICTURES, *pictures.TAKEN}
    modules = {picture.measure.split()[0] for picture in pictures.PICTURES.values()} | {
        module for module, _ in pictures.TAKEN.values()
    }
    assert [module for module in modules if find_spec(module) is None] == []


@NAMES
def test_a_picture_was_drawn_from_its_present_rows(name):
    assert pictures.mark(name).encode() in (pictures.IMAGES / f"{name}.png").read_bytes(), "run `make pictures`"


@NAMES
def test_a_picture_is_what_the_code_draws_today(name):
    """Pixel by pixel, where Matplotlib has the version that drew it."""
    path = pictures.IMAGES / f"{name}.png"
    version = re.search(rb"Matplotlib version([\d.]+)", path.read_bytes())[1].decode()
    if version != matplotlib.__version__:
        pytest.skip(f"the picture is of Matplotlib {version}, this is {matplotlib.__version__}")
    np.testing.assert_array_equal(imread(path), imread(io.BytesIO(pictures.content(name))), "run `make pictures`")
