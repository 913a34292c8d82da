"""`fastars plot`: draw learning curves of one or many runs into a file."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from fastars.cli.errors import WrongUseError, wrong_use
from fastars.cli.seeds import run_folders
from fastars.cli.settings import option
from fastars.cli.terminal import say
from fastars.files.opening import refuse_link

_NAMES = {"eval": "mean return of evaluations", "train": "mean return of training episodes"}


@dataclass(frozen=True, kw_only=True)
class Plot:
    """Draw learning curves. Runs that differ only in their seed become one curve with a 95 % band."""

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="RUN [RUN ...]")]
    """Run folders, also of stable-baselines3, and folders of several seeds."""
    out: Annotated[Path | None, option("FILE", "learning_curve.png in the first RUN")] = None
    """The picture to write: .png, .svg or .pdf."""
    x: Literal["steps", "time"] = "steps"
    """Horizontal axis: environment steps, or seconds of training."""
    metric: Annotated[str, option("NAME", "eval")] = "eval"
    """eval, train, or a column of progress.csv such as train/grad_norm."""
    window: int = 100
    """Episodes that a mean is taken over, if a run has nothing but monitor files."""
    average: Literal["iqm", "mean"] = "iqm"
    """Average over seeds: the interquartile mean, or the mean."""
    title: Annotated[str | None, option("TEXT", "what was run")] = None
    """Title of the picture."""

    def run(self) -> int:
        """Draw the curves and return the exit code."""
        from fastars._validate import positive_int
        from fastars.files.atomic import write_atomically  # it imports NumPy, and `--help` imports this module
        from fastars.plot import plot_runs, read_run

        if not self.runs:
            raise WrongUseError("fastars plot takes run folders, such as runs/CartPole-v1_1")
        with wrong_use():
            positive_int("window", self.window)
        out = self.out or self.runs[0] / "learning_curve.png"
        if out.suffix not in (".png", ".svg", ".pdf"):
            raise WrongUseError(f"--out must end with .png, .svg or .pdf, got {out}")
        try:
            folders = [folder for path in self.runs for folder in run_folders(path)]
            runs = [read_run(folder, self.metric, self.window) for folder in folders]
            figure = plot_runs(runs, self.x, self.average, _NAMES.get(self.metric, self.metric), self.title)
        except (FileNotFoundError, ValueError, ImportError) as error:
            raise WrongUseError(str(error)) from error
        if self.out is None:  # our own name, in a folder that may come from anybody
            refuse_link(out)
        content = io.BytesIO()
        figure.savefig(content, format=out.suffix[1:])
        write_atomically(out, [content.getvalue()])
        say(str(out))
        return 0
