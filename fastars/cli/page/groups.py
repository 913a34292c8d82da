"""Runs that differ only in their seed are one group: one curve, one row of a comparison."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from fastars.cli.page.facts import Facts
from fastars.files.errors import DamagedFileError
from fastars.plot import Curve, Run, learning_curves, read_run
from fastars.plot.labels import labels
from fastars.plot.runs import read_settings

_NOTHING = np.zeros(0)


class Group(NamedTuple):
    """Runs of one setting."""

    label: str  # the settings that tell it apart from other groups of its environment
    members: tuple[Facts, ...]

    @property
    def env_id(self) -> str:
        """Id of the environment."""
        return self.members[0].env_id

    @property
    def full_name(self) -> str:
        """The label with the environment before it."""
        return self.full_label if self.label == self.env_id else f"{self.env_id}: {self.full_label}"

    @property
    def full_label(self) -> str:
        """The label, with the number of runs if there are several."""
        n = len(self.members)
        return self.label if n == 1 else f"{self.label} ({n} seeds)"


def grouped(runs: Sequence[Facts]) -> list[Group]:
    """Return the groups, in the order of the first run of each."""
    members: dict[tuple[str, str], list[Facts]] = {}
    shells: dict[tuple[str, str], list[Run]] = {}
    for facts in runs:
        env_id, seed, settings, of_env = read_settings(facts.folder)
        key = env_id, json.dumps(settings, sort_keys=True, default=str)
        members.setdefault(key, []).append(facts)
        shell = Run(facts.folder, env_id, seed, _telling(settings), _NOTHING, _NOTHING, _NOTHING, of_env=of_env)
        shells.setdefault(key, []).append(shell)
    named: dict[tuple[str, str], str] = {}
    for env_id in dict.fromkeys(env_id for env_id, _ in members):
        alike = [key for key in members if key[0] == env_id]
        texts = labels([shells[key] for key in alike]) if len(alike) > 1 else [env_id]
        named.update(zip(alike, texts, strict=True))
    return [Group(named[key], tuple(of_group)) for key, of_group in members.items()]


def _telling(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings without `n_top` where it is its default, `n_delta`: one of them tells runs apart."""
    is_default = "n_delta" in settings and settings.get("n_top") == settings["n_delta"]
    return {name: value for name, value in settings.items() if not (is_default and name == "n_top")}


def curve_of(group: Group, metric: str) -> Curve | None:
    """Return the curve of a group; None if none of its runs has two points of the metric.

    Raises
    ------
    ValueError
        If a file is damaged.
    """
    runs = []
    for facts in group.members:
        try:
            run = read_run(facts.folder, metric)
        except DamagedFileError:
            raise
        except (FileNotFoundError, ValueError):  # the run has no such file, or no such column
            continue
        if (np.isfinite(run.steps) & np.isfinite(run.values)).sum() >= 2:
            runs.append(run)
    if not runs:
        return None
    (curve,) = learning_curves(runs)
    left_out = "" if len(runs) == len(group.members) else f", {len(runs)} of them with a curve"
    return curve._replace(label=f"{group.full_label}{left_out}")
