"""Learning curves over the seeds of the study: for each task the median of each variant, and where 80 % of the seeds of one lie."""

from typing import Any

import numpy as np

from bench.paper.rows import MOST_STEPS, TASKS, VARIANTS, Row
from bench.paper.summary import of_paper, of_random
from fastars.plot.looks import LOOKS

LEAST_FOR_A_BAND = 10  # seeds
PERCENTILES = (10, 50, 90)
WIDE = {"Swimmer": "V2", "Humanoid": "V2"}  # the variant with a band, where it is not V2-t: all directions are used
NAMES = {"Swimmer": {"V1": "V1 and V1-t", "V2": "V2 and V2-t"}, "Humanoid": {"V2": "V2 and V2-t"}}


def curves(kept: dict[str, Any]) -> tuple[int, np.ndarray, np.ndarray]:
    """Return the number of seeds, the training episodes at the evaluations, and the percentiles over seeds there, shape (3, n).

    The seeds are the random ones, or the paper's three while there are less than 10 of them. A run that ended by an error keeps its
    last value; an evaluation without a mean is left out.
    """
    results = found if len(found := of_random(kept)) >= LEAST_FOR_A_BAND else of_paper(kept)
    grid = np.array(kept["grid"])
    rows = [each["means"] + each["means"][-1:] * (len(grid) - len(each["means"])) for each in results if each["means"]]
    if not rows:
        return 0, grid, np.empty((3, 0))
    return len(rows), 2 * kept["settings"]["n_delta"] * grid, np.nanpercentile(np.array(rows, dtype=float), PERCENTILES, axis=0)


def draw(rows: list[dict[str, Any]]) -> Any:
    """Return a figure of Matplotlib with a panel for each task."""
    from matplotlib.figure import Figure

    look = LOOKS["light"]
    figure = Figure(figsize=(6.4, 8.4), dpi=140, layout="constrained", facecolor=look.paper)
    by_name = {(kept["env"], kept["variant"]): kept for kept in rows}
    for axes, task in zip(figure.subplots(3, 2).flat, TASKS, strict=True):
        kept = {variant: by_name.get((Row(task, variant).env_id, variant)) for variant in VARIANTS}
        draw_task(axes, task, {variant: each for variant, each in kept.items() if each is not None}, look)
    return figure


def draw_task(axes: Any, task: str, kept: dict[str, dict[str, Any]], look: Any) -> None:
    """Draw the variants of one task."""
    from matplotlib.ticker import EngFormatter

    wide, is_empty = WIDE.get(task, "V2-t"), True
    colours = dict(zip(sorted(VARIANTS, key=lambda variant: variant != wide), look.lines, strict=False))
    for variant, each in kept.items():
        n_seeds, episodes, (low, middle, high) = curves(each)
        if not n_seeds:
            continue
        is_empty, is_wide, colour = False, variant == wide, colours[variant]
        label = f"{NAMES.get(task, {}).get(variant, variant)}, {n_seeds} {'seed' if n_seeds == 1 else 'seeds'}"
        axes.plot(episodes, middle, color=colour, linewidth=1.8 if is_wide else 1.1, label=label)
        if is_wide and n_seeds >= LEAST_FOR_A_BAND:
            axes.fill_between(episodes, low, high, color=colour, alpha=0.2, linewidth=0)
    axes.axhline(TASKS[task].threshold, color=look.faint, linewidth=1.0, linestyle=(0, (6, 4)), zorder=1)
    axes.set_title(task, fontsize=10, color=look.ink, loc="left")
    axes.set_facecolor(look.paper)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(look.faint)
    axes.tick_params(colors=look.ink, labelsize=8)
    axes.grid(axis="y", color=look.grid, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(EngFormatter(sep=" "))
    axes.set_xlabel("training episodes", fontsize=8, color=look.ink)
    axes.set_ylabel("mean return", fontsize=8, color=look.ink)
    if is_empty:
        axes.set(xlim=(10, MOST_STEPS * 100), ylim=(0, 1.1 * TASKS[task].threshold))
        axes.text(0.5, 0.5, "not run yet", transform=axes.transAxes, ha="center", fontsize=9, color=look.faint)
    else:
        place = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.22), "ncols": 2}
        axes.legend(fontsize=7, labelcolor=look.ink, frameon=False, **place)
