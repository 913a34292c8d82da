"""Replace files as a whole: a reader, or the next start after a kill, sees the old content or the new content, never a part."""

import contextlib
import errno
import io
import os
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from fastars.files.errors import naming
from fastars.files.opening import NOT_REGULAR, open_to_append

if sys.platform != "win32":
    import fcntl

_TEMPORARY = re.compile(r"\.fastars-\d+-[0-9a-f]{16}\.tmp")


def write_atomically(path: str | os.PathLike[str], parts: Iterable[bytes | memoryview], follow: bool = True) -> None:
    """Write a file as a whole: replace an existing file or make a new one.

    Parameters
    ----------
    path : str or PathLike
        A missing folder is made.
    parts : iterable of bytes or memoryview
        The content, in order.
    follow : bool
        True follows a symbolic link, as the path of a user may be one. False replaces it, as a name of ours in a folder is none.

    Raises
    ------
    OSError
        If the file can't be written: an existing file is unchanged, and no temporary file is left. It has the path of the file.
    """
    path = Path(os.path.realpath(path)) if follow else Path(path)
    if path.exists() and not path.is_symlink() and not path.is_file():  # root could rename a file over /dev/null
        raise OSError(errno.EINVAL, NOT_REGULAR, str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f".fastars-{os.getpid()}-{os.urandom(8).hex()}.tmp"
    with naming(path, temporary):
        _write(path, temporary, parts)
    with contextlib.suppress(OSError):  # some network file systems refuse this; the new file is whole and in place
        _sync_folder(path.parent)


def _write(path: Path, temporary: Path, parts: Iterable[bytes | memoryview]) -> None:
    """Write a temporary file and give it the name of the file."""
    try:
        with open(temporary, "xb") as file:
            with contextlib.suppress(OSError):  # a file system without locks: `sweep_temporaries` leaves its files
                _lock(file)
            for part in parts:
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
            if sys.platform == "win32":
                file.close()  # Windows renames no open file; elsewhere the lock is held until the temporary name is gone
            os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def save_arrays(path: str | os.PathLike[str], **arrays: Any) -> None:
    """Write arrays to an `.npz` file of ours in a folder, as a whole; errors are as in `write_atomically`."""
    content = io.BytesIO()
    np.savez(content, **arrays)
    write_atomically(path, [content.getbuffer()], follow=False)


def sweep_temporaries(folder: str | os.PathLike[str]) -> int:
    """Remove the temporary files that killed processes left in a folder. A file that is being written is locked and stays.

    Returns
    -------
    int
        Number of removed files; 0 also if there is no such folder.
    """
    try:
        names = [name for name in os.listdir(folder) if _TEMPORARY.fullmatch(name)]
    except (FileNotFoundError, NotADirectoryError):
        return 0
    return sum(_remove_stale(Path(folder) / name) for name in names)


def _remove_stale(path: Path) -> bool:
    try:
        if sys.platform == "win32":
            os.unlink(path)  # refused while a process has the file open
        else:
            with open_to_append(path) as file:
                _lock(file)
                os.unlink(path)
    except OSError:
        return False
    return True


def _lock(file: BinaryIO) -> None:
    """Lock a file until it is closed or its process dies. A pid would not do: pids are reused, and are 1 in every container."""
    if sys.platform != "win32":
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _sync_folder(folder: Path) -> None:
    if sys.platform != "win32":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
