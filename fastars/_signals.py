"""Signals held back while a kernel is called.

Python runs the handler of a signal between two bytecodes, also between those that Numba executes to look at arguments and to make
a tuple of results. Nobody looks for an exception that is raised there: it is lost, or surfaces as a SystemError, or the process
dies of a null pointer.
"""

import threading

# The public functions convert to enums and back: 14 us instead of 1.4.
from _signal import SIGINT, SIGTERM, getsignal, signal  # type: ignore[import-not-found]
from types import FrameType, TracebackType
from typing import Any


class HeldSignals:
    """A context in which SIGINT and SIGTERM wait: their handlers run when it is left. On other threads it does nothing."""

    def __enter__(self) -> None:
        self._waiting: list[int] = []
        self._handlers: dict[int, Any] = {}
        if threading.current_thread() is threading.main_thread():
            for number in (SIGINT, SIGTERM):
                if callable(handler := getsignal(number)):
                    self._handlers[number] = handler
                    signal(number, self._wait)

    def _wait(self, number: int, frame: FrameType | None) -> None:
        self._waiting.append(number)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for number, handler in self._handlers.items():
            signal(number, handler)
        for number in self._waiting:
            self._handlers[number](number, None)
