"""Medians of the steps to the threshold, and how far they can be trusted."""

import math
from typing import Any

import numpy as np

from bench.better.rows import SEARCH_SEEDS, SEARCHED, Row
from bench.paper.store import RESULTS, Store
from bench.paper.summary import reached, results_of, to_threshold

__all__ = ["FOLDER", "chosen", "figures", "median", "ratio", "results_of"]

FOLDER = RESULTS.parent / "better"
N_DRAWS, BAND = 10_000, (5.0, 95.0)  # bootstrap samples, and their percentiles


def median(steps: np.ndarray) -> np.ndarray:
    """Return the lower median over the last axis: infinite if more than half of the seeds fail.

    A mean of two middle values would be infinite as soon as one of them is.
    """
    ordered = np.sort(steps, axis=-1)
    return ordered[..., (ordered.shape[-1] - 1) // 2]


def ratio(changed: list[dict[str, Any]], plain: list[dict[str, Any]]) -> tuple[float, float, float]:
    """Return the ratio of the medians on the seeds that both have, and a bootstrap band of 90 % over pairs of a seed.

    An infinite median divided by a finite one is infinite; NaN stands for infinite by infinite.
    """
    by_seed = {result["seed"]: result for result in plain}
    pairs = [(result, by_seed[result["seed"]]) for result in changed if result["seed"] in by_seed]
    if not pairs:
        return math.nan, math.nan, math.nan
    steps = np.array([to_threshold(list(pair), "steps") for pair in pairs], dtype=float)
    draws = np.random.Generator(np.random.PCG64(0)).integers(0, len(steps), (N_DRAWS, len(steps)))
    found = _divided(median(steps[draws, 0]), median(steps[draws, 1]))
    low, high = np.quantile(np.where(np.isnan(found), 1.0, found), np.array(BAND) / 100.0, method="closest_observation")
    return float(_divided(median(steps[:, 0]), median(steps[:, 1]))), float(low), float(high)


def _divided(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        return one / other


def chosen(store: Store, task: str) -> str | None:
    """Return the settings of `SEARCHED` that most seeds of the search reach the threshold with; among these, the fastest.

    None while a row of the search is not whole.
    """
    found = {variant: results_of(store.read(Row(task, variant)), SEARCH_SEEDS) for variant in SEARCHED[task]}
    if any(len(results) < len(SEARCH_SEEDS) for results in found.values()):
        return None
    steps = {variant: np.array(to_threshold(results, "steps"), dtype=float) for variant, results in found.items()}
    return min(found, key=lambda variant: (-reached(found[variant]), float(median(steps[variant]))))


def figures(results: list[dict[str, Any]]) -> str:
    """Return a few words on a row."""
    seconds = sum(result["cpu_s"] for result in results) / len(results)
    middle = median(np.array(to_threshold(results, "steps"), dtype=float))
    return f"{reached(results)} reach it, median {middle:,.0f} steps; {seconds:.1f} s a seed"
