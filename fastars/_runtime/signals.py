"""Let the handlers of signals run where what they raise comes out.

Python runs the handler of a signal between any two bytecodes. In some places its exception does harm, or is lost:

- Numba looks at arguments and makes a tuple of results in Python, and does not check for an exception there. It is lost, or
  surfaces as a SystemError, or the process dies of a null pointer.
- `threading` may be between a look at a lock and its release: RuntimeError("release unlocked lock").
- In a finalizer or in the callback of a weak reference, Python prints the exception and drops it.

So fastars puts a function of its own before each handler that is written in Python, for the time of a call. It has three modes:
outside of fastars, and in code of the user (`OpenSignals`), it calls the handler at once; while fastars works (`HeldSignals`), the
signal waits until the next `let_signals_in`, or the end of the context.
"""

from __future__ import annotations

import os
import sys
import threading

# The public functions convert to enums and back: 14 us instead of 1.4.
from _signal import getsignal, signal, valid_signals  # type: ignore[import-not-found]
from collections import deque
from types import FrameType, TracebackType
from typing import Any

_NUMBERS: tuple[int, ...] = tuple(sorted(map(int, valid_signals())))  # of all signals
_OUTSIDE, _OPEN, _HELD = range(3)


class _Receiver:
    """The function that stands before one handler. The user's code may find it in the handler's place, and call it later."""

    __slots__ = ("_gate", "handler")

    def __init__(self, gate: _Gate, handler: Any) -> None:
        self._gate, self.handler = gate, handler

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if self._gate.mode == _HELD:
            self._gate.waiting.append((number, self.handler))
        else:
            self._gate.call(self.handler, number, frame)


class _Gate:
    """The functions before the handlers of the main thread, and the signals that wait."""

    def __init__(self) -> None:
        self.mode = _OUTSIDE
        self.waiting: list[tuple[int, Any]] = []  # (signal, its handler)
        self.dropped: list[BaseException] = []  # exceptions of handlers that Python has dropped
        self._receivers: dict[int, _Receiver] = {}  # the latest ones, by signal
        self._raised: deque[BaseException] = deque(maxlen=8)  # by handlers, the latest ones
        # Handlers of all signals, as `_install` found and as it left them last, and the receivers that it put in.
        self._found: list[Any] = []
        self._left: list[Any] = []
        self._put: list[tuple[int, _Receiver]] = []
        self._numbers: list[int] = []  # of signals with a handler in Python
        self._hook = self._notice  # one object: a method is a new one at every look
        self._hook_before: Any = None
        self._thread = 0
        self.main = threading.main_thread().ident  # the thread that runs handlers

    # --- What the system and Python call

    def call(self, handler: Any, number: int, frame: FrameType | None) -> None:
        """Call the handler of a signal; if it takes long, other signals are not held meanwhile."""
        before, self.mode = self.mode, min(self.mode, _OPEN)
        try:
            handler(number, frame)
        except BaseException as error:
            self._raised.append(error)
            raise
        finally:
            self.mode = before

    def _notice(self, unraisable: Any) -> None:
        """Keep the exception of a handler that Python drops; `let_in` raises it."""
        if any(unraisable.exc_value is error for error in self._raised):
            self.dropped.append(unraisable.exc_value)
        else:
            (self._hook_before or sys.__unraisablehook__)(unraisable)

    # --- The modes

    def hold(self) -> int:
        """Let signals wait from now on. Return the mode before."""
        before = self.mode
        if before != _HELD:
            self._install()
            self.mode = _HELD  # last: an exception of a handler leaves the mode as it was
        return before

    def open(self) -> int:
        """Let handlers run at once from now on. Return the mode before."""
        before = self.mode
        if before == _OUTSIDE:
            self._install()
        try:
            self.mode = _OPEN
            self._let_all_in()
        except BaseException:
            self.leave(before)
            raise
        return before

    def leave(self, before: int) -> None:
        """Go back to the mode before. Where signals no longer wait, run the handlers of those that did."""
        if before == _HELD:
            if self.mode != _HELD:
                self.mode = _HELD
                self._install()  # the user's code may have set a handler
            return
        try:
            if self.waiting or self.dropped:
                self._let_all_in()
        finally:
            try:
                if before == _OUTSIDE:
                    self._uninstall()
            finally:
                self.mode = before
                if self.waiting or self.dropped:
                    self._let_all_in()
                if before == _OUTSIDE:
                    self._raised.clear()

    def let_in(self) -> None:
        """Run the handlers of signals that wait, until one of them raises."""
        while self.waiting:
            number, handler = self.waiting.pop(0)
            self.call(handler, number, sys._getframe(1))
        if self.dropped:
            raise self.dropped.pop(0)

    def _let_all_in(self) -> None:
        try:
            self.let_in()
        finally:
            if self.waiting or self.dropped:
                self._let_all_in()

    def _install(self) -> None:
        """Stand before each handler in Python."""
        present = list(map(getsignal, _NUMBERS))
        if present == self._found:
            for number, receiver in self._put:
                signal(number, receiver)
        elif present != self._left:
            self._put_before(present)
        if sys.unraisablehook is not self._hook:
            self._hook_before, sys.unraisablehook = sys.unraisablehook, self._hook
        self._thread = threading.get_ident()

    def _put_before(self, present: list[Any]) -> None:
        """Put receivers before the handlers that are new, and keep what was and is there for the next look."""
        named = {number: handler for number, handler in zip(_NUMBERS, present, strict=True) if callable(handler)}
        put = {number: self._before(number, handler) for number, handler in named.items() if not isinstance(handler, _Receiver)}
        self._numbers, self._found, self._left = list(named), [], []  # a handler may raise now
        for number, receiver in put.items():
            signal(number, receiver)
        self._put = list(put.items())
        self._left = [put.get(number, handler) for number, handler in zip(_NUMBERS, present, strict=True)]
        self._found = present

    def _before(self, number: int, handler: Any) -> _Receiver:
        """Return the receiver for a handler: none that stood before another one, which this handler may call."""
        receiver = self._receivers.get(number)
        if receiver is None or receiver.handler is not handler:
            receiver = self._receivers[number] = _Receiver(self, handler)
        return receiver

    def _uninstall(self) -> None:
        """Give the signals back to their handlers, except where the user has set another one meanwhile."""
        try:
            for number in self._numbers:
                if type(receiver := getsignal(number)) is _Receiver:
                    signal(number, receiver.handler)
            if sys.unraisablehook is self._hook:
                sys.unraisablehook = self._hook_before
        except BaseException:  # of a handler that is back
            self._uninstall()
            raise

    # --- Exceptions and forks

    def raised_by_handler(self, error: BaseException) -> BaseException | None:
        """Return the exception of a handler that `error` is, or that turned into `error` on its way; None if there is none.

        An exception that `except Exception` catches belongs to the code that caught it, and so does what this code raises then.
        """
        link: BaseException | None = error
        while link is not None:
            if any(link is raised for raised in self._raised) and (link is error or not isinstance(link, Exception)):
                return link
            link = link.__cause__ or link.__context__
        return None

    def forked(self) -> None:
        """Start afresh in a child: signals that wait are the parent's, and so is the main thread, if another one forked."""
        self.waiting.clear()
        self.main = threading.get_ident()
        if self.mode != _OUTSIDE and threading.get_ident() != self._thread:
            self._uninstall()
            self.mode = _OUTSIDE


_gate = _Gate()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_gate.forked)


def _is_main() -> bool:
    """Return True on the thread that runs handlers."""
    return threading.get_ident() == _gate.main


class HeldSignals:
    """A context in which signals wait: handlers run when it ends, or in `let_signals_in`. On other threads it does nothing."""

    def __enter__(self) -> None:
        self._before = None if _gate.mode == _HELD or not _is_main() else _gate.hold()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._before is not None:
            _gate.leave(self._before)


class OpenSignals:
    """A context for code of the user: handlers run at once, also inside of a `HeldSignals`. On other threads it does nothing."""

    def __enter__(self) -> None:
        self._before = _gate.open() if _is_main() else None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._before is not None:
            _gate.leave(self._before)


def signals_are_held() -> bool:
    """Return True in a `HeldSignals` of the main thread, on any thread."""
    return _gate.mode == _HELD


def let_signals_in() -> None:
    """Run the handlers of signals that are held back. Call it between two kernels, where they may raise."""
    if (_gate.waiting or _gate.dropped) and _is_main():
        _gate.let_in()


def signals_wait() -> bool:
    """Return True if a signal is held back."""
    return bool(_gate.waiting) and _is_main()


def raised_by_handler(error: BaseException) -> BaseException | None:
    """Return the exception of a signal's handler that `error` is, or that the user's code made `error` of; None if there is none.

    It knows the handlers that ran in `OpenSignals`.
    """
    return _gate.raised_by_handler(error)
