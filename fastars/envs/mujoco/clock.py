"""MuJoCo's clock, stopped while rollouts run."""

import contextlib
import ctypes
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
        self._lock, self._users, self._original = threading.Lock(), 0, self._callback.value
        self._no_time = engine.get_function_address("fastars_no_time")

    @contextlib.contextmanager
    def stopped(self) -> Iterator[None]:
        """Stop the clock for a while; the last of several users sets it going again."""
        with self._lock:
            if self._users == 0:
                self._original, self._callback.value = self._callback.value, self._no_time
            self._users += 1
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
                # A clock that the user has set meanwhile stays; the one before may be gone.
                if self._users == 0 and self._callback.value == self._no_time:
                    self._callback.value = self._original


clock = _Clock()
