"""Measure what `fastars tune` finds: `python -m bench.tuning`, about a minute on two CPUs.

Each search is the command, with a small part of the steps of `fastars train`. Then the settings of `fastars train` and the best
ones of the search train with ten seeds that the search did not use: of many trials, the best one looks better than it is. All
returns are in `results/tuning.json`, also of searches that find nothing. The picture of the first search goes into the docs.
"""

import argparse
import json
import sys
import tempfile
import time
import tomllib
from pathlib import Path

from bench.machine import THREADS, machine_info, take_two_cpus

RESULTS = Path(__file__).parent / "results" / "tuning.json"
PICTURE = Path(__file__).parents[1] / "docs" / "images" / "tuning.png"
FRESH_SEEDS = range(1000, 1010)


SEARCHES = {"Pendulum-v1": 300_000, "Acrobot-v1": 50_000, "MountainCarContinuous-v0": 100_000}  # steps of a run
N_TRIALS = 40


def main():
    argparse.ArgumentParser(description="Measure what `fastars tune` finds.").parse_args()
    rows = []
    for env_id, total_timesteps in SEARCHES.items():
        with tempfile.TemporaryDirectory() as folder:
            rows.append(measured(env_id, total_timesteps, Path(folder) / "search"))
            if len(rows) == 1:
                PICTURE.write_bytes((Path(folder) / "search" / "history.png").read_bytes())
    RESULTS.write_text(json.dumps({"table": "tuning", "machine": machine_info(), "rows": rows}, indent=1) + "\n")


def measured(env_id, total_timesteps, folder):
    """Search, and train both settings with fresh seeds."""
    from fastars.cli import main as command
    from fastars.cli.tuning.study import Study, is_failed

    start = time.perf_counter()
    args = ["tune", env_id, "--n-trials", str(N_TRIALS), "--total-timesteps", str(total_timesteps)]
    args += ["--n-threads", str(THREADS), "--run-folder", str(folder)]
    if code := command(args):
        sys.exit(code)
    seconds = time.perf_counter() - start
    study = Study(folder / "study.log", env_id)
    definition = Study.stored(folder / "study.log", env_id)
    trials = study.trials()
    ended = [trial for trial in trials if trial.state.name == "COMPLETE"]
    best = max(ended, key=lambda trial: trial.value)
    stored = tomllib.loads((folder / "best.toml").read_text(encoding="utf-8"))
    return {
        "env": env_id,
        "n_trials": len(trials),
        "n_stopped": sum(trial.state.name == "PRUNED" for trial in trials),
        "n_failed": sum(map(is_failed, trials)),
        "seconds": seconds,
        "definition": definition,
        "best_settings": best.params,
        "searched": {"default": ended[0].user_attrs["returns"], "best": best.user_attrs["returns"]},
        "fresh": {
            "default": [value(env_id, definition, {"preset": "tuned"}, seed) for seed in FRESH_SEEDS],
            "best": [value(env_id, definition, arguments(stored), seed) for seed in FRESH_SEEDS],
        },
    }


def arguments(stored):
    """Return the arguments of `ARS` in a best.toml."""
    from fastars.training.config import Config

    found = Config.from_dict(stored["settings"]).arguments()
    del found["seed"]
    return {**found, "preset": stored["run"]["preset"]}


def value(env_id, definition, settings, seed):
    """Return the return of the best policy of a run, as the search takes it."""
    from fastars import ARS
    from fastars.cli.tuning.definition import Definition
    from fastars.cli.tuning.trial import SeedRun

    searched = Definition(**definition)
    model = ARS(env=env_id, seed=seed, n_threads=THREADS, **{"policy": "LinearPolicy", **settings})
    run = SeedRun(model, searched.plan, searched.objective)
    run.train_to(searched.total_timesteps)
    found = run.final_value()
    print(f"seed {seed}: {found:.2f}", file=sys.stderr, flush=True)
    return found


if __name__ == "__main__":
    take_two_cpus()
    main()
