"""Hold signals back while a kernel is called, and wait for threads in a way that signals can end.

Python runs the handler of a signal between two bytecodes. Some of these belong to Numba, which looks at arguments and makes a tuple
of results. Numba does not check for an exception that the handler raises there: it is lost, or surfaces as a SystemError, or the
process dies of a null pointer.
"""

from __future__ import annotations

import threading

# The public functions convert to enums and back: 14 us instead of 1.4.
from _signal import SIGINT, SIGTERM, getsignal, signal  # type: ignore[import-not-found]
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, ClassVar

_LOOK_SECONDS = 0.02  # between two looks at signals, while waiting for another thread


class HeldSignals:
    """A context in which SIGINT and SIGTERM wait: their handlers run when it ends. On other threads it does nothing."""

    innermost: ClassVar[HeldSignals | None] = None  # the innermost open context of the main thread

    def __enter__(self) -> None:
        self._waiting: list[int] = []
        self._handlers: dict[int, Any] = {}
        self._is_main = threading.current_thread() is threading.main_thread()
        if self._is_main:
            for number in (SIGINT, SIGTERM):
                if callable(handler := getsignal(number)):
                    self._handlers[number] = handler
                    signal(number, self._wait)
            self._outer, HeldSignals.innermost = HeldSignals.innermost, self

    def _wait(self, number: int, frame: FrameType | None) -> None:
        self._waiting.append(number)

    def let_in(self) -> None:
        """Run the handlers of signals that wait."""
        while self._waiting:
            number = self._waiting.pop(0)
            self._handlers[number](number, None)
        if self._is_main and self._outer is not None:
            self._outer.let_in()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for number, handler in self._handlers.items():
            signal(number, handler)
        if self._is_main:
            HeldSignals.innermost = self._outer
        while self._waiting:
            number = self._waiting.pop(0)
            self._handlers[number](number, None)


def let_signals_in() -> None:
    """Run the handlers of signals that are held back. Call it between two kernels, where they may raise."""
    if HeldSignals.innermost is not None and threading.current_thread() is threading.main_thread():
        HeldSignals.innermost.let_in()


def wait_for(*threads: threading.Thread) -> None:
    """Wait for the end of threads. An exception from the handler of a signal ends the wait."""
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

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    wait_for(thread)
    if failures:
        raise failures[0]
    return results[0]
