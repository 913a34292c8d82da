"""Draw learning curves with Matplotlib."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, Literal

from fastars._imports import need
from fastars._validate import user_facing
from fastars.plot.curves import Curve, learning_curves
from fastars.plot.runs import Run

# The colours of Okabe & Ito, which people with any kind of colour vision can tell apart.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_MAX_DOTS = 100  # points of a single run that are also drawn as dots


@user_facing
def plot_runs(
    runs: Sequence[Run],
    x: Literal["steps", "time"] = "steps",
    average: Literal["iqm", "mean"] = "iqm",
    ylabel: str = "mean return",
    title: str | None = None,
) -> Any:
    """Return a picture of learning curves.

    Parameters
    ----------
    runs, x, average
        As for `learning_curves`.
    ylabel : str
        Name of the values, at the vertical axis.
    title : str, optional
        Text above the picture. Default: the label of the curve if there is only one.

    Returns
    -------
    matplotlib.figure.Figure
        `figure.savefig("curves.png")` writes it.

    Raises
    ------
    ImportError
        If Matplotlib is not installed.
    TypeError, ValueError
        As `learning_curves` raises them.
    """
    figure = need("matplotlib.figure", "plot", "a picture").Figure(figsize=(7.2, 4.4), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    curves = learning_curves(runs, x, average)
    for curve, colour in zip(curves, itertools.cycle(_COLOURS), strict=False):
        _draw(axes, curve, colour)
    axes.set_xlabel("environment steps" if x == "steps" else "seconds of training")
    axes.set_ylabel(ylabel)
    label = curves[0].label if len(curves) == 1 else ""
    axes.set_title(title or label, fontsize=10, loc="left", parse_math=title is not None)  # a dollar sign in a file is no formula
    if x == "steps":
        axes.xaxis.set_major_formatter(need("matplotlib.ticker", "plot").EngFormatter(sep=""))
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="0.9", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.margins(x=0.01)
    if len(curves) > 1:
        for text in axes.legend(frameon=False, fontsize=9).get_texts():
            text.set_parse_math(False)
    if any(len(curve.runs) > 1 for curve in curves):
        name = "interquartile mean" if average == "iqm" else "mean"
        axes.set_title(f"{name} over seeds, 95 % band", fontsize=8, loc="right", color="0.4")
    return figure


def _draw(axes: Any, curve: Curve, colour: str) -> None:
    axes.plot(curve.x, curve.center, color=colour, linewidth=1.8, label=curve.label)
    if len(curve.runs) > 1:
        axes.fill_between(curve.x, curve.low, curve.high, color=colour, alpha=0.2, linewidth=0)
    elif len(curve.x) <= _MAX_DOTS:
        axes.plot(curve.x, curve.center, ".", color=colour, markersize=4)
