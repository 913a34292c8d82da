"""Run rows beside stable-baselines3: `python -m bench.beside [ENV [SIDE]]`. Without arguments: all of the plan, short runs first.

Each seed is a process of its own. Seeds that are done, or that another process has, are not run; one that is killed begins again.
`--alone [SIDE]` runs the lines of the plot of wall time instead, which need two CPUs with nothing else on them.
"""

import argparse
import sys
import traceback
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from bench.beside.rows import ALONE, TASKS, AloneRow, Row, all_rows, plan
from bench.beside.runs import run_alone, run_steps
from bench.machine import take_two_cpus
from bench.paper.store import Store

FOLDER = Path(__file__).parents[1] / "results"
MOST_OTHERS = 0.2  # CPUs of other processes during a run "alone"


def main() -> int:
    args = arguments().parse_args()
    take_two_cpus()
    if args.alone:
        lines = [row for row in ALONE if args.env in (None, row.side)]
        return alone(lines, range(args.seeds or 1), args.seconds, Store(args.results or FOLDER / "beside_alone"))
    store = Store(args.results or FOLDER / "beside")
    if args.state:
        print("\n".join(f"{row.name}: seeds {sorted(store.done(row))} of {row.task.n_seeds}" for row in all_rows()))
        return 0
    return run(planned(args), store)


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.beside", description=__doc__)
    parser.add_argument(
        "env", nargs="?", help=f"of {', '.join(TASKS)}; with --alone a line of {', '.join(row.side for row in ALONE)}"
    )
    parser.add_argument("side", nargs="?", help="sb3-contrib, fastars, or fastars-lanes in MuJoCo; default all")
    parser.add_argument("--seeds", type=int, metavar="N", help="seeds 0 to N - 1; default 5, or 3 of longer rows (--alone: 1)")
    parser.add_argument("--alone", action="store_true", help="curves against wall time of HalfCheetah")
    parser.add_argument("--seconds", type=float, default=40.0, help="of training, with --alone; default 40")
    parser.add_argument("--results", type=Path, help="folder of the result files; default bench/results/beside or beside_alone")
    parser.add_argument("--state", action="store_true", help="say what is done, and run nothing")
    return parser


def planned(args: argparse.Namespace) -> list[tuple[Row, int]]:
    """Return rows and seeds that the arguments ask for."""
    rows = [row for row in all_rows() if args.env in (None, row.env_id) and args.side in (None, row.side)]
    if not rows:
        raise SystemExit(f"no row of {args.env} {args.side or ''}: {', '.join(row.name for row in all_rows())}")
    if args.seeds is None:
        return [(row, seed) for row, seed in plan() if row in rows]
    return [(row, seed) for seed in range(args.seeds) for row in rows]


def run(work: list[tuple[Row, int]], store: Store) -> int:
    """Run the seeds that are not done, and that no other process has. An error ends its seed alone. Return 1 after one."""
    code = 0
    for row, seed in work:
        with store.claim(row, seed) as is_mine:
            if not is_mine:
                continue
            try:
                result = in_process(run_steps, row, seed)
            except Exception:
                code = 1
                print(f"{row.name} {seed}: {traceback.format_exc()}", file=sys.stderr, flush=True)
                continue
            store.add(row, result)
            print(f"{row.name} {seed}: {result['means'][-1]} after {result['train_s'][-1]} s", flush=True)
    return code


def alone(lines: list[AloneRow], seeds: range, seconds: float, store: Store) -> int:
    """Run seeds for so many seconds of training. A result of fewer seconds is replaced. Return 1 if the machine was too busy."""
    code = 0
    for seed in seeds:
        for row in lines:
            if any(kept["seed"] == seed and kept["seconds"] >= seconds for kept in store.read(row)["seeds"]):
                continue
            result = in_process(run_alone, row, seed, seconds)
            if result["others"] <= MOST_OTHERS:
                store.add(row, result)
                print(f"{row.name} {seed}: {result['means'][-1]} after {result['steps'][-1]:,} steps", flush=True)
            else:
                code = 1
                print(f"{row.name} {seed}: not kept, other processes took {result['others']} CPUs", file=sys.stderr, flush=True)
    return code


def in_process(function: Callable[..., dict[str, Any]], *arguments: Any) -> dict[str, Any]:
    """Return what a function returns in a process of its own."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


if __name__ == "__main__":
    sys.exit(main())
