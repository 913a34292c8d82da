"""How every kernel of fastars is compiled and cached: the one importer of `numba.njit`.

Three decorators, one per room a function can live in (and `uncached`, for looking at what LLVM made):

- `inline`: scalar code that must melt into its caller. LLVM leaves an ordinary call in place, and a loop with a call in it does
  not vectorise (CartPole: 28 -> 160 M steps/s from `forceinline` alone).
- `kernel`: compiled, cached, runs without the GIL.
- `parallel`: a `kernel` with `prange`. `launching` is for kernels that call one.

All of them divide as NumPy does (`error_model="numpy"`): otherwise each division carries a branch that raises, and the loop
does not vectorise. None of them uses fastmath: the same source gives the same bits, scalar or vectorised. That has to be said:
otherwise Numba hands the caller's fastmath down, and the first caller's code stays (`sincos` then differs at 98 % of angles).

The cache
---------
Numba's own `cache=True` runs stale machine code when a callee in another file was edited, stops on a truncated file, and fails at
import where nothing is writable. `KernelCache` keeps one file per compiled signature in a directory of our own. Its name carries a
digest of all the sources that are compiled, so it can't be stale; its content starts with a digest of itself, so a damaged file is
seen before it is unpickled; and directory and file must belong to this user and be writable by nobody else, or they are not used.
"""

import contextlib
import hashlib
import os
import pickle
import stat
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from types import FrameType
from typing import Any

import llvmlite
import numba
from numba.core import types
from numba.core.caching import CompileResultCacheImpl, _Cache
from numba.core.compiler_lock import global_compiler_lock
from numba.core.registry import CPUDispatcher
from numba.core.serialize import dumps

from fastars._runtime.signals import run_in_thread

INLINE: Any = {"error_model": "numpy", "fastmath": False, "forceinline": True, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
_KERNEL: Any = {"error_model": "numpy", "fastmath": False, "nogil": True, "no_cfunc_wrapper": True}
_KEPT_DAYS, _DAY = 30, 86_400.0  # of compiled kernels that nobody used; seconds
_DIGEST_BYTES = hashlib.sha256().digest_size


def inline(function: Callable[..., Any]) -> Any:
    """Compile scalar code that is merged into every caller."""
    return numba.njit(**INLINE)(function)


def kernel(function: Callable[..., Any]) -> Any:
    """Compile and cache a serial kernel that releases the GIL."""
    return _cached(numba.njit(**_KERNEL)(function))


def parallel(function: Callable[..., Any]) -> Any:
    """Compile and cache a kernel whose `prange` loops run on Numba's threads."""
    return launching(_cached(numba.njit(parallel=True, **_KERNEL)(function)))


def launching(dispatcher: Any) -> Any:
    """Let the threads of Python take turns at kernels with `prange`, and raise where a fork has left Numba without its threads."""
    if not numba.config.DISABLE_JIT:  # type: ignore[attr-defined]
        dispatcher.__class__ = _Launching
    return dispatcher


def entry(kernel: Any, *arguments: Any) -> Any:
    """The compiled form of a kernel for arguments of these types and no others: it doesn't look at them, 1 us instead of 5."""
    kernel(*arguments)
    if numba.config.DISABLE_JIT:  # type: ignore[attr-defined]
        return kernel
    return kernel.overloads[tuple(map(kernel.typeof_pyval, arguments))].entry_point


def uncached(function: Callable[..., Any]) -> Any:
    """Compile a kernel and keep it out of the cache: what comes from there has no LLVM code to look at."""
    return numba.njit(**_KERNEL)(function)


def may_vectorise() -> bool:
    """Whether Numba's switches let LLVM vectorise loops: not with bounds checks, each of which may leave the loop."""
    config: Any = numba.config
    return bool(config.LOOP_VECTORIZE) and not (config.DISABLE_JIT or config.BOUNDSCHECK)


class _Kernel(CPUDispatcher):
    """A kernel that is compiled, or loaded, on a thread of its own: Ctrl-C need not wait for the end of it."""

    def _compile_for_args(self, *args: Any, **kwargs: Any) -> Any:
        compiled: Any = super()._compile_for_args  # type: ignore[misc]
        # By this thread, in the middle of another compilation; and who imports holds a lock that Numba takes to look up the module.
        if global_compiler_lock.is_locked() or _is_importing():
            return compiled(*args, **kwargs)
        return run_in_thread(lambda: compiled(*args, **kwargs))


def _is_importing() -> bool:
    """Whether this thread is in the middle of an import, as one is that registers an environment in a module."""
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            return True
        frame = frame.f_back
    return False


class _Launching(_Kernel):
    """A kernel that starts work on Numba's threads.

    Its layer `workqueue` ends the process when two threads of Python do so at once, and GNU's OpenMP ends it in a forked child.
    """

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if _launches.are_lost:
            raise RuntimeError(
                f"{self.py_func.__name__} needs OpenMP's threads, and this process, a fork, has none: start it by 'spawn' or "
                "'forkserver', or set NUMBA_THREADING_LAYER=workqueue"
            )
        with _launches.turn:
            return super().__call__(*args, **kwargs)


class _Launches:
    """Whose turn it is to use Numba's threads, and whether there are any."""

    def __init__(self) -> None:
        self.turn, self.are_lost = threading.RLock(), False
        if hasattr(os, "register_at_fork"):
            # A fork waits for a compilation on another thread: the child would wait for ever for its lock.
            lock = global_compiler_lock
            os.register_at_fork(before=lock.acquire, after_in_parent=lock.release, after_in_child=self._forked)

    def _forked(self) -> None:
        """The child has this thread alone: no other has its turn, and OpenMP's are gone."""
        global_compiler_lock.release()
        launched = sys.modules.get("numba.np.ufunc.omppool")
        self.turn, self.are_lost = threading.RLock(), self.are_lost or getattr(launched, "openmp_vendor", "") == "GNU"


_launches = _Launches()


def _cached(dispatcher: Any) -> Any:
    if not numba.config.DISABLE_JIT:  # type: ignore[attr-defined]
        dispatcher.__class__ = _Kernel
        dispatcher._cache = KernelCache(dispatcher.py_func)
    return dispatcher


class _Portable(CompileResultCacheImpl):
    """Numba's conversion of a compiled function to and from a picklable tuple, without its search for a directory."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._lineno = function.__code__.co_firstlineno

    def check_cachable(self, data: Any) -> bool:
        return not (data.library.has_dynamic_globals or any(not lifted.can_cache for lifted in data.lifted))


class KernelCache(_Cache):
    """Compiled code of one function on disk, one file per signature and CPU. Any trouble with a file means: compile again."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self._portable = _Portable(function)
        self._enabled = True

    @property
    def cache_path(self) -> str | None:
        return cache_directory()

    def enable(self) -> None:
        self._enabled = True

    def disable(self) -> None:
        self._enabled = False

    def flush(self) -> None:
        """Forget nothing: a file can't be stale, as its name carries the digest of its sources."""

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        target_context.refresh()
        key, path = self._locate(sig, target_context.codegen())
        if path is None:
            return None
        try:
            content = _own_bytes(path)
            digest, payload = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
            if hashlib.sha256(payload).digest() != digest:
                return None
            stored_key, reduced = pickle.loads(payload)  # our own file, in a directory that only we can write
            if stored_key != key:
                return None
            _note_use(path)
            loaded = self._portable.rebuild(target_context, reduced)
            # Numba forgets this, and then functions compiled around a loaded prange kernel don't start the threads when they are
            # loaded themselves: they crash.
            loaded.library._reload_init.update(loaded.reload_init)
            return loaded
        except Exception:  # whatever is wrong with a cache file, compiling is the answer
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        key, path = self._locate(sig, data.codegen)
        if path is None or not self._portable.check_cachable(data):
            return
        with contextlib.suppress(OSError):  # a full disk costs the next process a compilation, no more
            payload = dumps((key, self._portable.reduce(data)))
            _write_atomically(path, hashlib.sha256(payload).digest() + payload)
            _sweep(path.parent)

    def _locate(self, sig: Any, codegen: Any) -> tuple[Any, Path | None]:
        """The full key of a compiled signature and the file it belongs in (None: no cache)."""
        key = (sig, codegen.magic_tuple())
        directory = cache_directory() if self._enabled else None
        if directory is None or any(_is_foreign(part) for part in sig):
            return key, None
        name = f"{self._function.__module__}.{self._function.__qualname__}"
        digest = hashlib.sha256(repr((str(sig), key[1], _source_digest(), _compiler_settings())).encode()).hexdigest()
        return key, Path(directory) / f"{name}.{digest[:32]}.kernel"


def _is_foreign(numba_type: Any) -> bool:
    """Whether a type leads to code from outside the package, whose changes the digest of our sources would not show.

    The types of `register_env` are our own, though they lead to the user's functions: their names carry a digest of those.
    """
    instance_class = getattr(numba_type, "instance_class", None)
    if instance_class is not None and instance_class.__module__.partition(".")[0] != __name__.partition(".")[0]:
        return True
    return isinstance(numba_type, types.BaseTuple) and any(_is_foreign(part) for part in numba_type)  # type: ignore[attr-defined]


def _compiler_settings() -> tuple[Any, ...]:
    """Switches of Numba that change the code it makes: `NUMBA_BOUNDSCHECK=1` must not be answered by code that checks nothing."""
    names = ("BOUNDSCHECK", "OPT", "DEBUGINFO_DEFAULT", "LOOP_VECTORIZE", "SLP_VECTORIZE", "FULL_TRACEBACKS")
    return (llvmlite.__version__, *(str(getattr(numba.config, name, None)) for name in names))


def _write_atomically(path: Path, content: bytes) -> None:
    handle, temporary = tempfile.mkstemp(prefix=".tmp-", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def _note_use(path: Path) -> None:
    """Let a file's time say on which day it was last of use."""
    with contextlib.suppress(OSError):
        if time.time() - path.stat().st_mtime > _DAY:
            os.utime(path)


@lru_cache(maxsize=1)
def _sweep(directory: Path) -> None:
    """Remove what was of no use for a month: kernels of other versions, and what a process that was killed had begun to write.

    Once a process, and only where something had to be compiled: looking at 1,000 files takes 3 ms.
    """
    for pattern in ("*.kernel", ".tmp-*"):
        for path in directory.glob(pattern):
            with contextlib.suppress(OSError):
                if time.time() - path.stat().st_mtime > _KEPT_DAYS * _DAY:
                    path.unlink()


@lru_cache(maxsize=1)
def _source_digest() -> str:
    """Digest of every source that is compiled, and of the versions that compile it."""
    package = Path(__file__).parents[1]
    compiled = [package / "scalar.py"]
    for room in ("_compiled", "kernels", "envs"):
        compiled += (package / room).rglob("*.py")
    digest = hashlib.sha256(f"{numba.__version__} {sys.version_info[:2]}".encode())
    for path in sorted(compiled):
        digest.update(str(path.relative_to(package)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


@lru_cache(maxsize=1)
def cache_directory() -> str | None:
    """The directory of compiled kernels, or None if there is none that only this user can write.

    `FASTARS_CACHE_DIR` names it; otherwise it is `fastars` in `XDG_CACHE_HOME` or in `~/.cache`.
    """
    try:
        directory = Path(os.environ.get("FASTARS_CACHE_DIR") or _default_cache_directory())
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = directory.stat()
    except (OSError, RuntimeError):  # not writable, or no home directory at all
        return None
    if os.name == "posix" and (not _is_own(status) or not _is_reached_safely(directory)):
        return None
    return str(directory) if os.access(directory, os.W_OK) else None


def _is_own(status: os.stat_result) -> bool:
    """Whether a file or directory belongs to this user, and nobody else may write it."""
    return status.st_uid == os.getuid() and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _is_reached_safely(directory: Path) -> bool:
    """Whether nobody but this user and root could put another directory in the place of this one.

    That is, no directory above it, nor above what a link leads to, belongs to somebody else, or may be written by everybody and is
    not sticky as /tmp is. Groups are trusted here, as many a home belongs to one: what they put there is not `_own_bytes`.
    """
    above = {*Path(os.path.abspath(directory)).parents, *Path(os.path.realpath(directory)).parents}
    for status in map(os.stat, above):
        is_open = status.st_mode & stat.S_IWOTH and not status.st_mode & stat.S_ISVTX
        if is_open or status.st_uid not in (0, os.getuid()):
            return False
    return True


def _own_bytes(path: Path) -> bytes:
    """The content of a regular file that only this user can have written; OSError for any other, a pipe or a link among them."""
    descriptor = os.open(
        path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    )
    with open(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or (os.name == "posix" and not _is_own(status)):
            raise PermissionError(f"{path} is no file that only this user can write")
        return file.read()


def _default_cache_directory() -> Path:
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "fastars"
