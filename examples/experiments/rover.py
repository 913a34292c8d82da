"""Compare equal weights and balancing on two rewards in different units, metres and radians.

A rover drives to a place up to 5 m away, and is to keep its camera, which each metre turns by 0.02 rad, on a target up to 0.1 rad
aside. One reward is minus the squared distance in m^2, the other minus the squared angle in rad^2, some thousand times smaller.
Both can be had at once. With equal weights the luck of the start decides about the distance, and so about the sum: for the camera
that is noise.

    python examples/experiments/rover.py [--quick] [--plot rover.png]
"""

import argparse
from typing import NamedTuple

import numpy as np
from gymnasium.spaces import Box

from fastars import ARS, register_env
from fastars.scalar import clip, uniform

METHODS = {
    "equal weights": "fixed",
    "1 / std": "std",
    "GradNorm": "gradnorm",
    "Nash-MTL": "nash-mtl",
    "UPGrad": "upgrad",
    "MGDA": "mgda",
}
GRID = 10.0 ** np.arange(8)  # weights of the angle, that of the distance being 1
N_STEPS = 200


class Rover(NamedTuple):
    speed: float = 1.0  # m/s, at most
    turn: float = 0.05  # rad/s, at most, of the camera
    drag: float = 0.02  # rad that a metre turns the camera
    dt: float = 0.1  # s


def reset(env, rng):
    return uniform(rng, -5.0, 5.0), uniform(rng, -0.1, 0.1)  # distance in m, angle in rad


def observe(env, state):
    return state


def step(env, state, action):
    distance, angle = state
    speed, turn = env.speed * clip(action[0], -1.0, 1.0), env.turn * clip(action[1], -1.0, 1.0)
    distance = distance + env.dt * speed
    angle = angle + env.dt * (turn + env.drag * speed)
    return (distance, angle), (-distance * distance, -angle * angle), False


register_env(
    "Rover-v0",
    Rover(),
    reset,
    observe,
    step,
    observation_space=Box(-np.inf, np.inf, (2,)),
    action_space=Box(-1.0, 1.0, (2,)),
    max_episode_steps=N_STEPS,
    reward_space=Box(-np.inf, 0.0, (2,)),
    task_names=("distance", "angle"),
)


def train(seed, n_timesteps=600_000, **weighting):
    """Return root mean squares of distance (m) and angle (rad) over the steps of 200 episodes after training."""
    model = ARS("LinearPolicy", "Rover-v0", n_delta=8, normalize_observations=True, seed=seed, **weighting)
    model.learn(n_timesteps)
    return np.sqrt(-model.evaluate(200).task_returns.mean(axis=0) / N_STEPS).tolist()


def measure(name, n_seeds=10, n_timesteps=600_000, **weighting):
    """Train one weighting with several seeds."""
    left = np.array([train(seed, n_timesteps, **weighting) for seed in range(n_seeds)])
    return {"method": name, "distance": left[:, 0].tolist(), "angle": left[:, 1].tolist()}


def run(quick=False):
    n_seeds = 3 if quick else 10
    names, grid = (("equal weights", "GradNorm"), ()) if quick else (METHODS, GRID[1:])
    untrained = measure("untrained", n_seeds=1, n_timesteps=1, learning_rate=0.0)
    methods = [measure(name, n_seeds, weighting=METHODS[name]) for name in names]
    return [untrained, *methods, *(measure(f"1 : {ratio:,.0f}", n_seeds, preference=[1.0, ratio]) for ratio in grid)]


def draw(rows):
    """Return a figure of Matplotlib: the distance and the angle that each method leaves."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 5), dpi=140, layout="constrained")
    axis = figure.subplots()
    means = {row["method"]: (np.mean(row["distance"]), np.mean(row["angle"])) for row in rows}
    front = [means["equal weights"], *(mean for name, mean in means.items() if name.startswith("1 : "))]
    axis.plot(*np.transpose(front), "k.-", label="static weights, from 1 : 1 to 1 : 10,000,000")
    for row in rows:
        if row["method"] in METHODS:
            (points,) = axis.plot(row["distance"], row["angle"], "o", markersize=4, alpha=0.4)
            axis.plot(*means[row["method"]], "o", markersize=10, color=points.get_color(), label=row["method"])
    axis.axhline(means["untrained"][1], color="grey", linestyle=":", label="a camera that does nothing")
    axis.set(xscale="log", yscale="log", xlabel="distance, m (root mean square)", ylabel="angle, rad (root mean square)")
    axis.set_xticks([0.7, 0.8, 1.0, 1.4, 1.8], labels=["0.7", "0.8", "1", "1.4", "1.8"])
    axis.set_yticks([0.01, 0.02, 0.04, 0.08], labels=["0.01", "0.02", "0.04", "0.08"])
    axis.tick_params(which="minor", left=False, bottom=False, labelleft=False, labelbottom=False)
    axis.set_title("Better is to the left and below; small points are seeds")
    axis.legend(frameon=False, fontsize="small")
    return figure


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="three methods, 3 seeds")
    parser.add_argument("--plot", metavar="FILE", help="draw the trade; needs matplotlib")
    args = parser.parse_args()
    rows = run(args.quick)
    for row in rows:
        distance, angle = np.array(row["distance"]), np.array(row["angle"])
        print(f"{row['method']:15} distance {distance.mean():.3f} m, angle {angle.mean():.4f} rad, at worst {angle.max():.4f}")
    if args.plot:
        draw(rows).savefig(args.plot)


if __name__ == "__main__":
    main()
