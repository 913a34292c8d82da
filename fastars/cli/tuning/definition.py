"""The definition of a study: kept in the study itself, so that every process that works on it searches the same."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from fastars._validate import count, integer, one_of, positive_int
from fastars.cli.errors import WrongUseError
from fastars.cli.plan import Plan
from fastars.cli.seeds import MOST_SEEDS
from fastars.cli.settings import Settings
from fastars.cli.tuning.space import NAMES, Axis

SAMPLERS = ("tpe", "random", "cma", "grid")
PRUNERS = ("median", "halving", "hyperband", "none")
OBJECTIVES = ("best", "last", "mean")
AVERAGES = ("mean", "iqm")
_MOST_SEED = 2**32 - 1
_ARGUMENTS = {"policy_kwargs", *(each.name for each in fields(Settings))}  # a study may come from anybody, and says no others
_FREE = ("n_trials",)  # may change while a study goes on


@dataclass(frozen=True, kw_only=True)
class Definition:
    """All that decides the trials of a study.

    Attributes
    ----------
    env : str
        The environment, as the user named it.
    env_kwargs : dict
        Its arguments.
    fixed : dict
        The arguments of `ARS` that all trials have.
    axes : list of dict
        The settings that are tried (`Axis`).
    base : dict
        The settings of `fastars train` with the same options, which the first trial has.
    total_timesteps, n_evaluations, eval_episodes : int
        Of each run: steps, evaluations and their episodes.
    n_seeds, seed : int
        Runs of a trial; they have the seeds `seed`, `seed` + 1, ...
    objective : {"best", "last", "mean"}
    average : {"mean", "iqm"}
    sampler : {"tpe", "random", "cma", "grid"}
    pruner : {"median", "halving", "hyperband", "none"}
    n_startup_trials : int
        Trials before the sampler learns from earlier ones, and before the pruner "median" stops one.
    n_trials : int
        Trials of the study.
    """

    env: str
    env_kwargs: Mapping[str, Any] = field(default_factory=dict)
    fixed: Mapping[str, Any]
    axes: tuple[Mapping[str, Any], ...]
    base: Mapping[str, Any]
    total_timesteps: int
    n_evaluations: int = 10
    eval_episodes: int
    n_seeds: int = 3
    seed: int = 0
    objective: str = "best"
    average: str = "mean"
    sampler: str = "tpe"
    pruner: str = "median"
    n_startup_trials: int = 10
    n_trials: int = 50

    def __post_init__(self) -> None:
        for name in ("total_timesteps", "n_evaluations", "eval_episodes", "n_seeds", "n_trials"):
            object.__setattr__(self, name, positive_int(name, getattr(self, name)))
        object.__setattr__(self, "seed", integer("seed", self.seed, 0, _MOST_SEED))
        object.__setattr__(self, "n_startup_trials", count("n_startup_trials", self.n_startup_trials, 0))
        choices = {"objective": OBJECTIVES, "average": AVERAGES, "sampler": SAMPLERS, "pruner": PRUNERS}
        for name, allowed in choices.items():
            one_of(name, getattr(self, name), allowed)
        for name in self.fixed:
            one_of("a fixed setting", name, sorted(_ARGUMENTS))
        for axis in self.axes:
            one_of("a searched setting", axis["name"], NAMES)
        if self.n_evaluations > self.total_timesteps:
            raise ValueError(f"n_evaluations must be at most total_timesteps ({self.total_timesteps}), got {self.n_evaluations}")

    @property
    def space(self) -> list[Axis]:
        """The axes of the search."""
        return [Axis.from_dict(axis) for axis in self.axes]

    @property
    def seeds(self) -> list[int]:
        """The seeds of the runs of a trial."""
        return [self.seed + i for i in range(self.n_seeds)]

    @property
    def plan(self) -> Plan:
        """The plan of a run; `fastars train` follows it to the same policies."""
        eval_freq = self.total_timesteps // self.n_evaluations
        return Plan(total_timesteps=self.total_timesteps, eval_freq=eval_freq, eval_episodes=self.eval_episodes)

    def refuse_excess(self, path: Path) -> None:
        """Raise a ValueError for a count that is larger than the study in a file may ask for (SECURITY.md)."""
        from fastars.training.file_limits import MOST_EVALUATED

        for name, most in (("n_seeds", MOST_SEEDS), ("eval_episodes", MOST_EVALUATED)):
            if getattr(self, name) > most:
                reason = f"more than the {most:,} of a file; if you know who made it, --trust allows that"
                raise ValueError(f"{path}: its study asks for {name}={getattr(self, name)}, {reason}")

    def plain(self) -> dict[str, Any]:
        """Return the definition as JSON holds it."""
        return dict(_plain(asdict(self)))


def completed(given: Mapping[str, Any], stored: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a definition: those of the study, which must be the given ones.

    Parameters
    ----------
    given : mapping
        Fields of `Definition` that the user gave.
    stored : mapping
        The definition in the study.

    Raises
    ------
    WrongUseError
        If the user gave another value than the study has.
    """
    for name, value in given.items():
        if name not in _FREE and _plain(value) != stored.get(name):
            words = {"fixed": "settings", "axes": "space"}.get(name, name)
            raise WrongUseError(
                f"the study has another {words}: {stored.get(name)!r:.300}, got {_plain(value)!r:.300}; leave it out to go on with "
                "the study, or begin a new one with another --run-folder or --study-name"
            )
    known = {each.name for each in fields(Definition)}
    return {**{name: value for name, value in stored.items() if name in known}, **given}


def _plain(value: Any) -> Any:
    return json.loads(json.dumps(value))
