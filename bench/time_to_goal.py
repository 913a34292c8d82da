"""Wall time to the paper's thresholds with the preset "tuned", over lanes: `python -m bench.time_to_goal [RUN ...]`, half an hour.

The clock runs from the constructor to the end of the evaluation in which the goal is reached; kernels are compiled before. Training
stops after every `EVERY` steps to evaluate the policy in MuJoCo. If the mean of 10 episodes reaches the goal, 100 fresh episodes
have to confirm it. All of it counts; `train_s` is the part of training. Seeds that do not get there in `MOST_STEPS` stand in
`results/time_to_goal.json`, too, and count as infinitely slow in the median.
"""

import argparse
import json
import time
from pathlib import Path

from bench.machine import THREADS, machine_info, take_two_cpus

RESULTS = Path(__file__).parent / "results" / "time_to_goal.json"
SEEDS = range(1, 11)
EVERY, MOST_STEPS = 250_000, 40_000_000
N_EPISODES, N_FINAL_EPISODES = 10, 100
FINAL_SEED = 1_000_000  # of the final episodes, apart from those that found the policy
# Name: environment, threshold, arguments of ARS, seconds that the project aims at.
RUNS = {
    "HalfCheetah, lanes": ("HalfCheetah-v5", 3430, {"preset": "tuned", "physics": "lanes"}, 30.0),
    "Hopper, lanes": ("Hopper-v5", 3120, {"preset": "tuned", "physics": "lanes"}, 30.0),
}


def main():
    parser = argparse.ArgumentParser(description="Train to the paper's thresholds; the times go to results/time_to_goal.json.")
    parser.add_argument("runs", nargs="*", metavar="RUN", help=f"of {', '.join(RUNS)}; default all")
    parser.add_argument("--quick", action="store_true", help="two seeds, a low goal, nothing written: does it run?")
    args = parser.parse_args()
    rows = json.loads(RESULTS.read_text(encoding="utf-8"))["rows"] if RESULTS.exists() else []
    for name in args.runs or RUNS:
        env_id, goal, settings, aim = RUNS[name]
        if args.quick:
            print([to_goal(env_id, 100, settings, seed) for seed in SEEDS[:2]])
            continue
        seeds = []
        to_goal(env_id, -1e9, settings, SEEDS[0])  # compiles
        for seed in SEEDS:
            seeds.append(to_goal(env_id, goal, settings, seed))
            print(name, seeds[-1], flush=True)
        row = {"run": name, "env": env_id, "settings": settings, "goal": goal, "aim": aim, "seeds": seeds}
        rows = [other for other in rows if other["run"] != name] + [row]
        RESULTS.write_text(json.dumps({"table": "time_to_goal", "machine": machine_info(), "rows": rows}, indent=1) + "\n")


def to_goal(env_id, goal, settings, seed, most_steps=MOST_STEPS):
    """Train one seed to a goal. `return` is the mean of 100 fresh episodes, None if the goal was not reached."""
    from fastars import ARS

    start, train_s, final, best = time.perf_counter(), 0.0, None, float("-inf")
    model = ARS("LinearPolicy", env_id, seed=seed, n_threads=THREADS, **settings)
    while final is None and model.num_timesteps < most_steps:
        begin = time.perf_counter()
        model.learn(EVERY, reset_num_timesteps=False)
        train_s += time.perf_counter() - begin
        mean = float(model.evaluate(N_EPISODES).returns.mean())
        best = max(best, mean)
        if mean >= goal:
            fresh = float(model.evaluate(N_FINAL_EPISODES, seed=FINAL_SEED + model.num_timesteps).returns.mean())
            final = fresh if fresh >= goal else None
    return {
        "seed": seed,
        "steps": model.num_timesteps,
        "wall_s": time.perf_counter() - start,
        "train_s": train_s,
        "best": best,
        "return": final,
    }


if __name__ == "__main__":
    take_two_cpus()
    main()
