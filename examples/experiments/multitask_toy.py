"""Train the regression tasks of the GradNorm paper without derivatives: tasks of very different size share parameters.

Chen et al. 2018 regress f_i(x) = sigma_i tanh((B + eps_i) x): tasks that resemble each other, apart from their sizes sigma_i.
Here task i has 30 measurements sigma_i tanh((b + eps_i) . x), and all tasks share 30 parameters theta, which stand for b.
Evolution strategies with 16 mirrored directions and steps of one length estimate every task's gradient from the same evaluations.

    python examples/experiments/multitask_toy.py [--quick] [--plot multitask_toy.png] [--json multitask_toy.json]
"""

import argparse
import json
from functools import partial
from typing import NamedTuple

import numpy as np

from fastars.weighting import Fixed, GradNorm, make_method

SCALES = {2: (1, 100), 10: (48, 3, 54, 16, 9, 30, 52, 26, 47, 81)}  # sigma_i, by the number of tasks
N_PARAMETERS = N_MEASUREMENTS = 30
SPREAD = 0.35  # of eps against B: 3.5 to 10 in the paper
N_DIRECTIONS, NU, STEP = 16, 0.05, 0.05
GRID = 10 ** np.arange(0.5, 7.6, 0.5)  # w_1 / w_2 of static weights


class Regression(NamedTuple):
    inputs: np.ndarray  # (T, measurements, parameters)
    targets: np.ndarray  # (T, measurements), before they are scaled
    scales: np.ndarray  # (T,)


def regression(seed, scales):
    rng = np.random.default_rng([seed, 0])
    inputs = rng.normal(size=(len(scales), N_MEASUREMENTS, N_PARAMETERS)) / np.sqrt(N_PARAMETERS)
    b = rng.normal(size=N_PARAMETERS)
    eps = SPREAD * rng.normal(size=(len(scales), N_PARAMETERS))
    return Regression(inputs, np.tanh(np.einsum("tmd,td->tm", inputs, b + eps)), np.array(scales, dtype=float))


def losses(tasks, thetas):
    """Return mean squared errors (n, T) of n parameter vectors (n, d)."""
    predictions = np.tanh(thetas @ tasks.inputs.reshape(-1, N_PARAMETERS).T).reshape(len(thetas), *tasks.targets.shape)
    return tasks.scales**2 * np.square(predictions - tasks.targets).mean(axis=2)


def train(tasks, method, seed, n_iterations=600):
    """Return L_i(t) / L_i(0) of each task, every 10 iterations, and the mean weights of the second half, (T,).

    In the first half GradNorm's weights are on their way from 1, which at 1 : 10,000 outweighs the mean of all that follow.
    """
    rng = np.random.default_rng([seed, 1])
    theta = np.zeros(N_PARAMETERS)
    curve = [losses(tasks, theta[None])[0]]
    for t in range(1, n_iterations + 1):
        deltas = rng.normal(size=(N_DIRECTIONS, N_PARAMETERS))
        plus, minus = losses(tasks, theta + NU * deltas), losses(tasks, theta - NU * deltas)
        gradients = (plus - minus).T @ deltas / (2 * NU * N_DIRECTIONS)  # (T, d): every task's, from the same directions
        both = np.concatenate([plus, minus])
        gradient = method.step(both.mean(axis=0), grads=gradients, stds=both.std(axis=0)) @ gradients
        theta = theta - STEP * gradient / np.linalg.norm(gradient)
        if t % 10 == 0:
            curve.append(losses(tasks, theta[None])[0])
        if t == n_iterations // 2:
            first_half = method.mean_weights_
    return np.array(curve) / curve[0], 2 * method.mean_weights_ - first_half


def methods(n_tasks):
    """Return functions that make the compared methods, by name. Every training starts with a new method."""
    made = {
        "equal weights": partial(make_method, "uniform", n_tasks),
        "uncertainty": partial(make_method, "uncertainty", n_tasks),
        "1 / loss": partial(make_method, lambda gram, losses: 1 / losses, n_tasks),  # where uncertainty weighting tends
        "1 / std": partial(make_method, "std", n_tasks),
        **{f"GradNorm, {update}": partial(GradNorm, n_tasks, alpha=0.12, update=update) for update in ("paper", "closed", "log")},
    }
    if n_tasks == 2:
        made |= {f"static 10^{np.log10(ratio):g}": partial(Fixed, constants=(ratio, 1)) for ratio in GRID}
    return made


def measure(n_tasks, name, n_seeds=6, n_iterations=600):
    """Train one method on a number of tasks. Return the remaining losses, summed over tasks, and means of all seeds."""
    curves, weights = [], []
    for seed in range(n_seeds):
        curve, mean_weights = train(regression(seed, SCALES[n_tasks]), methods(n_tasks)[name](), seed, n_iterations)
        curves.append(curve.sum(axis=1))
        weights.append(mean_weights)
    left = [float(curve[-1]) for curve in curves]
    result = {"n_tasks": n_tasks, "method": name, "mean": float(np.mean(left)), "left": left}
    return result | {"weights": np.mean(weights, axis=0).tolist(), "curve": np.mean(curves, axis=0).round(4).tolist()}


def run(quick=False):
    size = {"n_seeds": 2, "n_iterations": 50} if quick else {}
    return [measure(n_tasks, name, **size) for n_tasks in SCALES for name in methods(n_tasks)]


def draw(rows):
    """Return a figure of Matplotlib: losses by method, and the weights that they found beside static ones."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 11), dpi=140, layout="constrained")
    axes = figure.subplots(3, 1)
    for axis, n_tasks in zip(axes[::2], SCALES, strict=True):
        for row in rows:
            if row["n_tasks"] == n_tasks and not row["method"].startswith("static"):
                axis.semilogy(10 * np.arange(len(row["curve"])), row["curve"], label=row["method"])
        axis.set(title=f"{n_tasks} tasks", xlabel="iteration", ylabel="sum of L(t) / L(0)")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
    two = {row["method"]: row for row in rows if row["n_tasks"] == 2}
    grid = [row for name, row in two.items() if name.startswith("static")]
    axes[1].loglog(GRID, [row["mean"] for row in grid], "k.-", label="static weights")
    for name in ("1 / std", "GradNorm, log"):
        axes[1].plot(two[name]["weights"][0] / two[name]["weights"][1], two[name]["mean"], "o", label=name)
    axes[1].set(title="2 tasks", xlabel="w_1 / w_2, mean of the second half", ylabel="sum of L / L(0) at the end")
    axes[1].legend(frameon=False)
    return figure


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="2 seeds, 50 iterations: does it run?")
    parser.add_argument("--plot", metavar="FILE", help="draw the curves; needs matplotlib")
    parser.add_argument("--json", metavar="FILE", help="write what came out")
    args = parser.parse_args()
    rows = run(args.quick)
    for row in rows:
        print(f"{row['n_tasks']:2} tasks, {row['method']:18} {row['mean']:.3f} of the losses left, summed over tasks")
    if args.json:
        with open(args.json, "w") as file:
            json.dump(rows, file)
    if args.plot:
        draw(rows).savefig(args.plot)


if __name__ == "__main__":
    main()
