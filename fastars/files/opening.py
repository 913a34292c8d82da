"""Open files that may come from anybody: nothing but regular files, and in a folder nothing that a link leads to.

A path that the user names may be a symbolic link. A name that fastars chooses inside a folder (`model.zip`, `progress.csv`) may
not: a folder from another person may have a link of this name that leads to a file of the reader's. It is never read, and a file
that is written takes the place of the link. A name may also be that of a pipe, which blocks the process that opens it, or of a
device, which may do anything: neither is opened.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Any

from fastars.files.errors import DamagedFileError

_FLAGS = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0)  # a pipe may take the place of a file at any moment
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)
NOT_REGULAR = "not a regular file"


def open_regular(path: str | os.PathLike[str], mode: str = "rb", **options: Any) -> Any:
    """Open a file for reading, as `open` does.

    Raises
    ------
    ValueError
        If it is a pipe, a device, a socket or a folder. It is not opened.
    OSError
        If it can't be opened.
    """
    _refuse_other_kinds(os.stat(path).st_mode)
    file = open(path, mode, opener=lambda name, flags: os.open(name, flags | _FLAGS), **options)  # noqa: SIM115 - the caller closes it
    try:
        _refuse_other_kinds(os.fstat(file.fileno()).st_mode)
    except BaseException:
        file.close()
        raise
    return file


def open_to_append(path: str | os.PathLike[str]) -> Any:
    """Open a file whose name is ours for appending, without a buffer: when `write` returns, the text is in the file.

    Raises
    ------
    OSError
        If it is a link or no regular file, or can't be opened.
    """
    flags = _FLAGS | _NO_LINK
    file = open(path, "ab", 0, opener=lambda name, usual: os.open(name, usual | flags, 0o666))  # noqa: SIM115 - the caller closes it
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(errno.EINVAL, NOT_REGULAR, str(path))
    return file


def _refuse_other_kinds(mode: int) -> None:
    if not stat.S_ISREG(mode):
        raise ValueError(NOT_REGULAR)


def is_there(path: str | os.PathLike[str]) -> bool:
    """Return True if a file of ours is in a folder, False if there is nothing of its name.

    Raises
    ------
    DamagedFileError
        If there is something else: a symbolic link, wherever it leads, a pipe, a device or a folder.
    """
    try:
        mode = os.lstat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return False
    if stat.S_ISLNK(mode):
        raise DamagedFileError(
            f"{os.fspath(path)} is a symbolic link, which is not followed in a folder: put the file itself there"
        )
    if not stat.S_ISREG(mode):
        raise DamagedFileError(f"{os.fspath(path)} is {NOT_REGULAR}")
    return True


def refuse_link(path: str | os.PathLike[str]) -> None:
    """Raise as `is_there` does, if the name of a file of ours belongs to something else. A missing file is none of these."""
    is_there(path)


def file_in(path: str | os.PathLike[str]) -> Path:
    """Return the path of a file of ours in a folder.

    Raises
    ------
    DamagedFileError
        As in `is_there`.
    FileNotFoundError
        If there is nothing of its name.
    """
    if not is_there(path):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), os.fspath(path))
    return Path(path)


def without_link(path: str | os.PathLike[str]) -> Path:
    """Return a path of ours to which a file is written. A symbolic link there is removed; what it leads to stays as it is."""
    if os.path.islink(path):
        os.unlink(path)
    return Path(path)


def folder_in(path: str | os.PathLike[str]) -> Path:
    """Make a folder of ours inside another one, if it is missing, and return its path.

    Raises
    ------
    FileExistsError
        If its name is that of a symbolic link or of a file.
    """
    if os.path.islink(path):
        raise FileExistsError(errno.EEXIST, "a symbolic link, which is not followed in a folder", os.fspath(path))
    Path(path).mkdir(parents=True, exist_ok=True)
    return Path(path)
