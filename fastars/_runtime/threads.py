"""Share the blocks of a loop among Python threads."""

import itertools
import threading
from collections.abc import Callable

from fastars._runtime.signals import let_signals_in, wait_for


def for_blocks(run: Callable[[int], None], n_blocks: int, n_threads: int, aside: bool = False) -> None:
    """Call `run(block)` for every block, on up to `n_threads` threads of which the caller is one.

    Blocks are taken from a common counter, so threads that finish early take more. An exception in any of them is raised here, once
    the others have finished the block they are in. The handler of a signal runs between two blocks; with `aside`, where blocks may
    take long, the caller only waits: what a handler raises is raised at once, and threads in a block are left to finish it.
    """
    counter = itertools.count()
    failures: list[BaseException] = []

    def work() -> None:
        try:
            while not failures and (block := next(counter)) < n_blocks:
                run(block)
                let_signals_in()
        except BaseException as failure:  # KeyboardInterrupt too: the helpers must stop
            failures.append(failure)

    aside = aside and threading.current_thread() is threading.main_thread()
    helpers = [threading.Thread(target=work, daemon=True) for _ in range(min(n_threads, n_blocks) - (not aside))]
    for helper in helpers:
        helper.start()
    if aside:
        try:
            wait_for(*helpers)
        except BaseException as failure:
            failures.append(failure)
            raise
    else:
        work()
        for helper in helpers:
            helper.join()
    if failures:
        raise failures[0]
