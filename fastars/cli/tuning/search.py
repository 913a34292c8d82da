"""A search: trial after trial, until the study has all of them, the time is over, or a signal comes."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastars._compiled.announcing import announced_to
from fastars.cli.interrupts import Interrupted, Interrupts
from fastars.cli.terminal import complain, console
from fastars.cli.tuning.results import Results
from fastars.cli.tuning.space import shown
from fastars.cli.tuning.study import Study
from fastars.cli.tuning.trial import run_trial

if TYPE_CHECKING:
    from fastars.ars import ARS


class Search:
    """The trials that this process runs.

    Parameters
    ----------
    study : Study
    make_model : callable
        Returns the model for the settings of a trial and a seed.
    folder : Path
        The folder of the results.
    again : str
        The command that goes on with the search.
    timeout : float or None
        Seconds after which no trial begins.
    is_shown : bool
        True to show progress.
    """

    def __init__(
        self,
        study: Study,
        make_model: Callable[[Mapping[str, Any], int], ARS],
        folder: Path,
        again: str,
        timeout: float | None = None,
        is_shown: bool = True,
    ) -> None:
        self._study, self._make_model, self._timeout = study, make_model, timeout
        self._results = Results(study, folder)
        self._again, self._is_shown = again, is_shown
        self._show: Callable[[str], None] = _nothing
        self._say: Callable[[str], None] = complain if is_shown else _nothing
        self._interrupts = Interrupts(study.begin, study.report, study.complete, study.prune, study.fail, study.stop)

    def run(self) -> None:
        """Run trials, and report; raise `Interrupted` if a signal stops the search."""
        started = time.monotonic()
        with self._interrupts, self._shown():
            try:
                while self._timeout is None or time.monotonic() - started < self._timeout:
                    trial = self._study.begin()
                    self._stop_if_interrupted()
                    if trial is None:
                        break
                    self._run(trial)
                    self._results.write()
                    self._stop_if_interrupted()
            except Interrupted:
                pass
        self._results.write()
        if self._interrupts.exit_code:
            n = self._results.n_ended
            raise Interrupted(
                f"interrupted after {n} trial{'' if n == 1 else 's'}; the results are in {self._results.folder}. "
                f"To go on: {self._again}",
                self._interrupts.exit_code,
            )
        self._results.print()

    def _run(self, trial: Any) -> None:
        study = self._study
        definition, settings = study.definition, ", ".join(f"{name}={shown(value)}" for name, value in trial.params.items())
        self._show(f"trial {trial.number}: training")
        try:
            found = run_trial(definition, partial(self._make_model, trial.params), partial(self._heard, trial))
        except Interrupted:
            study.stop(trial)
            raise
        except Exception as error:  # of an environment, of a setting: the next trial may be better
            text = " ".join(f"{type(error).__name__}: {error}".split())
            study.fail(trial, text)
            self._say(f"trial {trial.number}: failed: {text} ({settings})")
            return
        if found is None:
            study.prune(trial)
            self._say(f"trial {trial.number}: stopped early ({settings})")
            return
        study.complete(trial, found.value, {"returns": found.returns, "config": dict(found.config)})
        self._say(f"trial {trial.number}: {found.value:.2f} ({settings})")

    def _heard(self, trial: Any, number: int, value: float) -> bool:
        is_stopped = self._study.report(trial, value, number)
        self._stop_if_interrupted()
        self._show(f"trial {trial.number}: {value:.1f} after {number} of {self._study.definition.n_evaluations} evaluations")
        return is_stopped

    def _stop_if_interrupted(self) -> None:
        if self._interrupts.exit_code:
            raise Interrupted("interrupted", self._interrupts.exit_code)

    @contextlib.contextmanager
    def _shown(self) -> Iterator[None]:
        """Context that shows on a terminal what the present trial does; kernels that it compiles are said there, too."""
        errors = console(stderr=True)
        if not (self._is_shown and errors.is_terminal):
            yield
            return
        with errors.status("") as status, announced_to(lambda text: status.update(f"{text} ...")):
            self._show = status.update
            self._say = errors.print
            try:
                yield
            finally:
                self._show, self._say = _nothing, complain


def _nothing(text: str) -> None:
    """Show nothing."""
