"""The results of runs: learning curves, evaluations, tasks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from fastars.cli.page.charts import chart, charts, explanation, spread
from fastars.cli.page.elements import Html, element, folded, table
from fastars.cli.page.facts import Evaluations, Facts
from fastars.cli.page.groups import Group, curve_of
from fastars.cli.page.numbers import counted, figure, interval, whole
from fastars.plot import score_interval

_METRICS = (
    ("eval", "Evaluations", "The policy itself, in episodes of their own."),
    ("train", "Training episodes", "Perturbed policies, as the log has them."),
)
_MAX_EVALUATIONS = 40  # rows of a table
_MAX_TASKS = 6  # with a figure
_N_RESAMPLES = 2000  # of one evaluation: a table has many
_FLATTERED = (
    "The best policy was chosen by these numbers, which flatters it: `fastars eval` runs fresh episodes. "
    "All evaluations of a run begin in the same states."
)


def curves_content(groups: Sequence[Group]) -> Iterator[Html]:
    """Yield the figures: for each environment and metric, a curve for each group."""
    ids = list(dict.fromkeys(group.env_id for group in groups))
    for env_id in ids:
        alike, shown = [group for group in groups if group.env_id == env_id], 0
        for metric, title, note in _METRICS:
            curves = [curve for group in alike if (curve := curve_of(group, metric)) is not None]
            if curves:
                shown += 1
                of = f"{title} in {env_id}" if len(ids) > 1 else title
                solved = curves[0].solved_at if metric == "eval" else None  # perturbed policies say nothing about it
                yield chart(of, curves, note=f"{note} {explanation(curves)}".strip(), solved=solved)
        if not shown:
            yield element("p", f"No curve of {env_id}: no run has two evaluations or two rows of a log.")
        yield from _task_figures(alike)


def _task_figures(groups: Sequence[Group]) -> Iterator[Html]:
    """Yield the figures of the tasks of a vector reward: the return of each, and the weights of a single run."""
    last = groups[0].members[0].last
    names = list(last.tasks) if last is not None else []
    figures = []
    for name in names[:_MAX_TASKS]:
        found = [curve for group in groups if (curve := curve_of(group, f"tasks/{name}/return")) is not None]
        if found:
            figures.append(chart(f"Task {name}, training", found))
    if (small := charts(figures)) is not None:
        yield small
    if len(names) > _MAX_TASKS:
        yield element("p", f"{len(names) - _MAX_TASKS} more tasks have no figure: {', '.join(names[_MAX_TASKS:])}.")
    if len(groups) == len(groups[0].members) == 1 and groups[0].members[0].config["settings"].get("weighting") != "fixed":
        weights = [(name, curve_of(groups[0], f"tasks/{name}/weight")) for name in names[:_MAX_TASKS]]
        curves = [curve._replace(label=name) for name, curve in weights if curve is not None]
        if curves:
            yield chart("Weights of the tasks", curves, name="weight")


def evaluations_content(groups: Sequence[Group]) -> Iterator[Html]:
    """Yield the tables of evaluations: of one run all of them, of several runs a comparison first."""
    runs = [facts for group in groups for facts in group.members]
    if len(runs) == 1:
        yield from _single(runs[0])
        return
    yield _comparison(groups)
    yield _each_run(runs)
    yield element("p", *_with_code(_FLATTERED))
    for facts in runs:
        if facts.evaluations is not None:
            yield folded(f"All evaluations of {facts.folder}", _evaluations_table(facts, facts.evaluations))


def _single(facts: Facts) -> Iterator[Html]:
    if facts.evaluations is None:
        yield element("p", "This run has no evaluations: it was stopped before the first one.")
        return
    yield _evaluations_table(facts, facts.evaluations)
    yield element("p", *_with_code(_FLATTERED))
    last = facts.last
    if last is not None and last.tasks:
        rows = [(name, f"{weight:.3g}") for name, weight in last.tasks.items()]
        yield table("Weights of the tasks at the end", ("task", "weight>"), rows)


def _evaluations_table(facts: Facts, evaluations: Evaluations) -> Html:
    """Return a row for each evaluation, the one of the best policy marked; of many, evenly spread ones."""
    n, n_episodes = evaluations.returns.shape
    best, chosen = facts.best_index, set(spread(n, _MAX_EVALUATIONS))
    if best is not None:
        chosen.add(best)
    rows, marked = [], []
    for row, i in enumerate(sorted(chosen)):
        returns = evaluations.returns[i][np.isfinite(evaluations.returns[i])]
        length = "-" if evaluations.lengths is None else figure(float(evaluations.lengths[i].mean()))
        steps = whole(evaluations.steps[i])
        if i == best:
            marked.append(row)
            steps = f"{steps} best"
        if len(returns) == 0:
            rows.append((steps, "no number", "-", "-", length))
            continue
        score = score_interval(returns, average="mean", n_resamples=_N_RESAMPLES)
        rows.append((steps, figure(score.center), interval(score.low, score.high), figure(float(returns.std())), length))
    left_out = "" if len(chosen) == n else f", {len(chosen)} of {n:,} rows"
    caption = f"{counted(n_episodes, 'episode')} for each row; 95 % bootstrap intervals of the mean{left_out}"
    if failed := int((~np.isfinite(evaluations.returns)).sum()):
        caption += f"; {counted(failed, 'return')} that {'is' if failed == 1 else 'are'} no number left out"
    return table(caption, ("after steps>", "mean>", "interval>", "std>", "length>"), rows, marked)


def _comparison(groups: Sequence[Group]) -> Html:
    """Return a row for each group: averages over its seeds."""
    is_one_env, rows = len({group.env_id for group in groups}) == 1, []
    for group in groups:
        last, ends = _average([last_return(facts) for facts in group.members])
        best, _ = _average([best_return(facts) for facts in group.members])
        name = group.label if is_one_env else group.full_name
        rows.append((name, str(len(group.members)), last, ends, best))
    caption = "Interquartile means over seeds (means, if there are less than four), and their 95 % bootstrap intervals"
    return table(caption, ("setting", "runs>", "last mean>", "interval>", "best mean>"), rows)


def _average(returns: Sequence[float | None]) -> tuple[str, str]:
    """Return the average of the returns that there are, and its interval, as texts."""
    found = [value for value in returns if value is not None and np.isfinite(value)]
    if not found:
        return "-", "-"
    score = score_interval(found)
    return figure(score.center), interval(score.low, score.high) if len(found) > 1 else "-"


def _each_run(runs: Sequence[Facts]) -> Html:
    rows = []
    for facts in runs:
        last, best = last_return(facts), best_return(facts)
        state = "" if facts.is_finished else " (stopped)"
        rows.append((str(facts.folder), facts.seed, f"{whole(facts.steps)}{state}", *(_figure(value) for value in (last, best))))
    return table("Each run", ("run", "seed>", "steps>", "last mean>", "best mean>"), rows)


def _figure(value: float | None) -> str:
    return "-" if value is None else figure(value)


def last_return(facts: Facts) -> float | None:
    """Return the mean return of the last evaluation, NaN if it has no finite one; None if there is no evaluation."""
    return None if facts.evaluations is None else float(facts.evaluations.means[-1])


def best_return(facts: Facts) -> float | None:
    """Return the mean return of the best evaluation; None if there is none."""
    if facts.evaluations is None or not np.isfinite(facts.evaluations.means).any():
        return None
    return float(np.nanmax(facts.evaluations.means))


def _with_code(text: str) -> list[object]:
    """Return a sentence whose words in backticks are code."""
    return [element("code", part) if i % 2 else part for i, part in enumerate(text.split("`"))]
