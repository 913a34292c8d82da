"""Rows of the log as JSON, one object per line."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from fastars.files.lines import LineWriter
from fastars.logger.outputs import number_texts, text_values


class JsonOutput:
    """Writes one JSON object per row. Strict JSON has no NaN and no infinity: both become null, which pandas reads as NaN.

    Parameters
    ----------
    path : Path
        The file.
    append : bool
        True continues an existing file, False empties it.
    """

    def __init__(self, path: Path, append: bool) -> None:
        self._lines = LineWriter(path, append)
        self._encode = json.JSONEncoder(allow_nan=False, default=str).encode
        self._names: dict[str, str] = {}

    def write(self, key_values: dict[str, Any], key_excluded: dict[str, tuple[str, ...]], step: int = 0) -> None:
        """Write one row; for its arguments see `Output.write`."""
        texts, members = number_texts(key_values), []
        for key, value in text_values(key_values, key_excluded, "json").items():
            if key not in self._names:
                self._names[key] = self._encode(str(key))
            has_text = not isinstance(value, float) or math.isfinite(value)
            members.append(f"{self._names[key]}: {(texts.get(key) or self._encode(value)) if has_text else 'null'}")
        self._lines.write("{" + ", ".join(members) + "}\n")

    def close(self) -> None:
        """Close the file; the next row opens it again."""
        self._lines.close()
