"""Threads that wait for their next work, so that work need not wait for a thread.

To start a thread takes 0.1 ms, in which its parent waits for its first sign of life; to wake one takes the parent a few
microseconds. A parked thread holds nothing: no lock, and no reference to what it did last.
"""

import contextlib
import os
import threading
from _thread import allocate_lock
from collections.abc import Callable
from typing import Any

from fastars._runtime.floats import IeeeFloats

_parked: list["_ParkedThread"] = []  # append and pop are atomic
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_parked.clear)  # a child has none of the threads


class _ParkedThread:
    """A thread that does one work after the other. Its last act after each is to park itself."""

    def __init__(self) -> None:
        self._cpus = _cpus()  # a new thread takes them over from the one that starts it
        self._next: tuple[Callable[[], None], Any] | None = None  # work, and the lock that is released after it
        self._begin = allocate_lock()
        self._begin.acquire()
        self._thread = threading.Thread(target=self._run, name="fastars", daemon=True)
        with IeeeFloats():  # taken over, too
            self._thread.start()

    def begin(self, work: Callable[[], None]) -> Any:
        """Let the thread call `work` on the CPUs of this thread. Return a lock that is taken until it is done."""
        if self._cpus != (cpus := _cpus()):
            with contextlib.suppress(OSError):  # a sandbox may forbid it: the thread then works where it did before
                os.sched_setaffinity(self._thread.native_id or 0, cpus)
                self._cpus = cpus
        done = allocate_lock()
        done.acquire()
        self._next = work, done
        self._begin.release()
        return done

    def _run(self) -> None:
        while self._begin.acquire():
            assert self._next is not None
            work, done = self._next
            work()
            del work
            self._next = None
            _parked.append(self)
            done.release()


def begin_on_thread(work: Callable[[], None]) -> Any:
    """Let another thread call `work`, which must not raise. Return a lock that is taken until it is done."""
    try:
        thread = _parked.pop()
    except IndexError:
        thread = _ParkedThread()
    return thread.begin(work)


def _cpus() -> set[int]:
    """Return the CPUs that the calling thread may use; no CPU where the system does not tell."""
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()
