"""Read zip files that other programs wrote, within limits that are checked before anything is unpacked."""

from __future__ import annotations

import contextlib
import io
import json
import math
import os
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from fastars.files.errors import CheckpointError, brief, make_printable, name_of
from fastars.files.json_text import without_strings
from fastars.files.opening import open_regular

MAX_BYTES = 1 << 24  # of a file, and of its content: a linear policy for Atari's screens has 7 MB in float32, 15 MB in float64
MAX_NUMBERS = 1 << 21  # of a policy: 16 MiB as float64, in whatever dtype the file has them
MAX_OBS = 1 << 18  # numbers of an observation
_MAX_TEXT = 1 << 22  # of a JSON text, in bytes
_MAX_VALUES = 100_000  # of a JSON text: 4 million empty lists take 250 MB
_MAX_MEMBERS = 256
_MAX_HEADER = 2048  # bytes of an array's header
# NumPy's own reader parses the header as Python: more than numbers and text need, and with the errors of Python's parser.
_NPY_STARTS = {b"\1\0": 10, b"\2\0": 12}
_NPY_HEADER = re.compile(
    rb"\{'descr': '([<>|=]?[fiub][1248]|[<>|=]?U[1-9]\d{0,7}|\|O|O)', 'fortran_order': (True|False), "
    rb"'shape': \(((?:\d{1,18}L?, )*(?:\d{1,18}L?,?)?)\),? ?\}[ ]*\n?"
)
_LENGTH = re.compile(rb"\d+")
_ENTRY = b"PK\1\2"  # stands before each entry of a zip's directory


def content(path: Any, most: int = MAX_BYTES) -> bytes:
    """Return the bytes of a file.

    Parameters
    ----------
    path : str, PathLike or binary file
        An open file is read from its start.
    most : int
        The number of bytes that it may have.

    Raises
    ------
    ValueError
        If it is too large, or no regular file.
    """
    if hasattr(path, "read"):
        path.seek(0)
        data: bytes = path.read(most + 1)
    else:
        with open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size  # `file.read(most)` would allocate `most` bytes for the smallest file
            if size > most:  # before it is read: a file of a terabyte may take no place on the disk
                raise ValueError(f"{size} bytes, more than the {most} allowed")
            try:
                data = file.read(size + 1)
            except OSError as error:  # a damaged disk, or a file of the kernel's
                raise ValueError(error.strerror) from error
    if len(data) > most:
        raise ValueError(f"more than the {most} bytes allowed")
    return data


@contextlib.contextmanager
def reading(path: Any, what: str = "no file of a policy that this version can read") -> Iterator[None]:
    """Raise a `CheckpointError` that names the file for any error about its content."""
    try:
        yield
    except CheckpointError:
        raise
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, OverflowError, RecursionError) as error:
        make_printable(error)
        fault = f"it lacks {error}" if isinstance(error, KeyError) else brief(error) or type(error).__name__
        raise CheckpointError(f"{name_of(path)}: {what}: {fault}") from error


class Archive:
    """The members of a zip, read one by one.

    Parameters
    ----------
    data : bytes
        The zip.
    most : int
        The number of bytes that its members may have together.

    Raises
    ------
    ValueError
        If it is no zip, or has too many members, too large members, or two members of one name.
    """

    def __init__(self, data: bytes, most: int = MAX_BYTES) -> None:
        if (n_entries := data.count(_ENTRY)) > _MAX_MEMBERS:  # also counts the members of zips inside this zip
            raise ValueError(f"a zip of {n_entries} members; allowed are {_MAX_MEMBERS}")
        with _unzipping():
            self._zip = zipfile.ZipFile(io.BytesIO(data))
        self._members = {info.filename: info for info in self._zip.infolist()}
        if len(self._members) < len(self._zip.infolist()):
            raise ValueError("a zip with two members of one name")
        if (n_bytes := sum(info.file_size for info in self._members.values())) > most:
            raise ValueError(f"a zip that unpacks to {n_bytes} bytes; allowed are {most}")

    @property
    def names(self) -> list[str]:
        """Names of the members."""
        return list(self._members)

    def read(self, name: str) -> bytes:
        """Return the bytes of a member.

        Raises
        ------
        KeyError
            If there is no member of this name.
        ValueError
            If the member is damaged, or compressed by another method than deflate.
        """
        info = self._members[name]
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError(f"{name} is compressed by another method than deflate")
        with _unzipping(), self._zip.open(info) as file:
            data = file.read(info.file_size + 1)
        if len(data) != info.file_size:
            raise ValueError(f"{name} is shorter or longer than the zip says")
        return data


@contextlib.contextmanager
def _unzipping() -> Iterator[None]:
    """Raise a ValueError for every error that Python's zip reader raises for damaged files."""
    try:
        yield
    except (zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, RuntimeError, NotImplementedError) as error:
        raise ValueError(f"its zip is damaged: {error}") from error


def npy(data: bytes) -> tuple[np.dtype[Any], tuple[int, ...], bool, memoryview]:
    """Return (dtype, shape, is_fortran, data) of the bytes of a `.npy` file.

    Raises
    ------
    ValueError
        If it is no such file.
    """
    if not data.startswith(b"\x93NUMPY") or (start := _NPY_STARTS.get(data[6:8])) is None or len(data) < start:
        raise ValueError("no array in NumPy's format, version 1.0 or 2.0")
    n_header = int.from_bytes(data[8:start], "little")
    match = _NPY_HEADER.fullmatch(data, start, start + min(n_header, _MAX_HEADER))
    if match is None or n_header > _MAX_HEADER:
        raise ValueError("an array with a header that NumPy does not write")
    dtype, is_fortran, lengths = np.dtype(match[1].decode("ascii")), match[2] == b"True", _LENGTH.findall(match[3])
    return dtype, tuple(map(int, lengths)), is_fortran, memoryview(data)[start + n_header :]


def plain_array(data: bytes) -> np.ndarray:
    """Return the array in the bytes of a `.npy` file: numbers or text, never objects.

    Raises
    ------
    ValueError
        If it is no such array.
    """
    dtype, shape, is_fortran, values = npy(data)
    if dtype.kind not in "fiubU" or dtype.itemsize == 0:
        raise ValueError(f"an array of {dtype}; allowed are numbers and text")
    if min(shape, default=0) < 0 or len(values) != math.prod(shape) * dtype.itemsize:
        raise ValueError(f"an array of {len(values)} bytes, which are not {dtype} of shape {shape}")
    return np.frombuffer(values, dtype).reshape(shape, order="F" if is_fortran else "C").copy()


def json_object(data: bytes) -> dict[str, Any]:
    """Return the object in a JSON text.

    Raises
    ------
    ValueError, RecursionError
        If it is no object, is nested too deeply, or has more values than the file of a policy has.
    """
    if len(data) > _MAX_TEXT:
        raise ValueError(f"a JSON text of {len(data)} bytes; allowed are {_MAX_TEXT}")
    text = data.decode("utf-8")  # json would guess other encodings, in which the marks below have other bytes
    marks = without_strings(data)
    if sum(marks.count(mark) for mark in (b",", b"[", b"{")) > _MAX_VALUES:
        raise ValueError(f"a JSON text of more than {_MAX_VALUES} values")
    found = json.loads(text)
    if type(found) is not dict:
        raise ValueError("a JSON text that is no object")
    return found
