"""Checkpoints: one file, written whole or not at all, that can be read without trusting whoever wrote it.

A checkpoint is a zip of stored members: `manifest.json`, then one `.npy` per array, in order of name. The manifest holds the schema
number, the versions that wrote it, the caller's own dictionary (`state`) and each array's dtype, shape and sha256.

The names, sizes and CRCs of its members fix every other byte of such a zip, and dtype and shape those of a `.npy` header. So the
reader builds these bytes with the functions of the writer and compares: flags, compression, comments, extra fields, gaps, overlaps
and zip64 are refused all at once. Nothing in a file is evaluated, unpickled or used as a path, and no size in it is believed before
it fits the file: reading takes no more memory than the file has bytes, plus about 40 MiB for the worst manifest of 1 MiB.
"""

import hashlib
import json
import math
import os
import re
import struct
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt

from fastars._version import __version__
from fastars.files.atomic import sweep_temporaries, write_atomically

Array = npt.NDArray[Any]

__all__ = ["CheckpointError", "load", "save", "sweep_temporaries"]

SCHEMA = 1
MAX_BYTES = 1 << 30  # of all members; far below the 4 GiB where zip needs its 64-bit form
MAX_MANIFEST_BYTES = 1 << 20
MAX_MEMBERS = 256
MAX_NAME_BYTES = 104
MAX_MESSAGE = 600  # characters of an error about a file, which may have a megabyte of text
MAX_DEPTH = 32  # of the manifest's JSON, and of an array's dimensions
DTYPES = ("<f8", "<f4", "<i8", "<u8", "|b1")

_FORMAT = "fastars checkpoint"
_MANIFEST = "manifest.json"
_NAME = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")
JSON_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)  # possessive: linear in time on any input
_NONFINITE_KEY = "$float"
_NONFINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}

_LOCAL = struct.Struct("<4s5H3I2H")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_END = struct.Struct("<4s4H2IH")
_DATE = 1 << 5 | 1  # 1980-01-01, the zero of zip's calendar: equal content gives equal bytes


class CheckpointError(ValueError):
    """A file is not a checkpoint that this version can read; the message names the file and what is wrong with it."""


class _Member(NamedTuple):
    """What varies between zip members."""

    name: str
    crc: int
    size: int


def save(path: Any, manifest: Mapping[str, Any], arrays: Mapping[str, npt.ArrayLike]) -> None:
    """Write a checkpoint, whole or not at all.

    Parameters
    ----------
    path : str, PathLike or binary file
        Without a suffix it gets `.zip`. A missing folder is made. A symbolic link is followed. What a file that is open for writing
        does when the disk is full is its own affair.
    manifest : mapping
        Plain data: str, int, float (NaN and infinities too), bool, None, lists (tuples become lists) and dicts with str keys.
    arrays : mapping of str to array_like
        float64, float32, int64, uint64 or bool of any shape. A name has letters, digits, `_` and `-`, and dots between them.

    Raises
    ------
    OSError
        The file could not be written: a file that was there before is untouched, and no temporary file is left.
    TypeError, ValueError
        Something that the format doesn't hold, or that `load` would refuse for its size; nothing was written.
    """
    parts = _encode(manifest, arrays)
    if hasattr(path, "write"):
        for part in parts:
            path.write(part)
    else:
        write_atomically(_path_with_suffix(Path(path)), parts)


def brief(error: Any) -> str:
    """What an error says, cut where it repeats too much of a file."""
    text = str(error)
    return text if len(text) <= MAX_MESSAGE else f"{text[:MAX_MESSAGE]} ..."


def name_of(path: Any) -> str:
    """A path as messages name it; of an open file, what it was opened as."""
    return str(getattr(path, "name", "the file")) if hasattr(path, "read") else os.fspath(path)


def load(path: Any) -> tuple[dict[str, Any], dict[str, Array]]:
    """Read a checkpoint that `save` wrote.

    Parameters
    ----------
    path : str, PathLike or binary file
        Without a suffix, and if there is no such file, the one with `.zip` is read. A file that is open for reading is read from
        its start, and can be one in memory.

    Returns
    -------
    manifest : dict
        As it was given to `save`.
    arrays : dict of str to ndarray
        New arrays that own their memory, with the dtypes, shapes and bits they had.

    Raises
    ------
    CheckpointError
        The file is damaged, foreign, hostile or from a newer fastars.
    FileNotFoundError
        There is no such file.
    """
    if hasattr(path, "read"):
        return _decoded(path, name_of(path))
    path, suffixed = Path(path), _path_with_suffix(Path(path))
    if not path.is_file() and (suffixed.is_file() or not path.exists()):
        path = suffixed
    if path.exists() and not path.is_file():  # opening a pipe would wait for a writer
        raise CheckpointError(f"{path}: not a regular file")
    with open(path, "rb") as file:
        return _decoded(file, str(path))


def _decoded(file: Any, name: str) -> tuple[dict[str, Any], dict[str, Array]]:
    """The content of an open checkpoint."""
    try:
        return _decode(file)
    except ValueError as error:
        raise CheckpointError(f"{name}: {brief(error)}") from error


def _path_with_suffix(path: Path) -> Path:
    return path if path.suffix or not path.name else path.with_name(path.name + ".zip")


def _encode(manifest: Mapping[str, Any], arrays: Mapping[str, npt.ArrayLike]) -> list[bytes | memoryview]:
    """The bytes of a checkpoint, part by part."""
    entries, contents = {}, {}
    for name in sorted(arrays):
        array = np.asarray(arrays[name])
        array = array.astype(array.dtype.newbyteorder("<"), copy=False)
        dtype, shape = array.dtype.str, list(array.shape)
        header, data = _npy_header(dtype, shape), _bytes_of(array)
        entries[name] = {"dtype": dtype, "shape": shape, "sha256": _digest(header, data)}
        contents[f"{name}.npy"] = header, data
    versions = {"fastars": __version__, "numpy": np.__version__}
    state = _to_json(manifest, "manifest")
    document = {"format": _FORMAT, "schema": SCHEMA, "versions": versions, "arrays": entries, "state": state}
    text = json.dumps(document, sort_keys=True, allow_nan=False, indent=1).encode("ascii")
    _parse_manifest(text)  # nothing is written that could not be read
    contents = {_MANIFEST: (text, memoryview(b"")), **contents}
    members = [_Member(name, zlib.crc32(data, zlib.crc32(head)), len(head) + len(data)) for name, (head, data) in contents.items()]
    directory = _directory(members)
    return [part for member in members for part in (_local_header(member), *contents[member.name])] + [directory]


def _decode(file: Any) -> tuple[dict[str, Any], dict[str, Array]]:
    """Read an open checkpoint; whatever is wrong with it is a ValueError."""
    members = _read_directory(file, file.seek(0, os.SEEK_END))
    if members[0].size > MAX_MANIFEST_BYTES:
        raise ValueError(f"a manifest of {members[0].size} bytes, more than the {MAX_MANIFEST_BYTES} allowed")
    file.seek(0)
    _expect(file, _local_header(members[0]), f"header of {_MANIFEST}")
    text = file.read(members[0].size)
    if zlib.crc32(text) != members[0].crc:
        raise ValueError("its manifest is damaged: the checksum differs")
    state, entries = _parse_manifest(text)
    if [member.name for member in members[1:]] != [f"{name}.npy" for name in sorted(entries)]:
        raise ValueError("its members are not the arrays that its manifest lists")
    headers = {name: _npy_header(entries[name]["dtype"], entries[name]["shape"]) for name in sorted(entries)}
    for member, (name, header) in zip(members[1:], headers.items(), strict=True):
        dtype, shape = np.dtype(entries[name]["dtype"]), entries[name]["shape"]
        if member.size != len(header) + math.prod(shape) * dtype.itemsize:
            raise ValueError(f"array {name!r}: {member.size} bytes are not {dtype} of shape {shape}")
    arrays = {}
    for member, (name, header) in zip(members[1:], headers.items(), strict=True):
        _expect(file, _local_header(member) + header, f"header of array {name!r}")
        arrays[name] = _read_array(file, name, header, entries[name])
    return state, arrays


def _read_array(file: Any, name: str, header: bytes, entry: dict[str, Any]) -> Array:
    array: Array = np.empty(entry["shape"], entry["dtype"])
    data = _bytes_of(array)
    if file.readinto(data) != len(data):
        raise ValueError(f"array {name!r}: the file ended early")
    if _digest(header, data) != entry["sha256"]:
        raise ValueError(f"array {name!r} is damaged: its sha256 differs")
    if array.dtype == np.bool_ and np.any(array.view(np.uint8) > 1):
        raise ValueError(f"array {name!r}: booleans other than 0 and 1")
    return array


def _bytes_of(array: Array) -> memoryview:
    return array.reshape(-1).view(np.uint8).data  # reshape copies where the entries are not in C order


def _digest(header: bytes, data: memoryview) -> str:
    digest = hashlib.sha256(header)
    digest.update(data)
    return digest.hexdigest()


def _expect(file: BinaryIO, expected: bytes, what: str) -> None:
    if file.read(len(expected)) != expected:
        raise ValueError(f"damaged {what}")


def _npy_header(dtype: str, shape: Iterable[int]) -> bytes:
    """Header of a `.npy` file, version 1.0 (numpy.lib.format). Written here, as NumPy's own differs between its versions."""
    shape = tuple(shape)
    if dtype not in DTYPES:
        raise ValueError(f"an array of dtype {str(dtype)[:20]!r}; allowed are {', '.join(DTYPES)}")
    if len(shape) > MAX_DEPTH or not all(type(length) is int and 0 <= length <= MAX_BYTES for length in shape):
        raise ValueError(f"an array's shape is more than {MAX_DEPTH} lengths, or one that is no integer from 0 to {MAX_BYTES}")
    text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}"
    text += " " * (-(len(text) + 11) % 64) + "\n"  # data starts at a multiple of 64
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode("ascii")


def _local_header(member: _Member) -> bytes:
    name = member.name.encode("latin-1")
    return _LOCAL.pack(b"PK\3\4", 20, 0, 0, 0, _DATE, member.crc, member.size, member.size, len(name), 0) + name


def _directory(members: list[_Member]) -> bytes:
    """The end of a zip whose members follow each other without gaps: an entry per member, then the end record."""
    n_bytes = sum(member.size for member in members)
    if n_bytes > MAX_BYTES:
        raise ValueError(f"members of {n_bytes} bytes, more than the {MAX_BYTES} allowed")
    entries, offset = b"", 0
    mode = 0o100644 << 16  # a file that its owner may write and all may read, when unzipped
    for member in members:
        name = member.name.encode("latin-1")
        fixed = (b"PK\1\2", 3 << 8 | 20, 20, 0, 0, 0, _DATE, member.crc, member.size, member.size, len(name), 0, 0, 0, 0, mode)
        entries += _CENTRAL.pack(*fixed, offset) + name
        offset += _LOCAL.size + len(name) + member.size
    return entries + _END.pack(b"PK\5\6", 0, 0, len(members), len(members), len(entries), offset, 0)


def _read_directory(file: BinaryIO, size: int) -> list[_Member]:
    """Members of a zip of this size in bytes, the manifest first; the file has just these members and no other byte."""
    file.seek(max(0, size - _END.size))
    end = file.read(_END.size)
    if len(end) < _END.size or not end.startswith(b"PK\5\6"):
        raise ValueError("no zip directory at its end: it was cut short, or it is no checkpoint")
    _, _, _, _, n_members, n_bytes, offset, _ = _END.unpack(end)
    if not 1 <= n_members <= MAX_MEMBERS:
        raise ValueError(f"{n_members} members; allowed are 1 to {MAX_MEMBERS}")
    if n_bytes > n_members * (_CENTRAL.size + MAX_NAME_BYTES) or offset + n_bytes + _END.size != size:
        raise ValueError("its zip directory is damaged")
    file.seek(offset)
    members: list[_Member] = []
    directory, start = file.read(n_bytes), 0
    for _ in range(n_members):
        if start + _CENTRAL.size > n_bytes:
            raise ValueError("its zip directory is damaged")
        _, _, _, _, method, _, _, crc, _, n_content, n_name, *_ = _CENTRAL.unpack_from(directory, start)
        start += _CENTRAL.size + n_name
        member = _Member(directory[start - n_name : start].decode("latin-1"), crc, n_content)
        if not members and member.name != _MANIFEST:
            raise ValueError(f"its first member is {member.name!r}, not {_MANIFEST!r}: it is no checkpoint of fastars")
        if method != 0:
            raise ValueError(f"member {member.name!r} is compressed")
        members.append(member)
    if directory + end != _directory(members):
        raise ValueError("its zip directory is damaged")
    return members


def _parse_manifest(text: bytes) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """The caller's dictionary and the entries of the arrays (dtype, shape, sha256), all of their types checked."""
    if len(text) > MAX_MANIFEST_BYTES:
        raise ValueError(f"a manifest of {len(text)} bytes, more than the {MAX_MANIFEST_BYTES} allowed")
    brackets = np.frombuffer(JSON_STRING.sub(b"", text), np.uint8) | 0x20  # [ and { differ by this bit, so do ] and }
    if np.max(np.cumsum((brackets == ord("{")).astype(np.int8) - (brackets == ord("}")), dtype=np.int32), initial=0) > MAX_DEPTH:
        raise ValueError(f"its manifest is nested deeper than {MAX_DEPTH}")  # json would recurse as deep, on C's stack
    document = json.loads(text.decode("ascii"), object_pairs_hook=_json_object, parse_float=_json_float, parse_constant=_json_float)
    if not isinstance(document, dict) or document.get("format") != _FORMAT or type(document.get("schema")) is not int:
        raise ValueError("its manifest was not written by fastars")
    if document["schema"] > SCHEMA:
        raise ValueError(
            f"written by a newer fastars (schema {str(document['schema'])[:20]}; this one reads {SCHEMA}): upgrade fastars"
        )
    entries, state = document.get("arrays"), document.get("state")
    if document["schema"] < 1 or not isinstance(state, dict) or not isinstance(entries, dict) or len(entries) >= MAX_MEMBERS:
        raise ValueError(f"its manifest lacks a dictionary of state, or one of fewer than {MAX_MEMBERS} arrays")
    for name, entry in entries.items():
        if not _NAME.fullmatch(name) or len(name) + len(".npy") > MAX_NAME_BYTES:
            raise ValueError(f"an array named {name[:MAX_NAME_BYTES]!r}; allowed are letters, digits, _, - and dots between them")
        if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "sha256"} or not isinstance(entry["shape"], list):
            raise ValueError(f"its manifest does not say dtype, shape and sha256 of array {name!r}")
    return state, entries


def _to_json(value: Any, where: str, depth: int = 0) -> Any:
    """Plain data as strict JSON has it: a NaN or an infinity becomes {"$float": "nan"}."""
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
