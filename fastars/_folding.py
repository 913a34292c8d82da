"""Break text into lines between words. A number stays with its unit, and a command can still be copied."""

from __future__ import annotations

import re
import sys
import textwrap
from collections.abc import Sequence

from fastars._printable import columns, is_watched

_HARD_SPACE = "\N{NO-BREAK SPACE}"
# "12.3 k steps/s" and "16 s" are one word each: a number, the letter of a thousand if there is one, and the unit.
_QUANTITY = re.compile(r"(?<![\w.-])[-+]?\d[\d.,:]* (?:[kMG] )?(?=[A-Za-z%])")
_LABEL = re.compile(r"(?<=, )[a-z_]+ (?=[-+]?\d[\d.,]*%?(?:[,;)]|$))")  # ", seed 0" and ", std 1.5"
_SPREAD = re.compile(r"(?<=\d) (?:\+/?-|to) (?=[-+]?\d)")  # "2.5 +- 0.1", "3 to 7"
# At the end of a sentence, or the whole text; "error: fastars train takes ..." is a sentence itself.
_COMMAND = re.compile(r"(?:^|(?<=: )(?<!error: )(?<!warning: ))fastars [a-z]+ [^`;?]*$")
_ARGUMENT = re.compile(r"(?:'[^']*'|\"[^\"]*\"|\S)+")  # of a shell: spaces in quotes do not end it
_INDENT = 4  # columns


def print_line(text: str) -> None:
    """Print a line of a program that is not the command. On a terminal, a long one is broken between words."""
    if is_watched(sys.stdout):
        text = "\n".join(folded(text, columns(sys.stdout)))
    print(text, flush=True)


def folded(text: str, width: int) -> list[str]:
    """Return the lines of a text, each of at most `width` columns. A word that is wider, such as a path, stays whole.

    A command at its end that does not fit has lines of its own.
    """
    if len(text) <= width:
        return [text]
    if (command := _COMMAND.search(text)) is not None:
        return [*folded_words(text[: command.start()].rstrip(), width), *folded_command(command[0], width)]
    return folded_words(text, width)


def folded_items(items: Sequence[str], width: int) -> list[str]:
    """Return the lines of a list, with a comma after each item but the last. No line ends inside an item."""
    return _wrapped(", ".join(map(_joined, items)), width)


def folded_command(command: str, width: int) -> list[str]:
    """Return the lines of a command, as a shell takes them: all but the last one end in a backslash."""
    arguments = [_joined(argument) for argument in _ARGUMENT.findall(command)]
    if len(command) <= width:
        return [command]
    first, *others = _wrapped(" ".join(arguments), width - _INDENT - 2)
    lines = [first, *(" " * _INDENT + line for line in others)]
    return [*(f"{line} \\" for line in lines[:-1]), lines[-1]]


def folded_words(text: str, width: int) -> list[str]:
    """Return the lines of a text, whatever it begins or ends with."""
    for pattern in (_QUANTITY, _LABEL, _SPREAD):
        text = pattern.sub(lambda match: _joined(match[0]), text)
    return _wrapped(text, width)


def _joined(text: str) -> str:
    return text.replace(" ", _HARD_SPACE)


def _wrapped(text: str, width: int) -> list[str]:
    """Return lines that are broken at spaces alone, none of them at a hard space, which are usual spaces afterwards."""
    lines = textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)
    return [line.replace(_HARD_SPACE, " ") for line in lines]
