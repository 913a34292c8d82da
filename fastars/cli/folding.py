"""Break text into lines between words. A number stays with its unit, and a command can still be copied."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence

_HARD_SPACE = "\N{NO-BREAK SPACE}"
# "12.3 k steps/s" and "16 s" are one word each: a number, the letter of a thousand if there is one, and the unit.
_QUANTITY = re.compile(r"(?<![\w.-])[-+]?\d[\d.,:]* (?:[kMG] )?(?=[A-Za-z%])")
_COMMAND = re.compile(r"(?<=: )fastars [a-z]+ [^`]*$")
_ARGUMENT = re.compile(r"(?:'[^']*'|\"[^\"]*\"|\S)+")  # of a shell: spaces in quotes do not end it
_INDENT = 4  # columns


def folded(text: str, width: int) -> list[str]:
    """Return the lines of a text, each of at most `width` columns. A word that is wider, such as a path, stays whole.

    A command at its end that does not fit has lines of its own.
    """
    if len(text) <= width:
        return [text]
    if (command := _COMMAND.search(text)) is not None:
        return [*_lines(text[: command.start()].rstrip(), width), *folded_command(command[0], width)]
    return _lines(text, width)


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


def _lines(text: str, width: int) -> list[str]:
    return _wrapped(_QUANTITY.sub(lambda match: _joined(match[0]), text), width)


def _joined(text: str) -> str:
    return text.replace(" ", _HARD_SPACE)


def _wrapped(text: str, width: int) -> list[str]:
    """Return lines that are broken at spaces alone, none of them at a hard space, which are usual spaces afterwards."""
    lines = textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)
    return [line.replace(_HARD_SPACE, " ") for line in lines]
