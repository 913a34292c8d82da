"""Draw the pictures of docs/ from their result files: `python -m bench.pictures [NAME ...]`, which is `make pictures`.

Every picture of the pages has a row in `PICTURES`: its page, the function that draws it from the rows of `results/<name>.json`, and
the command that measures these rows and draws. `--measure` runs that command. A picture carries a mark of its rows: so
`tests/test_pictures.py` sees a picture that is older than its rows. Tests of the experiments see rows that are older than the code.
"""

import argparse
import importlib
import json
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from fastars.plot.files import mark_of, picture

ROOT = Path(__file__).parent.parent
RESULTS = Path(__file__).parent / "results"
IMAGES = ROOT / "docs" / "images"


class Picture(NamedTuple):
    """Origin of a picture."""

    page: str
    draw: Callable[[list[dict[str, Any]]], Any]  # from rows to a figure of Matplotlib
    measure: str  # module that measures the rows, with arguments
    takes: str  # time of that, on two CPUs


def by_module(name: str) -> Callable[[list[dict[str, Any]]], Any]:
    """Return the function `draw` of a module of bench."""
    return lambda rows: importlib.import_module(name).draw(rows)


def by_experiment(name: str) -> Callable[[list[dict[str, Any]]], Any]:
    """Return the function `draw` of a program in examples/experiments."""
    return lambda rows: runpy.run_path(str(ROOT / "examples" / "experiments" / f"{name}.py"))["draw"](rows)


PICTURES = {
    "learning_curves": Picture("plots.md", by_module("bench.learning_curves"), "bench.learning_curves", "some seconds"),
    "multitask_toy": Picture("experiments.md", by_experiment("multitask_toy"), "bench.experiments multitask_toy", "some minutes"),
    "multitask_mlp": Picture("experiments.md", by_experiment("multitask_mlp"), "bench.experiments multitask_mlp", "some minutes"),
    "two_objectives": Picture("experiments.md", by_experiment("two_objectives"), "bench.experiments two_objectives", "a minute"),
    "rover": Picture("experiments.md", by_experiment("rover"), "bench.experiments rover", "a minute"),
    "paper": Picture("paper.md", by_module("bench.paper.picture"), "bench.paper --workers 2", "days; each row by itself less"),
    "beside": Picture("beside.md", by_module("bench.beside.over_steps"), "bench.beside", "days; each row by itself less"),
    "beside_alone": Picture("beside.md", by_module("bench.beside.over_time"), "bench.beside --alone", "five minutes"),
    "better": Picture("better.md", by_module("bench.better.picture"), "bench.better --workers 2", "hours; each row by itself less"),
    "growth": Picture("speed.md", by_module("bench.growth"), "bench.growth", "a minute"),
    "ray_scaling": Picture("ray.md", by_module("bench.ray_scaling"), "bench.ray_scaling", "ten minutes; needs Ray"),
}

# Pictures of a search and of a page, which their commands take as a whole: module of bench, and page.
TAKEN = {"tuning": ("bench.tuning", "tuning.md"), "screens/report": ("bench.screenshots", "command.md")}


def rows_of(name: str) -> list[dict[str, Any]]:
    """Return the rows that a picture is drawn from: of a result file, or all files of a folder."""
    if (folder := RESULTS / name).is_dir():
        return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))["rows"]


def origin(name: str) -> str:
    """Return the name of the result file of a picture, or of the folder of its files."""
    return f"{name}/*.json" if (RESULTS / name).is_dir() else f"{name}.json"


def mark(name: str) -> str:
    """Return the mark that a picture of the present rows has."""
    return mark_of({"picture": name, "rows": rows_of(name)})


def content(name: str) -> bytes:
    """Return the file of a picture, drawn from the present rows."""
    return picture(PICTURES[name].draw(rows_of(name)), ".png", mark(name))


def write_picture(name: str) -> None:
    """Draw a picture of docs/."""
    (IMAGES / f"{name}.png").write_bytes(content(name))
    print(f"docs/images/{name}.png", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="Draw the pictures of docs/ from their result files.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(PICTURES)}; default all")
    parser.add_argument("--measure", action="store_true", help="measure the results first")
    parser.add_argument("--list", action="store_true", help="say of each picture what it is drawn from, and draw nothing")
    args = parser.parse_args()
    if args.list:
        for name, (module, page) in TAKEN.items():
            print(f"{name}.png on docs/{page}, by python -m {module}")
    for name in args.names or PICTURES:
        made = PICTURES[name]
        if args.list:
            print(f"{name}.png on docs/{made.page}, from bench/results/{origin(name)}, by python -m {made.measure} ({made.takes})")
        elif args.measure:
            subprocess.run([sys.executable, "-m", *made.measure.split()], cwd=ROOT, check=True)
        else:
            write_picture(name)


if __name__ == "__main__":
    main()
