"""Compare methods on two objectives of different size in the plane: do they reach the Pareto front, and at which points?

The problem of CAGrad (Liu et al. 2021) as Nash-MTL has it (Navon et al. 2022, section 6.1): two valleys of log|...| above the line
x_2 = 0, two parabolas below it, and a first loss that is ten times smaller. All points between the parabolas' minima are Pareto
optimal. Adam takes 6,000 steps of 0.01 from each of the five starts of the papers. Nothing here is left to chance, but for PCGrad's
order of tasks, which does not matter with two.

    python examples/experiments/two_objectives.py [--quick] [--plot two_objectives.png]
"""

import argparse
from math import log, sqrt, tanh

import numpy as np

from fastars.weighting import GradNorm, make_method

STARTS = ((-8.5, 7.5), (0.0, 0.0), (9.0, 9.0), (-7.5, -0.5), (9.0, -1.0))
SCALE = 0.1  # of the first loss
METHODS = ("equal weights", "GradNorm", "mgda", "imtl-g", "aligned-mtl", "nash-mtl", "pcgrad", "cagrad", "upgrad")
LEAST = 5e-6  # of the argument of a logarithm


def valley(z, slope_1, slope_2):
    """Return log|z| + 6 and its slopes, for an argument z with these slopes."""
    return (log(abs(z)) + 6, slope_1 / z, slope_2 / z) if abs(z) > LEAST else (log(LEAST) + 6, 0.0, 0.0)


def parabola(x, y, centre):
    return ((x - centre) ** 2 + 0.1 * (y + 8) ** 2) / 10 - 20, (x - centre) / 5, (y + 8) / 50


def objectives(x, y, scale=SCALE):
    """Return losses (2,) and their gradients (2, 2) in a point of the plane."""
    bend, half = tanh(y), tanh(y / 2)
    above, above_slope = (half, (1 - half**2) / 2) if y >= 0 else (0.0, 0.0)
    below, below_slope = (-half, -(1 - half**2) / 2) if y <= 0 else (0.0, 0.0)
    losses, gradients = [], []
    for size, z, bent, centre in ((scale, -(x + 7) / 2 + bend, 1, 7), (1, (3 - x) / 2 + 2 - bend, -1, -7)):
        log_z, log_1, log_2 = valley(z, -0.5, bent * (1 - bend**2))
        square, square_1, square_2 = parabola(x, y, centre)
        losses.append(size * (above * log_z + below * square))
        slope_2 = above_slope * log_z + above * log_2 + below_slope * square + below * square_2
        gradients.append((size * (above * log_1 + below * square_1), size * slope_2))
    return np.array(losses), np.array(gradients)


def method(name):
    """Return a new method. GradNorm has alpha = 0, with which it needs gradients only."""
    return GradNorm(2, alpha=0.0) if name == "GradNorm" else make_method("uniform" if name == "equal weights" else name, 2)


def descend(name, start, n_steps=6000, rate=0.01, scale=SCALE):
    """Return the points (n_steps + 1, 2) of Adam on the weighted losses."""
    weighting, (x, y) = method(name), start
    m_1 = m_2 = v_1 = v_2 = 0.0
    path = [(x, y)]
    for t in range(1, n_steps + 1):
        losses, gradients = objectives(x, y, scale)
        (a, b), ((a_1, a_2), (b_1, b_2)) = weighting.step(losses, grads=gradients).tolist(), gradients.tolist()
        g_1, g_2 = a * a_1 + b * b_1, a * a_2 + b * b_2
        m_1, m_2 = 0.9 * m_1 + 0.1 * g_1, 0.9 * m_2 + 0.1 * g_2
        v_1, v_2 = 0.999 * v_1 + 0.001 * g_1**2, 0.999 * v_2 + 0.001 * g_2**2
        length, unbias = rate / (1 - 0.9**t), 1 - 0.999**t
        x, y = x - length * m_1 / (sqrt(v_1 / unbias) + 1e-8), y - length * m_2 / (sqrt(v_2 / unbias) + 1e-8)
        path.append((x, y))
    return np.array(path)


def on_front(point):
    """True if a point is between the minima of the parabolas. The factor tanh bends the front: x_2 is -8 to -8.45 on it."""
    return bool(abs(point[0]) <= 7.1 and abs(point[1] + 8.1) < 0.6)


def measure(name, n_steps=6000):
    """Run one method from all starts. Return the paths (every 60th point), and True for each path that ends on the front."""
    paths = [descend(name, start, n_steps) for start in STARTS]
    ends = [path[-1] for path in paths]
    return {
        "method": name,
        "on_front": [on_front(end) for end in ends],
        "ends": np.round(ends, 3).tolist(),
        "paths": [np.round(path[::60], 2).tolist() for path in paths],
    }


def run(quick=False):
    return [measure(name, 100 if quick else 6000) for name in METHODS]


def report(row):
    firsts = [end[0] for end, reached in zip(row["ends"], row["on_front"], strict=True) if reached]
    spread = f", x_1 from {min(firsts):.2f} to {max(firsts):.2f}" if firsts else ""
    return f"{row['method']:14} {len(firsts)} of {len(row['ends'])} starts reach the front{spread}"


def draw(rows):
    """Return a figure of Matplotlib: the ways from all starts, a panel for each method."""
    from matplotlib.figure import Figure

    x, y = np.linspace(-10, 10, 161), np.linspace(-10, 10, 161)
    landscape = np.array([[objectives(one, other)[0] @ (1 / SCALE, 1) for one in x] for other in y])  # of equal sizes
    figure = Figure(figsize=(6.6, 7), dpi=140, layout="constrained")
    axes = figure.subplots(3, 3, sharex=True, sharey=True)
    for axis, row in zip(axes.flat, rows, strict=True):
        axis.contour(x, y, landscape, levels=25, cmap="Greys", linewidths=0.6, alpha=0.6)
        axis.plot([-7, 7], [-8.3, -8.3], color="0.75", linewidth=8, solid_capstyle="round", zorder=0)
        for way, end in zip(row["paths"], row["ends"], strict=True):
            (line,) = axis.plot(*np.transpose(way), linewidth=1.5)
            axis.plot(*way[0], "o", color=line.get_color(), markersize=4)
            axis.plot(*end, "*", color=line.get_color(), markeredgecolor="black", markersize=12, clip_on=False)
        axis.set_title(f"{row['method']}: {sum(row['on_front'])} of {len(row['ends'])}", fontsize=9)
    figure.suptitle("From five starts (dots) to the Pareto front (grey band)")
    return figure


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="100 steps: does it run?")
    parser.add_argument("--plot", metavar="FILE", help="draw the ways; needs matplotlib")
    args = parser.parse_args()
    rows = run(args.quick)
    print("\n".join(report(row) for row in rows))
    if args.plot:
        draw(rows).savefig(args.plot)


if __name__ == "__main__":
    main()
