"""Runs that differ only in their seed are one group: one curve, one row of a comparison."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fastars.cli.page.facts import Facts
from fastars.files.errors import DamagedFileError
from fastars.plot import Curve, Run, learning_curves, read_run
from fastars.plot.labels import by_settings
from fastars.plot.runs import read_settings

_NOTHING = np.zeros(0)
_MOST = 1e300  # of a value in a figure: distances between larger ones may be infinite


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
    """Return the groups: environments and their settings in the order of the first run of each."""
    by_folder = {facts.folder: facts for facts in runs}
    groups = by_settings([_without_course(facts.folder) for facts in runs])
    ids = [members[0].env_id for _, members in groups]
    return [
        Group(env_id if ids.count(env_id) == 1 else label, tuple(by_folder[run.folder] for run in members))
        for env_id, (label, members) in sorted(zip(ids, groups, strict=True), key=lambda pair: ids.index(pair[0]))
    ]


def _without_course(folder: Path) -> Run:
    """Return the settings of a run, without its values."""
    env_id, seed, settings, of_env = read_settings(folder)
    return Run(folder, env_id, seed, settings, _NOTHING, _NOTHING, _NOTHING, of_env=of_env)


def curve_of(group: Group, metric: str) -> Curve | None:
    """Return the curve of a group; None if none of its runs has two points of the metric that can be drawn.

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
        kept = np.isfinite(run.steps) & np.isfinite(run.values)
        if kept.sum() >= 2 and np.abs(run.values[kept]).max() <= _MOST:
            runs.append(run)
    if not runs:
        return None
    (curve,) = learning_curves(runs)
    left_out = "" if len(runs) == len(group.members) else f", {len(runs)} of them with a curve"
    return curve._replace(label=f"{group.full_label}{left_out}")
