"""A picture in a file. It carries a mark of its data, so that the picture of other runs does not take its place in silence."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fastars._imports import need
from fastars.files.opening import is_there, open_regular

SUFFIXES = (".png", ".svg", ".pdf")
# The entry of the metadata that has the mark, and the entry of the date, without which equal pictures are equal files.
_ENTRIES = {".png": ("Description", None), ".svg": ("Description", "Date"), ".pdf": ("Subject", "CreationDate")}
_MOST_READ = 1 << 24  # bytes of a picture in which the mark is looked for


def mark_of(shown: Mapping[str, Any]) -> str:
    """Return the mark of a picture that shows this: equal values have equal marks."""
    return f"fastars {hashlib.sha256(json.dumps(shown, sort_keys=True).encode()).hexdigest()[:32]}"


def has_mark(path: Path, mark: str) -> bool:
    """Return True if a file is a picture with this mark."""
    with open_regular(path) as file:
        return mark.encode() in file.read(_MOST_READ)


def picture(figure: Any, suffix: str, mark: str) -> bytes:
    """Return the content of the file of a figure, which follows from the figure alone.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        What is drawn.
    suffix : str
        One of `SUFFIXES`.
    mark : str
        From `mark_of`.
    """
    content = io.BytesIO()
    entry, date = _ENTRIES[suffix]
    metadata = {entry: mark} if date is None else {entry: mark, date: None}
    with need("matplotlib", "plot").rc_context({"svg.hashsalt": "fastars"}):
        figure.savefig(content, format=suffix[1:], metadata=metadata)
    return content.getvalue()


def free_name(folder: Path, stem: str, mark: str, suffix: str = ".png") -> Path:
    """Return the first of `stem.png`, `stem_2.png`, ... in a folder that is free, or has this mark.

    Raises
    ------
    DamagedFileError
        If a name belongs to a link or to another thing than a file: the folder may come from anybody.
    """
    number, path = 1, folder / f"{stem}{suffix}"
    while is_there(path) and not has_mark(path, mark):
        number += 1
        path = folder / f"{stem}_{number}{suffix}"
    return path
