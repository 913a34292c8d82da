"""Checkpoints of `fastars.rllib.ARS`: a folder with the model and with the counts that RLlib adds to it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from fastars._validate import integer, warn_user
from fastars.files import checkpoint
from fastars.files.errors import brief
from fastars.files.opening import file_in, without_link
from fastars.rllib.arguments import activation
from fastars.rllib.config import ARSConfig
from fastars.rllib.environments import refuse_unregistered
from fastars.training.file_limits import MOST_EVALUATED, MOST_WINDOW, believed_workers
from fastars.training.model_file import config_in
from fastars.training.stored_env import named

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


class ConfigToRestore(ARSConfig):
    """Settings of an algorithm until it has its model from a checkpoint: it needs no random weights and no processes.

    Attributes
    ----------
    kept : ARSConfig
        The settings from then on.
    is_stored : bool
        True if they come from the checkpoint.
    """

    not_settings = ARSConfig.not_settings | {"kept", "is_stored"}
    kept: ARSConfig
    is_stored: bool

    def __init__(self, settings: ARSConfig, is_stored: bool) -> None:
        super().__init__(settings.algo_class)
        vars(self).update(vars(settings.copy(copy_frozen=False)), num_rollout_workers=1, kept=settings, is_stored=is_stored)

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of `fastars.ARS`, with weights of zero."""
        return {**super().arguments(), "zero_policy": True, "_init_setup_model": False}


def stored_counts(iteration: int, counts: Counts, config: ARSConfig) -> dict[str, Any]:
    """Return what the file of an algorithm holds: its counts, and the settings that a file can hold.

    Raises
    ------
    ValueError, TypeError
        If `read_counts` would refuse it.
    """
    state = {"iteration": iteration, "rewards": list(counts.rewards), "length": counts.length}
    state |= {"timesteps": counts.timesteps, "seconds": counts.seconds, "kind": "rllib", "config": config.stored()}
    _counts_in(state)
    checkpoint.encode(state, {})
    return state


def write_counts(folder: Path, state: Mapping[str, Any]) -> None:
    """Write what `stored_counts` returned."""
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
        counts = _counts_in(state)
    return state.get("iteration") if state.get("kind") == "rllib" else None, counts


def _counts_in(state: Mapping[str, Any]) -> Counts:
    """Return the counts in a file; ValueError or TypeError for one that no run reaches. A mean return may be NaN or infinite."""
    numbers = *state["rewards"], state["length"], state["seconds"]
    if type(state["rewards"]) is not list or not all(type(value) in (int, float) for value in numbers):
        raise TypeError("rewards, length and seconds must be numbers")
    timesteps = integer("timesteps", state["timesteps"], 0)
    return Counts(tuple(map(float, state["rewards"])), float(state["length"]), timesteps, float(state["seconds"]))


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
            config.validate()
            _refuse_other_policy(folder, config)
            _refuse_large_counts(config)
    if missing := [name for name in ("env", "env_config") if name not in stored]:
        raise ValueError(
            f"{checkpoint.name_of(folder)}: its {' and '.join(missing)} could not be put into the file: give config=..."
        )
    n_workers = config.num_rollout_workers
    config.num_rollout_workers = believed_workers(n_workers)
    if config.num_rollout_workers < n_workers:
        here = config.num_rollout_workers
        name = checkpoint.name_of(folder)
        warn_user(f"{name}: num_rollout_workers is {here}, the CPUs here, not {n_workers}: config=... sets it")
    return config


def _refuse_other_policy(folder: Path, config: ARSConfig) -> None:
    """Raise if the settings are not those of the model in the folder. Its sizes are those of its arrays: nothing larger is made."""
    of_model, hidden = config_in(folder / MODEL), tuple(config.model["fcnet_hiddens"])
    filters = {True: "MeanStdFilter", False: "NoFilter"}
    pairs = {
        "fcnet_hiddens": (hidden, of_model.net_arch),
        "fcnet_activation": (activation(config.model) if hidden else None, of_model.activation_fn if hidden else None),
        "observation_filter": (config.observation_filter, filters[of_model.normalize_observations]),
        "noise_size": (config.noise_size, of_model.noise_size),
    }
    for name, (found, expected) in pairs.items():
        if found != expected:
            raise ValueError(f"{name} must be {brief(expected)}, as in {MODEL}, got {brief(found)}")


def _refuse_large_counts(config: ARSConfig) -> None:
    """Raise for settings in a file that let the algorithm evaluate, or keep, more episodes than a file may ask for."""
    n_beside = config.num_rollouts / 2.0 * config.eval_prob / (1.0 - config.eval_prob)  # expected, of an iteration
    limits = {
        "evaluation_duration": (config.evaluation_duration, MOST_EVALUATED),
        "report_length": (config.report_length, MOST_WINDOW),
        "eval_prob": (n_beside, MOST_EVALUATED),
    }
    for name, (found, most) in limits.items():
        if found > most:
            value = getattr(config, name)
            raise ValueError(f"{name}={value} asks for {found:.0f} episodes, more than the {most:,} of a file: give config=...")


def path_in(checkpoint_dir: str | os.PathLike[str] | None, iteration: int) -> Path:
    """Return the folder for the checkpoint of an iteration, with a name as in RLlib."""
    return Path(checkpoint_dir or ".") / f"checkpoint_{iteration:06d}"
