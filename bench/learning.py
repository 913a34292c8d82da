"""Learning curves on the paper's tasks: `python -m bench.learning [RUN ...]`, about an hour on two CPUs for all of them.

Each run trains with the seeds of the paper (or with ten) until its steps are done, evaluates the policy 60 times on the way, keeps
the best one, and at the end evaluates that one on 100 fresh episodes. All of it, seeds that failed too, stands in
`results/learning.json`.
"""

import argparse
import copy
import json
import time
from pathlib import Path

import numpy as np

from bench.machine import THREADS, machine_info, take_two_cpus

RESULTS = Path(__file__).parent / "results" / "learning.json"
PAPER_SEEDS = (237, 759, 959)
N_CURVE, N_CURVE_EPISODES, N_FINAL_EPISODES = 60, 10, 100
FINAL_SEED = 1_000_000  # of the final episodes, apart from those that chose the best policy

# Name: environment, arguments of ARS, env steps, seeds, the paper's threshold.
RUNS = {
    "HalfCheetah, paper's V2-t": ("HalfCheetah-v5", {"preset": "paper"}, 6_000_000, PAPER_SEEDS, 3430),
    "Hopper, paper's V2-t": ("Hopper-v5", {"preset": "paper"}, 5_000_000, PAPER_SEEDS, 3120),
    "Hopper, fastars' own": ("Hopper-v5", {"preset": "tuned"}, 3_000_000, PAPER_SEEDS, 3120),
    "Swimmer, paper's V1": ("Swimmer-v5", {"preset": "paper"}, 2_000_000, PAPER_SEEDS, 325),
    "Swimmer, fastars' own": ("Swimmer-v5", {"preset": "tuned"}, 400_000, (*PAPER_SEEDS, *range(1, 8)), 325),
}


def main():
    parser = argparse.ArgumentParser(description="Train on the paper's tasks; the curves go to results/learning.json.")
    parser.add_argument("runs", nargs="*", metavar="RUN", help=f"of {', '.join(RUNS)}; default all")
    names = parser.parse_args().runs or list(RUNS)
    rows = json.loads(RESULTS.read_text())["rows"] if RESULTS.exists() else []
    for name in names:
        env_id, settings, steps, seeds, goal = RUNS[name]
        curves = [train(env_id, settings, steps, seed, goal) for seed in seeds]
        row = {"run": name, "env": env_id, "settings": settings, "goal": goal, "seeds": curves}
        rows = [other for other in rows if other["run"] != name] + [row]
        RESULTS.write_text(json.dumps({"table": "learning", "machine": machine_info(), "rows": rows}, indent=1) + "\n")
        reached = [curve["seed"] for curve in curves if curve["best"] >= goal]
        bests = [round(curve["best"]) for curve in curves]
        print(f"{name}: best {bests}, {len(reached)} of {len(curves)} reach {goal}", flush=True)


def train(env_id, settings, steps, seed, goal):
    """Return the learning curve of one seed."""
    from fastars import ARS

    model = ARS("LinearPolicy", env_id, seed=seed, n_threads=THREADS, **settings)
    curve, best, best_model, solved_at, seconds = [], -np.inf, None, None, 0.0
    while model.num_timesteps < steps:
        start = time.perf_counter()
        model.learn(min(steps // N_CURVE, steps - model.num_timesteps), reset_num_timesteps=False)
        seconds += time.perf_counter() - start
        mean = float(model.evaluate(N_CURVE_EPISODES).returns.mean())
        curve.append((model.num_timesteps, round(mean, 2)))
        if mean >= best:
            best, best_model = mean, copy.copy(model)
        if solved_at is None and mean >= goal:
            solved_at = model.num_timesteps
    final = best_model.evaluate(N_FINAL_EPISODES, seed=FINAL_SEED).returns
    return {
        "seed": seed,
        "best": best,
        "best_over_100_episodes": float(final.mean()),
        "std_over_100_episodes": float(final.std()),
        "solved_at_steps": solved_at,
        "steps": model.num_timesteps,
        "train_s": seconds,
        "curve": curve,
    }


if __name__ == "__main__":
    take_two_cpus()
    main()
