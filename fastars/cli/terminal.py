"""The one place through which text of the command goes to stdout and stderr.

Texts may come from files of anybody: names of environments, of columns, of folders. They are printed as `printable` writes them, so
that none of them sets a title, moves the cursor, forges a line or reads the clipboard. No other file of the command prints.

On a terminal, long lines are broken between words; elsewhere a text stays one line, which programs can read. Styles are bold and
dim alone, which keep the terminal's own colours, on a light or a dark background.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, TextIO

from fastars._folding import folded, folded_command, folded_items
from fastars._printable import columns, is_watched, printable

if TYPE_CHECKING:
    from rich.console import Console

STDOUT = "<stdout>"  # the name of the file in an OSError
_LEAST_ROOM, _INDENT, _MARGIN = 24, 6, 3  # columns
_HEIGHT = 25  # lines of a terminal on which nothing moves


def say(text: str) -> None:
    """Print a line on stdout. On a terminal, a long one is broken between words.

    Raises
    ------
    OSError
        If stdout can't be written, as a file on a full disk; it names stdout.
    """
    with _writing_stdout():
        print(_fitting(text, sys.stdout), flush=True)


def say_lines(text: str) -> None:
    """Print text of several lines on stdout, such as JSON; errors are as in `say`."""
    with _writing_stdout():
        print(printable(text, keep="\n"), flush=True)


def say_styled(lines: list[tuple[str, str]]) -> None:
    """Print lines on stdout, each of a part in bold and a plain part; errors are as in `say`."""
    begin, end = ("\x1b[1m", "\x1b[0m") if _shows_styles(sys.stdout) else ("", "")
    with _writing_stdout():
        for bold, plain in lines:
            print((f"{begin}{printable(bold)}{end}" if bold else "") + printable(plain), flush=True)


def pass_on(text: str) -> None:
    """Print text of another library on stdout as it is, such as a script for a shell; errors are as in `say`."""
    with _writing_stdout():
        print(text, end="", flush=True)


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


@contextlib.contextmanager
def any_text() -> Iterator[None]:
    """Context in which stdout and stderr write characters that their encoding lacks, as ASCII lacks most, as escapes."""
    with contextlib.ExitStack() as stack:
        for file in (sys.stdout, sys.stderr):
            if isinstance(file, io.TextIOWrapper) and file.errors == "strict":
                file.reconfigure(errors="backslashreplace")
                stack.callback(_be_strict, file)
        yield


def _be_strict(file: io.TextIOWrapper) -> None:
    with contextlib.suppress(OSError, ValueError):  # closed by now, or full
        file.reconfigure(errors="strict")


def flush() -> None:
    """Write what stdout holds back; errors are as in `say`. A closed pipe is noticed here, not at exit."""
    if sys.stdout is not None:
        with _writing_stdout():
            sys.stdout.flush()


def give_up_stdout() -> None:
    """Send what stdout still holds back to nowhere: Python would try to write it again at exit, and end with another code."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _shows_styles(file: Any) -> bool:
    return os.environ.get("FORCE_COLOR", "") != "" or (is_watched(file) and os.environ.get("TERM") not in (None, "dumb", "unknown"))


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

        def status(self, status: Any, **options: Any) -> Any:
            """Show a text that moves: in ASCII, and in the terminal's own colour."""
            return super().status(status, **({"spinner": "line", "spinner_style": "none"} | options))

    file = sys.stderr if stderr else sys.stdout
    options: dict[str, Any] = {"stderr": stderr, "highlight": False, "markup": False, "emoji": False}
    if not is_watched(file):  # rich takes a pipe for a terminal where styles are forced
        options |= {"force_terminal": False, "color_system": "standard" if _shows_styles(file) else None}
    out = Printable(**options)
    if out.is_dumb_terminal:
        out.size = columns(out.file), _HEIGHT  # rich takes each of these as 80 columns wide
    return out


def print_fact(out: Console, label: str, text: str | Sequence[str], style: str = "dim") -> None:
    """Print a text after its label. On a terminal, a long text goes on in lines below it; elsewhere it is one line.

    If the label leaves little room, or less than a word needs, the text begins in the line after it.

    Parameters
    ----------
    out : rich.console.Console
        On stdout.
    label : str
        Spaces after it put texts of several facts into a column.
    text : str or sequence of str
        A sentence, or the items of a list, which stay whole.
    style : str
        Style of the label.
    """
    parts = text.split() if isinstance(text, str) else list(text)
    whole = text if isinstance(text, str) else ", ".join(text)
    indent = len(label.lstrip("\n"))
    if not is_watched(out.file) or indent + len(whole) <= out.width:
        out.print(label, style=style, end="")
        out.print(whole, soft_wrap=True)
        return
    is_beside = out.width - indent >= max(_LEAST_ROOM, *map(len, parts))
    if is_beside:
        out.print(label, style=style, end="", soft_wrap=True)
    else:
        indent = _INDENT
        lead, name = label[: len(label) - len(label.lstrip())], label.strip()
        for line in folded(name, out.width - _INDENT):
            out.print(lead + line, style=style, soft_wrap=True)
            lead = " " * _INDENT
    room = max(out.width - indent, _LEAST_ROOM)
    for number, line in enumerate(folded(whole, room) if isinstance(text, str) else folded_items(parts, room)):
        out.print(line if is_beside and number == 0 else " " * indent + line, soft_wrap=True)


def print_sentence(out: Console, text: str, style: str = "") -> None:
    """Print a text after a space. On a terminal, a long text goes on in lines below it; elsewhere it is one line."""
    for line in folded(text, max(out.width - 1, _LEAST_ROOM)) if is_watched(out.file) else [text]:
        out.print(f" {line}", style=style, soft_wrap=True)


def print_command(out: Console, command: str, hint: str = "") -> None:
    """Print a command to copy, after a hint if there is one. On a terminal that is too narrow for both, it is in lines below."""
    line = f" {hint}  {command}"
    if hint and (not is_watched(out.file) or len(line) <= out.width):
        out.print(f" {hint}  ", end="")
        out.print(command, style="bold", soft_wrap=True)
        return
    if hint:
        print_sentence(out, hint)
    for part in folded_command(command, out.width - _MARGIN) if is_watched(out.file) else [command]:
        out.print(f"{'':{_MARGIN}}{part}", style="bold", soft_wrap=True)


def _fitting(text: str, file: TextIO | None) -> str:
    """Return a line with escapes; in several lines, if it goes to a terminal that is narrower."""
    line, width = printable(text), columns(file)
    return "\n".join(folded(line, width)) if len(line) > width and is_watched(file) else line


def _one_line(text: str) -> str:
    """Return a text with escapes; only line ends before it stay."""
    line = text.lstrip("\n")
    return text[: len(text) - len(line)] + printable(line)
