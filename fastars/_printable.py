"""Text from files, written so that a terminal only shows it; and the terminal that shows it."""

import os
from typing import Any

_USUAL_WIDTH = 80  # columns


def printable(text: str, keep: str = "") -> str:
    """Return a text in which every character that is not printable stands as its escape, as in `repr`.

    Escapes are control characters, also line ends and those of 8 bits; marks that turn the direction of text; characters without a
    width; lone surrogates; and all spaces but the usual one. So a text from a file is one line and gives a terminal no order.

    Parameters
    ----------
    text : str
        Any text.
    keep : str
        Characters that stay, such as line ends in a traceback.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in keep else c.encode("unicode_escape").decode("ascii") for c in text)


def is_watched(file: Any) -> bool:
    """Return True if a file is a terminal. `FORCE_COLOR` asks for styles elsewhere, not for bars that move or for broken lines."""
    try:
        return bool(file.isatty())
    except (ValueError, AttributeError):  # closed, or None
        return False


def columns(file: Any) -> int:
    """Return the width of the terminal of a file: `COLUMNS` if it is set, else what the terminal says; elsewhere 80."""
    named = os.environ.get("COLUMNS", "")
    if named.isdecimal() and int(named):
        return int(named)
    try:
        return os.get_terminal_size(file.fileno()).columns or _USUAL_WIDTH
    except (OSError, ValueError, AttributeError):  # a pipe, a file of Python alone, or None
        return _USUAL_WIDTH
