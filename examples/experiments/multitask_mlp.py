"""Train the regression tasks of the GradNorm paper like the paper: a network with shared layers, by backpropagation, in NumPy.

f_i(x) = sigma_i tanh((B + eps_i) x) with x of 250 and f_i of 100 numbers (Chen et al. 2018): four shared layers of 100
rectified units, an affine head per task, squared errors. The gradients of the last shared layer are balanced. The paper doesn't
say its optimizer, rates and batches; here it is Adam with 1e-3 on batches of 100 fresh inputs. Adam divides a gradient by its own
size, which does some of the balancing under any weights: don't expect the paper's figure.

    python examples/experiments/multitask_mlp.py [--quick] [--plot multitask_mlp.png] [--json multitask_mlp.json]
"""

import argparse
import json
from functools import partial
from itertools import pairwise

import numpy as np

from fastars.weighting import GradNorm, make_method

SCALES = {2: (1, 100), 10: (48, 3, 54, 16, 9, 30, 52, 26, 47, 81)}  # sigma_i, by the number of tasks
N_IN, N_HIDDEN, N_LAYERS, N_OUT, N_BATCH = 250, 100, 4, 100, 100


def network(rng, n_tasks):
    """Return weights of the shared layers, their biases, and weights and biases of all heads side by side."""
    widths = [N_IN, *[N_HIDDEN] * N_LAYERS]
    layers = [rng.normal(size=(a, b)) * np.sqrt(2 / a) for a, b in pairwise(widths)]
    heads = rng.normal(size=(n_tasks, N_HIDDEN, N_OUT)) / np.sqrt(N_HIDDEN)
    return [*layers, *[np.zeros(N_HIDDEN) for _ in layers], heads, np.zeros((n_tasks, 1, N_OUT))]


def forward(parameters, inputs):
    """Return the activations of the shared layers, inputs first, and the outputs of the heads (T, batch, outputs)."""
    activations = [inputs]
    for layer, bias in zip(parameters[:N_LAYERS], parameters[N_LAYERS:-2], strict=True):
        activations.append(np.maximum(activations[-1] @ layer + bias, 0))
    return activations, activations[-1] @ parameters[-2] + parameters[-1]


def backward(parameters, activations, errors, method):
    """Return losses (T,) and the gradients of the weighted sum of losses, from one backward pass below the heads."""
    n_tasks, last = len(errors), activations[-1]
    losses, slopes = np.square(errors).mean(axis=(1, 2)), 2 * errors / errors[0].size
    hidden = (slopes @ parameters[-2].transpose(0, 2, 1)) * (last > 0)  # (T, batch, hidden): what each task sends down
    weights = method.step(losses, grads=(activations[-2].T @ hidden).reshape(n_tasks, -1))
    slopes = weights[:, None, None] * slopes
    below, layers, biases = np.einsum("t,tbh->bh", weights, hidden), [], []
    for i in reversed(range(N_LAYERS)):
        layers.insert(0, activations[i].T @ below)
        biases.insert(0, below.sum(axis=0))
        below = (below @ parameters[i].T) * (activations[i] > 0)
    return losses, [*layers, *biases, last.T @ slopes, slopes.sum(axis=1, keepdims=True)]


def losses_on(parameters, inputs, maps, scales):
    return np.square(forward(parameters, inputs)[1] - scales * np.tanh(inputs @ maps)).mean(axis=(1, 2))


def train(n_tasks, method, seed, n_iterations):
    """Return L_i(t) / L_i(0) of each task on inputs that were not used for training, every 50 iterations."""
    rng = np.random.default_rng(seed)
    scales = np.reshape(SCALES[n_tasks], (-1, 1, 1)).astype(float)
    maps = rng.normal(scale=10, size=(N_IN, N_OUT)) + rng.normal(scale=3.5, size=(n_tasks, N_IN, N_OUT))
    parameters, test = network(rng, n_tasks), rng.normal(size=(500, N_IN))
    m, v = [0 * p for p in parameters], [0 * p for p in parameters]
    curve = [losses_on(parameters, test, maps, scales)]
    for t in range(1, n_iterations + 1):
        inputs = rng.normal(size=(N_BATCH, N_IN))
        activations, outputs = forward(parameters, inputs)
        _, gradients = backward(parameters, activations, outputs - scales * np.tanh(inputs @ maps), method)
        for i, gradient in enumerate(gradients):  # Adam
            m[i] += 0.1 * (gradient - m[i])
            v[i] += 0.001 * (gradient**2 - v[i])
            parameters[i] -= 1e-3 / (1 - 0.9**t) * m[i] / (np.sqrt(v[i] / (1 - 0.999**t)) + 1e-8)
        if t % 50 == 0:
            curve.append(losses_on(parameters, test, maps, scales))
    return np.array(curve) / curve[0]


METHODS = {
    "equal weights": partial(make_method, "uniform"),
    "GradNorm, log": partial(GradNorm, alpha=0.12),
    "GradNorm, paper": partial(GradNorm, alpha=0.12, update="paper"),
    "uncertainty": partial(make_method, "uncertainty"),
    "1 / loss": partial(make_method, lambda gram, losses: 1 / losses),
}


def measure(n_tasks, name, n_seeds=2, n_iterations=1500):
    used = [METHODS[name](n_tasks=n_tasks) for _ in range(n_seeds)]
    curves = [train(n_tasks, method, seed, n_iterations).sum(axis=1) for seed, method in enumerate(used)]
    left = [float(curve[-1]) for curve in curves]
    result = {"n_tasks": n_tasks, "method": name, "mean": float(np.mean(left)), "left": left}
    weights = np.mean([method.mean_weights_ for method in used], axis=0)
    return result | {"weights": weights.tolist(), "curve": np.mean(curves, axis=0).round(4).tolist()}


def run(quick=False):
    size = {"n_seeds": 1, "n_iterations": 10} if quick else {}
    return [measure(n_tasks, name, **size) for n_tasks in SCALES for name in METHODS]


def draw(rows):
    """Return a figure of Matplotlib: test losses by method, a panel for each number of tasks."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 7.5), dpi=140, layout="constrained")
    axes = figure.subplots(2, 1)
    for axis, n_tasks in zip(axes, SCALES, strict=True):
        for row in rows:
            if row["n_tasks"] == n_tasks:
                axis.plot(50 * np.arange(len(row["curve"])), row["curve"], label=row["method"])
        axis.set(title=f"{n_tasks} tasks", xlabel="iteration", ylabel="sum of test losses, L(t) / L(0)")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
    return figure


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="1 seed, 10 iterations: does it run?")
    parser.add_argument("--plot", metavar="FILE", help="draw the curves; needs matplotlib")
    parser.add_argument("--json", metavar="FILE", help="write what came out")
    args = parser.parse_args()
    rows = run(args.quick)
    for row in rows:
        print(f"{row['n_tasks']:2} tasks, {row['method']:16} {row['mean']:.2f} of the test losses left, summed over tasks")
    if args.json:
        with open(args.json, "w") as file:
            json.dump(rows, file)
    if args.plot:
        draw(rows).savefig(args.plot)


if __name__ == "__main__":
    main()
