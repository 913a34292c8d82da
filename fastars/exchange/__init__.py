"""Trained policies in the files of other programs.

| file | read | written |
|---|---|---|
| ARS of stable-baselines3-contrib, and its `VecNormalize` | `read` | `sb3.write`, which needs stable-baselines3-contrib |
| `lin_policy_plus.npz` of the original ARS | `read` | `original.write` |
| plain NumPy arrays | `read` | `arrays.write` |
| ONNX | | `onnx.write` |
| C | | `c_header.write` |

Nothing in a file is executed: pickles are read as data (`pickles`), and zips with limits (`fastars.files.archives`).
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from fastars._validate import user_facing, warn_user
from fastars.exchange import arrays, c_header, onnx, original, sb3
from fastars.exchange.statistics_files import statistics_beside
from fastars.exchange.trained import TrainedPolicy, to_model
from fastars.files.archives import Archive, content, reading
from fastars.files.errors import CheckpointError, name_of
from fastars.files.opening import open_regular

__all__ = ["TrainedPolicy", "arrays", "c_header", "is_foreign", "onnx", "original", "read", "sb3", "to_model"]


@user_facing
def read(path: Any, trust: bool = False, vec_normalize: Any = None) -> TrainedPolicy:
    """Read a trained policy from a file of stable-baselines3-contrib's ARS, of the original ARS, or of plain arrays.

    The content of the file decides which of these it is.

    Parameters
    ----------
    path : str, PathLike or binary file
        The file. If a path has no suffix and does not exist, the file with `.zip` is read.
    trust : bool
        Also read the pickle of a `VecNormalize`: `vec_normalize`, or a file beside the first one under a usual name
        (`<name>_vecnormalize.pkl`, `vecnormalize.pkl`, the name that a `CheckpointCallback` gives it, or `<env>/vecnormalize.pkl`
        as rl-zoo has it). Nothing in it is executed, but it has no checksum, and its numbers change the actions of the policy.
    vec_normalize : str, PathLike or binary file, optional
        The pickle of the `VecNormalize`.

    Returns
    -------
    TrainedPolicy

    Raises
    ------
    fastars.CheckpointError
        If the file is of another kind, damaged, or larger than a policy can be.
    FileNotFoundError
        If there is no such file.
    ValueError
        If `vec_normalize` is given without `trust`.

    Warns
    -----
    UserWarning
        If observations were normalised in training, and the statistics are not read, or not found.
    """
    trained = read_quietly(path, trust, vec_normalize)
    if trained.warning:
        warn_user(trained.warning)
    return trained


def read_quietly(path: Any, trust: bool = False, vec_normalize: Any = None) -> TrainedPolicy:
    """Read a policy as `read` does; what `read` warns of is in its `warning`."""
    if vec_normalize is not None and not trust:
        raise ValueError("vec_normalize is a pickle, which is read with trust=True only")
    if not hasattr(path, "read"):
        path = _existing(Path(path))
    with reading(path):
        archive = Archive(content(path))
        if sb3.matches(archive.names):
            return _read_sb3(path, archive, trust, vec_normalize)
        if arrays.matches(archive.names):
            return arrays.read(archive)
        if original.matches(archive.names):
            return original.read(archive)
    hint = "; it is a model of fastars, which ARS.load reads" if "manifest.json" in archive.names else ""
    raise CheckpointError(f"{name_of(path)}: not a file of stable-baselines3-contrib, of the original ARS or of plain arrays{hint}")


@user_facing
def is_foreign(path: Any) -> bool:
    """Return True for a file that `read` can read.

    A model of fastars may be larger than the limits of `read`. It is recognised by the first member of its zip alone.
    """
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
    return any(kind.matches(names) for kind in (sb3, arrays, original))


def _first_member(path: Any) -> str:
    """Return the name of the first member of a zip; an empty string if the file is no zip."""
    with contextlib.nullcontext(path) if hasattr(path, "read") else open_regular(path) as file:
        file.seek(0)
        try:
            head = file.read(4 + 22 + 4 + 64)
        except OSError:  # a damaged disk, or a file of the kernel's: `read` says so
            return ""
        file.seek(0)
    return head[30 : 30 + head[26]].decode("latin-1") if head.startswith(b"PK\3\4") and len(head) > 30 else ""


def _existing(path: Path) -> Path:
    """Return the path, or the path with `.zip` if only that file exists."""
    suffixed = path.with_name(f"{path.name}.zip")
    return suffixed if not path.suffix and not path.is_file() and suffixed.is_file() else path


def _read_sb3(path: Any, archive: Archive, trust: bool, vec_normalize: Any) -> TrainedPolicy:
    """Read a file of stable-baselines3-contrib; without trust, the policy only names the file of its `VecNormalize`."""
    beside = statistics_beside(path) if isinstance(path, Path) and vec_normalize is None else vec_normalize
    if beside is not None and trust:
        return sb3.read(archive, content(beside))
    warning = ""
    if beside is not None:
        warning = f"{beside} is not read: its statistics normalise observations with trust=True only (--trust on the command line)"
    elif sb3.was_normalised(archive):
        warning = (
            f"{name_of(path)}: a VecNormalize normalised its observations, and no file of it was found beside: without its "
            "statistics the policy acts in another way. Give the file: exchange.read(path, trust=True, vec_normalize=...)"
        )
    return sb3.read(archive)._replace(unread=beside, warning=warning)
