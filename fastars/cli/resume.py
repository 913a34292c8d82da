"""`fastars resume`: continue a run as if it had never been stopped."""

from __future__ import annotations

import contextlib
import dataclasses
import tomllib
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import tyro

from fastars._progress import count
from fastars.cli.environment import env_options, environment, kwargs_text, parse_kwargs
from fastars.cli.errors import WrongUseError
from fastars.cli.plan import CONFIG, Plan, read_config, read_plan, refuse_large_plan
from fastars.cli.ray import Ray, connect
from fastars.cli.run_folder import BEST_MODEL, in_use, refuse_links
from fastars.cli.seeds import read_seeds, run_folders
from fastars.cli.settings import option
from fastars.cli.terminal import say
from fastars.cli.toml import toml

if TYPE_CHECKING:
    from fastars.ars import ARS
    from fastars.cli.training import TrainingRun


class Reopened(NamedTuple):
    """A run that was stopped, ready to go on."""

    run: TrainingRun
    path: Path  # the file of its state
    config: dict[str, Any]

    def keep_plan(self) -> None:
        """Write the plan into `config.toml`, if it is another one."""
        _rewrite(self.run.folder, self.config, self.run.plan)


@dataclass(frozen=True, kw_only=True)
class Resume:
    """Continue a run that was stopped in any way, or train a finished one further."""

    run_folder: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """The folder of the run, or of several seeds. It gets policies, evaluations and log rows as if it had never been stopped."""
    total_timesteps: Annotated[int | None, option("INT", "as the run was begun", "-n")] = None
    """Environment steps of training, including the steps done before."""
    iterations: Annotated[int | None, option("INT", "as the run was begun; with --total-timesteps, no limit")] = None
    """Iterations of training, including the iterations done before."""
    n_threads: Annotated[int | None, option("INT", "all CPUs")] = None
    """Threads of the rollouts; the result does not depend on it."""
    n_workers: Annotated[int | None, option("INT", "as the run was begun, but no more than there are CPUs")] = None
    """Processes that step an environment in Python; the result does not depend on it."""
    ray: Ray = None
    """Run episodes on Ray, as with `fastars train`, wherever earlier episodes ran."""
    env: Annotated[str | None, option("ENV", "the one of RUN")] = None
    """Id of the environment, if it is registered only by MODULE:ID."""
    env_kwargs: Annotated[tuple[tuple[str, ...], ...], tyro.conf.UseAppendAction, option("KEY=VALUE [KEY=VALUE ...]", "none")] = ()
    """Arguments of gymnasium.make, together with --env. Repeat them if the environment of RUN is not compiled."""
    trust: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Take counts of RUN that are larger than a file may ask for (SECURITY.md): you know who made it."""
    progress: bool = True
    """Show progress, as `fastars train` does."""

    def run(self) -> int:
        """Resume the run, or the runs of several seeds, and return the exit code."""
        if self.env_kwargs and self.env is None:
            raise WrongUseError("--env-kwargs needs --env")
        kwargs = parse_kwargs(item for items in self.env_kwargs for item in items)
        folder, seeds = self.run_folder, read_seeds(self.run_folder)
        if not seeds:
            read_config(folder)  # an error for what is no run folder, before it is locked
        with in_use(folder):
            env = None if self.env is None else environment(self.env, kwargs)
            if seeds:
                return self._resume_seeds(env)
            reopened = self.reopen(folder, env)
            run, model = reopened.run, reopened.run.model
            if run.is_finished:
                say(f"{folder} is finished: {model.num_timesteps:,} steps. A larger --total-timesteps goes on with it.")
                return 0
            reopened.keep_plan()
            say(f"Going on with {folder} after {count(model.num_timesteps)} steps, from {reopened.path.name}")
            run.train()
            run.report()
            return 0

    def _resume_seeds(self, env: Any) -> int:
        """Go on with the runs of several seeds, one after the other."""
        from fastars.cli.seed_runs import run_seeds

        if self.total_timesteps is not None or self.iterations is not None:
            self._move_ends(run_folders(self.run_folder), env)
        return run_seeds(self.run_folder, lambda folder, label: self.reopen(folder, env, label).run, self.progress)

    def _move_ends(self, folders: Sequence[Path], env: Any) -> None:
        """Write the end that the options ask for into each `config.toml`, before any run goes on: this one may be stopped."""
        here, moved = dataclasses.replace(self, n_workers=1, ray=None), list[Reopened]()  # no processes for a look at a file
        for folder in folders:
            with contextlib.suppress(ValueError, OSError):  # of a damaged run, which can't go on: `run_seeds` says so
                moved.append(here.reopen(folder, env))
        for reopened in moved:
            with in_use(reopened.run.folder):
                reopened.keep_plan()
            reopened.run.model.close()

    def reopen(self, folder: Path, env: Any, label: str = "") -> Reopened:
        """Return the run in a folder as it was at its last state, with the plan that the options ask for."""
        from fastars.cli.training import TrainingRun
        from fastars.files.atomic import sweep_temporaries
        from fastars.files.folder import latest_checkpoint

        config = read_config(folder)
        plan = read_plan(folder, config)
        refuse_links(folder)
        sweep_temporaries(folder)
        settings: dict[str, Any] = {"n_threads": self.n_threads, "n_workers": self.n_workers, "trust": self.trust}
        settings |= {"n_workers": self._workers(folder, config)} if self.ray is None else connect(self.ray)
        path = latest_checkpoint(folder, "model")
        model = _load(path, env, settings)
        model.run.refuse_absent_env()
        if env is not None and not self.env_kwargs:
            _refuse_without_arguments(config.get("env"), model)
        model.run.refuse_excess(training=True)
        if not self.trust:
            refuse_large_plan(folder, plan, path.stat().st_size, 2 * model.config.n_delta * model.config.n_eval_episodes)
        plan = self._changed(plan, model)
        options = env_options(model, self.env or "", self.env_kwargs)
        run = TrainingRun(model, folder, plan, options, self.progress, label)
        run.restore(_load_best(folder, env, model, settings))
        return Reopened(run, path, config)

    def _workers(self, folder: Path, config: dict[str, Any]) -> int:
        """Return the number of worker processes: the option, or else the number in the file, up to the number of CPUs."""
        from fastars._validate import positive_int
        from fastars.training.file_limits import believed_workers

        if self.n_workers is not None:
            return self.n_workers
        try:
            stored = positive_int("n_workers", config["run"].get("n_workers", 1))
        except (ValueError, TypeError) as error:
            raise ValueError(f"{folder / CONFIG} is damaged: {error}") from error
        n_workers = stored if self.trust else believed_workers(stored)
        if n_workers < stored:
            say(f"{n_workers} worker processes, as many as there are CPUs; --n-workers {stored} starts as many as {CONFIG} says")
        return n_workers

    def _changed(self, plan: Plan, model: ARS) -> Plan:
        """Return the plan with the end that the options ask for; WrongUseError if the run is already beyond it."""
        if self.total_timesteps is None and self.iterations is None:
            return plan
        total, steps, iterations = self.total_timesteps, model.num_timesteps, self.iterations
        if total is not None and total < steps:
            raise WrongUseError(f"total_timesteps must be at least the {steps:,} steps that the run has done, got {total}")
        if iterations is not None and iterations < model.iteration:
            raise WrongUseError(f"iterations must be at least the {model.iteration:,} that the run has done, got {iterations}")
        if total is None:
            config = model.config
            total = (iterations or 0) * 2 * config.n_delta * config.n_eval_episodes * model.run.env.max_steps
        return dataclasses.replace(plan, total_timesteps=total, iterations=iterations)


def _refuse_without_arguments(stored: Any, model: ARS) -> None:
    """Raise if the run's environment was made with arguments that the one of --env lacks: it would go on in another task."""
    present = tomllib.loads(toml({"env": model.env_kwargs}))["env"]
    before = {name: value for name, value in stored.items() if name != "id"} if isinstance(stored, dict) else {}
    lost = {name: value for name, value in before.items() if present.get(name) != value}
    if lost:
        raise WrongUseError(
            f"{CONFIG} says that the environment was made with {kwargs_text(lost)}, and no file gives arguments to an environment "
            "that is not compiled: add --env-kwargs with them, as the run's first command had them"
        )


def _load(path: Path, env: Any, settings: Mapping[str, Any]) -> ARS:
    from fastars.ars import ARS

    return ARS.load(path, env=env, **{"verbose": 0, **settings})


def _load_best(folder: Path, env: Any, model: ARS, settings: Mapping[str, Any]) -> ARS | None:
    """Load the best policy that the run has found, which is evaluated where `model` runs its episodes.

    The result is None if there is none, or if its file is damaged or of another run.
    """
    from fastars.files.checkpoint import CheckpointError

    path = folder / BEST_MODEL
    if not path.exists():
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the loading of the model has given the same warnings
            best = _load(path, env, {**settings, "sampler": "local", "n_workers": 1})  # no processes of its own
            if (best.config, best.env_id, best.env_kwargs) != (model.config, model.env_id, model.env_kwargs):
                raise CheckpointError(f"{path} is of another run")
            best.sampler = model.sampler
            return best
    except (CheckpointError, OSError) as error:
        warnings.warn(f"{error}; the run keeps the best policy from here on", RuntimeWarning, stacklevel=2)
        return None


def _rewrite(folder: Path, config: dict[str, Any], plan: Plan) -> None:
    """Put another plan into `config.toml`; leave the file alone if the plan is the same."""
    from fastars.files.atomic import write_atomically

    planned = {name: value for name, value in dataclasses.asdict(plan).items() if value is not None}
    run = {name: value for name, value in config["run"].items() if name not in dataclasses.asdict(plan)} | planned
    if run != config["run"]:
        run.setdefault("first_timesteps", config["run"]["total_timesteps"])  # a report says so
        header = "# Written by `fastars train` when the run began, and by `fastars resume` when its end was moved.\n\n"
        write_atomically(folder / CONFIG, [(header + toml({**config, "run": run})).encode()], follow=False)
