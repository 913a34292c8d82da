"""`fastars plot`: learning curves of one or many runs, in a file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from fastars.cli import WrongUseError
from fastars.cli.settings import option

_NAMES = {"eval": "mean return of evaluations", "train": "mean return of training episodes"}


@dataclass(frozen=True, kw_only=True)
class Plot:
    """Draw learning curves: runs that differ only in their seed as one, with a 95 % band."""

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="RUN [RUN ...]")]
    """Run folders, of stable-baselines3 too."""
    out: Annotated[Path | None, option("FILE", "learning_curve.png in the first RUN")] = None
    """The picture: .png, .svg or .pdf."""
    x: Literal["steps", "time"] = "steps"
    """Environment steps, or seconds of training."""
    metric: Annotated[str, option("NAME", "eval")] = "eval"
    """eval, train, or a column of progress.csv such as train/grad_norm."""
    window: int = 100
    """Episodes of a mean, where monitor files are all there is."""
    average: Literal["iqm", "mean"] = "iqm"
    """Over seeds: the interquartile mean, or the mean."""
    title: Annotated[str | None, option("TEXT", "what was run")] = None
    """Above the picture."""

    def run(self) -> int:
        """Draw; the exit code."""
        from fastars.plot import plot_runs, read_run

        if not self.runs:
            raise WrongUseError("fastars plot takes run folders, such as runs/CartPole-v1_1")
        if self.window < 1:
            raise WrongUseError(f"window must be an integer of at least 1, got {self.window}")
        out = self.out or self.runs[0] / "learning_curve.png"
        if out.suffix not in (".png", ".svg", ".pdf"):
            raise WrongUseError(f"--out must end with .png, .svg or .pdf, got {out}")
        try:
            runs = [read_run(folder, self.metric, self.window) for folder in self.runs]
            figure = plot_runs(runs, self.x, self.average, _NAMES.get(self.metric, self.metric), self.title)
        except (FileNotFoundError, ValueError, ImportError) as error:
            raise WrongUseError(str(error)) from error
        out.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(out)
        print(out)
        return 0
