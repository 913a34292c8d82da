"""Ctrl-C and SIGTERM during a run: what is saved afterwards is whole."""

import os
import signal
from types import FrameType, MethodType, TracebackType
from typing import Any


class Interrupted(KeyboardInterrupt):
    """A signal asked to stop; `exit_code` is 128 + its number."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class Interrupts:
    """Inside this context, SIGINT and SIGTERM raise `Interrupted` at once, unless one of the methods `whole` is running.

    While it is, the state it works on is half old and half new: the signal is only noted then, in `exit_code`, for whoever called
    the method to look at. A second signal leaves the process at once; files are replaced as a whole, so they survive that.
    """

    def __init__(self, *whole: Any) -> None:
        self.exit_code = 0
        self._whole: tuple[MethodType, ...] = whole
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "Interrupts":
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.exit_code:
            os._exit(self.exit_code)
        self.exit_code = 128 + number
        while frame is not None:
            for method in self._whole:
                if frame.f_code is method.__func__.__code__ and frame.f_locals.get("self") is method.__self__:
                    return
            frame = frame.f_back
        raise Interrupted("interrupted", self.exit_code)
