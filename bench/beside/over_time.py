"""The picture of HalfCheetah's mean return against wall time, on two CPUs with nothing else on them."""

from typing import Any

from bench.beside.over_steps import draw_seeds, dress
from bench.beside.rows import ALONE
from fastars.plot.looks import LOOKS


def draw(rows: list[dict[str, Any]]) -> Any:
    """Return a figure of Matplotlib."""
    from matplotlib.figure import Figure

    look, kept = LOOKS["light"], {row["side"]: row for row in rows if row["seeds"]}
    figure = Figure(figsize=(6.4, 4.0), dpi=140, layout="constrained", facecolor=look.paper)
    panel = figure.subplots()
    for row in ALONE:
        if row.side in kept:
            draw_seeds(panel, kept[row.side], "train_s", look)
    dress(panel, look, "seconds of training")
    return figure
