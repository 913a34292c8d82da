"""The processes of a study: each runs seeds that no other one has."""

import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable
from typing import Any

from bench.paper.store import Store

Result = dict[str, Any]


def run_seeds(
    row: Any, seeds: tuple[int, ...], store: Store, run: Callable[[int], Result], said: Callable[[Any, Result], str]
) -> int:
    """Run the seeds of a row that are not done, and that no other process has. An error ends its seed alone. Return 1 after one."""
    code = 0
    for seed in seeds:
        with store.claim(row, seed) as is_mine:
            if not is_mine:
                continue
            try:
                result = run(seed)
            except Exception:
                code = 1
                print(f"{row.name} {seed}: {traceback.format_exc()}", file=sys.stderr, flush=True)
                continue
            store.add(row, result)
            print(said(row, result), flush=True)
    return code


def run_side_by_side(module: str, n_workers: int) -> int:
    """Run the command of a module in several processes, which share the seeds, and end them with this one."""
    command = [sys.executable, "-m", module, *sys.argv[1:], "--workers", "1"]
    one_thread = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
    workers = [subprocess.Popen(command, env=os.environ | one_thread) for _ in range(n_workers)]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        return max(worker.wait() for worker in workers)
    finally:
        for worker in workers:
            worker.terminate()
