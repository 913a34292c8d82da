"""The one place through which text of the command goes to stdout and stderr.

Texts may come from files of anybody: names of environments, of columns, of folders. They are printed as `printable` writes them, so
that none of them sets a title, moves the cursor, forges a line or reads the clipboard. No other file of the command calls `print`.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import shutil
import sys
import textwrap
import traceback
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TextIO

from fastars._printable import printable

if TYPE_CHECKING:
    from rich.console import Console

STDOUT = "<stdout>"  # the name of the file in an OSError
_LEAST_ROOM, _INDENT = 24, 6  # columns


def say(text: str) -> None:
    """Print a line on stdout. On a terminal, a long one is broken between words.

    Raises
    ------
    OSError
        If stdout can't be written, as a file on a full disk; it names stdout.
    """
    with _writing_stdout():
        print(_fitting(text), flush=True)


def say_lines(text: str) -> None:
    """Print text of several lines on stdout, such as JSON; errors are as in `say`."""
    with _writing_stdout():
        print(printable(text, keep="\n"), flush=True)


def complain(text: str) -> None:
    """Print a line on stderr. Nothing happens where that can't be written: it says something, and is no result."""
    with contextlib.suppress(OSError):
        print(_fitting(text, sys.stderr), file=sys.stderr, flush=True)


def complain_traceback() -> None:
    """Print the traceback of the present exception on stderr."""
    with contextlib.suppress(OSError):
        print(printable(traceback.format_exc(), keep="\n"), end="", file=sys.stderr, flush=True)


@contextlib.contextmanager
def _writing_stdout() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OSError(error.errno or errno.EIO, error.strerror or str(error), STDOUT) from error


@contextlib.contextmanager
def others_print() -> Iterator[None]:
    """Context in which code of others prints arguments, which may be names of files: all comes out with escapes, on stderr."""
    text = io.StringIO()
    try:
        with contextlib.redirect_stdout(text), contextlib.redirect_stderr(text):
            yield
    finally:
        with contextlib.suppress(OSError):
            print(printable(text.getvalue(), keep="\n"), end="", file=sys.stderr, flush=True)


def flush() -> None:
    """Write what stdout holds back; errors are as in `say`. A closed pipe is noticed here, not at exit."""
    if sys.stdout is not None:
        with _writing_stdout():
            sys.stdout.flush()


def give_up_stdout() -> None:
    """Send what stdout still holds back to nowhere: Python would try to write it again at exit, and end with another code."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def console(stderr: bool = False) -> Console:
    """Return a console on stdout or stderr, as wide as the terminal; without a terminal, 80 columns wide.

    Texts that it prints as a whole are made printable. Of stderr, errors are passed over.
    """
    from rich.console import Console

    class Printable(Console):
        def print(self, *objects: Any, **options: Any) -> None:
            """Print texts with escapes, each as one line, and anything else, such as a table, as it is."""
            shown = [_one_line(each) if isinstance(each, str) else each for each in objects]
            with contextlib.suppress(OSError) if stderr else _writing_stdout():
                super().print(*shown, **options)

    return Printable(stderr=stderr, highlight=False, markup=False, emoji=False)


def print_fact(out: Console, label: str, text: str, style: str = "dim") -> None:
    """Print a text after its label. On a terminal, a long text goes on in lines below it; elsewhere it is one line.

    If the label leaves little room, the text begins in the line after it.
    """
    indent = len(label.lstrip("\n"))
    room = out.width - indent
    if not out.is_terminal or len(text) <= room:
        out.print(label, style=style, end="")
        out.print(text, soft_wrap=True)
        return
    has_room = room >= _LEAST_ROOM
    if not has_room:
        room, indent = out.width - _INDENT, _INDENT
    lines = _lines(text, max(room, _LEAST_ROOM))
    out.print(label, style=style, end="" if has_room else "\n", soft_wrap=True)
    for number, line in enumerate(lines):
        out.print(line if has_room and number == 0 else " " * indent + line, soft_wrap=True)


def print_sentence(out: Console, text: str, style: str = "") -> None:
    """Print a text after a space. On a terminal, a long text goes on in lines below it; elsewhere it is one line."""
    for line in _lines(text, max(out.width - 1, _LEAST_ROOM)) if out.is_terminal else [text]:
        out.print(f" {line}", style=style, soft_wrap=True)


def _lines(text: str, width: int) -> list[str]:
    """Break a text between words; a word that is wider than a line, such as a path, stays whole."""
    return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)


def _fitting(text: str, file: TextIO | None = None) -> str:
    """Return a line with escapes; in several lines, if it goes to a terminal that is narrower."""
    line, file = printable(text), file or sys.stdout
    width = shutil.get_terminal_size().columns
    return "\n".join(_lines(line, width)) if file is not None and len(line) > width and file.isatty() else line


def _one_line(text: str) -> str:
    """Return a text with escapes; only line ends before it stay."""
    line = text.lstrip("\n")
    return text[: len(text) - len(line)] + printable(line)
