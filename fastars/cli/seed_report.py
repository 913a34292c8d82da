"""The results of several seeds: a table, averages over the seeds, a file and a picture."""

from __future__ import annotations

import csv
import io
import math
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from fastars.cli.errors import WrongUseError
from fastars.cli.final_evaluation import episodes_text, threshold_of
from fastars.cli.plotting import draw_runs
from fastars.cli.report import run_facts
from fastars.cli.seeds import seed_folder
from fastars.cli.table import empty_table
from fastars.cli.terminal import console, print_fact
from fastars.files.atomic import write_atomically
from fastars.plot import Score, score_interval

if TYPE_CHECKING:
    from fastars._compiled.structs import FloatArray
    from fastars.cli.training import TrainingRun

TABLE = "seeds.csv"
_POLICIES = ("last", "best")


class SeedResult(NamedTuple):
    """The result of a seed."""

    seed: int
    steps: int
    returns: Mapping[str, float]  # mean returns of the last and the best policy in the episodes of the final evaluation
    n_failed: int  # of these episodes, left out of the means


def print_seeds(parent: Path, results: Sequence[SeedResult], faults: Mapping[int, str], run: TrainingRun | None) -> None:
    """Print a row for each seed, and averages over them. `run` is the run of one of them."""
    out, table = console(), empty_table("seed>", "after steps>", "last return>", "best return>")
    for result in results:
        table.add_row(str(result.seed), f"{result.steps:,}", *(f"{result.returns[name]:.1f}" for name in _POLICIES))
    for seed in faults:
        table.add_row(str(seed), "failed", "-", "-")
    out.print(table)
    facts = dict[str, str]()
    if results and run is not None:
        scores = {name: _score(results, name) for name in _POLICIES}
        n_failed = sum(result.n_failed for result in results)
        facts |= {f"{name} policies": _score_text(results, name, score) for name, score in scores.items()}
        facts |= run_facts(run.model, scores["best"].center, threshold_of(run.model), _listed([result.seed for result in results]))
        facts["evaluation"] = episodes_text(run.model, run.plan.eval_episodes, n_failed)
    if faults:
        again, one = resume_command(parent, run), resume_command(seed_folder(parent, min(faults)), run)
        facts["failed"] = f"{_listed(sorted(faults))}. To try again: {again}; to see where it fails: {one} --traceback"
    facts |= {"picture": _draw(parent, results, faults), "table": _write_table(parent, results, faults)}
    facts["run folders"] = str(parent / "seed_*")
    if results and run is not None:
        facts["replay one"] = shlex.join(["fastars", "eval", str(seed_folder(parent, results[0].seed)), *run.env_options])
    for name, fact in facts.items():
        print_fact(out, f" {name:<13}  ", fact)


def _score(results: Sequence[SeedResult], policy: str) -> Score:
    """Return the interquartile mean over seeds of the returns of a policy; NaN if no return is finite."""
    returns = _finite_returns(results, policy)
    return score_interval(returns) if len(returns) else Score(math.nan, math.nan, math.nan)


def _finite_returns(results: Sequence[SeedResult], policy: str) -> FloatArray:
    returns = np.array([result.returns[policy] for result in results])
    return returns[np.isfinite(returns)]


def _score_text(results: Sequence[SeedResult], policy: str, score: Score) -> str:
    returns = _finite_returns(results, policy)
    interval = f", 95 % interval {score.low:.1f} to {score.high:.1f}" if len(returns) > 1 else ""
    left_out = len(results) - len(returns)
    return f"interquartile mean {score.center:.1f}{interval}" + (f"; without {left_out} that are no numbers" if left_out else "")


def _listed(seeds: Sequence[int]) -> str:
    """Return "seed 3", "seeds 0 to 9" or "seeds 0, 3, 7"."""
    if len(seeds) == 1:
        return f"seed {seeds[0]}"
    is_range = list(seeds) == list(range(seeds[0], seeds[0] + len(seeds))) and len(seeds) > 2
    return f"seeds {seeds[0]} to {seeds[-1]}" if is_range else f"seeds {', '.join(map(str, seeds))}"


def resume_command(folder: Path, run: TrainingRun | None) -> str:
    """Return the command that goes on with the runs in a folder."""
    return shlex.join(["fastars", "resume", str(folder), *([] if run is None else run.env_options)])


def _write_table(parent: Path, results: Sequence[SeedResult], faults: Mapping[int, str]) -> str:
    """Write a row for each seed. Returns the path of the file, or the reason why there is none."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["seed", "steps", "last_return", "best_return", "error"])
    for result in results:
        rows.writerow([result.seed, result.steps, *(repr(result.returns[name]) for name in _POLICIES), ""])
    for seed, fault in faults.items():
        rows.writerow([seed, "", "", "", fault])
    try:
        write_atomically(parent / TABLE, [text.getvalue().encode()], follow=False)
    except OSError as error:  # all that is in it has been printed
        return f"none: {error}"
    return str(parent / TABLE)


def _draw(parent: Path, results: Sequence[SeedResult], faults: Mapping[int, str]) -> str:
    """Draw the learning curve of the seeds that are done. Returns the path of the picture, or the reason why there is none."""
    if not results:
        return "none: no seed is done"
    try:
        return str(draw_runs([parent], without={seed_folder(parent, seed) for seed in faults}))
    except (WrongUseError, ValueError, OSError) as error:  # all that is in it has been printed
        return f"none: {error}"
