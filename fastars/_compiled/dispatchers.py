"""Dispatchers of kernels: safe compilation and calls in the presence of other threads, signals and forks."""

import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from llvmlite.binding import ffi
from numba.core import types
from numba.core.compiler_lock import global_compiler_lock
from numba.core.registry import CPUDispatcher

from fastars._runtime.collector import collector_paused
from fastars._runtime.forks import hold_in_forks, is_importing
from fastars._runtime.signals import HeldSignals, OpenSignals, signals_are_held
from fastars._runtime.threads import run_in_thread

_call = CPUDispatcher.__call__


class _Compilation(threading.local):
    """Context in which this thread compiles a kernel, and perhaps others around it; `depth` is their number."""

    depth = 0

    def __enter__(self) -> None:
        self.depth += 1

    def __exit__(self, *error: object) -> None:
        self.depth -= 1


_compilation = _Compilation()


class KernelDispatcher(CPUDispatcher):
    """A kernel during whose call signals wait, where Python code runs in it.

    Numba unpacks NamedTuples and makes arrays in Python, where the exception of a handler is lost. If a kernel takes numbers,
    arrays and plain tuples, and returns numbers or nothing, Python code runs only to look at an argument of a new kind, and to
    compile. So signals wait there alone: a call takes a microsecond and not four.

    It is compiled, or loaded, on a thread of its own, so that Ctrl-C need not wait until that is done.
    """

    runs_no_python = False  # True: it has code, for plain types alone
    make_part: Callable[..., Any]  # compiles the function as a routine
    _part: Any = None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.runs_no_python or signals_are_held():  # a look takes 0.3 us less than a context
            return _call(self, *args, **kwargs)
        with HeldSignals():
            return _call(self, *args, **kwargs)

    def add_overload(self, compiled: Any) -> None:
        """Take code for more types, which is compiled or loaded. Numba calls it."""
        signature = compiled.signature
        is_plain = all(_is_plain(each, types.Array) for each in signature.args) and _is_plain(signature.return_type)
        self.runs_no_python = is_plain and (self.runs_no_python or not self.overloads)
        super().add_overload(compiled)

    def typeof_pyval(self, value: Any) -> Any:
        """Return Numba's type of an argument of a kind that C code does not know."""
        with HeldSignals():
            return super().typeof_pyval(value)

    def compile(self, sig: Any) -> Any:
        """Compile for these types, or load the code."""
        with _compilation, collector_paused():
            return super().compile(sig)

    def get_call_template(self, args: Any, kws: Any) -> Any:
        """Find the types of a call from compiled code, and see that there is code for them. Numba calls it.

        While another kernel is compiled around it, the function is a routine: that has no form for Python and no file.
        """
        if _compilation.depth == 0 or self._is_there(args, kws):
            return super().get_call_template(args, kws)
        if self._part is None:
            self._part = self.make_part(self.py_func)
        return self._part.get_call_template(args, kws)

    def get_overload(self, sig: Any) -> Any:
        """Return the code for these types. Numba calls it."""
        owner: Any = self if self._part is None or tuple(sig) in self.overloads else self._part
        return owner.overloads[tuple(sig)].entry_point

    def _is_there(self, args: Any, kws: Any) -> bool:
        """Return True if there is code for these types in this process, or in the cache."""
        _, signature = self._compiler.fold_argument_types(args, kws)  # type: ignore[attr-defined]
        path = None if tuple(signature) in self.overloads else self.path_in_cache(tuple(signature))
        return tuple(signature) in self.overloads or (path is not None and path.exists())

    def path_in_cache(self, signature: tuple[Any, ...]) -> Path | None:
        """Return the path of the file with the code for these types, there or not; None if it is not cached."""
        path: Path | None = self._cache.locate(signature, self.targetctx.codegen())[1]  # type: ignore[attr-defined]
        return path

    def _compile_for_args(self, *args: Any, **kwargs: Any) -> Any:
        compiled: Any = super()._compile_for_args  # type: ignore[misc]
        # On this thread, if it is in the middle of a compilation, or of an import, whose lock Numba takes to look up the module.
        if global_compiler_lock.is_locked() or is_importing(sys._getframe()):
            with OpenSignals():
                return compiled(*args, **kwargs)
        with HeldSignals():
            return run_in_thread(lambda: compiled(*args, **kwargs))


def _is_plain(of_value: types.Type, *also: Any) -> bool:
    """Return True for a number, True or False, None, one of the types `also`, and a plain tuple of these."""
    if isinstance(of_value, types.UniTuple | types.Tuple):  # neither is the type of a NamedTuple
        return all(_is_plain(each, *also) for each in of_value)
    return isinstance(of_value, (types.Number, types.Boolean, types.NoneType, types.Omitted, *also))


class LaunchingDispatcher(KernelDispatcher):
    """A kernel that starts work on Numba's threads.

    Numba's layer `workqueue` ends the process when two threads of Python start work at once, and GNU's OpenMP ends it in a forked
    child.
    """

    def _is_there(self, args: Any, kws: Any) -> bool:
        return True  # it is never a routine: what starts the threads belongs to its code

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if _launches.are_lost:
            raise RuntimeError(
                f"{self.py_func.__name__} needs OpenMP's threads, and this process, a fork, has none: start it by 'spawn' or "
                "'forkserver', or set NUMBA_THREADING_LAYER=workqueue"
            )
        with _launches.turn:
            return super().__call__(*args, **kwargs)


class _Launches:
    """The lock that gives threads their turn at Numba's threads, and a flag that is True where a fork has lost these."""

    def __init__(self) -> None:
        self.turn, self.are_lost = threading.RLock(), False
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._forked)

    def _forked(self) -> None:
        """Start afresh in a child, which has this thread alone: no other thread has its turn, and OpenMP's threads are gone."""
        launched = sys.modules.get("numba.np.ufunc.omppool")
        self.turn, self.are_lost = threading.RLock(), self.are_lost or getattr(launched, "openmp_vendor", "") == "GNU"


_launches = _Launches()
hold_in_forks(global_compiler_lock, ffi.lib._lock)  # a compilation takes them in this order
