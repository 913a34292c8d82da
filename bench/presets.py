"""Measure the returns that the preset "tuned" reaches: `python -m bench.presets [ENV ...]`, about an hour on two CPUs for all.

Each of five seeds trains as `fastars train ENV` does, for the same steps: the policy is evaluated 25 times on the way, and the best
one is kept. At the end the best and the last policy are evaluated on 100 fresh episodes. All of it, seeds that failed too, is in
`results/presets.json`; means and deviations over the seeds go into `fastars/training/presets/results.toml`, which the package
reads.
"""

import argparse
import json
import statistics
import time
from pathlib import Path

import numpy as np

from bench.machine import THREADS, machine_info, take_two_cpus

RESULTS = Path(__file__).parent / "results" / "presets.json"
SEEDS = (1, 2, 3, 4, 5)
N_EVALUATIONS, N_FINAL_EPISODES = 25, 100
FINAL_SEED = 1_000_000  # of the final episodes, apart from those that chose the best policy
ENVS = (
    "Acrobot-v1",
    "CartPole-v1",
    "MountainCar-v0",
    "MountainCarContinuous-v0",
    "Pendulum-v1",
    "InvertedPendulum-v5",
    "InvertedDoublePendulum-v5",
    "Reacher-v5",
    "Swimmer-v5",
    "Hopper-v5",
    "HalfCheetah-v5",
)
_HEAD = """\
# What the preset "tuned" reaches: written by `python -m bench.presets` from bench/results/presets.json, never by hand.
# A run of `total_timesteps` steps with each of `n_seeds` seeds; the returns are those of its best policy (and of its last one) in
# 100 fresh episodes, their mean and deviation over the seeds. `seconds`: of training, the median, on `threads` threads of a machine
# that may have had other work.
"""


def main():
    parser = argparse.ArgumentParser(description="Measure what the preset `tuned` reaches.")
    parser.add_argument("envs", nargs="*", metavar="ENV", help=f"default: {', '.join(ENVS)}")
    parser.add_argument("--write", action="store_true", help="only write fastars/training/presets/results.toml anew")
    args = parser.parse_args()
    rows = json.loads(RESULTS.read_text(encoding="utf-8"))["rows"] if RESULTS.exists() else []
    for env_id in [] if args.write else args.envs or ENVS:
        row = measured(env_id)
        rows = sorted([other for other in rows if other["env"] != env_id] + [row], key=lambda row: row["env"])
        RESULTS.write_text(json.dumps({"table": "presets", "machine": machine_info(), "rows": rows}, indent=1) + "\n")
        returns = [round(run["best_return"], 1) for run in row["runs"]]
        print(f"{env_id}: best policies {returns}", flush=True)
    write_results(rows)


def measured(env_id):
    """Train all seeds of one environment."""
    import gymnasium

    from fastars.training import presets

    total = presets.timesteps(env_id)
    runs = [train(env_id, total, seed) for seed in SEEDS]
    (settings,) = presets.rows("tuned", env_id) or ({},)
    threshold = gymnasium.spec(env_id).reward_threshold
    return {"env": env_id, "settings": settings, "total_timesteps": total, "threshold": threshold, "runs": runs}


def train(env_id, total, seed):
    """Train one seed."""
    from fastars import ARS
    from fastars.cli.run_folder import Record
    from fastars.envs import compiled_env_ids

    model = ARS("LinearPolicy", env_id, seed=seed, n_threads=THREADS, preset="tuned")
    record = Record(Path(), 20 if env_id in compiled_env_ids("mujoco") else 100)
    seconds = 0.0
    while model.num_timesteps < total:
        start = time.perf_counter()
        model.learn(min(total // N_EVALUATIONS, total - model.num_timesteps), reset_num_timesteps=False)
        seconds += time.perf_counter() - start
        record.evaluate(model)
    best = record.best.evaluate(N_FINAL_EPISODES, seed=FINAL_SEED)
    last = model.evaluate(N_FINAL_EPISODES, seed=FINAL_SEED)
    return {
        "seed": seed,
        "best_return": float(best.returns.mean()),
        "last_return": float(last.returns.mean()),
        "best_std_of_episodes": float(np.std(best.returns)),
        "steps": model.num_timesteps,
        "seconds": seconds,
    }


def write_results(rows):
    """Write the table that the package reads."""
    from fastars.cli.toml import toml
    from fastars.training import presets

    summary = {row["env"]: summarised(row) for row in rows}
    path = Path(presets.__file__).parent / "results.toml"
    path.write_text(_HEAD + toml(summary), encoding="utf-8")


def summarised(row):
    """Return mean and deviation over the seeds."""
    best, last = ([run[name] for run in row["runs"]] for name in ("best_return", "last_return"))
    return {
        "best_return_mean": round(statistics.fmean(best), 2),
        "best_return_std": round(statistics.pstdev(best), 2),
        "last_return_mean": round(statistics.fmean(last), 2),
        "last_return_std": round(statistics.pstdev(last), 2),
        "n_seeds": len(row["runs"]),
        "total_timesteps": row["total_timesteps"],
        "seconds": round(statistics.median(run["seconds"] for run in row["runs"]), 2),
        "threads": THREADS,
    }


if __name__ == "__main__":
    take_two_cpus()
    main()
