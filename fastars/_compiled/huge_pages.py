"""New memory of large arrays on huge pages.

The system zeroes a page of new memory when it is first written to, and that is an interruption of the program. An array of 100 MB
is 24,000 pages of 4 KiB, which took 40 ms of a CPU, or 50 pages of 2 MiB, which took 5 ms. Linux gives huge pages to whoever asks.
`numpy.empty` asks for arrays from 4 MiB on, Numba does not.
"""

from __future__ import annotations

import mmap
import sys
from typing import Any, cast

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic, overload

from fastars._compiled.jit import INLINE

_LEAST_BYTES = 1 << 22  # NumPy's limit
_HUGE = 14  # MADV_HUGEPAGE, of Linux alone


def on_huge_pages(array: Any) -> Any:
    """Return a new array, whose memory may be on huge pages from now on. Nothing else changes."""
    return array


@intrinsic
def _advise(typing_context: Any, address: Any, n_bytes: Any) -> Any:
    """Call `madvise` of the C library. It may refuse: then pages are small."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer, size, number = ir.IntType(8).as_pointer(), ir.IntType(64), ir.IntType(32)
        kind = ir.FunctionType(number, [pointer, size, number])
        function = builder.module.globals.get("madvise") or ir.Function(builder.module, kind, "madvise")
        start = builder.inttoptr(arguments[0], pointer)
        return builder.call(function, [start, arguments[1], number(_HUGE)])

    return types.int32(types.int64, types.int64), codegen


@overload(on_huge_pages, jit_options=INLINE)
def _on_huge_pages(array: Any) -> Any:
    if sys.platform != "linux":
        return lambda array: array
    page, advise = mmap.PAGESIZE, cast(Any, _advise)

    def asks(array: Any) -> Any:
        if array.nbytes >= _LEAST_BYTES:
            start = -(-array.ctypes.data // page) * page
            advise(start, array.ctypes.data + array.nbytes - start)
        return array

    return asks
