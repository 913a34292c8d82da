"""The cache of compiled kernels on disk.

Numba's own `cache=True` runs stale machine code when a callee in another file was edited, stops on a truncated file, and fails at
import where nothing is writable. `KernelCache` keeps one file per compiled signature in a directory of fastars.

- The name of a file carries a digest of all sources of compiled code, so the file can't be stale.
- Its content starts with a digest of the rest, so damage is seen before anything is unpickled.
- Directory and file must belong to this user and be writable by nobody else. Otherwise they are not used.
"""

import contextlib
import hashlib
import os
import pickle
import re
import stat
import sys
import tempfile
import time
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import llvmlite
import numba
from numba.core import types
from numba.core.caching import CompileResultCacheImpl, _Cache
from numba.core.registry import cpu_target
from numba.core.serialize import dumps

from fastars._compiled.announcing import announce

_PACKAGE = Path(__file__).parents[1]
_ROOMS = ("_compiled", "kernels", "envs", "physics")  # folders that may hold compiled code
_DECORATORS = rb"INLINE|inline|users|routine|part|kernel|addressed|parallel|launching"
_IMPORTS_DECORATOR = re.compile(
    rb"^from fastars\._compiled\.jit import (?:\([^)]*|[^\n]*)\b(?:" + _DECORATORS + rb")\b", re.MULTILINE
)
# Kernels read these, too: the options of the compiler, the NamedTuples and status codes, the table of the normal distribution, the
# types of vectors and tables with their operations, kinds of joints, and the machine code around MuJoCo's C functions.
_READ_BY_KERNELS = (
    *("_compiled/jit.py", "_compiled/merged.py", "_compiled/structs.py", "_compiled/ziggurat.py"),
    *("_compiled/simd.py", "_compiled/tables.py", "_compiled/flat_arrays.py", "physics/algebra.py", "physics/model.py"),
    *("envs/mujoco/guard.py", "envs/mujoco/handlers.py", "envs/mujoco/library.py"),
)

_KEPT_DAYS, _DAY = 30, 86_400.0  # how long a kernel that nobody uses is kept; seconds
_HAS_OWNERS = hasattr(os, "getuid")  # of files: Windows has other rights
_DIGEST_BYTES = hashlib.sha256().digest_size

_listeners: list[Callable[[Path | None], None]] = [announce]


def when_missing(listen: Callable[[Path | None], None]) -> None:
    """Call `listen` for each kernel that is missing, before it is compiled, with the path of its file; None: it is not kept."""
    _listeners.append(listen)


class _Portable(CompileResultCacheImpl):
    """Numba's conversion of a compiled function to and from a picklable tuple, without its search for a directory."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._lineno = function.__code__.co_firstlineno

    def check_cachable(self, data: Any) -> bool:
        return not (data.library.has_dynamic_globals or any(not lifted.can_cache for lifted in data.lifted))


class KernelCache(_Cache):
    """Compiled code of one function on disk, one file per signature and CPU. After any trouble with a file, compile again."""

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
        """Do nothing: a file can't be stale, as its name carries the digest of its sources."""

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        target_context.refresh()
        key, path = self.locate(sig, target_context.codegen())
        if path is None or not os.path.exists(path):
            for listen in _listeners:
                listen(path)
        if path is None:
            return None
        try:
            if (payload := kept_payload(path)) is None:
                return None
            stored_key, reduced = pickle.loads(payload)  # fastars' own file, in a directory that only this user can write
            if stored_key != key:
                return None
            loaded = self._portable.rebuild(target_context, reduced)
            # Numba forgets this. Functions compiled around a loaded prange kernel then don't start the threads when they are loaded
            # themselves, and crash.
            loaded.library._reload_init.update(loaded.reload_init)
            return loaded
        except Exception:  # whatever is wrong with a cache file, compiling is the answer
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        key, path = self.locate(sig, data.codegen)
        if path is None or not self._portable.check_cachable(data):
            return
        keep_payload(path, dumps((key, self._portable.reduce(data))))  # a full disk costs the next process a compilation, no more

    def locate(self, sig: Any, codegen: Any) -> tuple[Any, Path | None]:
        """Return the full key of a compiled signature and the path of its file (None: it is not cached)."""
        key = (sig, codegen.magic_tuple())
        directory = cache_directory() if self._enabled else None
        if directory is None or any(_is_foreign(part) for part in sig):
            return key, None
        name = f"{self._function.__module__}.{self._function.__qualname__}"
        digest = hashlib.sha256(repr((str(sig), key[1], _source_digest(), _compiler_settings())).encode()).hexdigest()
        return key, Path(directory) / f"{name}.{digest[:32]}.kernel"


def _is_foreign(numba_type: Any) -> bool:
    """Return True if a type leads to code outside the package, whose changes the digest of the package's sources would not show.

    The types of `register_env` are fastars' own, though they lead to functions of the user: their names carry a digest of these.
    """
    instance_class = getattr(numba_type, "instance_class", None)
    if instance_class is not None and instance_class.__module__.partition(".")[0] != __name__.partition(".")[0]:
        return True
    return isinstance(numba_type, types.BaseTuple) and any(_is_foreign(part) for part in numba_type)  # type: ignore[attr-defined]


def _compiler_settings() -> tuple[Any, ...]:
    """Return Numba's switches that change compiled code: `NUMBA_BOUNDSCHECK=1` must not load code that checks nothing."""
    names = ("BOUNDSCHECK", "OPT", "DEBUGINFO_DEFAULT", "LOOP_VECTORIZE", "SLP_VECTORIZE", "FULL_TRACEBACKS")
    return (llvmlite.__version__, *(str(getattr(numba.config, name, None)) for name in names))


def compiled_sources(package: Path = _PACKAGE) -> dict[str, bytes]:
    """Return the sources that kernels are compiled from, by their paths in the package: no other file changes a kernel.

    These are the files that import a decorator of `jit`, and a few that hold what kernels read. A file of plain Python is not among
    them, wherever it lies: an edit of it recompiles nothing. `tests/test_jit.py` walks through all kernels to show that nothing is
    missing here, and nothing too much.
    """
    paths = [package / "scalar.py", *(path for room in _ROOMS for path in (package / room).rglob("*.py"))]
    contents = {path.relative_to(package).as_posix(): path.read_bytes() for path in sorted(paths)}
    return {name: content for name, content in contents.items() if name in _READ_BY_KERNELS or _IMPORTS_DECORATOR.search(content)}


@lru_cache(maxsize=1)
def _source_digest() -> str:
    """Return a digest of every source of compiled code, and of the versions that compile it."""
    digest = hashlib.sha256(f"{numba.__version__} {sys.version_info[:2]}".encode())
    for name, content in compiled_sources().items():
        digest.update(name.encode() + b"\0" + content)
    return digest.hexdigest()


@lru_cache(maxsize=1)
def build_digest() -> str:
    """Return a digest of all that compiled code depends on: its sources, its compiler and the settings of that, the processor."""
    processor = cpu_target.target_context.codegen().magic_tuple()  # its name and features, or those that NUMBA_CPU_NAME gives it
    return hashlib.sha256(repr((_source_digest(), _compiler_settings(), processor)).encode()).hexdigest()


def kept_payload(path: Path) -> bytes | None:
    """Return what `keep_payload` wrote; None if the file is missing or damaged, or if somebody else can have written it."""
    try:
        content = own_bytes(path)
    except OSError:
        return None
    digest, payload = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
    if hashlib.sha256(payload).digest() != digest:
        return None
    _note_use(path)
    return payload


def keep_payload(path: Path, payload: bytes) -> None:
    """Write a file of the directory as a whole, if it can be written, and remove files that nobody used for long."""
    with contextlib.suppress(OSError):
        _write_atomically(path, hashlib.sha256(payload).digest() + payload)
        sweep(path.parent)


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
    """Set the time of a file to now, at most once a day: it says on which day the file was last used."""
    with contextlib.suppress(OSError):
        if time.time() - path.stat().st_mtime > _DAY:
            os.utime(path)


@lru_cache(maxsize=1)
def sweep(directory: Path) -> None:
    """Remove files that nobody used for a month: those of other versions, and temporary files of killed processes.

    At most once per process, and only where something had to be compiled: looking at 1,000 files takes 3 ms.
    """
    for pattern in ("*.kernel", "*.agreement", ".tmp-*"):
        for path in directory.glob(pattern):
            with contextlib.suppress(OSError):
                if time.time() - path.stat().st_mtime > _KEPT_DAYS * _DAY:
                    path.unlink()


@lru_cache(maxsize=1)
def cache_directory() -> str | None:
    """Return the directory of compiled kernels, or None if there is none that only this user can write.

    `FASTARS_CACHE_DIR` names it; otherwise it is `fastars` in `XDG_CACHE_HOME` or in `~/.cache`.
    """
    try:
        directory = Path(os.path.abspath(os.environ.get("FASTARS_CACHE_DIR") or _default_cache_directory()))
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = directory.stat()
    except (OSError, RuntimeError):  # not writable, or no home directory at all
        return None
    if _HAS_OWNERS and (not _is_own(status) or not _is_reached_safely(directory)):
        return None
    return str(directory) if os.access(directory, os.W_OK) else None


def _default_cache_directory() -> Path:
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "fastars"


def _is_own(status: os.stat_result) -> bool:
    """Return True if a file or directory belongs to this user and nobody else may write it."""
    return status.st_uid == os.getuid() and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _is_reached_safely(directory: Path) -> bool:
    """Return True if nobody but this user and root could put another directory in the place of this one.

    No directory above it, nor above the target of a link, may belong to somebody else, or be writable by everybody unless it is
    sticky as /tmp is. Groups are trusted here, as many home directories belong to one: a file that they put there is refused by
    `own_bytes`.
    """
    above = {*Path(os.path.abspath(directory)).parents, *Path(os.path.realpath(directory)).parents}
    for status in map(os.stat, above):
        is_open = status.st_mode & stat.S_IWOTH and not status.st_mode & stat.S_ISVTX
        if is_open or status.st_uid not in (0, os.getuid()):
            return False
    return True


def own_bytes(path: Path) -> bytes:
    """Return the content of a regular file that only this user can have written. For any other, such as a link, raise OSError."""
    descriptor = os.open(
        path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    )
    with open(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or (_HAS_OWNERS and not _is_own(status)):
            raise PermissionError(f"{path} is no file that only this user can write")
        return file.read()
