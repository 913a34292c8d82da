"""`fastars plot`: draw learning curves of one or many runs into a file."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from fastars.cli.errors import WrongUseError, wrong_use
from fastars.cli.run_folder import refuse_other
from fastars.cli.seeds import begun_folders
from fastars.cli.settings import option
from fastars.cli.terminal import complain, say

if TYPE_CHECKING:
    from fastars.plot import Run

_NAMES = {"eval": "mean return of evaluations", "train": "mean return of training episodes"}
_STEM = "learning_curve"  # of the picture's name in a run folder


@dataclass(frozen=True, kw_only=True)
class Plot:
    """Draw learning curves. Runs that differ only in their seed become one curve with a 95 % band."""

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="RUN [RUN ...]")]
    """Run folders, also of stable-baselines3, and folders of several seeds."""
    out: Annotated[Path | None, option("FILE", "learning_curve.png in the first RUN, or learning_curve_2.png, ...")] = None
    """The picture to write: .png, .svg or .pdf."""
    overwrite: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Replace a FILE that is another picture, or no picture."""
    x: Literal["steps", "time"] = "steps"
    """Horizontal axis: environment steps, or seconds of training."""
    metric: Annotated[str, option("NAME", "eval")] = "eval"
    """eval, train, or a column of progress.csv such as train/grad_norm."""
    window: int = 100
    """Episodes that a mean is taken over, if a run has nothing but monitor files."""
    average: Literal["iqm", "mean", "median"] = "iqm"
    """Average over seeds: the interquartile mean, the mean, or the median."""
    title: Annotated[str | None, option("TEXT", "the environment")] = None
    """Title of the picture."""
    theme: Literal["light", "dark"] = "light"
    """White or dark paper."""
    size: Literal["page", "phone"] = "page"
    """Width: of a page, or of a phone."""

    def run(self) -> int:
        """Draw the curves and return the exit code."""
        from fastars._validate import positive_int  # it imports NumPy, and `--help` imports this module

        if not self.runs:
            raise WrongUseError("fastars plot takes run folders, such as runs/CartPole-v1_1")
        with wrong_use():
            positive_int("window", self.window)
        looks = {"title": self.title, "theme": self.theme, "size": self.size}
        shown = {"metric": self.metric, "window": self.window, "x": self.x, "average": self.average}
        say(str(draw_runs(self.runs, self.out, self.overwrite, shown, looks)))
        return 0


def draw_runs(
    folders: Sequence[Path],
    out: Path | None = None,
    overwrite: bool = False,
    shown: dict[str, Any] | None = None,
    looks: dict[str, Any] | None = None,
    without: Collection[Path] = (),
) -> Path:
    """Draw learning curves of run folders into a file.

    Parameters
    ----------
    folders : sequence of Path
        Run folders, or folders of several seeds, at least one.
    out : Path, optional
        The picture. Default: `learning_curve.png` in the first folder; if that is another picture, `learning_curve_2.png`, ...
    overwrite : bool
        True lets the picture take the place of any file. Else it takes the place of a picture of the same curves only.
    shown : dict, optional
        Any of metric, window, x and average, as options of `fastars plot`.
    looks : dict, optional
        Any of title, theme and size.
    without : collection of Path
        Run folders of seeds that are left out.

    Returns
    -------
    Path
        The file that was written.

    Raises
    ------
    WrongUseError
        If a run can't be read or drawn, or `out` is another file.
    """
    from fastars.files.atomic import write_atomically  # these import NumPy, and `--help` imports this module
    from fastars.plot import plot_runs
    from fastars.plot.files import SUFFIXES, free_name, mark_of, picture

    shown = {"metric": "eval", "window": 100, "x": "steps", "average": "iqm", **(shown or {})}
    mark = mark_of({"runs": sorted(str(folder.absolute()) for folder in folders), **shown})
    if out is not None and out.suffix not in SUFFIXES:
        raise WrongUseError(f"--out must end with .png, .svg or .pdf, got {out}")
    if out is not None:
        refuse_other(out, overwrite, mark, "a picture of these curves")
    metric = shown["metric"]
    try:
        runs = [run for path in folders for run in _read_runs(path, without, metric, shown["window"])]
        figure = plot_runs(runs, shown["x"], shown["average"], _NAMES.get(metric, metric), **(looks or {}))
    except (FileNotFoundError, ValueError, ImportError) as error:
        raise WrongUseError(str(error)) from error
    # A name of ours, in a folder that may come from anybody, follows no link.
    path = free_name(folders[0], _STEM, mark) if out is None else out
    write_atomically(path, [picture(figure, path.suffix, mark)], follow=out is not None)
    return path


def _read_runs(path: Path, without: Collection[Path], metric: str, window: int) -> list[Run]:
    """Read the runs that a path stands for. Of several seeds, those are left out that have no curve, or none yet."""
    from fastars.plot import read_run

    folders = [folder for folder in begun_folders(path) if folder not in without]
    if folders == [path]:
        return [read_run(path, metric, window)]
    runs = []
    for folder in folders:
        with contextlib.suppress(FileNotFoundError):  # stopped before the first evaluation
            runs.append(read_run(folder, metric, window))
    drawn = [run for run in runs if sum(map(math.isfinite, run.values.tolist())) > 1]
    missing = [folder.name for folder in folders if folder not in {run.folder for run in drawn}]
    if not drawn:
        raise WrongUseError(f"{path} has no seed with two points of a curve")
    if missing:
        complain(f"fastars: without {', '.join(missing)}: a curve needs at least 2 points")
    return drawn
