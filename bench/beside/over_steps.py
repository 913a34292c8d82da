"""The picture of mean returns against environment steps: a panel for each task that has results."""

from typing import Any

import numpy as np

from bench.beside.rows import LANES, OURS, TASKS, THEIRS, sides
from fastars.plot.looks import LOOKS

NAMES = {LANES: "fastars, lanes", OURS: "fastars", THEIRS: "sb3-contrib", "PPO": "PPO of stable-baselines3"}
COLOURS = {LANES: 0, OURS: 2, THEIRS: 1, "PPO": 3}  # places in the colours of a look


def draw(rows: list[dict[str, Any]]) -> Any:
    """Return a figure of Matplotlib."""
    from matplotlib.figure import Figure

    look, kept = LOOKS["light"], {(row["env"], row["side"]): row for row in rows if row["seeds"]}
    tasks = [env_id for env_id in TASKS if any(env_id == of for of, _ in kept)]
    n_rows = max(-(-len(tasks) // 2), 1)
    figure = Figure(figsize=(6.4, 2.3 * n_rows), dpi=140, layout="constrained", facecolor=look.paper)
    panels = list(figure.subplots(n_rows, 2, squeeze=False).flat)
    for panel, env_id in zip(panels, tasks, strict=False):
        for side in sides(env_id):
            if (env_id, side) in kept:
                draw_seeds(panel, kept[env_id, side], "steps", look)
        dress(panel, look, "environment steps")
        panel.set_title(env_id, fontsize=10, color=look.ink, loc="left")
        panel.axhline(TASKS[env_id].zoo.mean, color=look.faint, linewidth=1.0, linestyle=(0, (6, 4)), zorder=1)
    for panel in panels[len(tasks) :]:
        panel.remove()
    return figure


def draw_seeds(panel: Any, kept: dict[str, Any], against: str, look: Any) -> None:
    """Draw a line for each seed of a row."""
    colour, label = look.lines[COLOURS[kept["side"]]], NAMES[kept["side"]]
    results = kept["seeds"]
    n_seeds = f"{len(results)} {'seed' if len(results) == 1 else 'seeds'}"
    for k, each in enumerate(results):
        means = np.array(each["means"], dtype=float)
        panel.plot(each[against], means, color=colour, linewidth=1.3, alpha=0.75, label=None if k else f"{label}, {n_seeds}")


def dress(panel: Any, look: Any, xlabel: str) -> None:
    """Give a panel its axes and legend."""
    from matplotlib.ticker import EngFormatter

    panel.set_xscale("log")
    panel.xaxis.set_major_formatter(EngFormatter(sep=" "))
    panel.set_xlabel(xlabel, fontsize=8, color=look.ink)
    panel.set_ylabel("mean return", fontsize=8, color=look.ink)
    panel.set_facecolor(look.paper)
    panel.spines[["top", "right"]].set_visible(False)
    panel.spines[["left", "bottom"]].set_color(look.faint)
    panel.tick_params(colors=look.ink, labelsize=8)
    panel.grid(axis="y", color=look.grid, linewidth=0.8)
    panel.set_axisbelow(True)
    panel.legend(fontsize=7, labelcolor=look.ink, frameon=False)
