"""Compilation in two processes: one compiles kernels that the other will need. On threads it takes turns, as Numba has one lock.

The other process is a fresh interpreter. It compiles kernels one after the other into the cache, and ends with this process. A
kernel that it is at work on is waited for; any other is compiled here as ever. So nothing is lost but time if it ends early.

A first run ever on HalfCheetah-v5 over lanes took 23 s of CPU in one process; in two it takes 11.6 and 12.1 s, side by side.
"""

import atexit
import contextlib
import importlib
import json
import multiprocessing
import os
import pickle
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numba
from numba.core.serialize import dumps

from fastars._compiled.kernel_cache import wait_before_compiling
from fastars._runtime.cpus import available_cpus

_LEAST = 2  # kernels that are missing: for one, a second process costs more (1 s) than it saves
_PATIENCE_SECONDS = 60.0  # with a kernel: the other process may have been stopped
_LOOK_SECONDS = 0.01
_BOOTSTRAP = (
    "import sys, json; sys.path[:] = json.loads(sys.argv[1]); order = sys.stdin.buffer.read(int(sys.argv[2])); "
    "from fastars._compiled.ahead import main; main(order)"
)


class _Helper:
    """The other process, and the files of kernels that it will write, in its order."""

    def __init__(self, order: bytes, paths: list[Path]) -> None:
        self._paths = paths
        path = json.dumps([entry or os.getcwd() for entry in sys.path])
        self._process = subprocess.Popen(  # a session of its own: a Ctrl-C on the terminal is for this process
            [sys.executable, "-c", _BOOTSTRAP, path, str(len(order))],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        atexit.register(self.end)
        with contextlib.suppress(OSError):
            self._process.stdin.write(order)  # type: ignore[union-attr]
            self._process.stdin.flush()  # type: ignore[union-attr]

    def wait_for(self, path: Path) -> None:
        """Wait for a file as long as the process is at work on it."""
        end = time.monotonic() + _PATIENCE_SECONDS
        while self._process.poll() is None and self._is_at(path):
            if time.monotonic() > end:
                self.end()
            time.sleep(_LOOK_SECONDS)

    def _is_at(self, path: Path) -> bool:
        return path == next((one for one in self._paths if not one.exists()), None)

    def end(self) -> None:
        """End the process."""
        atexit.unregister(self.end)
        self._process.kill()
        with contextlib.suppress(OSError):
            self._process.stdin.close()  # type: ignore[union-attr]
        self._process.wait()


_helpers: list[_Helper] = []


def _wait_for(path: Path) -> None:
    for helper in tuple(_helpers):
        helper.wait_for(path)


wait_before_compiling(_wait_for)


def compile_elsewhere(calls: Iterable[tuple[Any, ...]]) -> None:
    """Let another process compile kernels, each for the types of its arguments, `(kernel, *arguments)`, in this order.

    It does so only where several are missing in the cache, and where there is a second CPU. A worker process compiles alone: its
    siblings keep the other CPUs busy.
    """
    is_worker = multiprocessing.parent_process() is not None or multiprocessing.current_process().daemon
    if numba.config.DISABLE_JIT or is_worker or not sys.executable or available_cpus() < 2:  # type: ignore[attr-defined]
        return
    orders, paths = [], []
    for kernel, *arguments in calls:
        signature = tuple(map(kernel.typeof_pyval, arguments))
        path = kernel.path_in_cache(signature)
        if path is not None and not path.exists():
            orders.append((kernel.py_func.__module__, kernel.py_func.__qualname__, signature, path))
            paths.append(path)
    if len(paths) >= _LEAST:
        with contextlib.suppress(OSError):  # no more processes, or no Python at `sys.executable`
            _helpers.append(_Helper(dumps(orders), paths))


def end_helpers() -> None:
    """End the other process, if there is one: what was needed is compiled."""
    while _helpers:
        _helpers.pop().end()


def main(order: bytes) -> None:
    """Compile kernels in the other process. After anything unexpected it ends."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    for module, name, signature, path in pickle.loads(order):
        kernel = getattr(importlib.import_module(module), name)
        if kernel.path_in_cache(signature) != path:
            return  # other settings of the compiler, or other sources
        if not path.exists():
            kernel.compile(signature)
        if not path.exists():
            return


def _end_with_parent() -> None:
    os.read(sys.stdin.fileno(), 1)  # nothing comes. Python aborts at its end if a thread is in `sys.stdin.read`
    os._exit(0)
