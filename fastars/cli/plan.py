"""What a run does besides training its model: how long, how often it is evaluated and saved, what it writes."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastars.cli import WrongUseError

CONFIG = "config.toml"
SCHEMA = 1  # of a run folder


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What `config.toml` has under [run], so that `fastars resume` goes on by it.

    Attributes
    ----------
    total_timesteps : int
        Environment steps of training.
    iterations : int or None
        Iterations after which training ends, if the steps don't end it before.
    eval_freq, eval_episodes : int
        Steps between evaluations, and episodes of each and of the final one.
    log_interval : int
        Iterations between rows of the log.
    save_freq : int or None
        Steps between checkpoints that are kept.
    keep_checkpoints : int
        How many of them; the older ones are removed.
    monitor, tensorboard : bool
        Whether every episode is a row of `0.monitor.csv`, and every row of the log an event.

    Raises
    ------
    ValueError, TypeError
        Naming what is wrong.
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
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if value is None and "None" in str(field.type):
                continue
            if field.type == "bool":
                if not isinstance(value, bool):
                    raise TypeError(f"{field.name} must be true or false, got {value!r}")
            elif not isinstance(value, int) or isinstance(value, bool) or not 1 <= value < 2**63:
                raise ValueError(f"{field.name} must be an integer of at least 1 and below 2**63, got {value!r}")

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Plan:
        """The plan in a `config.toml`; what it does not say is as it was before it was said there."""
        names = {field.name for field in dataclasses.fields(cls)}
        return cls(**{name: value for name, value in config["run"].items() if name in names})


def read_config(folder: Path) -> dict[str, Any]:
    """The `config.toml` of a run folder.

    Raises
    ------
    WrongUseError
        If this is no run folder.
    ValueError
        If the file is damaged, or of a newer version.
    """
    path = folder / CONFIG
    if not folder.exists():
        raise WrongUseError(f"there is no run folder {folder}")
    if not path.is_file():
        raise WrongUseError(f"{folder} is no run folder: it has no {CONFIG}")
    from fastars.files.tables import read_toml  # it imports NumPy, which --help does without

    config = read_toml(path)
    schema = config.get("schema", 1)
    if not isinstance(schema, int) or isinstance(schema, bool) or schema < 1:
        raise ValueError(f"{path} is damaged: schema must be an integer of at least 1, got {schema!r}")
    if schema > SCHEMA:
        raise ValueError(f"{folder} was written by a newer fastars (schema {schema}; this one reads {SCHEMA}): upgrade fastars")
    if not all(isinstance(config.get(table), dict) for table in ("env", "run", "settings")):
        raise ValueError(f"{path} is damaged: it lacks one of the tables [env], [run] and [settings]")
    return config


def read_plan(folder: Path, config: Mapping[str, Any]) -> Plan:
    """The plan of a run folder, of which this is the config."""
    try:
        return Plan.from_config(config)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{folder / CONFIG} is damaged: {error}") from error
