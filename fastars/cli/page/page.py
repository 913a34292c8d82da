"""The whole page: its head, the summary, and the sections."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib.resources import files
from string import Template
from typing import Any

from fastars._progress import count, duration
from fastars._version import __version__
from fastars.cli.page.elements import element, escaped, facts, joined, section
from fastars.cli.page.facts import Facts
from fastars.cli.page.films import films_content
from fastars.cli.page.groups import Group, curve_of, grouped
from fastars.cli.page.health import health_content
from fastars.cli.page.numbers import counted, figure, whole
from fastars.cli.page.repeat import repeat_content
from fastars.cli.page.results import best_return, curves_content, evaluations_content
from fastars.cli.page.settings import settings_content


def page_of(runs: Sequence[Facts], mark: str, title: str | None = None) -> str:
    """Return the page about runs.

    Parameters
    ----------
    runs : sequence of Facts
        At least one.
    mark : str
        Text by which the page is known again as one of these runs.
    title : str, optional
        Its heading. Default: environment and seeds.
    """
    groups = grouped(runs)
    runs = [facts_of_run for group in groups for facts_of_run in group.members]
    sections = (
        ("Learning curves", "curves", curves_content(groups)),
        ("Evaluations", "evaluations", evaluations_content(groups)),
        ("What was run", "settings", settings_content(groups)),
        ("Health", "health", health_content(runs)),
        ("Film", "film", films_content(runs)),
        ("How to repeat it", "repeat", repeat_content(runs)),
    )
    heading = title or _heading(groups)
    links = (element("li", element("a", name, href=f"#{ident}")) for name, ident, _ in sections)
    body = joined(
        [
            element(
                "header",
                element("h1", heading),
                facts(_summary(groups, runs)),
                element("nav", element("ul", *links), aria_label="Sections"),
            ),
            element("main", *(section(name, ident, *content) for name, ident, content in sections)),
            element("footer", element("p", f"Written by fastars {__version__} from the files of the run. It needs no other file.")),
        ],
        "\n",
    )
    template = (files(__package__) / "page.html").read_text(encoding="utf-8")
    style = (files(__package__) / "page.css").read_text(encoding="utf-8")
    return Template(template).substitute(mark=escaped(mark), title=escaped(heading), style=style, body=body)


def _heading(groups: Sequence[Group]) -> str:
    ids = list(dict.fromkeys(group.env_id for group in groups))
    n_runs = sum(len(group.members) for group in groups)
    name = ids[0] if len(ids) == 1 else f"{len(ids)} environments"
    if n_runs == 1:
        return f"{name}, seed {groups[0].members[0].seed}"
    return f"{name}, {counted(n_runs, 'run')}" + (f" of {len(groups)} settings" if len(groups) > 1 else "")


def _summary(groups: Sequence[Group], runs: Sequence[Facts]) -> Iterator[tuple[str, Any]]:
    """Yield the most important facts."""
    finished = sum(each.is_finished for each in runs)
    if len(runs) == 1:
        (run,) = runs
        yield "result", _result(run, groups[0])
        done = "finished" if run.is_finished else f"stopped, or not done yet, of {run.plan.total_timesteps:,}"
        yield "training", f"{whole(run.steps)} steps ({done}){_time(run)}"
        yield "run folder", str(run.folder)
        return
    bests = [(value, each) for each in runs if (value := best_return(each)) is not None]
    if bests and len({group.env_id for group in groups}) == 1:
        value, each = max(bests, key=lambda pair: pair[0])
        yield "best evaluation", f"{figure(value)}, in {each.folder}"
    yield "training", f"{finished} of {len(runs)} runs finished, {count(sum(each.steps for each in runs))} steps together"


def _result(run: Facts, group: Group) -> str:
    best, curve = best_return(run), curve_of(group, "eval")
    if best is None:
        return "no evaluation"
    text = f"mean return {figure(best)} in the best evaluation"
    solved = None if curve is None else curve.solved_at
    if solved is None:
        return text
    return f"{text}; {'solved' if best >= solved else 'not solved yet'}: {solved:,g} or more counts"


def _time(run: Facts) -> str:
    if run.seconds is None or not 0 < run.seconds < 1e12:
        return ""
    return f" in {duration(run.seconds)} with evaluations, {count(run.steps / run.seconds)} steps/s"
