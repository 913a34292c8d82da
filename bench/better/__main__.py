"""Run rows of the study: `python -m bench.better [TASK ["IDEA CHANGES"]]`. Without arguments: all of the plan, cheap tasks first.

Seeds that are done are not run again.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

from bench.better.rows import FRESH_SEEDS, OTHER_SEEDS, PAPERS, PLAN, SEARCH_SEEDS, SEARCHED, SEEDS, TASKS, VARIANTS, Row, row_of
from bench.better.summary import FOLDER, chosen, figures, results_of
from bench.paper.store import Store
from bench.paper.workers import run_seeds, run_side_by_side


def main() -> int:
    args = arguments().parse_intermixed_args()
    store = Store(args.results)
    seeds = {"first": SEEDS, "other": OTHER_SEEDS, "fresh": FRESH_SEEDS, "search": SEARCH_SEEDS}[args.seeds]
    rows = planned(args)
    if args.presets and args.workers == 1:
        return run_presets(store, [args.task] if args.task else list(SEARCHED))
    if args.state:
        print("\n".join(state(store, row, seeds) for row in rows))
        return 0
    if args.workers > 1:
        return run_side_by_side("bench.better", args.workers)
    return run_rows(rows, seeds, store)


def run_presets(store: Store, tasks: list[str]) -> int:
    """Run the search of presets, and then the paper's, the preset "tuned" and the chosen one on fresh seeds."""
    code = 0
    for task in tasks:
        code = max(code, run_rows([Row(task, variant) for variant in SEARCHED[task]], SEARCH_SEEDS, store))
        best = chosen(store, task)
        code = max(code, run_rows([Row(task, each) for each in (PAPERS.get(task), "plain", best) if each], FRESH_SEEDS, store))
    return code


def run_rows(rows: list[Row], seeds: tuple[int, ...], store: Store) -> int:
    """Run some seeds of rows. Return 1 after an error."""
    from bench.better.runs import run_seed

    return max([run_seeds(row, seeds, store, lambda seed, row=row: run_seed(row, seed), said) for row in rows])


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.better", description=__doc__)
    parser.add_argument("task", nargs="?", choices=TASKS)
    parser.add_argument("variants", nargs="*", metavar="variant", help="an idea, and changes: 'orthogonal alpha*2 N=16'")
    parser.add_argument(
        "--seeds",
        choices=("first", "other", "fresh", "search"),
        default="first",
        help="which 20: those of every row (default), the next ones, or those that report on presets or search them",
    )
    parser.add_argument("--presets", action="store_true", help="search settings on other seeds, and run the best ones")
    parser.add_argument("--workers", type=int, default=1, help="processes, with one thread each; default 1")
    parser.add_argument("--results", type=Path, default=FOLDER, help="folder of the result files; default bench/results/better")
    parser.add_argument("--state", action="store_true", help="say what is done, and run nothing")
    return parser


def planned(args: argparse.Namespace) -> list[Row]:
    """Return the rows that the arguments ask for."""
    if args.task is None:
        return PLAN
    return [row_of(args.task, variant) for variant in args.variants or VARIANTS]


def said(row: Row, result: dict[str, Any]) -> str:
    """Return the line of a seed that is done."""
    reached = f"at {result['crossed']['steps']:,} steps" if result["crossed"] else "never"
    return f"{row.name} {result['seed']}: {row.threshold:g} {reached}, best {result['best']}, {result['cpu_s']} s"


def state(store: Store, row: Row, seeds: tuple[int, ...]) -> str:
    """Return a line on what is done of a row."""
    done = results_of(store.read(row), seeds)
    return f"{row.name}: {len(done)} of {len(seeds)} seeds{'; ' + figures(done) if done else ''}"


if __name__ == "__main__":
    sys.exit(main())
