"""Trained policies in other people's files.

| file | read | written |
|---|---|---|
| ARS of stable-baselines3-contrib, and its `VecNormalize` | `read` | `sb3.write`, through stable-baselines3-contrib |
| `lin_policy_plus.npz` of the original ARS | `read` | `original.write` |
| plain NumPy arrays | `read` | `arrays.write` |
| ONNX | | `onnx.write` |

Nothing in a file is executed: pickles are read as data (`pickles`), and zips with limits (`archives`).
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from fastars.exchange import arrays, onnx, original, sb3
from fastars.exchange.trained import TrainedPolicy, to_model
from fastars.files.archives import Archive, content, reading
from fastars.files.errors import CheckpointError, name_of

__all__ = ["TrainedPolicy", "arrays", "is_foreign", "onnx", "original", "read", "sb3", "to_model"]


def read(path: Any, trust: bool = False, vec_normalize: Any = None) -> TrainedPolicy:
    """The policy in a file: of stable-baselines3-contrib's ARS, of the original ARS, or of plain arrays. Its content says which.

    Parameters
    ----------
    path : str, PathLike or binary file
        The file. Without a suffix, and if there is no such file, the one with `.zip` is read.
    trust : bool
        Read also the pickle of a `VecNormalize`: `vec_normalize`, or else one that is beside the file under a usual name
        (`<name>_vecnormalize.pkl`, `vecnormalize.pkl`, or as a `CheckpointCallback` names it). Nothing in it is executed, but it
        has no checksum, and its numbers decide what the policy does.
    vec_normalize : str, PathLike or binary file, optional
        That pickle.

    Returns
    -------
    TrainedPolicy

    Raises
    ------
    fastars.CheckpointError
        If it is no such file, damaged, or larger than a policy can be.
    FileNotFoundError
        If there is no such file.
    ValueError
        For `vec_normalize` without `trust`.
    """
    if vec_normalize is not None and not trust:
        raise ValueError("vec_normalize is a pickle: it is read with trust=True only")
    if not hasattr(path, "read"):
        path = _existing(Path(path))
    with reading(path):
        archive = Archive(content(path))
        if sb3.is_one(archive.names):
            return _of_sb3(path, archive, trust, vec_normalize)
        if arrays.is_one(archive.names):
            return arrays.read(archive)
        if original.is_one(archive.names):
            return original.read(archive)
    hint = ": it is a model of fastars, which ARS.load reads" if "manifest.json" in archive.names else ""
    raise CheckpointError(f"{name_of(path)}: no file of stable-baselines3-contrib, of the original ARS or of plain arrays{hint}")


def is_foreign(path: Any) -> bool:
    """Whether it is a file that `read` knows. A model of fastars, which may be larger, is told by its first member alone."""
    if not hasattr(path, "read"):
        path = _existing(Path(path))
        if not path.is_file():
            return False
    if _first_member(path) in ("", "manifest.json"):
        return False
    try:
        names = Archive(content(path)).names
    except ValueError:
        return False
    return any(kind.is_one(names) for kind in (sb3, arrays, original))


def _first_member(path: Any) -> str:
    """The name with which a zip begins; nothing if it is none."""
    with contextlib.nullcontext(path) if hasattr(path, "read") else open(path, "rb") as file:
        file.seek(0)
        head = file.read(4 + 22 + 4 + 64)
        file.seek(0)
    return head[30 : 30 + head[26]].decode("latin-1") if head.startswith(b"PK\3\4") and len(head) > 30 else ""


def _existing(path: Path) -> Path:
    suffixed = path.with_name(f"{path.name}.zip")
    return suffixed if not path.suffix and not path.is_file() and suffixed.is_file() else path


def _of_sb3(path: Any, archive: Archive, trust: bool, vec_normalize: Any) -> TrainedPolicy:
    beside = sb3.statistics_beside(path) if isinstance(path, Path) and vec_normalize is None else vec_normalize
    if beside is None or trust:
        return sb3.read(archive, None if beside is None else content(beside))
    return sb3.read(archive)._replace(unread=beside)
