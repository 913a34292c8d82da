"""Ctrl-C and SIGTERM during a run: what is saved afterwards is whole."""

import inspect
import os
import signal
import sys
from collections.abc import Sequence
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
    the method to look at. A method `open` that such a one calls changes nothing itself and may take long, so there it is raised
    after all. A second signal leaves the process at once; files are replaced as a whole, so they survive that.
    """

    def __init__(self, *whole: Any, open: Sequence[Any] = ()) -> None:
        self.exit_code = 0
        self._whole: tuple[Any, ...] = whole
        self._open: tuple[Any, ...] = tuple(open)
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
        frame = frame or sys._getframe(1)  # signals that were held back come without a frame
        while frame is not None and not _runs(frame, self._open):
            if _runs(frame, self._whole):
                return
            frame = frame.f_back
        raise Interrupted("interrupted", self.exit_code)


def _runs(frame: FrameType, callables: Sequence[Any]) -> bool:
    """Return True if this is the frame of one of the functions, or of one of the methods for the same object."""
    return any(_is_frame_of(each, frame) for each in callables)


def _is_frame_of(called: Any, frame: FrameType) -> bool:
    function = inspect.unwrap(called)
    if isinstance(function, MethodType):
        function = inspect.unwrap(function.__func__)
    owner = getattr(called, "__self__", None)
    return frame.f_code is function.__code__ and (owner is None or frame.f_locals.get("self") is owner)
