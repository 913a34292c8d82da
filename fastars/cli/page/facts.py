"""The facts of a run, read from its folder. Nothing in a folder is executed, and no environment is made."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fastars._compiled.structs import FloatArray
from fastars.cli.plan import CONFIG, Plan, read_config, read_plan
from fastars.cli.run_folder import EVALUATIONS
from fastars.cli.run_log import PROGRESS
from fastars.files import checkpoint
from fastars.files.checkpoint_names import BEST_MODEL, MODEL
from fastars.files.errors import CheckpointError, DamagedFileError, brief
from fastars.files.opening import file_in, is_there
from fastars.files.tables import parse_number, read_arrays, read_columns
from fastars.plot.runs import read_evaluations
from fastars.training.checkpoint_validation import check_arrays, check_config, check_counters, check_run
from fastars.training.config import Config
from fastars.training.state import Counters

_SECONDS = "time/time_elapsed"
_OLD = ("penalized_pairs",)  # counters that files of 0.1 lack


class Policy(NamedTuple):
    """A policy in a file of the run."""

    counters: Counters
    n_weights: int
    digest: str  # sha256 of the weights, float64 in little-endian order
    tasks: dict[str, float]  # weight of each task of a vector reward


class Evaluations(NamedTuple):
    """The evaluations of a run."""

    steps: FloatArray  # (n,) environment steps of training before each of them
    returns: FloatArray  # (n, n_episodes); NaN where the environment failed
    lengths: FloatArray | None  # (n, n_episodes)

    @property
    def means(self) -> FloatArray:
        """Mean return of each evaluation over its finite returns, (n,); NaN if there are none."""
        return np.array([row[np.isfinite(row)].mean() if np.isfinite(row).any() else np.nan for row in self.returns])


class Facts(NamedTuple):
    """All that a page says of a run."""

    folder: Path
    config: Mapping[str, Any]
    plan: Plan
    last: Policy | None
    best: Policy | None
    evaluations: Evaluations | None
    seconds: float | None  # time of training

    @property
    def env_id(self) -> str:
        """Id of the environment."""
        return str(self.config["env"].get("id", "unknown"))

    @property
    def seed(self) -> Any:
        """Seed of the run."""
        return self.config["run"].get("seed", "unknown")

    @property
    def steps(self) -> int:
        """Environment steps of training; 0 if there is no model."""
        return 0 if self.last is None else self.last.counters.num_timesteps

    @property
    def is_finished(self) -> bool:
        """True if the run reached the end of its plan."""
        iterations = 0 if self.last is None else self.last.counters.iteration
        return self.steps >= self.plan.total_timesteps or (self.plan.iterations or iterations + 1) <= iterations

    @property
    def best_index(self) -> int | None:
        """Number of the evaluation that found the best policy; None if no evaluation belongs to it."""
        if self.best is None or self.evaluations is None:
            return None
        found = np.flatnonzero(self.evaluations.steps == self.best.counters.num_timesteps)
        return int(found[-1]) if len(found) else None


def read_facts(folder: Path) -> Facts:
    """Read the facts of a run.

    Raises
    ------
    WrongUseError
        If the folder is no run folder.
    ValueError
        If a file in it is damaged; the message names the file.
    """
    config = read_config(folder)
    if not isinstance(config.get("versions", {}), dict) or not isinstance(config.get("machine", {}), dict):
        raise DamagedFileError(f"{folder / CONFIG} is damaged: [versions] and [machine] must be tables")
    _refuse_options(folder / CONFIG, config)
    last, best = (_policy(folder / name) for name in (MODEL, BEST_MODEL))
    return Facts(folder, config, read_plan(folder, config), last, best, _evaluations(folder), _seconds(folder / PROGRESS))


def _refuse_options(path: Path, config: Mapping[str, Any]) -> None:
    """Raise for a text that would be an option of its own in a command of the page: a reader copies these commands."""
    env, run = config["env"], config["run"]
    named = run.get("env_options", ["--env", ""])
    if not isinstance(named, list) or len(named) < 2 or named[:1] != ["--env"] or named[2:3] not in ([], ["--env-kwargs"]):
        raise DamagedFileError(f"{path} is damaged: env_options must be --env ENV --env-kwargs KEY=VALUE ..., got {brief(named)}")
    values = [env.get("id"), named[1:2] + named[3:], run.get("init"), run.get("backend"), *config["settings"].values()]
    for value in values:
        for text in value if isinstance(value, list) else [value]:
            if isinstance(text, str) and text.startswith("-"):
                raise DamagedFileError(f"{path} is damaged: no value begins with a hyphen, got {brief(text)}")


def _policy(path: Path) -> Policy | None:
    """Read a model file; None if there is none. Whatever a page shows of it is checked as for training."""
    if not is_there(path):
        return None
    manifest, arrays = checkpoint.load(file_in(path))
    try:
        check_run(manifest)
        check_config(manifest["config"])
        check_counters(manifest["counters"], (name for name in Counters._fields if name not in _OLD))
        check_arrays(arrays, Config.from_dict(manifest["config"]))
        tasks = _tasks(manifest, arrays)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(f"{path}: not a model of this version: {brief(error)}") from error
    theta = arrays["theta"]
    counters = Counters(**{name: value for name, value in manifest["counters"].items() if name in Counters._fields})
    return Policy(counters, theta.size, hashlib.sha256(theta.astype("<f8").tobytes()).hexdigest(), tasks)


def _tasks(manifest: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Return the weight of each task; an empty dict for a scalar reward, or for a file that has no names of tasks."""
    weights = arrays.get("objectives.weights")
    names = ((manifest.get("spaces") or {}).get("tasks") or {}).get("names")
    if weights is None or names is None:
        return {}
    if not isinstance(names, list) or weights.shape != (len(names),) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"objectives.weights must have an entry for each of the tasks {names!r}")
    return dict(zip(names, weights.tolist(), strict=True))


def _evaluations(folder: Path) -> Evaluations | None:
    path = folder / EVALUATIONS
    if not is_there(path):
        return None
    read_evaluations(folder)  # which raises if the arrays don't fit each other
    arrays = read_arrays(path)
    steps, returns = arrays["timesteps"].astype(float), arrays["results"].astype(float)
    if not len(steps):
        return None
    lengths = arrays.get("ep_lengths")
    if lengths is not None and (lengths.shape != returns.shape or lengths.dtype.kind not in "fiu"):
        raise DamagedFileError(f"{path} is damaged: ep_lengths of shape {lengths.shape}, results of shape {returns.shape}")
    return Evaluations(steps, returns, None if lengths is None else lengths.astype(float))


def _seconds(path: Path) -> float | None:
    """Return the time of training in the last row of the log that has one."""
    last = ""
    if is_there(path):
        for (cell,) in read_columns(path, (_SECONDS,), optional=(_SECONDS,)):
            last = cell or last
    return parse_number(path, last) if last else None
