"""Restore the floating-point arithmetic of IEEE 754 in a thread that another library changed.

`torch.set_flush_denormal(True)`, or loading a library that was built with `-ffast-math`, makes a thread take numbers below 2.2e-308
for 0. Threads that were started before, worker processes and other machines don't do that: bits would depend on where an episode
runs.
"""

import ctypes
import sys
from types import TracebackType
from typing import Any

_LEAST_NORMAL, _HALF, _ONE = 2.0**-1022, 0.5, 1.0  # by name: Python computes with literals when it compiles
_DEFAULT = ctypes.c_void_p(-1)  # FE_DFL_ENV of glibc and musl
_MODE_BYTES = 64  # of a fenv_t: 32 on x86-64, 8 on ARM


def is_ieee() -> bool:
    """Return True if this thread computes with subnormal numbers and rounds to nearest."""
    return _LEAST_NORMAL * _HALF != 0.0 and _ONE + _LEAST_NORMAL == _ONE == _ONE - _LEAST_NORMAL


class IeeeFloats:
    """A context with IEEE 754 arithmetic, on Linux; its end restores the mode from before. 0.2 us if there is nothing to change."""

    def __enter__(self) -> None:
        self._before: Any = None
        if not is_ieee() and sys.platform == "linux":
            self._before = ctypes.create_string_buffer(_MODE_BYTES)
            ctypes.CDLL(None).fegetenv(self._before)
            ctypes.CDLL(None).fesetenv(_DEFAULT)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._before is not None:
            ctypes.CDLL(None).fesetenv(self._before)
