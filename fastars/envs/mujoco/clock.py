"""MuJoCo's clock, stopped while rollouts run."""

import contextlib
import ctypes
import os
import threading
from collections.abc import Iterator

from fastars.envs.mujoco.guard import engine
from fastars.envs.mujoco.library import library


class _Clock:
    """MuJoCo's clock, which its Python bindings set to measure the parts of every step.

    A step reads it some 40 times: without it, HalfCheetah took 1.16, Hopper 1.11 and Swimmer 1.23 times as many steps per second.
    So it stands still while rollouts run, for all of the process: `MjData.timer` counts nothing then. It is replaced by a function
    that returns 0 rather than removed: another thread may be between looking for a clock and reading it.
    """

    def __init__(self) -> None:
        self._callback = ctypes.c_void_p.in_dll(library, "mjcb_time")
        self._lock, self._original = threading.Lock(), self._callback.value
        self._users: list[int] = []  # their threads
        self._no_time = engine.get_function_address("fastars_no_time")
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._forked)

    @contextlib.contextmanager
    def stopped(self) -> Iterator[None]:
        """Stop the clock for a while; the last of several users sets it going again."""
        with self._lock:
            if not self._users:
                self._original, self._callback.value = self._callback.value, self._no_time
            self._users.append(threading.get_ident())
        try:
            yield
        finally:
            with self._lock:
                self._users.remove(threading.get_ident())
                self._set_going()

    def _set_going(self) -> None:
        """Set the clock going if nobody uses it. A clock that the user has set meanwhile stays; the one before may be gone."""
        if not self._users and self._callback.value == self._no_time:
            self._callback.value = self._original

    def _forked(self) -> None:
        """Start afresh in a child: no other thread is there to leave the lock, or to set the clock going."""
        self._lock = threading.Lock()
        self._users = [thread for thread in self._users if thread == threading.get_ident()]
        self._set_going()


clock = _Clock()
