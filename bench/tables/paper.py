"""Tables of the paper's study, made from the files of its rows. A row that was not run is there, and says so."""

import math
from statistics import mean, median
from typing import Any

from bench.formatting import rate, seconds, whole
from bench.paper.rows import MOST_STEPS, NEWEST, PAPER_BEST, Row, all_rows
from bench.paper.runs import N_EPISODES
from bench.paper.store import Store
from bench.paper.summary import best_until, cpu_hours, median_to_threshold, of_paper, of_random, reached, to_threshold
from bench.tables.engine import Column, Page, Table, render

NOT_RUN = "not run yet"
_MANY = 103  # seeds of a whole row
Line = dict[str, Any]


def lines(store: Store) -> list[Line]:
    """Return what there is of each row of the study."""
    kept = [(row, store.read(row)) for row in all_rows()]
    return [{"row": row, "kept": each, "three": of_paper(each), "random": of_random(each)} for row, each in kept]


def _name(line: Line) -> str:
    row: Row = line["row"]
    return f"{row.env_id}, {row.variant}"


def _papers(line: Line) -> str:
    episodes = line["row"].paper_episodes
    return "" if episodes is None else whole(episodes)


def _three_seeds(line: Line) -> str:
    three = line["three"]
    if len(three) < 3:
        return NOT_RUN
    if reached(three) < 3:
        return f"{reached(three)} of 3 reach it"
    return whole(mean(to_threshold(three, "episodes")))


def _share(line: Line) -> str:
    n_seeds = len(line["random"])
    return f"{reached(line['random'])} of {n_seeds}" if n_seeds else NOT_RUN


def _median(what: str) -> Any:
    def cell(line: Line) -> str:
        middle = median_to_threshold(line["random"], what)
        return "" if math.isnan(middle) else "never" if math.isinf(middle) else whole(middle)

    return cell


def _seconds_of_a_seed(line: Line) -> str:
    done = line["three"] + line["random"]
    return seconds(median(each["train_s"] for each in done)) if done else ""


TABLE_1: Page = (
    Table(
        (
            Column("row", _name),
            Column("threshold", lambda line: whole(line["row"].threshold)),
            Column("the paper: episodes, mean of 3 seeds", _papers),
            Column("here: the same 3 seeds", _three_seeds),
            Column("random seeds that reach it", _share),
            Column("their median episodes", _median("episodes")),
            Column("their median steps", _median("steps")),
            Column("training of a seed, median CPU time", _seconds_of_a_seed),
        )
    ),
)


def _best(line: Line, results: str) -> list[float]:
    return [best_until(line["kept"], result, 1_000_000) for result in line[results]]


def _is_in_table_2(row: Row) -> bool:
    variants = ("V1", "V2") if row.task == "Swimmer" else ("V2-t",)
    return row.task in PAPER_BEST and row.version == NEWEST and row.variant in variants


TABLE_2: Page = (
    Table(
        (
            Column("best evaluation in the first million steps", _name),
            Column("the paper", lambda line: whole(PAPER_BEST[line["row"].task])),
            Column("here: mean of the same 3 seeds", lambda line: whole(mean(_best(line, "three"))) if line["three"] else NOT_RUN),
            Column("median of random seeds", lambda line: whole(median(_best(line, "random"))) if line["random"] else NOT_RUN),
        ),
        lines=lambda rows: [line for line in rows if _is_in_table_2(line["row"])],
    ),
)


def _failed(line: Line) -> list[dict[str, Any]]:
    return [result for result in line["three"] + line["random"] if result["crossed"] is None]


def _bests_of_failed(line: Line) -> str:
    bests = [result["best"] for result in _failed(line) if result["best"] is not None]
    return f"{min(bests):,.0f}, {median(bests):,.0f}, {max(bests):,.0f}" if bests else ""


def _failed_of_the_paper(line: Line) -> str:
    return ", ".join(str(result["seed"]) for result in line["three"] if result["crossed"] is None)


FAILED: Page = (
    Table(
        (
            Column("row", _name),
            Column("seeds run", lambda line: str(len(line["three"] + line["random"]))),
            Column("failed", lambda line: str(len(_failed(line)))),
            Column("their best evaluations: least, median, largest", _bests_of_failed),
            Column("of the paper's seeds", _failed_of_the_paper),
        ),
        lines=lambda rows: [line for line in rows if line["three"] + line["random"]],
    ),
)

SETTINGS: Page = (
    Table(
        (
            Column("row", _name),
            *(
                Column(heading, lambda line, name=name: f"{line['row'].settings[name]:g}")
                for heading, name in (
                    ("alpha", "learning_rate"),
                    ("nu", "delta_std"),
                    ("N", "n_delta"),
                    ("b", "n_top"),
                )
            ),
            Column("shift", lambda line: f"{0.0 - line['row'].settings.get('alive_bonus_offset', 0.0):g}"),
            Column("filter", lambda line: "yes" if line["row"].settings.get("normalize_observations") else "no"),
            Column("physics of training", lambda line: line["row"].settings["physics"]),
            Column("budget, episodes", lambda line: whole(line["row"].budget)),
            Column("evaluations", lambda line: str(len(line["row"].grid))),
        )
    ),
)


def _most_hours(line: Line) -> float:
    """Return the hours of a seed whose training episodes, and evaluations, all have 1,000 steps."""
    row: Row = line["of"]
    return MOST_STEPS * (row.budget / line["train"] + len(row.grid) * N_EPISODES / line["evaluate"]) / 3_600


def _with_results(rows: list[dict[str, Any]]) -> list[Line]:
    store, by_name = Store(), {row.name: row for row in all_rows()}
    return [{**each, "of": by_name[each["row"]], "done": store.read(by_name[each["row"]])["seeds"]} for each in rows]


def _time(hours: float) -> str:
    value, unit = (3_600 * hours, "s") if hours < 0.025 else (60 * hours, "min") if hours < 1.5 else (hours, "h")
    return f"{value:.1f} {unit}" if value < 9.95 else f"{value:.0f} {unit}"


def _measured_hours(line: Line) -> str:
    done = line["done"]
    return _time(cpu_hours(done) / len(done)) if done else NOT_RUN


RATES: Page = (
    Table(
        (
            Column("row, on one thread", lambda line: line["row"].replace("_", ", ")),
            Column("training, env steps/s", "train", rate),
            Column("evaluation in `mj_step`", "evaluate", rate),
            Column("a seed, at most", _most_hours, _time),
            Column("103 seeds, at most", lambda line: _time(_MANY * _most_hours(line))),
            Column("a seed, as measured", _measured_hours),
        ),
        lines=_with_results,
    ),
)

PAGES: dict[str, Page] = {"paper-rates": RATES}


def tables(store: Store | None = None) -> dict[str, str]:
    """Return the tables of the study that are made from the files of all its rows, by the names of their marks."""
    found = lines(store or Store())
    pages = {"paper-table-1": TABLE_1, "paper-table-2": TABLE_2, "paper-failed": FAILED, "paper-settings": SETTINGS}
    return {name: render(page, found) or "No row was run yet." for name, page in pages.items()} | {
        "paper-machines": machines([line["kept"] for line in found], ("numba", "mujoco"))
    }


def machines(kept: list[dict[str, Any]], packages: tuple[str, ...]) -> str:
    """Return a sentence on the machines of the seeds of some files, and on the versions of packages."""
    used: dict[str, list[str]] = {}
    for each in kept:
        for machine in each["machines"]:
            versions = ", ".join(f"{name} {machine['versions'][name]}" for name in packages)
            used.setdefault(f"{machine['cpu']}, Python {machine['python']}, {versions}", []).append(machine["date"])
    return (
        "; ".join(f"{where}: {min(dates)} to {max(dates)}" for where, dates in used.items()) + "."
        if used
        else "No row was run yet."
    )
