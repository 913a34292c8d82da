"""The help of the command: tyro writes it, and this module breaks its lines for the terminal.

tyro's own boxes break words where a column is narrow, and their titles are white, which a light background hides. The terminal
breaks lines outside of boxes, anywhere. So tyro writes into a column that is wide enough for all words. Its sections are read from
there, and laid out as in most commands: names of options, and what they mean beside or below them.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import sys
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from fastars._folding import folded, folded_words
from fastars._printable import columns
from fastars.cli.terminal import pass_on, say_styled

_HELP = {"-h", "--help"}
_WIDE = 129  # columns of one column of boxes; from 130 on, tyro puts boxes side by side
_WIDEST, _NARROW = 120, 72  # columns: lines get no longer; below the other, texts are below the names of options
_BESIDE = 30  # column at which texts begin beside names
_MAY_END = "\N{ZERO WIDTH SPACE}"  # a line may end there, and no space is
_HARD_SPACE = "\N{NO-BREAK SPACE}"
_BRACKETS = re.compile(r"\[[^][{}]*\]")  # no line ends in [KEY=VALUE ...]
_REQUIRED = "(required)"
_RULE = re.compile(r" *-{4,} *")
_ENTRY = re.compile(r"(?: +• )?(\S.*?)(?: {2,}(\S.*))?")


class Section(NamedTuple):
    """A box of tyro's: pairs of a name, such as an option, and its text."""

    title: str
    entries: list[tuple[str, str]]


@contextlib.contextmanager
def laid_out(arguments: Sequence[str]) -> Iterator[None]:
    """Context in which the help that tyro prints comes out laid out for the terminal, if the arguments ask for it."""
    if _HELP.isdisjoint(arguments):
        yield
        return
    written = io.StringIO()
    try:
        with _environ("COLUMNS", str(_WIDE)), contextlib.redirect_stdout(written):
            yield
    finally:
        text = written.getvalue()
        if text.startswith("usage:"):
            say_styled(lines(text, min(columns(sys.stdout), _WIDEST)))
        elif text:
            pass_on(text)


@contextlib.contextmanager
def _environ(name: str, value: str) -> Iterator[None]:
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def lines(text: str, width: int) -> list[tuple[str, str]]:
    """Return the lines of a help text of tyro for a width, each as a bold and a plain part."""
    usage, *rest = text.splitlines()
    at = next((i for i in range(len(rest) - 1) if _begins_section(rest, i)), len(rest))
    first, *others = _hanging(usage.removeprefix("usage: "), width, len("usage: "))
    found = [("usage:", f" {first}"), *(("", line) for line in others)]
    for paragraph in "\n".join(rest[:at]).strip().split("\n\n"):
        found += [("", ""), *(("", line) for line in folded(" ".join(paragraph.split()), width))]
    for section in _sections(rest[at:]):
        found += [("", ""), (section.title, "")]
        for name, meaning in section.entries:
            found += _entry(name, meaning, width)
    return found


def _begins_section(rows: Sequence[str], i: int) -> bool:
    return re.match(r" \S", rows[i]) is not None and _RULE.fullmatch(rows[i + 1]) is not None


def _sections(rows: Sequence[str]) -> list[Section]:
    """Read tyro's boxes: a title and a rule, then a row for each entry, whose text may go on in rows that begin with spaces."""
    sections = list[Section]()
    for i, row in enumerate(rows):
        if i + 1 < len(rows) and _begins_section(rows, i):
            sections.append(Section(row.strip(), []))
        elif row.strip() and not _RULE.fullmatch(row):
            entries, inner = sections[-1].entries, row[2:].rstrip()
            if inner == _REQUIRED:  # a sub-command is, which usage shows
                continue
            if (match := _ENTRY.fullmatch(inner)) is not None:
                entries.append((match[1], match[2] or ""))
            else:
                name, meaning = entries[-1]
                entries[-1] = name, _continued(meaning, inner.strip())
    return sections


def _continued(text: str, more: str) -> str:
    """Join two lines of a text. A line may end after a comma inside a number."""
    inside_number = re.search(r"\d,$", text) and re.match(r"\d{3}(?!\d)", more)
    return f"{text}{'' if inside_number else ' '}{more}".strip()


def _entry(name: str, meaning: str, width: int) -> list[tuple[str, str]]:
    """Return the lines of an entry: the text beside its name, or below where there is no room."""
    beside = _BESIDE if width >= _NARROW else 6
    texts = folded(meaning, width - beside)
    names = _hanging(f"  {name}", width, 6)
    if width >= _NARROW and len(names[0]) <= beside - 2 and len(names) == 1 and texts:
        first, *texts = texts
        return [(names[0], " " * (beside - len(names[0])) + first), *(("", " " * beside + line) for line in texts)]
    return [*((line, "") for line in names), *(("", " " * beside + line) for line in texts)]


def _hanging(text: str, width: int, indent: int) -> list[str]:
    """Return the lines of a text, all but the first one indented. A list of choices, `{a,b}`, may go on after a comma."""
    lead = len(text) - len(text.lstrip())
    whole = _BRACKETS.sub(lambda match: match[0].replace(" ", _HARD_SPACE), text.strip())
    first, *others = folded_words(re.sub(r",(?=\S)", f",{_MAY_END} ", whole), width - indent) or [""]
    found = [" " * lead + first, *(" " * indent + line for line in others)]
    return [line.replace(f"{_MAY_END} ", "").replace(_MAY_END, "").replace(_HARD_SPACE, " ") for line in found]
