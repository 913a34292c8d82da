"""Errors about files that can't be read, and the texts in their messages."""

from __future__ import annotations

import os
from typing import Any

_MAX_MESSAGE = 600  # characters of an error about a file, which may contain a megabyte of text


class CheckpointError(ValueError):
    """The error for a file that this version can't read; the message names the file and the fault."""


class DamagedFileError(ValueError):
    """The error for a damaged file in a run folder; the message names the file and the fault."""


def brief(error: Any) -> str:
    """Return the text of an error, cut after 600 characters: it may repeat much of a file."""
    text = str(error)
    return text if len(text) <= _MAX_MESSAGE else f"{text[:_MAX_MESSAGE]} ..."


def name_of(path: Any) -> str:
    """Return the name of a file for messages, from a path or an open file."""
    return str(getattr(path, "name", "the file")) if hasattr(path, "read") else os.fspath(path)
