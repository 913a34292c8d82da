"""Checkpoints of `fastars.rllib.ARS`: a folder with the model and with the counts that RLlib adds to it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

from fastars.files import checkpoint
from fastars.files.opening import file_in, without_link
from fastars.rllib.config import ARSConfig
from fastars.rllib.environments import refuse_unregistered
from fastars.training.model_file import named

MODEL = "model.zip"
_COUNTS = "algorithm.zip"


class Counts(NamedTuple):
    """State of an algorithm beside its model."""

    rewards: tuple[float, ...] = ()  # mean returns of the last iterations that evaluated
    length: float = 0.0  # mean length of the last episodes that evaluated
    timesteps: int = 0
    seconds: float = 0.0


class SavedFolder(str):
    """The path of a checkpoint. Scripts for Ray 2.7 and later read it as `checkpoint.path`."""

    @property
    def checkpoint(self) -> SavedFolder:
        """The folder."""
        return self

    @property
    def path(self) -> str:
        """The path of the folder."""
        return str(self)


def folder_of(saved: Any) -> Path:
    """Return the folder of a path, of a checkpoint of Ray, or of a result that has a checkpoint."""
    found = getattr(saved, "checkpoint", saved)
    return Path(getattr(found, "path", found))


def write_counts(folder: Path, iteration: int, counts: Counts, config: ARSConfig) -> None:
    """Write the counts of an algorithm, and the settings that a file can hold."""
    state = {"iteration": iteration, "rewards": list(counts.rewards), "length": counts.length}
    state |= {"timesteps": counts.timesteps, "seconds": counts.seconds, "kind": "rllib", "config": config.stored()}
    checkpoint.save(without_link(folder / _COUNTS), state, {})


def read_counts(folder: Path) -> tuple[int | None, Counts]:
    """Return (iteration, counts) of an algorithm; the iteration is None if the file is of another kind.

    Raises
    ------
    FileNotFoundError, fastars.CheckpointError
        If the folder holds no algorithm.
    """
    state, _ = checkpoint.load(file_in(folder / _COUNTS))
    with named(folder / _COUNTS, "an algorithm"):
        rewards = tuple(float(reward) for reward in state["rewards"])
        counts = Counts(rewards, float(state["length"]), int(state["timesteps"]), float(state["seconds"]))
    return state.get("iteration") if state.get("kind") == "rllib" else None, counts


def read_config(folder: Path) -> ARSConfig:
    """Return the settings of the algorithm that wrote a checkpoint.

    Raises
    ------
    FileNotFoundError, fastars.CheckpointError
        If the folder holds no algorithm.
    ValueError
        If the environment could not be put into the file.
    """
    state, _ = checkpoint.load(file_in(folder / _COUNTS))
    with named(folder / _COUNTS, "an algorithm"):
        stored = dict(state.get("config", {}))
        config = ARSConfig().update_from_dict(stored)
        if "env" in stored:
            refuse_unregistered(stored["env"], stored.get("env_config"))
    if missing := [name for name in ("env", "env_config") if name not in stored]:
        raise ValueError(
            f"{checkpoint.name_of(folder)}: its {' and '.join(missing)} could not be put into the file: give config=..."
        )
    return config


def path_in(checkpoint_dir: str | os.PathLike[str] | None, iteration: int) -> Path:
    """Return the folder for the checkpoint of an iteration, with a name as in RLlib."""
    return Path(checkpoint_dir or ".") / f"checkpoint_{iteration:06d}"
