"""Signals held back while kernels return values.

Python runs a signal's handler between two bytecodes, also those that Numba executes to make a tuple of results. An exception raised
there is not looked for: it surfaces as a SystemError, or the process dies of a null pointer.
"""

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

_HELD = (signal.SIGINT, signal.SIGTERM)


class HeldSignals:
    """A context in which SIGINT and SIGTERM wait: their handlers run when it is left. About 5 us; does nothing on other threads."""

    def __enter__(self) -> None:
        self._waiting: list[int] = []
        self._handlers: dict[int, Any] = {}
        if threading.current_thread() is threading.main_thread():
            for number in _HELD:
                if callable(handler := signal.getsignal(number)):
                    self._handlers[number] = handler
                    signal.signal(number, self._wait)

    def _wait(self, number: int, frame: FrameType | None) -> None:
        self._waiting.append(number)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        for number in self._waiting:
            self._handlers[number](number, None)
