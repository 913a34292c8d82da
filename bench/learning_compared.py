"""Compare learning with stable-baselines3-contrib: `python -m bench.learning_compared`, some hours of one CPU for its runs.

The published settings of rl-zoo for ARS, ten seeds each, with theirs and with fastars (`preset="sb3"`): the mean return of the
trained policy over 100 episodes of plain Gymnasium, normalised by the statistics of training, and a 95 % bootstrap interval of the
mean over seeds. A run that is in `results/learning_compared.json` is not made again.
"""

import argparse
import json
import multiprocessing
import time
from pathlib import Path

import numpy as np

from bench.machine import machine_info

RESULTS = Path(__file__).parent / "results" / "learning_compared.json"
SEEDS = range(10)
N_FINAL_EPISODES, FINAL_SEED = 100, 1_000_000
N_RESAMPLES = 10_000

_PENDULUM = {
    "policy": "MlpPolicy",
    "normalize": True,
    "learning_rate": 0.018,
    "n_delta": 4,
    "n_top": 1,
    "delta_std": 0.1,
    "policy_kwargs": {"net_arch": [16]},
    "zero_policy": False,
}
# (Environment, environment steps): settings. rl-zoo trains Pendulum for 2 million steps; ten seeds of theirs take 83 minutes of
# a CPU for them (4,025 steps per second), ours take one.
RUNS = {
    ("CartPole-v1", 50_000): {"policy": "LinearPolicy", "normalize": False, "n_delta": 2},
    ("MountainCarContinuous-v0", 500_000): {**_PENDULUM, "delta_std": 0.2},
    ("Pendulum-v1", 500_000): _PENDULUM,
    ("Pendulum-v1", 2_000_000): _PENDULUM,
}
ENVS = tuple(dict.fromkeys(env_id for env_id, _ in RUNS))


def main():
    parser = argparse.ArgumentParser(
        description="Train with theirs and with fastars; the returns go to results/learning_compared.json."
    )
    parser.add_argument("envs", nargs="*", metavar="ENV", help=f"of {', '.join(ENVS)}; default all")
    parser.add_argument("--steps", type=int, help="only the runs of so many environment steps")
    parser.add_argument("--side", choices=("fastars", "sb3-contrib"), action="append", help="default both")
    parser.add_argument("--n-processes", type=int, default=1)
    arguments = parser.parse_args()
    done = json.loads(RESULTS.read_text())["runs"] if RESULTS.exists() else []
    known = {(run["env"], run["steps"], run["side"], run["seed"]) for run in done}
    wanted = [
        (env_id, steps, side, seed)
        for env_id, steps in RUNS
        if env_id in (arguments.envs or ENVS) and arguments.steps in (None, steps)
        for seed in SEEDS
        for side in arguments.side or ("fastars", "sb3-contrib")
        if (env_id, steps, side, seed) not in known
    ]
    with multiprocessing.get_context("spawn").Pool(arguments.n_processes, maxtasksperchild=1) as pool:
        for run in pool.imap_unordered(train, wanted):
            done.append(run)
            done.sort(key=lambda run: (list(RUNS).index((run["env"], run["steps"])), run["side"], run["seed"]))
            content = {"table": "learning_compared", "machine": machine_info(), "rows": rows(done), "runs": done}
            RESULTS.write_text(json.dumps(content, indent=1) + "\n")
            print(run, flush=True)


def train(which):
    """Return the mean return of the last policy of a run."""
    env_id, steps, side, seed = which
    settings = dict(RUNS[env_id, steps])
    policy, normalize = settings.pop("policy"), settings.pop("normalize")
    start = time.perf_counter()
    trainer = _with_theirs if side == "sb3-contrib" else _with_fastars
    returns = trainer(env_id, policy, normalize, seed, steps, settings)
    mean, std = float(np.mean(returns)), float(np.std(returns))
    seconds = round(time.perf_counter() - start, 1)
    return {"env": env_id, "steps": steps, "side": side, "seed": seed, "return": mean, "std": std, "seconds": seconds}


def _with_fastars(env_id, policy, normalize, seed, steps, settings):
    from fastars import ARS, evaluate_policy

    model = ARS(policy, env_id, seed=seed, preset="sb3", normalize_observations=normalize, n_threads=1, **settings).learn(steps)
    return evaluate_policy(model, env_id, N_FINAL_EPISODES, return_episode_rewards=True, seed=FINAL_SEED)[0]


def _with_theirs(env_id, policy, normalize, seed, steps, settings):
    import torch
    from sb3_contrib import ARS
    from stable_baselines3.common.env_util import make_vec_env
    from stable_baselines3.common.vec_env import VecNormalize

    torch.set_num_threads(1)
    env = make_vec_env(env_id, seed=seed)
    if normalize:
        env = VecNormalize(env, norm_reward=False)
    model = ARS(policy, env, seed=seed, **settings).learn(steps)
    return _evaluated(model, env_id, env.normalize_obs if normalize else np.asarray)


def _evaluated(model, env_id, seen):
    """Return the returns of a model in plain Gymnasium. The function `seen` prepares each observation."""
    from fastars import evaluate_policy

    class Seeing:
        def predict(self, observation, deterministic=True):
            return model.predict(seen(observation), deterministic=deterministic)

    return evaluate_policy(Seeing(), env_id, N_FINAL_EPISODES, return_episode_rewards=True, seed=FINAL_SEED)[0]


def rows(runs):
    """Return a row for each environment, number of steps and side: mean over seeds, and its 95 % bootstrap interval."""
    found = []
    for (env_id, steps), settings in RUNS.items():
        for side in ("fastars", "sb3-contrib"):
            returns = np.array([run["return"] for run in runs if (run["env"], run["steps"], run["side"]) == (env_id, steps, side)])
            if len(returns):
                low, high = interval(returns)
                row = {"env": env_id, "side": side, "settings": settings, "steps": steps, "seeds": len(returns)}
                found.append({**row, "mean": float(returns.mean()), "low": low, "high": high, "median": float(np.median(returns))})
    return found


def interval(returns):
    """Return the 95 % interval of the mean, from percentiles of resampled means."""
    resampled = np.random.default_rng(0).choice(returns, (N_RESAMPLES, len(returns))).mean(axis=1)
    low, high = np.percentile(resampled, [2.5, 97.5])
    return float(low), float(high)


if __name__ == "__main__":
    main()
