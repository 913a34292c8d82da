"""One seed of a row: train and evaluate until the threshold is reached, or the budget is used.

Evaluations are over lanes, as training is: in `mj_step` they would take most of the time. A threshold counts if it is reached in
`mj_step` as well.

A seed takes seconds or minutes, and is run as a whole: after a kill it starts anew. Times are CPU times of the process.
"""

import time
from typing import Any

import numpy as np

from bench.better.algorithm import Plain
from bench.better.ideas import IDEAS
from bench.better.rows import Row
from bench.paper.crossing import crossing

N_EPISODES, N_EPISODES_OF_PENDULUM, N_CONFIRMING = 16, 100, 50  # two vectors of lanes; Pendulum's returns differ by hundreds
FIRST_EVALUATION_SEED, SEEDS_OF_ONE = 1 << 32, 1_000  # training has seeds below 2**32


def run_seed(row: Row, seed: int) -> dict[str, Any]:
    """Return the result of a seed.

    Returns
    -------
    dict
        `seed`; `crossed`: iteration, steps, episodes and the mean of 50 fresh episodes at the first evaluation at the threshold, or
        None; `best`: the highest mean of an evaluation; `steps` and `means` of all evaluations; CPU seconds.
    """
    start, curve, confirmed = time.process_time(), [], {}
    search = IDEAS[row.idea](row.env_id, row.settings, seed, row.budget)
    crossed = None
    for number, steps in enumerate(row.grid):
        if search.steps >= steps:  # an iteration may reach several
            continue
        while search.steps < steps:
            search.iterate()
        evaluate(row, search, number, curve, confirmed)
        if (crossed := crossing(curve, confirmed, row.threshold)) is not None:
            crossed = {"iteration": search.iteration, "steps": search.steps, "episodes": search.episodes, "mean": crossed["mean"]}
            break
    return {
        "seed": seed,
        "crossed": crossed,
        "best": round(max(mean for _, _, mean in curve), 1),
        "cpu_s": round(time.process_time() - start, 1),
        "steps": [steps for _, steps, _ in curve],
        "means": [round(mean, 1) for _, _, mean in curve],
    }


def evaluate(row: Row, search: Plain, number: int, curve: list[tuple[int, int, float]], confirmed: dict[int, float]) -> None:
    """Evaluate the policy, where training runs; if it reaches the threshold, once more, on other episodes in MuJoCo's `mj_step`."""
    first, n_episodes = (
        FIRST_EVALUATION_SEED + SEEDS_OF_ONE * number,
        N_EPISODES_OF_PENDULUM if row.task == "Pendulum" else N_EPISODES,
    )
    mean = float(search.evaluate(np.arange(first, first + n_episodes, dtype=np.uint64)).mean())
    if mean >= row.threshold:
        confirmed[search.iteration] = float(search.model.evaluate(N_CONFIRMING, seed=first + n_episodes).returns.mean())
    curve.append((search.iteration, search.steps, mean))
