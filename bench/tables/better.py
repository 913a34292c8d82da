"""Tables of the study of ideas, made from the files of its rows. A row that was not run is there, and says so."""

import math
from typing import Any

import numpy as np

from bench.better.rows import (
    CONFIRMED,
    CONTROLS,
    FRESH_SEEDS,
    OTHER_SEEDS,
    PAPERS,
    SEARCH_SEEDS,
    SEARCHED,
    SEEDS,
    TASKS,
    VARIANTS,
    Row,
)
from bench.better.summary import FOLDER, chosen, median, ratio, results_of
from bench.formatting import whole
from bench.paper.store import Store
from bench.paper.summary import reached, to_threshold
from bench.tables.engine import Column, Page, Table, render

NOT_RUN = "not yet"
Line = dict[str, Any]
Results = list[dict[str, Any]]


def lines(store: Store) -> list[Line]:
    """Return a line for each idea and control, with the results of each task."""
    read = {(task, variant): results_of(store.read(Row(task, variant)), SEEDS) for task in TASKS for variant in VARIANTS}
    return [{"variant": variant, **{task: read[task, variant] for task in TASKS}} for variant in VARIANTS]


def steps(results: Results) -> str:
    """Return the median steps of some results."""
    middle = float(median(np.array(to_threshold(results, "steps"), dtype=float)))
    return "never" if math.isinf(middle) else whole(middle)


def share(results: Results) -> str:
    """Return how many seeds reach the threshold."""
    return f"{reached(results)} of {len(results)}" if results else NOT_RUN


def compared(results: Results, plain: Results) -> str:
    """Return the ratio of medians with its band."""
    if not results or not plain:
        return NOT_RUN
    middle, *band = ratio(results, plain)
    if math.isinf(middle):
        return "never"
    low, high = ("never" if math.isinf(end) else f"{end:.2f}" for end in band)
    return f"{middle:.2f} ({low} to {high})"


def _variant(line: Line) -> str:
    """Return a variant as code: a page would take two of its `*` for emphasis."""
    return f"`{line['variant']}`"


def _ratio(task: str) -> Column:
    return Column(task, lambda line: compared(line[task], line["plain"][task]) + _count(line[task]))


def _count(results: Results) -> str:
    return "" if len(results) == len(SEEDS) or not results else f", {len(results)} seeds so far"


RATIOS: Page = (
    Table(
        (Column("steps to the threshold, divided by plain ARS's", _variant), *(_ratio(task) for task in TASKS)),
        lines=lambda found: [line | {"plain": found[0]} for line in found[1:]],
    ),
)


def _failed(results: Results) -> str:
    if not results:
        return NOT_RUN
    places = [str(SEEDS.index(result["seed"]) + 1) for result in results if result["crossed"] is None]
    return "none" if not places else f"all {len(places)}" if len(places) == len(results) else ", ".join(places)


FAILED: Page = (
    Table(
        (
            Column("seeds that fail, by their places in the rule", _variant),
            *(Column(task, lambda line, task=task: _failed(line[task])) for task in TASKS),
        )
    ),
)


def confirmed_lines(store: Store) -> list[Line]:
    """Return a line for each row that ran with the other seeds."""
    found = []
    for task, variants in CONFIRMED.items():
        plain, *others = (results_of(store.read(Row(task, variant)), OTHER_SEEDS) for variant in ("plain", *variants))
        pairs = zip(variants, others, strict=True)
        found += [{"task": task, "variant": variant, "results": each, "plain": plain} for variant, each in pairs]
    return found


CONFIRMING: Page = (
    Table(
        (
            Column("with the other 20 seeds", lambda line: f"{line['task']}, {_variant(line)}"),
            Column("steps, divided by plain ARS's", lambda line: compared(line["results"], line["plain"])),
            Column("seeds that reach it", lambda line: share(line["results"])),
        )
    ),
)

_SYMBOLS = (("alpha", "learning_rate"), ("nu", "delta_std"), ("N", "n_delta"), ("b", "n_top"))
PLAIN: Page = (
    Table(
        (
            Column("plain ARS", "task"),
            *(Column(symbol, lambda line, name=name: f"{line['of'].settings[name]:g}") for symbol, name in _SYMBOLS),
            Column("shift", lambda line: f"{0.0 - line['of'].settings['alive_bonus_offset']:g}"),
            Column("filter", lambda line: "yes" if line["of"].settings["normalize_observations"] else "no"),
            Column("threshold", lambda line: whole(line["of"].threshold)),
            Column("budget, steps", lambda line: whole(line["of"].budget)),
            Column("seeds that reach it", lambda line: share(line["results"])),
            Column("median steps", lambda line: steps(line["results"]) if line["results"] else NOT_RUN),
        ),
        lines=lambda found: [{"task": task, "of": Row(task, "plain"), "results": found[0][task]} for task in TASKS],
    ),
)


def chosen_lines(store: Store) -> list[Line]:
    """Return lines of the paper's settings, the preset "tuned" and the chosen ones, on seeds that the choice did not see."""
    found = []
    for task in SEARCHED:
        kinds = {PAPERS[task]: "the paper's V2-t"} if task in PAPERS else {}
        kinds.setdefault("plain", "`tuned`")
        if (best := chosen(store, task)) is not None:
            kinds[best] = f"{kinds[best]}, chosen" if best in kinds else "chosen"
        rows = {Row(task, variant): kind for variant, kind in kinds.items()}
        found += [{"task": task, "kind": rows[row], "of": row, "results": results_of(store.read(row), FRESH_SEEDS)} for row in rows]
    return found


PRESETS: Page = (
    Table(
        (
            Column("task", "task"),
            Column("settings", "kind"),
            *(Column(symbol, lambda line, name=name: f"{line['of'].settings[name]:g}") for symbol, name in _SYMBOLS),
            Column("filter", lambda line: "yes" if line["of"].settings["normalize_observations"] else "no"),
            Column("seeds that reach it", lambda line: share(line["results"])),
            Column("median steps", lambda line: steps(line["results"]) if line["results"] else NOT_RUN),
        )
    ),
)


def searched_lines(store: Store) -> list[Line]:
    """Return a line for each of the settings that were tried, on the seeds of the search."""
    rows = [Row(task, variant) for task, variants in SEARCHED.items() for variant in variants]
    return [{"of": row, "results": results_of(store.read(row), SEARCH_SEEDS)} for row in rows]


SEARCH: Page = (
    Table(
        (
            Column("tried", lambda line: f"{line['of'].task}, `{line['of'].variant}`"),
            Column("seeds that reach it", lambda line: share(line["results"])),
            Column("median steps", lambda line: steps(line["results"]) if line["results"] else NOT_RUN),
        )
    ),
)


def tables(store: Store | None = None) -> dict[str, str]:
    """Return the tables by the names of their marks."""
    store = store or Store(FOLDER)
    found = lines(store)
    ideas = [line for line in found if line["variant"] not in CONTROLS]
    controls = [found[0], *(line for line in found if line["variant"] in CONTROLS)]
    return {
        "better-plain": render(PLAIN, found),
        "better-ideas": render(RATIOS, ideas),
        "better-controls": render(RATIOS, controls),
        "better-confirmed": render(CONFIRMING, confirmed_lines(store)),
        "better-failed": render(FAILED, found),
        "better-presets": render(PRESETS, chosen_lines(store)),
        "better-search": render(SEARCH, searched_lines(store)),
    }
