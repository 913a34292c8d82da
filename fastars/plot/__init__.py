"""Learning curves of one or many runs: read runs, average them, draw them. Drawing needs `fastars[plot]`.

Runs that differ only in their seed are one curve: their interquartile mean, mean or median, with a band of its 95 % bootstrap
interval over runs (Agarwal et al. 2021, "Deep reinforcement learning at the edge of the statistical precipice", arXiv 2108.13264).
Run folders of `fastars train`, stable-baselines3 and rl-zoo can be read: `progress.csv`, `evaluations.npz`, `*.monitor.csv`.

`read_run` reads a folder, `learning_curves` makes curves as numbers, `plot_runs` makes a picture, and `draw_curves` draws curves on
axes of your own figure.
"""

from fastars.plot.curves import Curve, by_environment, interquartile_mean, learning_curves
from fastars.plot.drawing import draw_curves, plot_runs
from fastars.plot.runs import RETURN, Run, read_run
from fastars.plot.scores import Score, score_interval

__all__ = [
    "RETURN",
    "Curve",
    "Run",
    "Score",
    "by_environment",
    "draw_curves",
    "interquartile_mean",
    "learning_curves",
    "plot_runs",
    "read_run",
    "score_interval",
]
