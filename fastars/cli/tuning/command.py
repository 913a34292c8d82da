"""The options of `fastars tune`, and the study that they ask for."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from fastars._imports import need
from fastars.cli.environment import environment, parse_kwargs
from fastars.cli.errors import WrongUseError, wrong_use
from fastars.cli.plan import USUAL_EPISODES, usual_eval_episodes
from fastars.cli.progress import compiling
from fastars.cli.run_folder import next_run_folder
from fastars.cli.settings import Settings, option
from fastars.cli.terminal import console
from fastars.files.opening import refuse_link
from fastars.training.presets import timesteps

if TYPE_CHECKING:
    from fastars.ars import ARS
    from fastars.cli.tuning.definition import Definition

_TRUST = "if you know who made it, --trust allows that"
_LIST = tuple[tuple[str, ...], ...]
# Fields of a definition that are options of their own, under the same names.
_OPTIONS = (
    *("total_timesteps", "n_evaluations", "eval_episodes", "n_seeds", "seed", "objective", "average"),
    *("sampler", "pruner", "n_startup_trials", "n_trials"),
)


@dataclass(frozen=True, kw_only=True)
class Tune:
    """Search settings with optuna: each trial trains with several seeds, and the best one becomes a file for `train --config`.

    The command with the same --run-folder, or the same --storage and --study-name, goes on with a search. It may run several times
    at once, in place of an option --n-jobs: a trial already uses all CPUs where its environment is compiled.
    """

    env: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="ENV")]
    """Id of an environment, as for `fastars train`."""
    env_kwargs: Annotated[_LIST, tyro.conf.UseAppendAction, option("KEY=VALUE [KEY=VALUE ...]", "none")] = ()
    """Arguments of gymnasium.make, as for `fastars train`."""
    n_trials: Annotated[int | None, option("INT", "50; of a grid, all combinations")] = None
    """Trials of the study. Those of earlier calls and of other processes count, stopped and failed ones, too."""
    timeout: Annotated[float | None, option("SECONDS", "none")] = None
    """Seconds after which no trial begins."""
    sampler: Annotated[Literal["tpe", "random", "cma", "grid"] | None, option("{tpe,random,cma,grid}", "tpe")] = None
    """Choice of the next setting. grid takes all combinations of --choices, and searches nothing else."""
    pruner: Annotated[
        Literal["median", "halving", "hyperband", "none"] | None, option("{median,halving,hyperband,none}", "median")
    ] = None
    """Rule by which a trial is stopped early: compared with others after the same number of evaluations."""
    n_startup_trials: Annotated[int | None, option("INT", "10")] = None
    """Trials before the sampler learns from the others, and before the median stops one."""
    n_evaluations: Annotated[int | None, option("INT", "10")] = None
    """Evaluations of a run; after each one, a trial may be stopped."""
    n_seeds: Annotated[int | None, option("INT", "3")] = None
    """Runs of a trial, with the seeds --seed, --seed + 1, ... They go on side by side."""
    objective: Annotated[Literal["best", "last", "mean"] | None, option("{best,last,mean}", "best")] = None
    """Return of a run: of its best or last policy in fresh episodes, or the mean of its evaluations, which rewards speed."""
    average: Annotated[Literal["mean", "iqm"] | None, option("{mean,iqm}", "mean")] = None
    """Average over seeds: the mean, or the interquartile mean."""
    search: Annotated[tuple[str, ...], option("NAME [NAME ...]", "the usual ones")] = ()
    """Settings to search beside those of --range and --choices. top_fraction is n_top / n_delta."""
    range: Annotated[_LIST, tyro.conf.UseAppendAction, option("NAME=LOW:HIGH[:log]", "around the usual settings")] = ()
    """Range of a setting, such as learning_rate=1e-3:1e-1:log."""
    choices: Annotated[_LIST, tyro.conf.UseAppendAction, option("NAME=A,B,...", "none")] = ()
    """Choices of a setting, such as n_delta=8,16,32 or policy=LinearPolicy,MlpPolicy."""
    space: Annotated[Path | None, option("FILE", "none")] = None
    """TOML with the tables [range] and [choices], and the list `search`. Options win."""
    total_timesteps: Annotated[int | None, option("INT", "what ENV needs", "-n")] = None
    """Environment steps of each run."""
    eval_episodes: Annotated[int | None, option("INT", USUAL_EPISODES)] = None
    """Episodes of each evaluation."""
    seed: Annotated[int | None, option("INT", "0", "-s")] = None
    """Seed of the search, and of the first run of each trial. The search is the same each time, if one process does it."""
    n_threads: Annotated[int | None, option("INT", "all CPUs")] = None
    """Threads of the rollouts; the result does not depend on it."""
    n_workers: Annotated[int | None, option("INT", "1")] = None
    """Processes of each run that step an environment in Python; the result does not depend on it."""
    storage: Annotated[str | None, option("FILE", "study.log in the folder")] = None
    """Study of optuna: a journal FILE.log, or SQLite, FILE.db or sqlite:///FILE.db."""
    study_name: Annotated[str | None, option("NAME", "ENV")] = None
    """Name of the study in --storage."""
    log_dir: Annotated[Path, tyro.conf.arg(aliases=("-f",))] = Path("runs")
    """Folder in which the search gets a new folder, such as runs/tune_CartPole-v1_1."""
    run_folder: Annotated[Path | None, option("PATH", "the next in --log-dir")] = None
    """The folder of the search: new, empty, or with a search that goes on."""
    trust: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Go on with a study of the sampler cma, or with larger counts than a file may ask for (SECURITY.md): you know who made it."""
    progress: bool = True
    """Show a line for each trial."""
    settings: tyro.conf.OmitArgPrefixes[Settings]

    def run(self) -> int:
        """Search and return the exit code."""
        need("optuna", "tune", "fastars tune")
        from fastars.cli.tuning.results import BEST, PICTURE, STORAGE, TRIALS
        from fastars.cli.tuning.search import Search
        from fastars.cli.tuning.study import Study, storage_path

        if self.run_folder is not None:
            _refuse_other_folder(self.run_folder, (STORAGE, TRIALS))
            for name in (STORAGE, TRIALS, BEST, PICTURE):
                refuse_link(self.run_folder / name)
        name = self.study_name or self.env.rpartition(":")[2]
        path = None if self.storage is None else storage_path(self.storage)
        if path is None and self.run_folder is not None:
            path = self.run_folder / STORAGE
        stored = None if path is None else Study.stored(path, name)
        if stored is not None and stored.get("sampler") == "cma" and not self.trust:
            raise WrongUseError(
                f"{path}: optuna keeps the state of the sampler cma as a pickle, which can run code; if you know who made the "
                "study, --trust goes on with it"
            )
        kwargs = parse_kwargs(item for items in self.env_kwargs for item in items)
        with wrong_use():
            if self.timeout is not None:
                from fastars._validate import positive_seconds

                positive_seconds("timeout", self.timeout)
            env = environment(self.env, kwargs)
            with compiling(console(stderr=True)):
                definition = self._definition(env, kwargs, stored, path)
                self._warm_up(env, definition)
        folder = self.run_folder or next_run_folder(self.log_dir, f"tune_{name.rpartition('/')[2]}")
        folder.mkdir(parents=True, exist_ok=True)
        study = Study(path or folder / STORAGE, name)
        study.begin_study(definition)
        again = self._command(folder, has_pickles=definition.sampler == "cma")
        doubted = None if stored is None or self.trust else path
        Search(study, self._maker(env, definition, doubted), folder, again, self.timeout, self.progress).run()
        return 0

    def _definition(self, env: Any, kwargs: Mapping[str, Any], stored: Mapping[str, Any] | None, path: Path | None) -> Definition:
        """Return what the study searches, after its kernels are there: the given options, and those of a study that goes on."""
        from fastars.cli.tuning.definition import Definition

        values = {name: value for name in _OPTIONS if (value := getattr(self, name)) is not None}
        given: dict[str, Any] = {"env": self.env, "env_kwargs": kwargs, **values}
        if stored is not None and path is not None:
            if self._names_settings():
                given |= self._space(env, stored.get("sampler") == "grid")
            return self._of_study(given, stored, path)
        given |= self._space(env, self.sampler == "grid")
        given.setdefault("total_timesteps", timesteps(self.env))
        given.setdefault("eval_episodes", usual_eval_episodes(self.env))
        if self.sampler == "grid":
            from fastars.cli.tuning.space import Axis, points

            given.setdefault("n_trials", len(points([Axis.from_dict(axis) for axis in given["axes"]])))
            given.setdefault("pruner", "none")
        return Definition(**given)

    def _of_study(self, given: Mapping[str, Any], stored: Mapping[str, Any], path: Path) -> Definition:
        """Return the definition in a study; ValueError if it is damaged, or asks for too much: it may come from anybody."""
        from fastars.cli.tuning.asked import checked_axis
        from fastars.cli.tuning.definition import Definition, completed

        try:
            definition = Definition(**completed(given, stored))
            for axis in definition.axes:
                checked_axis(f"{path}: the study", axis)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{path}: the study is damaged: {error!r:.300}") from error
        if not self.trust:
            definition.refuse_excess(path)
        return definition

    def _names_settings(self) -> bool:
        return bool(self.settings.given() or self.search or self.range or self.choices or self.space)

    def _space(self, env: Any, is_grid: bool) -> dict[str, Any]:
        """Return the fixed settings, the axes, and the settings of `fastars train`."""
        from fastars.cli.tuning.asked import asked
        from fastars.cli.tuning.space import FRACTION, default_axes, plain_axes, settings_of

        fixed = {"policy": "LinearPolicy", **self.settings.resolved()}
        model = self._model(env, fixed, 0)
        model.close()
        options = {name for name, value in vars(self.settings).items() if value is not None}
        if self.settings.variant is not None:  # it says if observations are normalised, and if all directions are used
            options |= {"normalize_observations", *(["n_top"] if not self.settings.variant.endswith("-t") else [])}
        wanted = asked(_each(self.range), _each(self.choices), [name.replace("-", "_") for name in self.search], self.space)
        axes = wanted.space(default_axes(model.config), options, is_grid)
        names = [axis.name for axis in axes]
        if FRACTION in names and "n_delta" not in names:
            fixed["n_delta"] = model.config.n_delta
        return {"fixed": fixed, "axes": tuple(plain_axes(axes)), "base": settings_of(model.config.to_dict())}

    def _warm_up(self, env: Any, definition: Definition) -> None:
        """Compile the kernels once, before the first trial."""
        from fastars._runtime.threads import run_in_thread
        from fastars.cli.training import warm_up

        model = self._model(env, definition.fixed, 0)
        run_in_thread(lambda: warm_up(model))
        model.close()

    def _maker(self, env: Any, definition: Definition, doubted: Path | None) -> Any:
        """Return the function that makes the model of a trial for a seed. Counts of a doubted study have limits (SECURITY.md)."""
        from fastars.cli.tuning.space import arguments_of
        from fastars.training.file_limits import limited_run

        def make_model(params: Mapping[str, Any], seed: int) -> ARS:
            model = self._model(env, arguments_of(params, definition.fixed), seed)
            try:
                if doubted is not None:
                    limited_run(model.run, str(doubted), remedy=_TRUST).refuse_excess(training=True)
            except ValueError:
                model.close()
                raise
            return model

        return make_model

    def _model(self, env: Any, arguments: Mapping[str, Any], seed: int) -> ARS:
        from fastars.ars import ARS

        return ARS(env=env, seed=seed, n_threads=self.n_threads, n_workers=self.n_workers, **arguments)

    def _command(self, folder: Path, has_pickles: bool) -> str:
        """Return the command that goes on with the search: all else is in the study, which the user has begun or trusts."""
        items = [item for items in self.env_kwargs for item in items]
        own = {
            "--storage": self.storage,
            "--study-name": self.study_name,
            "--n-threads": self.n_threads,
            "--n-workers": self.n_workers,
        }
        given = [part for name, value in own.items() if value is not None for part in (name, str(value))]
        given += ["--trust"] if has_pickles else []
        return shlex.join(
            ["fastars", "tune", self.env, *(["--env-kwargs", *items] if items else []), "--run-folder", str(folder), *given]
        )


def _each(items: _LIST) -> list[str]:
    return [item for group in items for item in group]


def _refuse_other_folder(folder: Path, ours: tuple[str, ...]) -> None:
    """Raise if a folder is neither new nor empty, nor has a file of a search."""
    if folder.exists() and not folder.is_dir():
        raise WrongUseError(f"run folder {folder} is a file")
    if folder.is_dir() and any(folder.iterdir()) and not any(entry.name.startswith(ours) for entry in folder.iterdir()):
        raise WrongUseError(f"run folder {folder} is not empty and has no search: choose another one, or leave --run-folder out")
