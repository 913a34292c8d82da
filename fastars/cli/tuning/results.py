"""The results of a search: a table of all trials, the best setting as TOML, a picture, and the report on stdout."""

from __future__ import annotations

import csv
import io
import shlex
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fastars._progress import count
from fastars.cli.table import empty_table
from fastars.cli.terminal import console, print_command, print_fact, print_sentence
from fastars.cli.toml import toml
from fastars.cli.tuning.definition import Definition
from fastars.cli.tuning.picture import history
from fastars.cli.tuning.space import settings_of, shown
from fastars.cli.tuning.study import ERROR, Study, counts, is_failed
from fastars.files.atomic import write_atomically

STORAGE, TRIALS, BEST, PICTURE = "study.log", "trials.csv", "best.toml", "history.png"
_SHOWN = 5  # trials in the table
_WORDS = {"COMPLETE": "complete", "PRUNED": "stopped early", "RUNNING": "running", "FAIL": "interrupted"}
_OBJECTIVES = {
    "best": "of the best policy, in {} fresh episodes",
    "last": "of the last policy, in {} fresh episodes",
    "mean": "of all evaluations of {} episodes",
}


class Results:
    """The files of a search in its folder, and its report.

    Parameters
    ----------
    study : Study
    folder : Path
    """

    def __init__(self, study: Study, folder: Path) -> None:
        self.folder = folder
        self._study = study

    @property
    def n_ended(self) -> int:
        """The number of trials that ended by themselves."""
        return sum(counts(trial) and trial.state.name != "RUNNING" for trial in self._study.trials())

    def write(self) -> None:
        """Write the files. Each is replaced as a whole, so that they are whole after any end of the process."""
        trials = self._study.trials()
        write_atomically(self.folder / TRIALS, [_table(trials, self._study.definition).encode()], follow=False)
        best = best_first(trials)
        if best:
            write_atomically(self.folder / BEST, [self._toml(best[0]).encode()], follow=False)

    def _toml(self, best: Any) -> str:
        definition = self._study.definition
        seeds, returns = ", ".join(map(str, definition.seeds)), ", ".join(repr(value) for value in best.user_attrs["returns"])
        first = (
            f"# Written by `fastars tune`: trial {best.number} of {self._study.name!r}. `fastars train --config FILE` takes it.\n"
            f"# Return {_OBJECTIVES[definition.objective].format(definition.eval_episodes)}: {returns} with the seeds {seeds}.\n\n"
        )
        return first + toml(best.user_attrs["config"])

    def print(self) -> None:
        """Draw the picture, and print the best trials and facts about the search.

        Raises
        ------
        ValueError
            If no trial reached its end.
        """
        trials, definition = self._study.trials(), self._study.definition
        best = best_first(trials)
        failed = [trial for trial in trials if is_failed(trial)]
        if not best:
            why = f"; the last error: {failed[-1].user_attrs[ERROR]}" if failed else ""
            raise ValueError(f"no trial reached its end ({_counted(trials)}){why}")
        has_picture = self._draw(trials, best)
        out, names = console(), [axis.name for axis in definition.space]
        table = empty_table("trial>", "return>", "worst seed>", *(f"{name}>" for name in names))
        for trial in best[:_SHOWN]:
            values = (shown(trial.params[name]) for name in names)
            table.add_row(str(trial.number), f"{trial.value:.2f}", f"{min(trial.user_attrs['returns']):.2f}", *values)
        out.print(table)
        for name, fact in self._facts(trials, best, failed).items():
            print_fact(out, f" {name:<11}  ", fact)
        files = [str(self.folder / name) for name in (BEST, TRIALS, *([PICTURE] if has_picture else []))]
        print_fact(out, f" {'files':<11}  ", files)
        out.print()
        print_sentence(out, "The best of many trials looks better than it is. Train it with seeds that the search did not use:")
        command = [
            "fastars",
            "train",
            "--config",
            str(self.folder / BEST),
            "--seeds",
            "10",
            "--seed",
            str(definition.seeds[-1] + 1),
        ]
        print_command(out, shlex.join(command))

    def _facts(self, trials: list[Any], best: list[Any], failed: list[Any]) -> dict[str, str]:
        definition = self._study.definition
        n, seeds = definition.n_seeds, definition.seeds
        of_seeds = f"seed {seeds[0]}" if n == 1 else f"seeds {seeds[0]} {'and' if n == 2 else 'to'} {seeds[-1]}"
        mean = {"mean": "mean", "iqm": "interquartile mean"}[definition.average]
        over = "" if n == 1 else f"; {mean} over {of_seeds}"
        facts = {
            "environment": definition.env,
            "search": "; ".join(map(str, definition.space)),
            "trials": _counted(trials),
            "each trial": f"{count(definition.total_timesteps)} steps with {of_seeds}",
            "return": _OBJECTIVES[definition.objective].format(definition.eval_episodes) + over,
        }
        if (usual := _usual(best, definition)) is not None:
            rank = best.index(usual) + 1
            facts["default"] = (
                f"{usual.value:.2f} with the settings of `fastars train`: trial {usual.number}, {_ordinal(rank, len(best))}"
            )
        shares = self._study.importances() if len(best) > 1 else {}
        if shares:
            facts["importance"] = ", ".join(f"{name} {share:.0%}" for name, share in shares.items())
        if failed:
            facts["last error"] = failed[-1].user_attrs[ERROR]
        return facts

    def _draw(self, trials: list[Any], best: list[Any]) -> bool:
        """Draw the returns of all trials, if matplotlib is installed; return True if it is."""
        try:
            content = history(trials, best, _usual(best, self._study.definition), self._study.definition)
        except ImportError:
            return False
        write_atomically(self.folder / PICTURE, [content], follow=False)
        return True


def best_first(trials: list[Any]) -> list[Any]:
    """Return the trials that reached their end, the best one first; of equals, the earlier one."""
    ended = [trial for trial in trials if trial.state.name == "COMPLETE"]
    return sorted(ended, key=lambda trial: (-trial.value, trial.number))


def _usual(best: list[Any], definition: Definition) -> Any:
    """Return the trial with the settings of `fastars train`; None if there is none."""
    usual = (trial for trial in best if settings_of(trial.user_attrs["config"]["settings"]) == definition.base)
    return next(usual, None)


def _counted(trials: list[Any]) -> str:
    """Return the number of trials, and of each kind."""
    kinds = Counter(_state(trial) for trial in trials)
    interrupted = kinds.pop("interrupted", 0)
    text = ", ".join(f"{n} {kind}" for kind, n in kinds.items())
    return f"{sum(kinds.values())}: {text or 'none'}" + (f"; {interrupted} interrupted and tried again" if interrupted else "")


def _state(trial: Any) -> str:
    return "failed" if is_failed(trial) else _WORDS[trial.state.name]


def _ordinal(rank: int, n: int) -> str:
    return {1: "the best", 2: "the second best", 3: "the third best"}.get(rank, f"number {rank} of {n}")


def _table(trials: list[Any], definition: Definition) -> str:
    """Return the trials as CSV, a row for each."""
    names = [axis.name for axis in definition.space]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    seeds = [f"return_seed_{seed}" for seed in definition.seeds]
    writer.writerow(["trial", "state", "return", *seeds, *names, "evaluations", "seconds", "error"])
    for trial in trials:
        attributes: Mapping[str, Any] = trial.user_attrs
        seconds = None if trial.duration is None else round(trial.duration.total_seconds(), 3)
        returns = attributes.get("returns", [None] * len(seeds))
        value = trial.value if trial.state.name == "COMPLETE" else None
        params = [trial.params.get(name) for name in names]
        error = attributes.get(ERROR)
        writer.writerow([trial.number, _state(trial), value, *returns, *params, len(trial.intermediate_values), seconds, error])
    return text.getvalue()
