"""A study of optuna in a file: several processes may work on it, and it goes on after any end of them."""

from __future__ import annotations

import contextlib
import json
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fastars._imports import need
from fastars.cli.errors import WrongUseError
from fastars.cli.tuning.definition import Definition
from fastars.cli.tuning.locks import TrialLocks
from fastars.cli.tuning.space import points

_DEFINITION, ERROR = "fastars", "error"  # attributes of a study, and of a trial that failed
_SQLITE = (".db", ".sqlite", ".sqlite3")
_URL = "sqlite:///"


def optuna() -> Any:
    """Import and return optuna, which then logs nothing but errors."""
    module = need("optuna", "tune", "fastars tune")
    module.logging.set_verbosity(module.logging.ERROR)
    return module


def storage_path(text: str) -> Path:
    """Return the file that `--storage` names: a journal `*.log`, or an SQLite database.

    Raises
    ------
    WrongUseError
        For anything else, such as the URL of a database server.
    """
    path = Path(text.removeprefix(_URL))
    if (path.suffix != ".log" or text.startswith(_URL)) and path.suffix not in _SQLITE:
        raise WrongUseError(
            f"--storage takes a journal, FILE.log, or an SQLite database, FILE.db or sqlite:///FILE.db, got {text!r}"
        )
    return path


class Study:
    """A study of optuna whose trials belong to processes.

    A trial that runs holds a lock of the operating system, which its process loses with its life. So a trial without a lock was
    stopped: it is marked as failed, and its settings are tried again by the next process that looks for a trial.

    Parameters
    ----------
    path : Path
        The file of the storage.
    name : str
        The name of the study in it.
    """

    def __init__(self, path: Path, name: str) -> None:
        self._optuna = optuna()
        self._path, self.name = path, name
        self._locks = TrialLocks(path)
        self.definition: Definition
        with _quiet(), _naming(path):
            self._study = self._optuna.create_study(
                storage=_storage(self._optuna, path), study_name=name, direction="maximize", load_if_exists=True
            )

    @staticmethod
    def stored(path: Path, name: str) -> Mapping[str, Any] | None:
        """Return the definition of the study in a file; None if there is none.

        Raises
        ------
        WrongUseError
            If it is a study that `fastars tune` did not begin.
        """
        if not path.exists():
            return None
        module = optuna()
        with _quiet():
            storage = _storage(module, path)
            with _naming(path):
                names = module.get_all_study_names(storage)
            if name not in names:
                return None
            found = module.load_study(storage=storage, study_name=name)
        definition = found.user_attrs.get(_DEFINITION)
        is_empty = definition is None and not found.get_trials(deepcopy=False)
        is_maximized = found.directions == [module.study.StudyDirection.MAXIMIZE]
        if is_maximized and (is_empty or isinstance(definition, dict)):
            return definition
        raise WrongUseError(f"{path}: `fastars tune` did not begin the study {name!r}: choose another --study-name")

    def begin_study(self, definition: Definition) -> None:
        """Take a definition, and put the trials that are known ahead into the queue: the usual settings, or the grid."""
        self.definition = definition
        with self._locks.gate(), _quiet():
            is_new = _DEFINITION not in self._study.user_attrs
            self._study.set_user_attr(_DEFINITION, definition.plain())
            if not is_new:
                return
            axes = definition.space
            if definition.sampler == "grid":
                for point in points(axes):
                    self._study.enqueue_trial(point)
            elif all(axis.has(definition.base.get(axis.name)) for axis in axes):
                self._study.enqueue_trial({axis.name: definition.base[axis.name] for axis in axes})

    # --- Trials

    def begin(self) -> Any:
        """Return the next trial; None if all trials of the study have begun."""
        with self._locks.gate(), _quiet():
            self._try_stopped_again()
            n_begun = sum(map(counts, self._study.get_trials(deepcopy=False)))
            if n_begun >= self.definition.n_trials:
                return None
            self._study.sampler = self._sampler(n_begun)
            self._study.pruner = self._pruner()
            distributions = {axis.name: axis.distribution(self._optuna.distributions) for axis in self.definition.space}
            trial = self._study.ask(distributions)
            self._locks.take(trial.number)
        return trial

    def report(self, trial: Any, value: float, step: int) -> bool:
        """Store the value of a trial after an evaluation; return True if the pruner stops it."""
        with _quiet():
            trial.report(value, step)
            return bool(trial.should_prune())

    def complete(self, trial: Any, value: float, attributes: Mapping[str, Any]) -> None:
        """Store the value of a trial, and what led to it."""
        self._end(trial, attributes, values=value)

    def prune(self, trial: Any) -> None:
        """Store that a trial was stopped early."""
        self._end(trial, {}, state=self._optuna.trial.TrialState.PRUNED)

    def fail(self, trial: Any, error: str) -> None:
        """Store that a trial failed."""
        self._end(trial, {ERROR: error}, state=self._optuna.trial.TrialState.FAIL)

    def stop(self, trial: Any) -> None:
        """Let a trial be tried again, which this process does not finish."""
        self._locks.give_back(trial.number)
        with self._locks.gate(), _quiet():
            self._try_stopped_again()

    def _end(self, trial: Any, attributes: Mapping[str, Any], **told: Any) -> None:
        with _quiet():
            for name, value in attributes.items():
                trial.set_user_attr(name, value)
            self._study.tell(trial, **told)
        self._locks.give_back(trial.number)

    def _try_stopped_again(self) -> None:
        """Mark trials without a process as failed, and put their settings into the queue."""
        states = self._optuna.trial.TrialState
        for trial in self._study.get_trials(deepcopy=False, states=(states.RUNNING,)):
            if self._locks.take(trial.number):
                self._study.tell(trial.number, state=states.FAIL)
                if params := {**trial.system_attrs.get("fixed_params", {}), **trial.params}:
                    self._study.enqueue_trial(params)
                self._locks.give_back(trial.number)

    # --- Samplers and pruners

    def _sampler(self, n_begun: int) -> Any:
        """Return the sampler of the next trial. It is seeded by the number of trials before, so that a stop changes no trial."""
        samplers, definition = self._optuna.samplers, self.definition
        seed = _mixed(definition.seed, n_begun)
        if definition.sampler == "tpe":
            return samplers.TPESampler(
                n_startup_trials=definition.n_startup_trials, seed=seed, multivariate=True, constant_liar=True
            )
        if definition.sampler == "cma":
            need("cmaes", "tune", "--sampler cma")
            return samplers.CmaEsSampler(n_startup_trials=definition.n_startup_trials, seed=seed, warn_independent_sampling=False)
        return samplers.RandomSampler(seed=seed)  # of a grid, every trial is in the queue

    def _pruner(self) -> Any:
        pruners, definition = self._optuna.pruners, self.definition
        n = definition.n_evaluations
        if definition.pruner == "median":
            return pruners.MedianPruner(n_startup_trials=definition.n_startup_trials, n_warmup_steps=n // 3)
        if definition.pruner == "halving":
            return pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=4, min_early_stopping_rate=0)
        if definition.pruner == "hyperband":
            return pruners.HyperbandPruner(min_resource=1, max_resource=n, reduction_factor=3)
        return pruners.NopPruner()

    # --- Results

    def trials(self) -> list[Any]:
        """Return all trials, by their numbers, without the ones that only wait."""
        trials = self._study.get_trials(deepcopy=False)
        return [trial for trial in trials if trial.state.name != "WAITING"]

    def importances(self) -> dict[str, float]:
        """Return the share of each setting in what the best trials have in common; empty where there are too few trials."""
        with _quiet():
            evaluator = self._optuna.importance.PedAnovaImportanceEvaluator()  # the one that needs no scikit-learn
            try:
                return dict(self._optuna.importance.get_param_importances(self._study, evaluator=evaluator))
            except (ValueError, RuntimeError, ZeroDivisionError):
                return {}


def counts(trial: Any) -> bool:
    """Return True if a trial is one of `n_trials`: it runs, or it ended by itself."""
    return trial.state.name in ("RUNNING", "COMPLETE", "PRUNED") or is_failed(trial)


def is_failed(trial: Any) -> bool:
    """Return True if a trial failed by itself, and was not stopped."""
    return trial.state.name == "FAIL" and ERROR in trial.user_attrs


def _mixed(seed: int, number: int) -> int:
    """Return a seed below 2**32 that depends on both integers."""
    import numpy as np

    return int(np.random.SeedSequence([seed, number]).generate_state(1)[0])


def _storage(module: Any, path: Path) -> Any:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        if path.suffix in _SQLITE:
            return module.storages.RDBStorage(f"{_URL}{path}")
        journal = need("optuna.storages.journal", "tune", "fastars tune")
        return module.storages.JournalStorage(journal.JournalFileBackend(str(path)))
    except OSError:
        raise
    except Exception as error:  # of SQLAlchemy, of JSON
        raise ValueError(f"{path} has no studies of optuna: {error}") from error


@contextlib.contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Put the name of a journal into an error about its JSON, which comes when optuna reads on."""
    try:
        yield
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} has no studies of optuna: {error}") from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Context without the warnings of optuna: that a sampler is experimental, or how it works with old versions."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
