"""The health of runs: what went wrong and is counted, and what a reader should know before believing the results."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from fastars.cli.page.elements import Html, element, facts
from fastars.cli.page.facts import Facts
from fastars.cli.page.numbers import counted, figure, whole
from fastars.training.state import Counters

_FAULTS = (
    "returns that are no number",
    "episodes with an unstable simulation",
    "failures of the environment",
    "restarts of worker processes",
    "iterations without a step",
)
_GAP = 0.1  # of the range of evaluations: a last policy that is further below the best one is worth a note


def health_content(runs: Sequence[Facts]) -> Iterator[Html]:
    """Yield how often each fault was counted in all runs, and notes about single ones."""
    counts = [_counts(each.last.counters) for each in runs if each.last is not None]
    if counts:
        yield facts((name, whole(sum(found))) for name, found in zip(_FAULTS, zip(*counts, strict=True), strict=True))
    notes = [(each, note) for each in runs for note in _notes(each, len(runs) > 1)]
    if notes:
        texts = (note if len(runs) == 1 else f"{each.folder}: {note}" for each, note in notes)
        yield element("ul", *(element("li", text) for text in texts), class_="notes")
    elif not any(map(any, counts)):
        yield element("p", "No fault, and nothing else to note.", class_="good")


def _counts(counters: Counters) -> tuple[int, ...]:
    """Return the number of each of the faults."""
    return (
        counters.dropped_pairs + counters.penalized_pairs,
        counters.unstable_episodes,
        counters.env_failures,
        counters.worker_restarts,
        counters.iteration - counters.num_updates,
    )


def _notes(each: Facts, has_others: bool) -> Iterator[str]:
    """Yield sentences about a run. Beside others, it also has its own part of the faults."""
    if has_others and each.last is not None and any(counts := _counts(each.last.counters)):
        yield f"{', '.join(f'{whole(n)} {name}' for name, n in zip(_FAULTS, counts, strict=True) if n)}."
    if each.last is None:
        yield "There is no model.zip: the run was stopped before its first state, or the file is gone."
    elif not each.is_finished:
        yield f"It was stopped after {each.steps:,} of {each.plan.total_timesteps:,} steps, or is not done yet."
    if each.evaluations is None:
        yield "It has no evaluations."
        return
    if each.best is None:
        yield "There is no best_model.zip: no evaluation had a return that is a number, or the file is gone."
    failed = int((~np.isfinite(each.evaluations.returns)).sum())
    if failed:
        yield f"{counted(failed, 'episode')} of its evaluations had no finite return."
    means = each.evaluations.means[np.isfinite(each.evaluations.means)]
    if len(means) > 1 and means.max() - means[-1] > _GAP * (means.max() - means.min()):
        yield (
            f"The last policy returned {figure(float(means[-1]))}, the best one {figure(float(means.max()))}: "
            "steps don't shrink near an optimum. Use best_model.zip."
        )
    if each.last is not None and each.last.counters.env_failures:
        yield "Failed episodes are in its folder failures, and python -m fastars.replay runs them again."
