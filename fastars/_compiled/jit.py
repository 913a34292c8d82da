"""The decorators that compile every kernel of fastars. No other module imports `numba.njit`.

There is one decorator for each kind of function:

- `inline`: scalar code that is merged into its caller. LLVM leaves an ordinary call in place, and a loop with a call in it does
  not vectorise (CartPole: 28 -> 160 M steps/s from `forceinline` alone).
- `users`: the same for a function of the user's, which may print.
- `part`: code that calls little but routines; Numba writes it into its callers. LLVM optimises a function again for each function
  around it: the physics compiles in 8 s of CPU in place of 9 with its composing functions written into one.
- `routine`: a piece of a kernel that is too large to be merged into it, or has several callers.
- `kernel`: compiled and cached; runs without the GIL. Inside another kernel it is a routine.
- `addressed`: a `kernel` that other kernels call by its `address`, so that they don't compile it again.
- `parallel`: a `kernel` with `prange`. Kernels that call one are decorated with `launching`.

`uncached` compiles a kernel whose LLVM code is looked at.

All of them divide as NumPy does (`error_model="numpy"`): otherwise each division carries a branch that raises, and the loop
does not vectorise. None of them uses fastmath: the same source gives the same bits, scalar or vectorised. `fastmath=False` must be
written: otherwise Numba hands the caller's fastmath down, and the code of the first caller stays (`sincos` then differs at 98 % of
angles).

A file that imports `INLINE` or one of the decorators holds compiled code: its content is part of the name of every cached kernel
(`kernel_cache.compiled_sources`).
"""

from collections.abc import Callable
from typing import Any

import numba

from fastars._compiled.dispatchers import KernelDispatcher, LaunchingDispatcher
from fastars._compiled.kernel_cache import KernelCache
from fastars._compiled.merged import MergedCompiler

_USERS: Any = {"error_model": "numpy", "fastmath": False, "forceinline": True, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
INLINE: Any = {**_USERS, "pipeline_class": MergedCompiler}
_ROUTINE: Any = {name: value for name, value in INLINE.items() if name != "forceinline"}
_KERNEL: Any = {"error_model": "numpy", "fastmath": False, "nogil": True, "no_cfunc_wrapper": True}


def inline(function: Callable[..., Any]) -> Any:
    """Compile scalar code that is merged into every caller."""
    return numba.njit(**INLINE)(function)


def users(function: Callable[..., Any]) -> Any:
    """Compile a function of the user's that is merged into every caller. It may print, or make objects of Python."""
    return numba.njit(**_USERS)(function)


def routine(function: Callable[..., Any]) -> Any:
    """Compile a piece of a kernel that stays a function of its own."""
    return numba.njit(**_ROUTINE)(function)


def part(function: Callable[..., Any]) -> Any:
    """Write code into its callers before they are compiled."""
    return numba.njit(inline="always", **_ROUTINE)(function)


def kernel(function: Callable[..., Any]) -> Any:
    """Compile and cache a serial kernel that releases the GIL."""
    return _cached(numba.njit(**_KERNEL)(function))


def addressed(function: Callable[..., Any]) -> Any:
    """Compile and cache a kernel that is called from C or by its address, too. It must not raise."""
    return _cached(numba.njit(**(_KERNEL | {"no_cfunc_wrapper": False}))(function))


def address(kernel: Any, *arguments: Any) -> int:
    """Call an `addressed` kernel with these arguments, and return the address of its C function for their types."""
    kernel(*arguments)
    compiled = kernel.overloads[tuple(map(kernel.typeof_pyval, arguments))]
    return int(compiled.library.get_pointer_to_function(compiled.fndesc.llvm_cfunc_wrapper_name))


def parallel(function: Callable[..., Any]) -> Any:
    """Compile and cache a kernel whose `prange` loops run on Numba's threads."""
    return launching(_cached(numba.njit(parallel=True, **_KERNEL)(function)))


def launching(dispatcher: Any) -> Any:
    """Let Python's threads call a kernel with `prange` in turn, and raise an error in a fork that has lost Numba's threads."""
    if not numba.config.DISABLE_JIT:  # type: ignore[attr-defined]
        dispatcher.__class__ = LaunchingDispatcher
    return dispatcher


def entry(kernel: Any, *arguments: Any) -> Any:
    """Return the compiled form of a kernel for the types of these arguments: it does not look at types, 1 us instead of 5."""
    kernel(*arguments)
    if numba.config.DISABLE_JIT:  # type: ignore[attr-defined]
        return kernel
    return kernel.overloads[tuple(map(kernel.typeof_pyval, arguments))].entry_point


def uncached(function: Callable[..., Any]) -> Any:
    """Compile a kernel without the cache: a kernel that is loaded from there has no LLVM code to look at."""
    return numba.njit(**_KERNEL)(function)


def compiles() -> bool:
    """Return False if `NUMBA_DISABLE_JIT=1` leaves kernels to Python."""
    return not numba.config.DISABLE_JIT  # type: ignore[attr-defined]


def may_vectorise() -> bool:
    """Return True if Numba's switches let LLVM vectorise loops. With bounds checks it can't: each of them may leave the loop."""
    config: Any = numba.config
    return bool(config.LOOP_VECTORIZE) and not (config.DISABLE_JIT or config.BOUNDSCHECK)


def _cached(dispatcher: Any) -> Any:
    if not numba.config.DISABLE_JIT:  # type: ignore[attr-defined]
        dispatcher.__class__ = KernelDispatcher
        dispatcher._cache = KernelCache(dispatcher.py_func)
        dispatcher.make_part = routine
    return dispatcher
