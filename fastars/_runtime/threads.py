"""Share the blocks of a loop among Python threads, and wait for threads in a way that signals can end."""

import contextlib
import itertools
import threading
from _thread import allocate_lock
from collections.abc import Callable
from typing import Any

from fastars._runtime.parked import begin_on_thread
from fastars._runtime.signals import HeldSignals, let_signals_in

LONG_SECONDS = 0.25  # a block that may take longer should not run on the calling thread: use `aside`
_LOOK_SECONDS = 0.02  # between two looks at signals, while waiting for another thread


def for_blocks(run: Callable[[int], None], n_blocks: int, n_threads: int, aside: bool = False) -> None:
    """Call `run(block)` for every block, on up to `n_threads` threads, one of which is the calling thread.

    Threads take blocks from a common counter, so a thread that finishes early takes more. They are fewer if the system has no
    more threads: if it has none, the calling thread runs all blocks. An exception in any thread is raised here
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
        except BaseException as failure:  # KeyboardInterrupt too: the other threads must stop
            failures.append(failure)

    aside = aside and threading.current_thread() is threading.main_thread()
    with HeldSignals():
        others = _begin_on_threads(work, min(n_threads, n_blocks) - (not aside))
        if aside and others:
            try:
                wait_for(*others)
            except BaseException as failure:
                failures.append(failure)
                raise
        else:
            work()
            for is_done in others:
                is_done.acquire()
    if failures:
        raise failures[0]


def _begin_on_threads(work: Callable[[], None], n: int) -> list[Any]:
    """Let up to `n` threads call `work`. Return a lock of each, which is taken until it is done."""
    begun: list[Any] = []
    with contextlib.suppress(RuntimeError, MemoryError):  # no more threads. Those that have begun write to the caller's arrays
        while len(begun) < n:
            begun.append(begin_on_thread(work))
    return begun


def wait_for(*locks: Any) -> None:
    """Wait until locks are free. An exception from the handler of a signal ends the wait."""
    with HeldSignals():
        for lock in locks:
            while not lock.acquire(timeout=_LOOK_SECONDS):
                let_signals_in()
            let_signals_in()


def run_in_thread(work: Callable[[], Any]) -> Any:
    """Call `work` on another thread, and return its result. The handler of a signal may raise meanwhile: the thread is then left.

    On a thread other than the main one `work` is called directly: no handler runs there.
    """
    if threading.current_thread() is not threading.main_thread():
        return work()
    results: list[Any] = []
    failures: list[BaseException] = []

    is_done = allocate_lock()
    is_done.acquire()

    def run() -> None:
        try:
            results.append(work())
        except BaseException as failure:
            failures.append(failure)
        finally:
            is_done.release()

    with HeldSignals():  # a new thread: work may be the user's, and leave a thread in another state
        threading.Thread(target=run, daemon=True).start()
        wait_for(is_done)
    if failures:
        raise failures[0]
    return results[0]
