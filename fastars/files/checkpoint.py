"""Checkpoints: single files, each written whole or not at all, that can be read without trust in their author.

A checkpoint is a zip of stored members: `manifest.json`, then one `.npy` per array, in order of name. The manifest holds the schema
number, the versions that wrote it, the caller's own dictionary (`state`) and each array's dtype, shape and sha256.

The names, sizes and CRCs of its members determine every other byte of such a zip, and an array's dtype and shape determine every
byte of a `.npy` header. So the reader builds these bytes with the functions of the writer and compares: this refuses flags,
compression, comments, extra fields, gaps, overlaps and zip64 all at once. The reader evaluates and unpickles nothing, uses nothing
in a file as a path, and believes a size only if it fits the file: reading takes no more memory than the file has bytes, plus
about 40 MiB for the worst manifest of 1 MiB.
"""

import hashlib
import math
import os
import struct
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from fastars.files.atomic import write_atomically
from fastars.files.checkpoint_names import BEST_MODEL, MODEL
from fastars.files.errors import CheckpointError, brief, make_printable, name_of
from fastars.files.manifest import MAX_MANIFEST_BYTES, encode_manifest, parse_manifest
from fastars.files.opening import open_regular
from fastars.files.stored_zip import MAX_BYTES, Member, directory, local_header, read_directory

Array = npt.NDArray[Any]

__all__ = ["CheckpointError", "brief", "load", "name_of", "save"]

DTYPES = ("<f8", "<f4", "<i8", "<u8", "|b1")
_MAX_DIMENSIONS = 32
_MANIFEST = "manifest.json"


def save(path: Any, manifest: Mapping[str, Any], arrays: Mapping[str, npt.ArrayLike], suffix: str = ".zip") -> None:
    """Write a checkpoint, whole or not at all.

    Parameters
    ----------
    path : str, PathLike or binary file
        A missing folder is made. A symbolic link is followed. A file that is already open for writing may be left with a part of
        the checkpoint if the disk is full.
    manifest : mapping
        Plain data: str, int, float (NaN and infinities too), bool, None, lists (tuples become lists) and dicts with str keys.
    arrays : mapping of str to array_like
        float64, float32, int64, uint64 or bool of any shape. A name has letters, digits, `_` and `-`, and dots between them.
    suffix : str
        Added to a path that has none.

    Raises
    ------
    OSError
        If the file can't be written: an existing file is unchanged, and no temporary file is left.
    TypeError, ValueError
        If the format does not hold a value, or `load` would refuse its size; nothing is written.
    """
    parts = encode(manifest, arrays)
    if hasattr(path, "write"):
        for part in parts:
            path.write(part)
    else:
        write_atomically(_path_with_suffix(Path(path), suffix), parts)


def load(path: Any) -> tuple[dict[str, Any], dict[str, Array]]:
    """Read a checkpoint that `save` wrote.

    Parameters
    ----------
    path : str, PathLike or binary file
        For a path without a suffix that does not exist, the file with `.zip` is read. A file that is open for reading is read from
        its start; it can be a file in memory.

    Returns
    -------
    manifest : dict
        The manifest that `save` got.
    arrays : dict of str to ndarray
        New arrays that own their memory, with the dtypes, shapes and bits that `save` got.

    Raises
    ------
    CheckpointError
        If the file is damaged, foreign, hostile or from a newer fastars.
    FileNotFoundError
        If there is no such file.
    """
    if hasattr(path, "read"):
        return _decoded(path, name_of(path))
    path, suffixed = Path(path), _path_with_suffix(Path(path))
    if not path.is_file() and (suffixed.is_file() or not path.exists()):
        path = suffixed
    if path.is_dir():
        found = " and ".join(name for name in (MODEL, BEST_MODEL) if (path / name).is_file())
        raise CheckpointError(f"{path} is a folder, not a regular file{found and f'; it has {found}'}")
    try:
        file = open_regular(path)
    except ValueError as error:
        raise CheckpointError(f"{path}: {error}") from error
    with file:
        try:
            return _decoded(file, str(path))
        except OSError as error:  # a damaged disk, or a file of the kernel's
            raise CheckpointError(f"{path}: {error.strerror}") from error


def _decoded(file: Any, name: str) -> tuple[dict[str, Any], dict[str, Array]]:
    """Return the content of an open checkpoint; an error names the file."""
    try:
        return _decode(file)
    except ValueError as error:
        make_printable(error)
        raise CheckpointError(f"{name}: {brief(error)}") from error


def _path_with_suffix(path: Path, suffix: str = ".zip") -> Path:
    return path if path.suffix or not path.name else path.with_name(path.name + suffix)


def encode(manifest: Mapping[str, Any], arrays: Mapping[str, npt.ArrayLike]) -> list[bytes | memoryview]:
    """Return the bytes of a checkpoint in parts; for the arguments see `save`."""
    entries, contents = {}, {}
    for name in sorted(arrays):
        array = np.asarray(arrays[name])
        array = array.astype(array.dtype.newbyteorder("<"), copy=False)
        dtype, shape = array.dtype.str, list(array.shape)
        header, data = npy_header(dtype, shape), _bytes_of(array)
        entries[name] = {"dtype": dtype, "shape": shape, "sha256": _digest(header, data)}
        contents[f"{name}.npy"] = header, data
    contents = {_MANIFEST: (encode_manifest(manifest, entries), memoryview(b"")), **contents}
    members = [Member(name, zlib.crc32(data, zlib.crc32(head)), len(head) + len(data)) for name, (head, data) in contents.items()]
    end = directory(members)
    return [part for member in members for part in (local_header(member), *contents[member.name])] + [end]


def _decode(file: Any) -> tuple[dict[str, Any], dict[str, Array]]:
    """Read an open checkpoint; any fault is a ValueError."""
    members = read_directory(file, file.seek(0, os.SEEK_END), _MANIFEST)
    state, entries = parse_manifest(_read_manifest(file, members[0]))
    if [member.name for member in members[1:]] != [f"{name}.npy" for name in sorted(entries)]:
        raise ValueError("its members are not the arrays that its manifest lists")
    headers = {name: npy_header(entries[name]["dtype"], entries[name]["shape"]) for name in sorted(entries)}
    for member, (name, header) in zip(members[1:], headers.items(), strict=True):
        dtype, shape = np.dtype(entries[name]["dtype"]), entries[name]["shape"]
        if member.size != len(header) + math.prod(shape) * dtype.itemsize:
            raise ValueError(f"array {name!r}: {member.size} bytes are not {dtype} of shape {shape}")
    arrays = {}
    for member, (name, header) in zip(members[1:], headers.items(), strict=True):
        _expect(file, local_header(member) + header, f"header of array {name!r}")
        arrays[name] = _read_array(file, name, header, entries[name])
    return state, arrays


def _read_manifest(file: Any, member: Member) -> bytes:
    if member.size > MAX_MANIFEST_BYTES:
        raise ValueError(f"a manifest of {member.size} bytes, more than the {MAX_MANIFEST_BYTES} allowed")
    file.seek(0)
    _expect(file, local_header(member), f"header of {_MANIFEST}")
    text: bytes = file.read(member.size)
    if zlib.crc32(text) != member.crc:
        raise ValueError("its manifest is damaged: the checksum differs")
    return text


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


def npy_header(dtype: str, shape: Iterable[int]) -> bytes:
    """Return the header of a `.npy` file, version 1.0 (numpy.lib.format), which NumPy's versions write differently.

    Raises
    ------
    ValueError
        If a checkpoint does not hold such an array.
    """
    shape = tuple(shape)
    if dtype not in DTYPES:
        raise ValueError(f"an array of dtype {str(dtype)[:20]!r}; allowed are {', '.join(DTYPES)}")
    if len(shape) > _MAX_DIMENSIONS or not all(type(length) is int and 0 <= length <= MAX_BYTES for length in shape):
        raise ValueError(f"an array's shape must be at most {_MAX_DIMENSIONS} integers from 0 to {MAX_BYTES}")
    text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}"
    text += " " * (-(len(text) + 11) % 64) + "\n"  # data starts at a multiple of 64
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode("ascii")
