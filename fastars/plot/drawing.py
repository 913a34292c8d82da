"""Draw learning curves with Matplotlib."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any, Literal

from fastars._imports import need
from fastars._validate import one_of, user_facing
from fastars.plot.curves import Average, Curve, by_environment, learning_curves
from fastars.plot.labels import short
from fastars.plot.looks import FORMS, LOOKS, Look, Size, Theme
from fastars.plot.runs import Run
from fastars.plot.solved import is_near

_STYLES = ("-", (0, (5, 2)), (0, (1.2, 1.5)))  # of a line whose colour is used for the first, second and third time
_MAX_DOTS = 100  # points of a single run that are also drawn as dots
_MOST_INSIDE = 3  # curves whose legend is among them; of more, it is below
_NARROW = 60  # characters of a legend that have room beside each other
_MARGIN = 0.1  # of the height: a text there must not reach beyond the axes
_TITLE, _NAMES, _SMALL = 11, 9, 8  # sizes of texts, in points


@user_facing
def plot_runs(
    runs: Sequence[Run],
    x: Literal["steps", "time"] = "steps",
    average: Average = "iqm",
    ylabel: str = "mean return",
    title: str | None = None,
    theme: Theme = "light",
    size: Size = "page",
) -> Any:
    """Return a picture of learning curves, with a panel for each environment.

    Runs that differ only in their seed are one curve: a line, which is their average at the same number of steps, in a band, which
    is the 95 % bootstrap interval of this average over runs. A single run has no band, and dots where it was evaluated. A dashed
    line, "solved", is at the return from which Gymnasium counts the environment as solved; far from all curves, an arrow points to
    it. The horizontal axis begins at 0, the vertical one where the values do.

    Parameters
    ----------
    runs, x, average
        As for `learning_curves`.
    ylabel : str
        Name of the values, at the vertical axis.
    title : str, optional
        Text above the picture. Default: the id of the environment, above each panel.
    theme : {"light", "dark"}
        Dark lines on white paper, or light lines on dark paper.
    size : {"page", "phone"}
        6.4 inches wide, and two panels side by side, or 3.6 inches wide and panels one below the other.

    Returns
    -------
    matplotlib.figure.Figure
        `figure.savefig("curves.png")` writes it.

    Raises
    ------
    ImportError
        If Matplotlib is not installed.
    TypeError, ValueError
        If there are no runs, or as `learning_curves` raises them.
    """
    look, form = LOOKS[one_of("theme", theme, LOOKS)], FORMS[one_of("size", size, FORMS)]
    panels = by_environment(learning_curves(runs, x, average))
    if not panels:
        raise ValueError("runs must be one or more runs that `read_run` returned, got none")
    is_single, n_columns = len(panels) == 1, min(len(panels), form.n_columns)
    n_rows = -(-len(panels) // n_columns)
    inches = form.single if is_single else (form.panel[0] * n_columns, form.panel[1] * n_rows)
    figures = need("matplotlib.figure", "plot", "a picture")
    figure = figures.Figure(figsize=inches, dpi=form.dpi, layout="constrained", facecolor=look.paper)
    for place, curves in enumerate(panels.values(), 1):
        axes = figure.add_subplot(n_rows, n_columns, place)
        draw_curves(axes, curves, x, ylabel, title if is_single else None, theme)
    if title and not is_single:
        heading = textwrap.fill(title, _room(inches[0], _TITLE))
        figure.suptitle(heading, fontsize=_TITLE, color=look.ink, x=0.01, ha="left", parse_math=False)
    return figure


@user_facing
def draw_curves(
    axes: Any,
    curves: Sequence[Curve],
    x: Literal["steps", "time"] = "steps",
    ylabel: str = "mean return",
    title: str | None = None,
    theme: Theme = "light",
) -> None:
    """Draw the curves of one environment, as `plot_runs` does, on axes that are there already.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
        Empty axes.
    curves : sequence of Curve
        Curves of one environment, from `learning_curves`.
    x : {"steps", "time"}
        As `learning_curves` was asked.
    ylabel, title, theme
        As for `plot_runs`.

    Raises
    ------
    TypeError, ValueError
        If there is no curve, if the curves are of several environments, or if an argument is wrong.
    """
    look = LOOKS[one_of("theme", theme, LOOKS)]
    ids = list(by_environment(curves))
    if len(ids) != 1:
        raise ValueError(f"curves must be of one environment, got {', '.join(map(short, ids)) or 'no curve'}")
    one_of("x", x, ("steps", "time"))
    for place, curve in enumerate(curves):
        _draw(axes, curve, look.lines[place % len(look.lines)], _STYLES[place // len(look.lines) % len(_STYLES)])
    _scale(axes, curves, x)
    axes.set_xlabel("environment steps" if x == "steps" else "seconds of training", fontsize=_NAMES, color=look.ink)
    axes.set_ylabel(ylabel, fontsize=_NAMES, color=look.ink, parse_math=False)
    _draw_threshold(axes, curves, look)
    _colour(axes, look)
    _entitle(axes, curves, title, look)
    if len(curves) > 1:
        _explain(axes, curves, look)


def _draw(axes: Any, curve: Curve, colour: str, style: Any) -> None:
    axes.plot(curve.x, curve.center, color=colour, linestyle=style, linewidth=1.8, label=curve.label)
    if len(curve.runs) > 1:
        axes.fill_between(curve.x, curve.low, curve.high, color=colour, alpha=0.2, linewidth=0)
    elif len(curve.x) <= _MAX_DOTS:
        axes.plot(curve.x, curve.center, ".", color=colour, markersize=4)


def _scale(axes: Any, curves: Sequence[Curve], x: str) -> None:
    """Let the horizontal axis begin at 0, with few and round numbers: 100 k, 1 M."""
    tickers = need("matplotlib.ticker", "plot")
    first, last = min(0.0, *(curve.x[0] for curve in curves)), max(curve.x[-1] for curve in curves)
    if last > first:
        axes.set_xlim(first, last + 0.01 * (last - first))
    axes.xaxis.set_major_locator(tickers.MaxNLocator(4 if _characters(axes, _SMALL) < _NARROW else 7, steps=[1, 2, 5, 10]))
    if x == "steps":
        axes.xaxis.set_major_formatter(tickers.EngFormatter(sep=" "))


def _draw_threshold(axes: Any, curves: Sequence[Curve], look: Look) -> None:
    """Draw a line where the environment is solved, and say so to the right of it. If it is far away, say in which direction."""
    at = curves[0].solved_at
    if at is None or any(curve.solved_at != at for curve in curves):
        return
    bottom, top = min(curve.low.min() for curve in curves), max(curve.high.max() for curve in curves)
    arrow = ""
    if is_near(at, bottom, top):
        axes.axhline(at, color=look.faint, linewidth=1.0, linestyle=(0, (6, 4)), zorder=1)
    else:
        arrow = "↑ " if at > top else "↓ "
    low, high = axes.get_ylim()
    place = min(max((at - low) / (high - low), 0.0), 1.0)  # from the lower to the upper end of the axis
    axes.annotate(
        f"{arrow}solved\n{at:,g}",
        (1.0, place),
        xytext=(4, 0),
        xycoords="axes fraction",
        textcoords="offset points",
        va="top" if place > 1 - _MARGIN else "bottom" if place < _MARGIN else "center",
        fontsize=_SMALL,
        color=look.faint,
    )


def _colour(axes: Any, look: Look) -> None:
    axes.set_facecolor(look.paper)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(look.faint)
    axes.tick_params(colors=look.ink, labelsize=_NAMES)
    axes.yaxis.get_offset_text().set_color(look.ink)
    axes.grid(axis="y", color=look.grid, linewidth=0.8)
    axes.set_axisbelow(True)


def _entitle(axes: Any, curves: Sequence[Curve], title: str | None, look: Look) -> None:
    """Write what was run, and below it what line and band are."""
    env, caption = short(curves[0].env_id), _caption(curves)
    lines = textwrap.wrap(f"{env}: {caption}" if title else caption, _characters(axes, _SMALL))
    axes.annotate(
        "\n".join(lines),
        (0.0, 1.0),
        xytext=(0, 5),
        xycoords="axes fraction",
        textcoords="offset points",
        fontsize=_SMALL,
        color=look.faint,
        parse_math=False,  # a dollar sign in a file is no formula
    )
    heading = textwrap.fill(title or env, _characters(axes, _TITLE))
    pad = 6 + 1.4 * _SMALL * len(lines)
    axes.set_title(heading, fontsize=_TITLE, color=look.ink, loc="left", pad=pad, parse_math=False)


def _caption(curves: Sequence[Curve]) -> str:
    """Say what line and band are: the interquartile mean of 10 seeds, 95 % band. The legend has the numbers if they differ."""
    several = [curve for curve in curves if len(curve.runs) > 1]
    if not several:
        return "one run" if len(curves) == 1 else "one run each"
    names = " or ".join(dict.fromkeys(curve.average_name for curve in several))
    seeds = "seeds" if _is_uneven(curves) else f"{len(several[0].runs)} seeds"
    return f"{names} of {seeds}, {100 * several[0].confidence:g} % band"


def _is_uneven(curves: Sequence[Curve]) -> bool:
    return len({len(curve.runs) for curve in curves}) > 1


def _explain(axes: Any, curves: Sequence[Curve], look: Look) -> None:
    """Write the legend: among the curves if they are few, else below the axes."""
    room = _characters(axes, _SMALL)
    place: dict[str, Any]
    texts = [f"{curve.label} ({_counted(curve)})" if _is_uneven(curves) else curve.label for curve in curves]
    handles = [line for line in axes.get_lines() if not line.get_label().startswith("_")]
    if len(curves) <= _MOST_INSIDE and room > _NARROW:
        place = {"loc": "best", "framealpha": 0.8}
    else:
        transforms = need("matplotlib.transforms", "plot")
        below = transforms.ScaledTranslation(0.0, -0.48, axes.figure.dpi_scale_trans)
        n_columns = max(1, min(room // (max(map(len, texts)) + 6), len(texts)))
        place = {
            "ncols": n_columns,
            "loc": "upper left",
            "bbox_to_anchor": (0.0, 0.0),
            "bbox_transform": axes.transAxes + below,
            "borderaxespad": 0.0,
        }
    legend = axes.legend(
        handles,
        [textwrap.fill(text, room, subsequent_indent="  ") for text in texts],
        fontsize=_SMALL,
        labelcolor=look.ink,
        facecolor=look.paper,
        edgecolor="none",
        **place,
    )
    for text in legend.get_texts():
        text.set_parse_math(False)  # a dollar sign in a file is no formula


def _counted(curve: Curve) -> str:
    return f"{len(curve.runs)} seeds" if len(curve.runs) > 1 else "1 seed"


def _characters(axes: Any, points: float) -> int:
    """Return the number of characters of this size that have room above the axes."""
    return _room(axes.bbox.width / axes.figure.dpi, points)


def _room(inches: float, points: float) -> int:
    return max(16, int(inches * 72 / (0.56 * points)))
