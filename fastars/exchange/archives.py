"""Zip files of others, read with limits that are looked at before anything is unpacked."""

from __future__ import annotations

import contextlib
import io
import math
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from fastars.checkpoint import CheckpointError, name_of

MAX_BYTES = 1 << 26  # of a file, and of what is in it: a linear policy for Atari's screens has 7 MB
_MAX_MEMBERS = 256
_ENTRY = b"PK\1\2"  # stands before each entry of a zip's directory


def content(path: Any) -> bytes:
    """The bytes of a file, a path or one that is open.

    Raises
    ------
    ValueError
        If it is too large, or no regular file.
    """
    if hasattr(path, "read"):
        path.seek(0)
        data: bytes = path.read(MAX_BYTES + 1)
    else:
        if (path := Path(path)).exists() and not path.is_file():  # opening a pipe would wait for a writer
            raise ValueError("not a regular file")
        with open(path, "rb") as file:
            data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise ValueError(f"more than the {MAX_BYTES} bytes allowed")
    return data


@contextlib.contextmanager
def reading(path: Any, what: str = "no file of a policy that this version can read") -> Iterator[None]:
    """Whatever does not fit is the file's fault: a `CheckpointError` that names it."""
    try:
        yield
    except CheckpointError:
        raise
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, OverflowError, RecursionError) as error:
        told = f"it lacks {error}" if isinstance(error, KeyError) else str(error) or type(error).__name__
        raise CheckpointError(f"{name_of(path)}: {what}: {told}") from error


class Archive:
    """The members of a zip, read one by one.

    Raises
    ------
    ValueError
        If it is no zip, or one with too many members, too large ones, or two of one name.
    """

    def __init__(self, data: bytes) -> None:
        if (n_entries := data.count(_ENTRY)) > _MAX_MEMBERS:  # those of zips inside are counted too
            raise ValueError(f"a zip of {n_entries} members; allowed are {_MAX_MEMBERS}")
        with _unzipping():
            self._zip = zipfile.ZipFile(io.BytesIO(data))
        self._members = {info.filename: info for info in self._zip.infolist()}
        if len(self._members) < len(self._zip.infolist()):
            raise ValueError("a zip with two members of one name")
        if (n_bytes := sum(info.file_size for info in self._members.values())) > MAX_BYTES:
            raise ValueError(f"a zip that unpacks to {n_bytes} bytes; allowed are {MAX_BYTES}")

    @property
    def names(self) -> list[str]:
        """Names of the members."""
        return list(self._members)

    def read(self, name: str) -> bytes:
        """The bytes of a member; KeyError if there is none of this name."""
        info = self._members[name]
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError(f"{name} is compressed in a way that policies are not")
        with _unzipping(), self._zip.open(info) as file:
            data = file.read(info.file_size + 1)
        if len(data) != info.file_size:
            raise ValueError(f"{name} is shorter or longer than the zip says")
        return data


@contextlib.contextmanager
def _unzipping() -> Iterator[None]:
    """What Python's zip reader raises for damaged files, as ValueError."""
    try:
        yield
    except (zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, RuntimeError, NotImplementedError) as error:
        raise ValueError(f"its zip is damaged: {error}") from error


def npy(data: bytes) -> tuple[np.dtype[Any], tuple[int, ...], bool, bytes]:
    """(dtype, shape, whether columns come first, data) of the bytes of a `.npy` file.

    Raises
    ------
    ValueError
        If it is none.
    """
    file = io.BytesIO(data)
    version = np.lib.format.read_magic(file)
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in readers:
        raise ValueError(f"an array of the version {version} of NumPy's format; known are 1.0 and 2.0")
    try:
        shape, fortran, dtype = readers[version](file, max_header_size=2048)
    except (SyntaxError, TypeError, RecursionError, MemoryError) as error:
        raise ValueError("an array with a damaged header") from error
    return dtype, shape, fortran, data[file.tell() :]


def plain_array(data: bytes) -> np.ndarray:
    """The array of the bytes of a `.npy` file: of numbers or text, never of objects.

    Raises
    ------
    ValueError
        If it is none.
    """
    dtype, shape, fortran, values = npy(data)
    if dtype.kind not in "fiubU" or dtype.itemsize == 0:
        raise ValueError(f"an array of {dtype}; allowed are numbers and text")
    if min(shape, default=0) < 0 or len(values) != math.prod(shape) * dtype.itemsize:
        raise ValueError(f"an array of {len(values)} bytes, which are not {dtype} of shape {shape}")
    return np.frombuffer(values, dtype).reshape(shape, order="F" if fortran else "C").copy()
