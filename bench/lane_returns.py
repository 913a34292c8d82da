"""Compare the returns of trained policies over lanes with those in MuJoCo: `python -m bench.lane_returns [ENV ...]`, half an hour.

A policy is trained over lanes by the preset "tuned", for fewer steps than usual. The policies of the middle and of the end then run
600 episodes over lanes, in MuJoCo (whose bits are Gymnasium's) and in MuJoCo with starts moved by 1e-12: the yardstick. Each pair
has a two-sample Kolmogorov-Smirnov test of the returns, and a comparison of episodes with the same start. Rows of an environment
replace those of an earlier run, in `results/lane_returns.json`.
"""

import argparse
import json
from pathlib import Path

import numpy as np

from bench.machine import THREADS, machine_info, take_two_cpus

RESULTS = Path(__file__).parent / "results" / "lane_returns.json"
STEPS = {  # of training
    "InvertedPendulum-v5": 100_000,
    "InvertedDoublePendulum-v5": 400_000,
    "Reacher-v5": 400_000,
    "Swimmer-v5": 500_000,
    "Hopper-v5": 2_000_000,
    "HalfCheetah-v5": 2_000_000,
    "Walker2d-v5": 2_000_000,
    "Ant-v5": 1_000_000,
}
N_EPISODES, SEED, MOVED_BY = 600, 500_000, 1e-12
ALIKE = 1e-6  # of a return: episodes that differ by less are called equal


def main():
    parser = argparse.ArgumentParser(description="Compare returns over lanes with returns in MuJoCo.")
    parser.add_argument("envs", nargs="*", metavar="ENV", help=f"default: {', '.join(STEPS)}")
    args = parser.parse_args()
    rows = json.loads(RESULTS.read_text(encoding="utf-8"))["rows"] if RESULTS.exists() else []
    for env_id in args.envs or STEPS:
        found = compared(env_id)
        rows = [row for row in rows if row["env"] != env_id] + found
        rows.sort(key=lambda row: (list(STEPS).index(row["env"]), row["steps"]))
        RESULTS.write_text(json.dumps({"table": "lane_returns", "machine": machine_info(), "rows": rows}, indent=1) + "\n")
        for row in found:
            print({name: value for name, value in row.items() if not isinstance(value, list)}, flush=True)


def compared(env_id):
    """Return a row for each of two policies of a run."""
    from fastars import ARS

    model, rows = ARS("LinearPolicy", env_id, seed=1, n_threads=THREADS, preset="tuned", physics="lanes"), []
    for part in (0.5, 1.0):
        model.learn(int(part * STEPS[env_id]) - model.num_timesteps, reset_num_timesteps=False)
        rows.append({"env": env_id, "steps": model.num_timesteps, "episodes": N_EPISODES, **comparison(model)})
    return rows


def comparison(model):
    """Return the statistics of one policy."""
    from fastars.envs import compiled_env

    env = compiled_env(model.env_id)
    over_lanes = returns_of(model, env._replace(physics="lanes"))
    in_mujoco, moved = returns_of(model, env), returns_of(model, moved_starts(env))
    names = {"lanes": over_lanes, "mujoco": in_mujoco, "moved": moved}
    means = {f"{name}_mean": float(values.mean()) for name, values in names.items()}
    errors = {f"{name}_error": float(values.std() / np.sqrt(len(values))) for name, values in names.items()}
    pairs = {"lanes": (over_lanes, in_mujoco), "moved": (moved, in_mujoco), "lanes_moved": (over_lanes, moved)}
    return {**means, **errors, **{key: value for name, pair in pairs.items() for key, value in against(name, *pair).items()}}


def against(name, a, b):
    """Return the p-value of a Kolmogorov-Smirnov test, and how returns from the same starts differ."""
    from scipy.stats import ks_2samp

    test, differences = ks_2samp(a, b, method="asymp"), np.abs(a - b)
    return {
        f"{name}_ks": float(test.statistic),
        f"{name}_p": float(test.pvalue),
        f"{name}_equal": float(np.mean(differences <= ALIKE * np.maximum(1.0, np.abs(b)))),
        f"{name}_median_difference": float(np.median(differences)),
        f"{name}_mean_difference": float(np.mean(a - b)),
        f"{name}_mean_difference_error": float(np.std(a - b) / np.sqrt(len(a))),
    }


def moved_starts(env):
    """Return an environment whose initial positions are 1e-12 larger."""
    physics = env.constants.physics
    physics = physics._replace(init_qpos=physics.init_qpos + MOVED_BY)
    return env._replace(constants=env.constants._replace(physics=physics))


def returns_of(model, env):
    """Return the returns of the model's policy, (N_EPISODES,)."""
    from fastars.samplers import make_sampler

    sampler = make_sampler(env, model.policy.structure, clip_actions=model.config.clip_actions, n_threads=THREADS)
    seeds = np.arange(SEED, SEED + N_EPISODES, dtype=np.uint64)
    return sampler.evaluate(model.theta[None], model.policy.filter, seeds, False).returns


if __name__ == "__main__":
    take_two_cpus()
    main()
