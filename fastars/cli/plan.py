"""The plan of a run: its length, its evaluations, its checkpoints and its files."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastars.cli.errors import WrongUseError
from fastars.cli.near_paths import near_path
from fastars.cli.seeds import refuse_several
from fastars.files.opening import is_there

CONFIG = "config.toml"
SCHEMA = 1  # version of the run folder's format
_EVAL_EPISODES, _MUJOCO_EVAL_EPISODES = 100, 20  # 25 times 100 episodes of 1,000 steps exceed most trainings
USUAL_EPISODES = f"{_EVAL_EPISODES}; in MuJoCo, {_MUJOCO_EVAL_EPISODES}"
# Limits of the plan in a file: a folder may come from anybody.
_MOST_ON_DISK = 1 << 30  # bytes of checkpoints
_MOST_EVALUATIONS = 1 << 28  # bytes of `evaluations.npz`, which are also in memory
_BLOCK_BYTES, _EPISODE_BYTES = 4096, 16  # of a small file, and of an evaluated episode


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The plan of a run, kept in `config.toml` under [run] so that `fastars resume` can follow it.

    Attributes
    ----------
    total_timesteps : int
        Environment steps of training.
    iterations : int or None
        Iterations after which training ends, unless `total_timesteps` ends it earlier.
    eval_freq, eval_episodes : int
        Steps between evaluations, and episodes of each evaluation and of the final one.
    log_interval : int
        Iterations between rows of the log.
    save_freq : int or None
        Steps between checkpoints; None: no checkpoints.
    keep_checkpoints : int
        Number of checkpoints that are kept; older ones are removed.
    monitor, tensorboard : bool
        True: every episode is a row of `0.monitor.csv`; every row of the log is an event for TensorBoard.

    Raises
    ------
    TypeError
        If a value is of the wrong kind.
    ValueError
        If an integer is below 1 or above 2**63 - 1.
    """

    total_timesteps: int
    iterations: int | None = None
    eval_freq: int
    eval_episodes: int
    log_interval: int = 1
    save_freq: int | None = None
    keep_checkpoints: int = 5
    monitor: bool = False
    tensorboard: bool = False

    def __post_init__(self) -> None:
        from fastars._validate import boolean, integer  # it imports NumPy, and `--help` imports this module

        for field in dataclasses.fields(self):
            name, value = field.name, getattr(self, field.name)
            if value is None and "None" in str(field.type):
                continue
            checked = boolean(name, value) if field.type == "bool" else integer(name, value, 1, 2**63 - 1)
            object.__setattr__(self, name, checked)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Plan:
        """Return the plan in a `config.toml`. Files of older versions lack some of the values: these are the defaults."""
        names = {field.name for field in dataclasses.fields(cls)}
        return cls(**{name: value for name, value in config["run"].items() if name in names})


def usual_eval_episodes(env_id: str) -> int:
    """Return a number of episodes of an evaluation that suits an environment."""
    from fastars.envs import compiled_env_ids

    return _MUJOCO_EVAL_EPISODES if env_id in compiled_env_ids("mujoco") else _EVAL_EPISODES


def refuse_large_plan(folder: Path, plan: Plan, model_bytes: int, episodes: int) -> None:
    """Raise a ValueError for a plan in a file that takes more memory or more of the disk than a file may ask for.

    Parameters
    ----------
    folder : Path
        The run folder.
    plan : Plan
        The plan in its `config.toml`.
    model_bytes : int
        Bytes of its `model.zip`.
    episodes : int
        Episodes of an iteration, each of at least one step.
    """
    from fastars.training.file_limits import MOST_EVALUATED

    total, n_saved = plan.total_timesteps, 0
    if plan.save_freq is not None:
        n_saved = min(plan.keep_checkpoints, total // max(plan.save_freq, episodes) + 1)
    n_evaluations = total // max(plan.eval_freq, episodes) + 2  # also after the first iteration and at the end
    on_disk, evaluated = n_saved * max(model_bytes, _BLOCK_BYTES), n_evaluations * plan.eval_episodes * _EPISODE_BYTES
    saves = f"{n_saved:,} checkpoints (save_freq={plan.save_freq}, keep_checkpoints={plan.keep_checkpoints})"
    evaluations = f"{n_evaluations:,} evaluations (eval_freq={plan.eval_freq}) of {plan.eval_episodes}"
    for words, found, most, unit in (
        (f"eval_episodes={plan.eval_episodes}", plan.eval_episodes, MOST_EVALUATED, "episodes"),
        (saves, on_disk, _MOST_ON_DISK, "bytes"),
        (evaluations, evaluated, _MOST_EVALUATIONS, "bytes"),
    ):
        if found > most:
            reason = f"more than the {most:,} {unit} of a file"
            raise ValueError(f"{folder / CONFIG}: it asks for {words}, {reason}; if you know who made it, --trust allows that")


def read_config(folder: Path) -> dict[str, Any]:
    """Read the `config.toml` of a run folder.

    Raises
    ------
    WrongUseError
        If the folder is no run folder.
    ValueError
        If the file is damaged, or a newer version of fastars wrote it.
    """
    path = folder / CONFIG
    if not folder.exists():
        raise WrongUseError(f"there is no run folder {folder}{near_path(folder)}")
    refuse_several(folder)
    if not is_there(path):
        raise WrongUseError(f"{folder} is no run folder: it has no {CONFIG}")
    return read_config_file(path)


def read_config_file(path: Path) -> dict[str, Any]:
    """Read a `config.toml`, or another file of its form.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is damaged, or a newer version of fastars wrote it.
    """
    from fastars._validate import positive_int  # these two import NumPy, and `--help` imports this module
    from fastars.files.tables import read_toml

    config = read_toml(path)
    try:
        schema = positive_int("schema", config.get("schema", 1))
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path} is damaged: {error}") from error
    if schema > SCHEMA:
        raise ValueError(f"{path} was written by a newer fastars (schema {schema}; this one reads {SCHEMA}): upgrade fastars")
    if not all(isinstance(config.get(table), dict) for table in ("env", "run", "settings")):
        raise ValueError(f"{path} is damaged: it lacks one of the tables [env], [run] and [settings]")
    return config


def read_plan(folder: Path, config: Mapping[str, Any]) -> Plan:
    """Return the plan in the config of a run folder; ValueError if it is damaged."""
    try:
        return Plan.from_config(config)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{folder / CONFIG} is damaged: {error}") from error
