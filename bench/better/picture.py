"""The ratios of the study as a picture: for each task a panel, for each idea a point and its band."""

import math
from typing import Any

from bench.better.rows import CONTROLS, SEEDS, TASKS, VARIANTS
from bench.better.summary import ratio
from bench.paper.summary import results_of
from fastars.plot.looks import LOOKS

LEAST_SEEDS = 10  # of a row; one with less is not drawn
LEAST, MOST = 0.2, 5.0  # of the axis; what is beyond it is drawn at its end


def draw(rows: list[dict[str, Any]]) -> Any:
    """Return a figure of Matplotlib."""
    from matplotlib.figure import Figure

    look = LOOKS["light"]
    by_name = {(kept["env"], kept["variant"]): results_of(kept, SEEDS) for kept in rows}
    figure = Figure(figsize=(10.5, 6.2), dpi=140, layout="constrained", facecolor=look.paper)
    panels = figure.subplots(1, len(TASKS), sharey=True)
    for axes, task in zip(panels, TASKS, strict=True):
        found = {variant: by_name.get((TASKS[task].env_id, variant), []) for variant in VARIANTS}
        draw_task(axes, task, found, look)
    names = [variant for variant in VARIANTS if variant != "plain"]
    panels[0].set_yticks(range(len(names)), names)
    panels[0].invert_yaxis()
    figure.supxlabel("steps to the threshold, divided by plain ARS's (less is better)", fontsize=9, color=look.ink)
    return figure


def draw_task(axes: Any, task: str, found: dict[str, list[dict[str, Any]]], look: Any) -> None:
    """Draw the ideas of one task."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    names = [variant for variant in VARIANTS if variant != "plain"]
    for place, variant in enumerate(names):
        middle, low, high = ratio(found[variant], found["plain"])
        if math.isnan(middle) or len(found[variant]) < LEAST_SEEDS:
            continue
        colour = look.lines[0] if high < 1.0 else look.faint if low <= 1.0 else look.lines[1]
        axes.plot([_within(low), _within(high)], [place, place], color=colour, linewidth=1.6, solid_capstyle="butt")
        axes.plot([_within(middle)], [place], marker=">" if middle > MOST else "o", color=colour, markersize=5)
    if not any(found[variant] for variant in names):
        axes.text(0.5, 0.5, "not run yet", transform=axes.transAxes, ha="center", fontsize=9, color=look.faint)
    axes.axvline(1.0, color=look.faint, linewidth=1.0, zorder=1)
    axes.axhline(len(names) - len(CONTROLS) - 0.5, color=look.grid, linewidth=0.8)
    axes.set_xscale("log")
    axes.set_xlim(LEAST / 1.15, MOST * 1.15)
    axes.xaxis.set_major_locator(FixedLocator([0.25, 0.5, 1.0, 2.0, 4.0]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_title(task, fontsize=10, color=look.ink, loc="left")
    axes.set_facecolor(look.paper)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(look.faint)
    axes.tick_params(colors=look.ink, labelsize=8, left=False)
    axes.grid(axis="x", color=look.grid, linewidth=0.8)
    axes.set_axisbelow(True)


def _within(value: float) -> float:
    return min(max(value, LEAST), MOST * 1.05)
