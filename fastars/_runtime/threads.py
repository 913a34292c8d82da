"""Share the blocks of a loop among Python threads, and wait for threads in a way that signals can end."""

import itertools
import threading
from collections.abc import Callable
from typing import Any

from fastars._runtime.signals import HeldSignals, let_signals_in

LONG_SECONDS = 0.25  # a block that may take longer should not run on the calling thread: use `aside`
_LOOK_SECONDS = 0.02  # between two looks at signals, while waiting for another thread


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


def wait_for(*threads: threading.Thread) -> None:
    """Wait for the end of threads. An exception from the handler of a signal ends the wait."""
    with HeldSignals():
        for thread in threads:
            while thread.is_alive():
                thread.join(_LOOK_SECONDS)
                let_signals_in()


def run_in_thread(work: Callable[[], Any]) -> Any:
    """Call `work` on another thread, and return its result. The handler of a signal may raise meanwhile: the thread is then left.

    On a thread other than the main one `work` is called directly: no handler runs there.
    """
    if threading.current_thread() is not threading.main_thread():
        return work()
    results: list[Any] = []
    failures: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as failure:
            failures.append(failure)

    with HeldSignals():
        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        wait_for(thread)
    if failures:
        raise failures[0]
    return results[0]
