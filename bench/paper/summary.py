"""Figures of a row from its result file."""

import math
from collections.abc import Iterable
from statistics import median
from typing import Any

from bench.paper.seeds import PAPER_SEEDS, RANDOM_SEEDS

Kept = dict[str, Any]  # what a result file has


def results_of(kept: Kept, seeds: Iterable[int]) -> list[dict[str, Any]]:
    """Return the results of those of some seeds that are done, in the order of the seeds."""
    by_seed = {result["seed"]: result for result in kept["seeds"]}
    return [by_seed[seed] for seed in seeds if seed in by_seed]


def reached(results: list[dict[str, Any]]) -> int:
    """Return the number of seeds that reach the threshold."""
    return sum(result["crossed"] is not None for result in results)


def to_threshold(results: list[dict[str, Any]], what: str) -> list[float]:
    """Return the episodes (or steps) to the threshold; a seed that does not get there counts as infinite."""
    return [math.inf if result["crossed"] is None else result["crossed"][what] for result in results]


def median_to_threshold(results: list[dict[str, Any]], what: str) -> float:
    """Return the median over seeds, infinite if half of them don't get there."""
    return median(to_threshold(results, what)) if results else math.nan


def best_until(kept: Kept, result: dict[str, Any], steps: int) -> float:
    """Return the highest mean of an evaluation in the first steps of a run."""
    pairs = zip(result["means"], result["ksteps"], strict=True)
    return max((mean for mean, ksteps in pairs if 1_000 * ksteps <= steps and mean is not None), default=math.nan)


def cpu_hours(results: list[dict[str, Any]]) -> float:
    """Return the CPU time of some seeds, with their evaluations."""
    return sum(result["train_s"] + result["evaluate_s"] for result in results) / 3_600


def state(kept: Kept, wanted: tuple[int, ...]) -> str:
    """Return a line on what is done of a row."""
    done = results_of(kept, wanted)
    line = f"{kept['env']} {kept['variant']}: {len(done)} of {len(wanted)} seeds, {reached(done)} reach {kept['threshold']:g}"
    if not done:
        return line
    left = cpu_hours(done) / len(done) * (len(wanted) - len(done))
    return f"{line}; {cpu_hours(done):.2f} CPU hours, {left:.1f} to go"


def of_paper(kept: Kept) -> list[dict[str, Any]]:
    """Return the results of the paper's three seeds."""
    return results_of(kept, PAPER_SEEDS)


def of_random(kept: Kept) -> list[dict[str, Any]]:
    """Return the results of the random seeds."""
    return results_of(kept, RANDOM_SEEDS)
