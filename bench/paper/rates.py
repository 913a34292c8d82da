"""Environment steps per second of each row on one thread, from which its hours are estimated: `python -m bench.paper --rates`.

Training is measured from the start of a run, evaluation with its first policy.
"""

import time
from pathlib import Path

from bench.experiments import write
from bench.machine import machine_info
from bench.paper.rows import Row, all_rows
from fastars import ARS

RATES = Path(__file__).parents[1] / "results" / "paper_rates.json"
TRAIN_S, N_EPISODES = 0.5, 3


def measure() -> None:
    """Measure all rows, and write their rates."""
    write(RATES, [rates(row) for row in all_rows()], machine_info() | {"threads": 1})


def rates(row: Row) -> dict[str, float | str]:
    """Measure one row, in CPU time."""
    model = ARS("LinearPolicy", row.env_id, seed=237, n_threads=1, diagnostics=False, **row.settings)
    model.learn(1)  # compiles
    model.evaluate(1)
    steps, start, seconds = model.num_timesteps, time.process_time(), 0.0
    while seconds < TRAIN_S:
        model.learn(1, reset_num_timesteps=False, log_interval=None)
        seconds = time.process_time() - start
    train = (model.num_timesteps - steps) / seconds
    start = time.process_time()
    lengths = model.evaluate(N_EPISODES).lengths
    evaluate = int(lengths.sum()) / (time.process_time() - start)
    return {"row": row.name, "train": train, "evaluate": evaluate}
