"""Several seeds of one run: the option `--seeds`, and the folder that has a run folder for each of them.

Such a folder has `seeds.toml`, which lists the seeds, and `seed_0`, `seed_1`, ...: run folders like any other.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from fastars.cli.errors import WrongUseError
from fastars.cli.toml import toml
from fastars.files.opening import is_there

SEEDS = "seeds.toml"
_SCHEMA = 1
MOST_SEEDS = 1000  # each gets a folder
_COUNT, _RANGE = re.compile(r"\d{1,20}"), re.compile(r"(\d{1,20})(?:-(\d{1,20}))?")


def parse_seeds(text: str, first: int | None) -> list[int]:
    """Return the seeds that `--seeds` names.

    Parameters
    ----------
    text : str
        A number of seeds, such as 10; or seeds and ranges with commas, such as 0,3,7 or 3-7.
    first : int, optional
        The first of a number of seeds (`--seed`). Default: 0.

    Raises
    ------
    WrongUseError
        If the text is neither, names a seed twice or too many of them, or if `first` is given with a list.
    """
    if _COUNT.fullmatch(text):
        start = 0 if first is None else first
        ranges = [(start, start + int(text) - 1)]
    else:
        if first is not None:
            raise WrongUseError(
                f"--seed is the first of a number of seeds, and --seeds {text} names each of them: leave out --seed"
            )
        matches = [_RANGE.fullmatch(part.strip()) for part in text.split(",")]
        if not all(matches):
            raise WrongUseError(f"--seeds takes a number of seeds, such as 10, or seeds, such as 0,3,7 or 3-7; got {text!r}")
        ranges = [(int(match[1]), int(match[2] or match[1])) for match in matches if match]
    n_seeds = sum(max(last - start + 1, 0) for start, last in ranges)
    if not 1 <= n_seeds <= MOST_SEEDS or any(last < start or last >= 2**64 for start, last in ranges):
        raise WrongUseError(f"--seeds takes 1 to {MOST_SEEDS:,} seeds below 2**64, and ranges from low to high; got {text}")
    seeds = [seed for start, last in ranges for seed in range(start, last + 1)]
    if len(set(seeds)) < n_seeds:
        twice = next(seed for seed in seeds if seeds.count(seed) > 1)
        raise WrongUseError(f"--seeds must name each seed once, got {text}, which names {twice} twice")
    return seeds


def seed_folder(parent: Path, seed: int) -> Path:
    """Return the path of the run folder of a seed."""
    return parent / f"seed_{seed}"


def write_seeds(parent: Path, seeds: Sequence[int]) -> None:
    """Write the list of seeds into their folder."""
    from fastars.files.atomic import write_atomically  # it imports NumPy, and `--help` imports this module

    header = "# Written by `fastars train --seeds` when the runs began; `fastars resume` goes on with all that are not done.\n\n"
    write_atomically(parent / SEEDS, [(header + toml({"schema": _SCHEMA, "seeds": list(seeds)})).encode()], follow=False)


def read_seeds(parent: Path) -> list[int]:
    """Return the seeds of a folder of several seeds; an empty list for any other folder.

    Raises
    ------
    ValueError
        If `seeds.toml` is damaged, or of a newer version.
    """
    if not parent.is_dir() or not is_there(parent / SEEDS):
        return []
    from fastars._validate import stored_integer  # these two import NumPy, and `--help` imports this module
    from fastars.files.tables import read_toml

    stored = read_toml(parent / SEEDS)
    try:
        schema = stored_integer("schema", stored.get("schema"), 1)
        listed = stored.get("seeds")
        if not isinstance(listed, list) or not 1 <= len(listed) <= MOST_SEEDS:
            raise ValueError(f"seeds must be a list of 1 to {MOST_SEEDS:,} integers")
        seeds = [stored_integer("seeds", seed, 0, 2**64 - 1) for seed in listed]
        if len(set(seeds)) < len(seeds):
            raise ValueError("seeds must name each seed once")
    except ValueError as error:
        raise ValueError(f"{parent / SEEDS} is damaged: {error}") from error
    if schema > _SCHEMA:
        raise ValueError(f"{parent} was written by a newer fastars (schema {schema}; this one reads {_SCHEMA}): upgrade fastars")
    return seeds


def run_folders(path: Path) -> list[Path]:
    """Return the run folders that a path stands for: of a folder of several seeds, one for each; otherwise the path itself.

    Raises
    ------
    ValueError
        If the list of seeds is damaged, or the folder of a seed is a symbolic link.
    """
    folders = [seed_folder(path, seed) for seed in read_seeds(path)]
    for folder in folders:
        if folder.is_symlink():
            raise ValueError(f"{folder} is a symbolic link, which is not followed in a folder: put the run folder itself there")
    return folders or [path]


def begun_folders(path: Path) -> list[Path]:
    """Return the run folders that a path stands for, as `run_folders` does, but of several seeds only those whose training began.

    Raises
    ------
    ValueError
        As in `run_folders`, or if no seed has begun.
    """
    folders = run_folders(path)
    if folders == [path]:
        return folders
    begun = [folder for folder in folders if is_there(folder / "progress.csv")]
    if not begun:
        raise ValueError(f"{path} has {len(folders)} seeds, none of which has begun its training")
    return begun


def refuse_several(path: Path) -> None:
    """Raise if a path is a folder of several seeds, and one run is wanted."""
    if seeds := read_seeds(path):
        raise WrongUseError(f"{path} has the runs of {len(seeds)} seeds: name one of them, such as {seed_folder(path, seeds[0])}")
