"""The manifest of a checkpoint: JSON with the schema, the versions that wrote it, the caller's dictionary and the arrays."""

import json
import math
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from fastars._version import __version__
from fastars.files.json_text import without_strings
from fastars.files.stored_zip import MAX_MEMBERS, MAX_NAME_BYTES

SCHEMA = 1
MAX_MANIFEST_BYTES = 1 << 20
MAX_DEPTH = 32  # levels of the JSON

_FORMAT = "fastars checkpoint"
_NAME = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")
_NONFINITE_KEY = "$float"
_NONFINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


def encode_manifest(state: Mapping[str, Any], entries: Mapping[str, Mapping[str, Any]]) -> bytes:
    """Return the text of a manifest.

    Parameters
    ----------
    state : mapping
        The caller's dictionary: plain data.
    entries : mapping of str to mapping
        "dtype", "shape" and "sha256" of each array, by name.

    Raises
    ------
    TypeError, ValueError
        If `parse_manifest` would refuse the text.
    """
    versions = {"fastars": __version__, "numpy": np.__version__}
    plain = _to_json(state, "manifest")
    document = {"format": _FORMAT, "schema": SCHEMA, "versions": versions, "arrays": entries, "state": plain}
    text = json.dumps(document, sort_keys=True, allow_nan=False, indent=1).encode("ascii")
    parse_manifest(text)
    return text


def parse_manifest(text: bytes) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Return the caller's dictionary and the entries of the arrays, after a check of every type in them.

    Raises
    ------
    ValueError
        If it is no manifest, or one that this version can't read.
    """
    if len(text) > MAX_MANIFEST_BYTES:
        raise ValueError(f"a manifest of {len(text)} bytes, more than the {MAX_MANIFEST_BYTES} allowed")
    if _depth(text) > MAX_DEPTH:  # json would recurse as deep, on C's stack
        raise ValueError(f"its manifest is nested deeper than {MAX_DEPTH}")
    document = json.loads(text.decode("ascii"), object_pairs_hook=_json_object, parse_float=_json_float, parse_constant=_json_float)
    if not isinstance(document, dict) or document.get("format") != _FORMAT or type(document.get("schema")) is not int:
        raise ValueError("its manifest was not written by fastars")
    if document["schema"] > SCHEMA:
        raise ValueError(
            f"written by a newer fastars (schema {str(document['schema'])[:20]}; this one reads {SCHEMA}): upgrade fastars"
        )
    entries, state = document.get("arrays"), document.get("state")
    if document["schema"] < 1 or not isinstance(state, dict) or not isinstance(entries, dict) or len(entries) >= MAX_MEMBERS:
        raise ValueError(f"its manifest lacks a dictionary of state, or a dictionary of fewer than {MAX_MEMBERS} arrays")
    for name, entry in entries.items():
        if not _NAME.fullmatch(name) or len(name) + len(".npy") > MAX_NAME_BYTES:
            raise ValueError(f"an array named {name[:MAX_NAME_BYTES]!r}; allowed are letters, digits, _, - and dots between them")
        if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "sha256"} or not isinstance(entry["shape"], list):
            raise ValueError(f"its manifest does not give dtype, shape and sha256 of array {name!r}")
    return state, entries


def _depth(text: bytes) -> int:
    """Return the depth of nested brackets."""
    marks = np.frombuffer(without_strings(text), np.uint8) | 0x20  # [ and { differ by this bit, so do ] and }
    steps = (marks == ord("{")).astype(np.int8) - (marks == ord("}"))
    return int(np.max(np.cumsum(steps, dtype=np.int32), initial=0))


def _to_json(value: Any, where: str, depth: int = 0) -> Any:
    """Return plain data in strict JSON's terms: a NaN or an infinity becomes {"$float": "nan"}."""
    if depth > MAX_DEPTH:
        raise ValueError(f"the manifest is nested deeper than {MAX_DEPTH}")
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else {_NONFINITE_KEY: str(float(value))}
    if isinstance(value, list | tuple):
        return [_to_json(item, f"{where}[{i}]", depth + 1) for i, item in enumerate(value)]
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str) or key == _NONFINITE_KEY:
                raise TypeError(f"{where} has the key {key!r}; keys are strings other than {_NONFINITE_KEY!r}")
        return {key: _to_json(item, f"{where}[{key!r}]", depth + 1) for key, item in value.items()}
    raise TypeError(f"{where} is a {type(value).__name__}; allowed are str, int, float, bool, None, list and dict")


def _json_object(pairs: list[tuple[str, Any]]) -> Any:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("its manifest has a key twice")
    if _NONFINITE_KEY not in value:
        return value
    if len(value) != 1 or value[_NONFINITE_KEY] not in list(_NONFINITE):
        raise ValueError(f"its manifest has a {_NONFINITE_KEY} that is none of {', '.join(_NONFINITE)}")
    return _NONFINITE[value[_NONFINITE_KEY]]


def _json_float(literal: str) -> float:
    value = float(literal)
    if not math.isfinite(value):
        raise ValueError(f"its manifest has the number {literal[:20]}, which is not finite")
    return value
