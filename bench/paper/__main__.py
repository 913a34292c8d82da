"""Run rows of the paper's study: `python -m bench.paper [TASK VARIANT]`. Without a task: all of the plan, cheap rows first.

A run goes on where an earlier one was stopped or killed. Seeds that are done are not run again.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

from bench.paper.rows import NEWEST, OWN, PLAN, TASKS, VARIANTS, Row, all_rows
from bench.paper.seeds import PAPER_SEEDS, RANDOM_SEEDS, first_seeds
from bench.paper.store import RESULTS, Store
from bench.paper.workers import run_seeds, run_side_by_side


def main() -> int:
    args = arguments().parse_args()
    store = Store(args.results)
    if args.rates:
        from bench.paper.rates import measure

        measure()
        return 0
    work = planned(args)
    if args.state:
        from bench.paper.summary import state

        print("\n".join(state(store.read(row), first_seeds(n_random)) for row, n_random in latest(work)))
        return 0
    if args.workers > 1:
        return run_side_by_side("bench.paper", args.workers)
    return max([run(row, first_seeds(n_random), store) for row, n_random in work])


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.paper", description=__doc__)
    parser.add_argument("task", nargs="?", choices=TASKS)
    parser.add_argument("variant", nargs="?", choices=(*VARIANTS, OWN), default="V2-t")
    parser.add_argument("--version", type=int, choices=(4, NEWEST), default=NEWEST, help="of Gymnasium's environment; default 5")
    some = parser.add_mutually_exclusive_group()
    some.add_argument("--seeds", type=int, default=100, metavar="N", help="random seeds, beside the paper's three; default 100")
    some.add_argument("--paper-seeds", action="store_const", const=0, dest="seeds", help=f"only {PAPER_SEEDS}")
    parser.add_argument("--workers", type=int, default=1, help="processes, with one thread each; default 1")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the result files; default bench/results/paper")
    parser.add_argument("--state", action="store_true", help="say what is done, and run nothing")
    parser.add_argument("--rates", action="store_true", help="measure steps per second, for the table of hours (a minute)")
    return parser


def planned(args: argparse.Namespace) -> list[tuple[Row, int]]:
    """Return what the arguments ask for: rows, and their numbers of random seeds."""
    if args.task is None:
        return PLAN
    row = Row(args.task, args.variant, args.version)
    if row not in all_rows():
        raise SystemExit(f"{row.name} is no row of the study: {', '.join(each.name for each in all_rows())}")
    if not 0 <= args.seeds <= len(RANDOM_SEEDS):
        raise SystemExit(f"--seeds must be 0 to {len(RANDOM_SEEDS)}, got {args.seeds}")
    return [(row, args.seeds)]


def latest(work: list[tuple[Row, int]]) -> list[tuple[Row, int]]:
    """Return each row once, with the largest number of its seeds."""
    return list({row: (row, n_random) for row, n_random in work}.values())


def run(row: Row, seeds: tuple[int, ...], store: Store) -> int:
    """Run the seeds of a row that are not done. Return 1 after an error."""
    from bench.paper.runs import run_seed

    return run_seeds(row, seeds, store, lambda seed: run_seed(row, seed, store.unfinished), said)


def said(row: Row, result: dict[str, Any]) -> str:
    """Return the line of a seed that is done."""
    reached = f"at {result['crossed']['episodes']:,} episodes" if result["crossed"] else "never"
    return f"{row.name} {result['seed']}: {row.threshold:g} {reached}, best {result['best']}, {result['train_s']} s"


if __name__ == "__main__":
    sys.exit(main())
