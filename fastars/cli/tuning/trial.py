"""A trial: one setting, trained once for each seed. Its runs go on side by side, and are compared at the same numbers of steps."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from fastars.cli.final_evaluation import FINAL_SEED
from fastars.cli.plan import Plan
from fastars.cli.run_config import described_run
from fastars.cli.run_folder import Record, finished
from fastars.cli.tuning.definition import Definition

if TYPE_CHECKING:
    from fastars.ars import ARS


class SeedRun:
    """A run of a trial, with the evaluations that `fastars train` makes. It is kept in memory alone: its seed makes it again.

    Parameters
    ----------
    model : ARS
    plan : Plan
    objective : {"best", "last", "mean"}
        The value of the run: of its best policy, of its last one, or the mean over all evaluations.
    """

    def __init__(self, model: ARS, plan: Plan, objective: str) -> None:
        self.model = model
        self._plan, self._objective = plan, objective
        self._record = Record(Path(), plan.eval_episodes)
        self._returns: list[float] = []

    def train_to(self, steps: int) -> float:
        """Train up to so many steps, and return the value so far."""
        model, plan = self.model, self._plan
        while model.num_timesteps < steps:
            due = (model.num_timesteps // plan.eval_freq + 1) * plan.eval_freq if self._returns else 1
            model.learn(min(due, plan.total_timesteps) - model.num_timesteps, log_interval=None, reset_num_timesteps=False)
            self._returns.append(self._record.evaluate(model))
        if self._objective == "best":
            return self._record.best_return
        return self._returns[-1] if self._objective == "last" else math.fsum(self._returns) / len(self._returns)

    def final_value(self) -> float:
        """Return the value of the finished run. A policy is evaluated in fresh episodes, those at the end of `fastars train`."""
        if self._objective == "mean":
            return self.train_to(0)
        policy = self.model if self._objective == "last" else self._record.best or self.model
        return float(finished(policy.evaluate(self._plan.eval_episodes, seed=FINAL_SEED)).returns.mean())


class Finished(NamedTuple):
    """The result of a trial whose runs reached their end."""

    value: float
    returns: list[float]  # of each seed
    config: Mapping[str, Any]  # of the run with the first seed, as tables of TOML


class BadValueError(ValueError):
    """The value of a trial is NaN or infinite."""


def evaluations(definition: Definition, runs: Sequence[SeedRun]) -> Iterator[tuple[int, float]]:
    """Train the runs of a trial; yield the number of each evaluation, from 1, with the value so far over all seeds.

    Raises
    ------
    BadValueError
        If the value is NaN or infinite.
    """
    plan = definition.plan
    for number in range(1, definition.n_evaluations + 1):
        steps = plan.total_timesteps if number == definition.n_evaluations else number * plan.eval_freq
        yield number, average(definition, [run.train_to(steps) for run in runs])


def average(definition: Definition, values: Sequence[float]) -> float:
    """Return the mean or the interquartile mean over seeds; a `BadValueError` if it is not finite."""
    from fastars.plot import interquartile_mean

    mean = math.fsum(values) / len(values) if definition.average == "mean" else float(interquartile_mean(values))  # type: ignore[arg-type]
    if not math.isfinite(mean):
        seeds = ", ".join(f"{value:g} with seed {seed}" for seed, value in zip(definition.seeds, values, strict=True))
        raise BadValueError(f"the return is not finite: {seeds}")
    return mean


def run_trial(definition: Definition, make_model: Callable[[int], ARS], heard: Callable[[int, float], bool]) -> Finished | None:
    """Train the runs of a trial and return its result; None if it was stopped early.

    Parameters
    ----------
    definition : Definition
        What the study searches.
    make_model : callable
        Returns the model for a seed.
    heard : callable
        Called with the number of an evaluation and the value so far; returns True to stop the trial. It can't stop after the last.
    """
    models: list[ARS] = []
    try:
        for seed in definition.seeds:
            models.append(make_model(seed))  # noqa: PERF401 - the ones that were made are closed if the next one fails
        runs = [SeedRun(model, definition.plan, definition.objective) for model in models]
        for number, value in evaluations(definition, runs):
            if heard(number, value) and number < definition.n_evaluations:
                return None
        returns = [run.final_value() for run in runs]
        return Finished(average(definition, returns), returns, described_run(models[0], definition.plan))
    finally:
        for model in models:
            model.close()
