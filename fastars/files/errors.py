"""Errors about files that can't be read or written, and the texts in their messages."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

from fastars._printable import printable

_MAX_CAUSES = 20  # of an error: exceptions may be their own cause
_MAX_MESSAGE = 600  # characters of an error about a file, which may contain a megabyte of text


class _FileError(ValueError):
    """An error about a file, whose message is one printable line: it names the file and the fault."""

    def __init__(self, message: str = "") -> None:
        super().__init__(printable(message))


class CheckpointError(_FileError):
    """The error for a file that this version can't read; the message names the file and the fault."""


class DamagedFileError(_FileError):
    """The error for a file in a run folder that is damaged, or is a link, a pipe or a device."""


def brief(error: Any) -> str:
    """Return the text of an error, or any value of a file, printable and cut after 600 characters: it may repeat much of a file."""
    text = str(error)
    cut = text if len(text) <= _MAX_MESSAGE else f"{text[:_MAX_MESSAGE]} ..."
    return printable(cut)


def make_printable(error: BaseException | None) -> None:
    """Make the messages of an error and of its causes printable: Python prints them all where nobody catches the error."""
    for _ in range(_MAX_CAUSES):
        if error is None:
            return
        if not isinstance(error, OSError):  # which writes names of files as `repr` does
            error.args = tuple(printable(part) if isinstance(part, str) else part for part in error.args)
        error = error.__cause__ or error.__context__


def name_of(path: Any) -> str:
    """Return the name of a file for messages, from a path or an open file; printable, as somebody else may have named it."""
    return printable(str(getattr(path, "name", "the file")) if hasattr(path, "read") else os.fspath(path))


@contextlib.contextmanager
def naming(path: Any, temporary: Any = None) -> Iterator[None]:
    """Put the name of a file into an OSError without one, as a full disk raises it, or with the name of a temporary file."""
    try:
        yield
    except OSError as error:
        if error.errno is not None and (error.filename is None or str(error.filename) == str(temporary)):
            error.filename = str(path)
            del error.filename2
        raise
