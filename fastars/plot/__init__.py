"""Learning curves of one or many runs: read runs, average them, draw them. Drawing needs `fastars[plot]`.

Runs that differ only in their seed are one curve: their interquartile mean, or their mean, with a band of its 95 % bootstrap
interval over runs (Agarwal et al. 2021, "Deep reinforcement learning at the edge of the statistical precipice", arXiv 2108.13264).
Run folders of `fastars train`, stable-baselines3 and rl-zoo can be read: `progress.csv`, `evaluations.npz`, `*.monitor.csv`.
"""

from fastars.plot.curves import Curve, interquartile_mean, learning_curves
from fastars.plot.drawing import plot_runs
from fastars.plot.runs import RETURN, Run, read_run
from fastars.plot.scores import Score, score_interval

__all__ = ["RETURN", "Curve", "Run", "Score", "interquartile_mean", "learning_curves", "plot_runs", "read_run", "score_interval"]
