"""Compilation in two processes: one compiles kernels that the other will need. On threads it takes turns, as Numba has one lock.

The other process is a fresh interpreter. It compiles kernels one after the other into the cache, and ends with this process. Where
this process needs a kernel that the other one is at work on, it compiles those of its own share, and then waits; any other is
compiled here as ever. So nothing is lost but time if the other process ends early.
"""

import atexit
import base64
import contextlib
import functools
import importlib
import multiprocessing
import os
import pickle
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar, cast

from numba.core.serialize import dumps

from fastars._compiled.kernel_cache import when_missing
from fastars._runtime.cpus import available_cpus
from fastars._runtime.interpreter import has_interpreter, python_command
from fastars._runtime.memory import spare_memory

_LEAST = 2  # kernels that are missing: for one, a second process costs more (1 s) than it saves
_LEAST_BYTES = 1 << 30  # of spare memory: the other process takes 0.3 GB, this one grows as much
_PATIENCE_SECONDS = 60.0  # with a kernel: the other process may have been stopped
_LOOK_SECONDS = 0.01
_MAIN = "from fastars._compiled.ahead import main; main(sys.argv[1])"

_Call = tuple[Any, ...]  # a kernel and its arguments
_Order = tuple[str, str, tuple[Any, ...], Path]  # module and name of a kernel, its types, its file in the cache
_Function = TypeVar("_Function", bound=Callable[..., Any])


class _Helper:
    """The other process, and the files of kernels that it will write, in its order.

    `share` has the kernels that this process compiles before it waits, with their types.
    """

    def __init__(self, orders: list[_Order], share: Iterable[tuple[Any, tuple[Any, ...]]] = ()) -> None:
        self._paths, self._share = [path for *_, path in orders], list(share)
        self._process = subprocess.Popen(  # a session of its own: a Ctrl-C on the terminal is for this process
            [*python_command(_MAIN), base64.b85encode(zlib.compress(dumps(orders))).decode()],
            env={**os.environ, "FASTARS_CACHE_DIR": str(self._paths[0].parent)},
            stdin=subprocess.PIPE,  # nothing is written: its end tells that this process has ended
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            start_new_session=True,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
        threading.Thread(target=self._tend, daemon=True).start()

    def _tend(self) -> None:
        """Take the exit code as soon as there is one: the process would otherwise stay in the list of processes."""
        self._process.wait()
        self.let_go()

    def let_go(self) -> None:
        """Close the pipe. The process ends as soon as nobody has its other end, which is here and in forks of this process."""
        self._process.stdin.close()  # type: ignore[union-attr]

    def is_alive(self) -> bool:
        """Return True if the process has not ended."""
        return self._process.poll() is None

    def wait_for(self, path: Path) -> None:
        """Wait for a file as long as the process is at work on it, and meanwhile do the share of this process."""
        while self._share and self.is_alive() and self._is_at(path):
            kernel, signature = self._share.pop(0)
            with contextlib.suppress(Exception):  # an error of a user's function is raised where the kernel is needed
                kernel.compile(signature)
        end = time.monotonic() + _PATIENCE_SECONDS
        while self.is_alive() and self._is_at(path):
            if time.monotonic() > end:
                self.end()
            time.sleep(_LOOK_SECONDS)

    def _is_at(self, path: Path) -> bool:
        return path == next((one for one in self._paths if not one.exists()), None)

    def end(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        self.let_go()


_helpers: list[_Helper] = []


def end_helpers() -> None:
    """End the other process, if there is one: what was needed is compiled."""
    for helper in tuple(_helpers):
        helper.end()
    _helpers.clear()


def ended_by_errors(function: _Function) -> _Function:
    """Let an exception in a function end the other process."""

    @functools.wraps(function)
    def ending(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except BaseException:
            end_helpers()
            raise

    return cast(_Function, ending)


def _forget_helpers() -> None:
    """Leave the other process to the parent of this one, which was forked."""
    for helper in _helpers:
        helper.let_go()
    _helpers.clear()


def _wait_for(path: Path | None) -> None:
    if path is not None:
        for helper in tuple(_helpers):
            helper.wait_for(path)


when_missing(_wait_for)
atexit.register(end_helpers)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_helpers)


def compile_elsewhere(calls: Iterable[_Call], here: Iterable[_Call] = ()) -> None:
    """Let another process compile kernels that are missing in the cache, in this order.

    It does so only where several are missing, and where there are a second CPU and memory for it. There is one such process at a
    time. A worker process compiles alone: its siblings keep the other CPUs busy.

    Parameters
    ----------
    calls : iterable of tuple
        Kernels with arguments of the types to compile for, `(kernel, *arguments)`.
    here : iterable of tuple
        The same of kernels that this process compiles, at the latest when it would wait for the other one.
    """
    if not _has_room() or any(helper.is_alive() for helper in _helpers):
        return
    orders = [(kernel.py_func.__module__, kernel.py_func.__qualname__, types, path) for kernel, types, path in _missing(calls)]
    share = [(kernel, types) for kernel, types, _ in _missing(here)]
    if orders and len(orders) + len(share) >= _LEAST:
        with contextlib.suppress(OSError, RuntimeError):  # no more processes or threads, or no Python at `sys.executable`
            _helpers[:] = [_Helper(orders, share)]


def _missing(calls: Iterable[_Call]) -> Iterator[tuple[Any, tuple[Any, ...], Path]]:
    """Yield kernels that the cache will keep, and does not have: each with its types and its file."""
    for kernel, *arguments in calls:
        signature = tuple(map(kernel.typeof_pyval, arguments))
        path = kernel.path_in_cache(signature)
        if path is not None and not path.exists():
            yield kernel, signature, path


def _has_room() -> bool:
    """Return True if another process may be started, and will not take CPU and memory from this one."""
    if multiprocessing.parent_process() is not None or not has_interpreter():
        return False
    spare = spare_memory()
    return available_cpus() > 1 and (spare is None or spare >= _LEAST_BYTES)


def main(order: str) -> None:
    """Compile kernels in the other process. After anything unexpected it ends."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        _compile(pickle.loads(zlib.decompress(base64.b85decode(order))))
    finally:
        os._exit(0)  # at once, whatever else is registered: Python would abort while a thread reads


def _compile(orders: list[_Order]) -> None:
    for module, name, signature, path in orders:
        kernel = getattr(importlib.import_module(module), name)
        if kernel.path_in_cache(signature) != path:
            return  # other settings of the compiler, or other sources
        if not path.exists():
            kernel.compile(signature)
        if not path.exists():
            return


def _end_with_parent() -> None:
    os.read(sys.stdin.fileno(), 1)  # nothing comes
    os._exit(0)
