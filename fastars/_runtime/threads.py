"""Share the blocks of a loop among Python threads."""

import itertools
import threading
from collections.abc import Callable

from fastars._runtime.signals import HeldSignals, let_signals_in, wait_for

LONG_SECONDS = 0.25  # a block that may take longer should not run on the calling thread: use `aside`


def for_blocks(run: Callable[[int], None], n_blocks: int, n_threads: int, aside: bool = False) -> None:
    """Call `run(block)` for every block, on up to `n_threads` threads, one of which is the calling thread.

    Threads take blocks from a common counter, so a thread that finishes early takes more. An exception in any thread is raised here
    once the others have finished their current block.

    Parameters
    ----------
    run : callable
        Called with the number of a block.
    n_blocks : int
        Number of blocks.
    n_threads : int
        Largest number of threads.
    aside : bool
        False: the handler of a signal runs between two blocks. True, for blocks that may take long: the calling thread only waits.
        An exception from a handler is raised at once, and the threads are left to finish their blocks.
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
    with HeldSignals():
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
