"""Let the child of a fork find no lock taken that it needs.

A child has one thread: the one that forked. A lock that another thread held at that moment stays taken in the child for ever. So

- fastars' own locks are made anew in a child, at their places;
- a fork itself takes the locks of other libraries that calls of fastars need (`hold_in_forks`);
- it waits until no other thread is in a C function that has a lock of its own (`forks_wait`);
- it waits for the imports of other threads that fastars asked for: Python has a lock for each module.
"""

import contextlib
import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from fastars._runtime.signals import HeldSignals, OpenSignals, signals_are_held

_LONGEST_SECONDS = 10.0  # that a fork waits for work and imports of other threads: one of them may wait for the thread that forks
_LOOK_SECONDS = 0.001  # between two looks at them
_IMPORT = "<frozen importlib._bootstrap>"
_PACKAGE = str(Path(__file__).parents[1]) + os.sep


def is_importing(frame: FrameType | None) -> bool:
    """Return True if the thread with this frame is in the middle of an import."""
    while frame is not None:
        if frame.f_code.co_filename == _IMPORT:
            return True
        frame = frame.f_back
    return False


def _imports_for_us(frame: FrameType | None) -> bool:
    """Return True if the thread with this frame is in the middle of an import that fastars asked for.

    The other imports are not waited for: all of a program may run inside of one.
    """
    importing = False
    while frame is not None:
        name = frame.f_code.co_filename
        if importing and name.startswith(_PACKAGE):
            return True
        importing = importing or name == _IMPORT
        frame = frame.f_back
    return False


class _Forks:
    """The work of other threads and the locks for which a fork waits."""

    def __init__(self) -> None:
        self.turn = threading.RLock()  # a fork has it, so that no thread enters a `forks_wait` meanwhile
        self.inside: list[int] = []  # the threads in a `forks_wait`
        self.locks: list[Any] = []  # of other libraries, in the order in which a fork takes them
        self._held: dict[int, contextlib.ExitStack] = {}  # locks, by the thread that forks

    def before(self) -> None:
        """Take all locks, at a moment in which no other thread does what a fork waits for."""
        end = time.monotonic() + _LONGEST_SECONDS
        while True:
            with contextlib.ExitStack() as stack:
                for lock in (*self.locks, self.turn):
                    stack.enter_context(lock)
                if not self._must_wait() or time.monotonic() > end:
                    self._held[threading.get_ident()] = stack.pop_all()
                    return
            time.sleep(_LOOK_SECONDS)

    def _must_wait(self) -> bool:
        own = threading.get_ident()
        if own in self.inside or is_importing(sys._getframe()):  # other threads may wait for this one
            return False
        others = sys._current_frames()
        del others[own]
        return any(thread != own for thread in self.inside) or any(map(_imports_for_us, others.values()))

    def after(self) -> None:
        """Release the locks, in parent and child."""
        if held := self._held.pop(threading.get_ident(), None):
            held.close()

    def in_child(self) -> None:
        """Forget the threads that are gone."""
        own = threading.get_ident()
        self.inside = [thread for thread in self.inside if thread == own]
        self.after()


_forks = _Forks()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_forks.before, after_in_parent=_forks.after, after_in_child=_forks.in_child)


def hold_in_forks(*locks: Any) -> None:
    """Let each fork take these locks of another library, in this order: its child has them free."""
    _forks.locks.extend(locks)


@contextlib.contextmanager
def forks_wait() -> Iterator[None]:
    """A context for the call of a C function that has a lock of its own: a fork on another thread waits until it is left."""
    body = contextlib.nullcontext() if signals_are_held() else OpenSignals()
    with HeldSignals():  # what a handler raises would else leave this thread in the list
        with _forks.turn:
            _forks.inside.append(threading.get_ident())
        try:
            with body:
                yield
        finally:
            _forks.inside.remove(threading.get_ident())
