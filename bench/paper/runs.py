"""One seed of a row: train, evaluate in MuJoCo on a fixed grid of iterations, and stop and go on anywhere.

Times are CPU times of the process, of one thread: they also mean something if the run shares its CPU, or is stopped for a while.
"""

import contextlib
import json
import math
import time
import warnings
from pathlib import Path
from typing import Any

from bench.paper.crossing import crossing
from bench.paper.rows import EVERY, Row
from fastars import ARS, NonFiniteReturnsError
from fastars.files.atomic import write_atomically

N_EPISODES, N_CONFIRMING = 20, 100
# Training draws the seeds of its episodes below 2**32. From there on, each evaluation has 1,000 of its own.
FIRST_EVALUATION_SEED, SEEDS_OF_ONE = 1 << 32, 1_000
CHECKPOINT_S = 60.0  # CPU seconds of training that a kill may cost


def run_seed(row: Row, seed: int, folder: Path, checkpoint_s: float = CHECKPOINT_S) -> dict[str, Any]:
    """Return the result of a seed. It goes on with what an earlier process left in `folder`; at the end, nothing is left there.

    Returns
    -------
    dict
        `seed`; `crossed`: iteration, steps, episodes and the mean of 100 fresh episodes at the first evaluation at the threshold,
        or None; `best`: the highest mean of an evaluation; `means` and `ksteps` (thousands of environment steps) at each iteration
        of the grid, None for a mean of unstable episodes; CPU seconds of training and of evaluations; `error`, if the returns of
        training stopped being finite.
    """
    model, found = _resume(row, seed, folder) or (_new_model(row, seed), _nothing_yet())
    grid, saved_s = set(row.grid), found["train_s"]
    end = max(grid)
    while model.iteration < end and "error" not in found:
        _train(model, min(model.iteration - model.iteration % EVERY + EVERY, end), found)
        if model.iteration in grid:
            _evaluate(row, model, found)
        if found["train_s"] - saved_s >= checkpoint_s:
            _save(row, seed, folder, model, found)
            saved_s = found["train_s"]
    for path in folder.glob(f"{_stem(row, seed)}*"):
        path.unlink()
    return _result(row, seed, found)


def _nothing_yet() -> dict[str, Any]:
    return {"curve": [], "confirmed": {}, "train_s": 0.0, "evaluate_s": 0.0}


def _new_model(row: Row, seed: int) -> ARS:
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # that lanes can't be had: the row would be another one
        return ARS("LinearPolicy", row.env_id, seed=seed, n_threads=1, diagnostics=False, **row.settings)


def _train(model: ARS, until: int, found: dict[str, Any]) -> None:
    """Train up to an iteration."""
    start = time.process_time()
    try:
        while model.iteration < until:
            model.learn(1, reset_num_timesteps=False, log_interval=None)
    except NonFiniteReturnsError as error:
        found["error"] = str(error)
    found["train_s"] += time.process_time() - start


def _evaluate(row: Row, model: ARS, found: dict[str, Any]) -> None:
    """Evaluate the policy; if it reaches the threshold for the first time, once more, on 100 other episodes."""
    start, first = time.process_time(), FIRST_EVALUATION_SEED + SEEDS_OF_ONE * model.iteration
    mean = float(model.evaluate(N_EPISODES, seed=first).returns.mean())
    if mean >= row.threshold and crossing(found["curve"], found["confirmed"], row.threshold) is None:
        again = model.evaluate(N_CONFIRMING, seed=first + N_EPISODES)
        found["confirmed"][model.iteration] = float(again.returns.mean())
    found["curve"].append((model.iteration, model.num_timesteps, mean))
    found["evaluate_s"] += time.process_time() - start


def _result(row: Row, seed: int, found: dict[str, Any]) -> dict[str, Any]:
    means = [_rounded(mean, 1 if row.threshold < 1_000 else None) for _, _, mean in found["curve"]]
    crossed = crossing(found["curve"], found["confirmed"], row.threshold)
    if crossed is not None:
        crossed = crossed | {"episodes": crossed["iteration"] * row.episodes_per_iteration, "mean": round(crossed["mean"], 1)}
    result = {
        "seed": seed,
        "crossed": crossed,
        "best": max((mean for mean in means if mean is not None), default=None),
        "train_s": round(found["train_s"], 1),
        "evaluate_s": round(found["evaluate_s"], 1),
        "means": means,
        "ksteps": [round(steps / 1_000) for _, steps, _ in found["curve"]],
    }
    return result | ({"error": found["error"]} if "error" in found else {})


def _rounded(mean: float, digits: int | None) -> float | None:
    """Return a mean for the file. None: an episode had no return, because its simulation became unstable."""
    return round(mean, digits) if math.isfinite(mean) else None


# --- Checkpoints: the model in one file, and a second one, written after it, that names it


def _stem(row: Row, seed: int) -> str:
    return f"{row.name}_{seed}."


def _save(row: Row, seed: int, folder: Path, model: ARS, found: dict[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    stem = _stem(row, seed)
    name = f"{stem}{model.iteration}.zip"
    model.save(folder / name)
    content = json.dumps({"model": name, "settings": row.settings, "found": found})
    write_atomically(folder / f"{stem}json", [content.encode()])
    for path in folder.glob(f"{stem}*.zip"):
        if path.name != name:
            path.unlink()


def _resume(row: Row, seed: int, folder: Path) -> tuple[ARS, dict[str, Any]] | None:
    """Return a model and what was found with it, if there is a checkpoint of the row's present settings."""
    with contextlib.suppress(FileNotFoundError):
        kept = json.loads((folder / f"{_stem(row, seed)}json").read_text(encoding="utf-8"))
        if kept["settings"] == row.settings:
            found = kept["found"]
            found["confirmed"] = {int(iteration): mean for iteration, mean in found["confirmed"].items()}
            return ARS.load(folder / kept["model"], n_threads=1), found
    return None
