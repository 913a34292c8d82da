"""Cost as directions, weights, horizon and threads grow: `python -m bench.growth`, a minute on a quiet machine.

Pendulum-v1 never ends an episode before its time limit, so that the number of steps is known. An iteration is timed in its two
parts: rollouts, and all the rest (the update: directions, candidates, selection, gradient, step, filter and the row of the log).
The rows go to `results/growth.json`, the picture to `docs/images/growth.png`.
"""

import ctypes
import statistics
import time
from pathlib import Path
from typing import NamedTuple

import gymnasium
import numpy as np

from bench.experiments import write
from bench.machine import THREADS, take_two_cpus
from fastars import ARS
from fastars.plot.looks import LOOKS
from fastars.training.iteration import ask, iterate, make_candidates, roll_out

RESULTS = Path(__file__).parent / "results" / "growth.json"
DIRECTIONS = (1, 3, 10, 30, 100, 300, 1_000, 3_000, 10_000, 30_000)
WIDTHS = (1, 3, 9, 30, 99, 315, 997)  # of two hidden layers: 8 to 1,000,000 weights
HORIZONS = (10, 30, 100, 300, 1_000, 3_000, 10_000, 30_000, 100_000)
N_THREADS = (1, 2, 3, 4, 8, 16, 32, 64)
SHORT, MEDIUM, LONG = 50, 200, 2_000  # steps of an episode
FEW, HALF, MANY = 8, 512, 2_048  # directions: of 16 episodes, 1,024, and enough for all threads
BUDGET, LEAST = 0.4, 5  # seconds for a point, and repetitions at least
LAST = 100.0  # an exponent is fitted over the last two decades


LOOK = LOOKS["light"]
EXPECTED = {"color": LOOK.faint, "linewidth": 1.0, "linestyle": (0, (6, 4)), "zorder": 1}  # of a line


class Curve(NamedTuple):
    """A curve of the picture: `cost` over `x`, from the rows of a kind."""

    kind: str
    label: str
    cost: str
    expected: float  # exponent
    only: tuple[str, int] | None = None  # only rows with this value


CURVES = (
    Curve("directions", "rollouts, a step", "rollouts_s", 0.0),
    Curve("directions", "update, a direction", "update_s", 0.0),
    Curve("weights", "rollouts, a step", "rollouts_s", 1.0),
    Curve("weights", "update, a direction", "update_s", 1.0),
    Curve("horizon", "rollouts, a step, 16 episodes", "rollouts_s", 0.0, ("n_delta", FEW)),
    Curve("horizon", "rollouts, a step, 1,024 episodes", "rollouts_s", 0.0, ("n_delta", HALF)),
    Curve("threads", f"rollouts, a step, episodes of {MEDIUM} steps", "rollouts_s", 0.0, ("horizon", MEDIUM)),
    Curve("threads", f"rollouts, a step, episodes of {LONG:,} steps", "rollouts_s", 0.0, ("horizon", LONG)),
)
TITLES = {
    "directions": f"directions (3 weights, episodes of {SHORT} steps, one thread)",
    "weights": f"weights of a network ({FEW} directions, episodes of {SHORT} steps, one thread)",
    "horizon": "steps of an episode (one thread)",
    "threads": f"threads, on two cores ({2 * MANY:,} episodes)",
    "memory": "directions, or weights: most memory of an iteration",
}


def model(n_delta, horizon=SHORT, n_threads=1, width=None):
    """Return a run on Pendulum-v1 with this time limit."""
    policy = ("LinearPolicy", None) if width is None else ("MlpPolicy", {"net_arch": [width, width]})
    env = gymnasium.make("Pendulum-v1", max_episode_steps=horizon)
    return ARS(policy[0], env, policy_kwargs=policy[1], n_delta=n_delta, n_threads=n_threads, seed=0)


class Iterations:
    """A run that goes on with every call, so that directions come from other places of the noise table than those before."""

    def __init__(self, made):
        self.run, self.state = made.run, made.state
        self.run.noise.whole()  # a run fills it by and by

    def __call__(self):
        """Run an iteration. Return the seconds of rollouts, the seconds of the rest, and the number of steps."""
        start = time.perf_counter()
        asked = ask(self.run, self.state, 1.0)
        candidates = make_candidates(self.run, self.state, asked)
        before = time.perf_counter()
        rollouts = roll_out(self.run, self.state, asked, candidates)
        after = time.perf_counter()
        self.state, _ = iterate(self.run, self.state, asked, rollouts)
        return after - before, time.perf_counter() - after + before - start, int(rollouts.lengths.sum())


def point(kind, x, settings, budget=BUDGET):
    """Return a row: medians of repetitions, and the most memory that an iteration held."""
    made = model(**settings)
    run = Iterations(made)
    run()  # kernels
    peak = most_memory(run)
    measured, end = [], time.perf_counter() + budget
    while len(measured) < LEAST or time.perf_counter() < end:
        measured.append(run())
    rollouts, update, steps = (statistics.median(each) for each in zip(*measured, strict=True))
    sizes = {"n_delta": made.config.n_delta, "n_weights": len(made.theta), "horizon": settings.get("horizon", SHORT)}
    return {"kind": kind, "x": x, **sizes, "steps": int(steps), "rollouts_s": rollouts, "update_s": update, "peak_bytes": peak}


def most_memory(function):
    """Return the bytes that the process holds at most while the function runs, beyond those before. Only Linux can tell."""
    status = Path("/proc/self/status")
    if not status.exists():
        return None

    def resident(name):
        (line,) = (line for line in status.read_text().splitlines() if line.startswith(name))
        return 1024 * int(line.split()[1])

    ctypes.CDLL(None).malloc_trim(0)  # what is free goes back to the system, and counts when it is taken again
    Path("/proc/self/clear_refs").write_text("5")  # the mark of the highest water goes down to the present one
    before = resident("VmRSS")
    function()
    return resident("VmHWM") - before


def plan():
    """Return (kind, x, settings of the run) for each row."""
    return [
        *[("directions", n, {"n_delta": n}) for n in DIRECTIONS],
        *[("weights", w * w + 6 * w + 1, {"n_delta": FEW, "width": w}) for w in WIDTHS],
        *[("horizon", n, {"n_delta": n_delta, "horizon": n}) for n_delta in (FEW, HALF) for n in HORIZONS],
        *[("threads", n, {"n_delta": MANY, "horizon": steps, "n_threads": n}) for steps in (MEDIUM, LONG) for n in N_THREADS],
    ]


# --- What the rows say


def points(rows, curve):
    """Return x, and the cost of a step or a direction in s."""
    rows = [row for row in rows if row["kind"] == curve.kind and (curve.only is None or row[curve.only[0]] == curve.only[1])]
    per = "steps" if curve.cost == "rollouts_s" else "n_delta"
    return np.array([row["x"] for row in rows], float), np.array([row[curve.cost] / row[per] for row in rows])


def exponent(x, cost):
    """Return the exponent of a power of x that fits the costs of the last two decades best."""
    last = x >= x[-1] / LAST
    return float(np.polyfit(np.log(x[last]), np.log(cost[last]), 1)[0])


def draw(rows):
    """Return a figure of Matplotlib, a panel for each thing that grows. Dashed lines have the slope that is expected."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 13), dpi=140, layout="constrained", facecolor=LOOK.paper)
    panels = dict(zip(TITLES, figure.subplots(len(TITLES), 1), strict=True))
    for kind, axes in panels.items():
        axes.set(xscale="log", yscale="log")
        axes.plot([], [], label="the expected slope", **EXPECTED)
        curves = [curve for curve in CURVES if curve.kind == kind]
        for curve, colour in zip(curves, LOOK.lines, strict=False):
            x, cost = points(rows, curve)
            axes.plot(x, cost, marker=".", color=colour, linewidth=1.8, label=curve.label)
            if kind == "threads":
                axes.plot(x, cost[0] / np.minimum(x, THREADS), **EXPECTED)
            else:
                draw_slope(axes, x, cost, curve.expected)
    for kind, colour in zip(("directions", "weights"), LOOK.lines, strict=False):
        known = [row for row in rows if row["kind"] == kind and row["peak_bytes"]]
        x, held = np.array([[row["x"], row["peak_bytes"]] for row in known], float).T
        panels["memory"].plot(x, held, marker=".", color=colour, linewidth=1.8, label=kind)
        draw_slope(panels["memory"], x, held, 1.0)
    for kind, axes in panels.items():
        dress(axes, kind)
    return figure


def draw_slope(axes, x, y, slope):
    axes.plot(x, y[-1] * (x / x[-1]) ** slope, **EXPECTED)


def dress(axes, kind):
    """Give a panel its title, and the looks of the learning curves."""
    from matplotlib.ticker import EngFormatter

    axes.set_title(TITLES[kind], fontsize=10, color=LOOK.ink, loc="left")
    axes.set_facecolor(LOOK.paper)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(LOOK.faint)
    axes.xaxis.set_major_formatter(EngFormatter(sep=" "))
    axes.yaxis.set_major_formatter(EngFormatter(unit="B" if kind == "memory" else "s"))
    if kind == "threads":
        axes.set(xticks=N_THREADS, yticks=[k * 1e-9 for k in (1, 2, 3, 4, 6)])
        axes.minorticks_off()
    axes.tick_params(which="both", colors=LOOK.ink, labelsize=8)
    axes.grid(axis="y", color=LOOK.grid, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.legend(frameon=False, fontsize=8, labelcolor=LOOK.ink)


def main():
    from bench.pictures import write_picture

    write(RESULTS, [point(*each) for each in plan()])
    write_picture("growth")


if __name__ == "__main__":
    take_two_cpus()
    main()
