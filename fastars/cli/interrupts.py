"""Ctrl-C and SIGTERM during a run: the run stops in a state that can be saved."""

import inspect
import os
import signal
import sys
from collections.abc import Callable, Sequence
from types import CodeType, FrameType, TracebackType
from typing import Any, NamedTuple


class Interrupted(KeyboardInterrupt):
    """A signal asked the run to stop; `exit_code` is 128 + the number of the signal."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class Interrupts:
    """Context in which SIGINT and SIGTERM stop the run, but never in the middle of a change to its state.

    The first signal raises `Interrupted` at once, unless an atomic function is running. Then the signal only sets `exit_code`; the
    caller of the atomic function reads it afterwards. An atomic function may call an interruptible one, which can take long and
    changes no state: a signal that arrives there is raised at once. A second signal ends the process at once. No file is damaged
    by that, because files are replaced as a whole.

    Parameters
    ----------
    *atomic : callable
        Functions and bound methods. A bound method counts for its own object only.
    interruptible : sequence of callable
        Functions and bound methods that an atomic one calls.

    Attributes
    ----------
    exit_code : int
        128 + the number of the signal that arrived; 0 before one does.
    """

    def __init__(self, *atomic: Callable[..., Any], interruptible: Sequence[Callable[..., Any]] = ()) -> None:
        self.exit_code = 0
        self._atomic = [_Watched.from_callable(function) for function in atomic]
        self._interruptible = [_Watched.from_callable(function) for function in interruptible]
        self._handlers_before: dict[int, Any] = {}

    def __enter__(self) -> "Interrupts":
        for number in (signal.SIGINT, signal.SIGTERM):
            self._handlers_before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for number, handler in self._handlers_before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.exit_code:
            os._exit(self.exit_code)
        self.exit_code = 128 + number
        if not self._is_in_atomic(frame or sys._getframe(1)):  # a signal that was held back comes without a frame
            raise Interrupted("interrupted", self.exit_code)

    def _is_in_atomic(self, frame: FrameType | None) -> bool:
        """Return True if the innermost watched function on the stack is an atomic one."""
        while frame is not None:
            if any(watched.has_frame(frame) for watched in self._interruptible):
                return False
            if any(watched.has_frame(frame) for watched in self._atomic):
                return True
            frame = frame.f_back
        return False


class _Watched(NamedTuple):
    """A function, or a method of one object, that can be recognised by its frame."""

    code: CodeType
    owner: object | None  # the object of a bound method; None for a function

    @classmethod
    def from_callable(cls, function: Callable[..., Any]) -> "_Watched":
        """Look through decorators such as `user_facing`: the frame on the stack is the undecorated function's."""
        undecorated: Any = inspect.unwrap(function)
        return cls(undecorated.__code__, getattr(function, "__self__", None))

    def has_frame(self, frame: FrameType) -> bool:
        """Return True if the function runs in this frame, for the same object."""
        return frame.f_code is self.code and (self.owner is None or frame.f_locals.get("self") is self.owner)
