"""A run of `fastars train` or `fastars resume`: warm up, learn and evaluate by turns, save at the end in any case, report."""

from __future__ import annotations

import dataclasses
import platform
import shlex
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import gymnasium

from fastars._compiled.structs import FAILED
from fastars._imports import version_of
from fastars._runtime.threads import run_in_thread
from fastars._version import __version__
from fastars.ars import ARS
from fastars.callbacks import EveryIteration
from fastars.cli.environment import changed_kwargs
from fastars.cli.interrupts import Interrupted, Interrupts
from fastars.cli.machine import described_machine
from fastars.cli.plan import CONFIG, SCHEMA, Plan
from fastars.cli.progress import Progress, compiling, progress
from fastars.cli.report import print_training
from fastars.cli.run_folder import MODEL, Checkpoints, Record, finished
from fastars.cli.run_log import RunLog
from fastars.cli.terminal import console
from fastars.cli.toml import toml
from fastars.envs import compiled_env_ids, make
from fastars.files.atomic import write_atomically
from fastars.training.iteration import make_candidates, roll_out

if TYPE_CHECKING:
    from rich.console import Console

    from fastars._compiled.structs import Rollouts

FINAL_SEED = 0  # of the final evaluation; `fastars eval` replays the same episodes in the same order
_SAVE_INTERVAL = 30.0  # seconds


class TrainingRun:
    """A run of the command: it keeps the best policy, and saves everything when it ends, also by a signal or an error.

    Parameters
    ----------
    model : ARS
    folder : Path
        An empty folder, or the folder of the run to resume.
    plan : Plan
    env_options : sequence of str
        Arguments that `fastars eval` and `fastars resume` need to find the environment.
    is_shown : bool
        True to show progress.

    Attributes
    ----------
    record : Record
        Evaluations and the best policy.
    checkpoints : Checkpoints
    seconds : float
        Time of rollouts and updates, without evaluations, rows of the log and files.
    """

    def __init__(self, model: ARS, folder: Path, plan: Plan, env_options: Sequence[str] = (), is_shown: bool = True) -> None:
        self.model, self.folder, self.plan, self.env_options, self._is_shown = model, folder, plan, env_options, is_shown
        self.record = Record(folder, plan.eval_episodes)
        self.checkpoints = Checkpoints(folder, plan.save_freq, plan.keep_checkpoints)
        self.seconds = 0.0
        self._seconds_apart = 0.0  # evaluations and files during the training
        self._began_at = 0  # steps that earlier parts of the run did
        self._next_evaluation = 0  # steps; the policy after the first iteration is evaluated, too
        self._next_save = 0.0  # on the clock of time.perf_counter
        atomic = model.learn, self.record.evaluate, self.record.save
        self._interrupts = Interrupts(*atomic, interruptible=(make_candidates, roll_out, model.evaluate))

    def run(self) -> None:
        """Train and report; raise `Interrupted` if a signal stops the run."""
        write_atomically(self.folder / CONFIG, [self._config().encode()], follow=False)
        try:
            self.record.save(self.model)
        except OSError:
            (self.folder / CONFIG).unlink(missing_ok=True)  # nothing is lost, and the same command can begin the run later
            raise
        self._train_and_save(RunLog(self.folder, self.plan, self.model))

    def restore(self, best: ARS | None) -> None:
        """Restore evaluations, checkpoints and the best policy of the earlier part of the run, up to the state of the model."""
        self.record.restore(self.model, best)
        self._began_at = self.model.num_timesteps
        self.checkpoints.restore(self._began_at)
        if self.record.evaluated_at >= 0:
            self._plan_evaluation(self.record.evaluated_at)

    def resume(self) -> None:
        """Train from the restored state and report, as `run` does. Later rows of the log are cut off: they come again."""
        self._train_and_save(RunLog(self.folder, self.plan, self.model, evaluated_at=self.record.evaluated_at))

    @property
    def is_finished(self) -> bool:
        """True if training and the final evaluation are done."""
        return self._has_trained and self.record.evaluated_at == self.model.num_timesteps

    @property
    def _has_trained(self) -> bool:
        iterations = self.plan.iterations
        return self.model.num_timesteps >= self.plan.total_timesteps or (
            iterations is not None and self.model.iteration >= iterations
        )

    def _train_and_save(self, log: RunLog) -> None:
        with self._interrupts:
            try:
                self._train(log, console(stderr=True))
            except Interrupted:
                pass
            finally:
                self._save_at_end(log)
        if self._interrupts.exit_code:
            resume = shlex.join(["fastars", "resume", str(self.folder), *self.env_options])
            raise Interrupted(
                f"interrupted after {self.model.num_timesteps:,} steps; the policy is in {self.folder / MODEL}. To go on: {resume}",
                self._interrupts.exit_code,
            )
        self._report()

    def _save_at_end(self, log: RunLog) -> None:
        """Save the run; an error says what of it is lost, and how it goes on."""
        try:
            self.record.save(self.model)
            log.close(self.model)
        except OSError as error:
            steps = f"{self.model.num_timesteps:,} steps"
            name = error.filename or self.folder
            text = f"{error.strerror}; the policy after {steps} is lost. Make room, then go on from the last file that was saved: "
            resume = shlex.join(["fastars", "resume", str(self.folder), *self.env_options])
            raise RunLostError(f"{name} can't be written: {text}{resume}") from error

    def _train(self, log: RunLog, errors: Console) -> None:
        with compiling(errors):
            run_in_thread(lambda: warm_up(self.model))
        self.model.set_logger(log.logger)
        total = self.plan.total_timesteps
        with progress(errors, total, (self._began_at, self._fraction()), self._is_shown) as shown:
            self._next_save = time.perf_counter() + _SAVE_INTERVAL
            watcher = _IterationCalls(
                lambda: self._between_iterations(log, shown), lambda rollouts: self._after_update(log, rollouts)
            )
            if not self._has_trained:
                left = total - self._began_at
                self.model.learn(left, watcher, log_interval=self.plan.log_interval, reset_num_timesteps=False)
            self._between_iterations(log, shown)
            self.seconds = watcher.seconds
            if self.record.evaluated_at != self.model.num_timesteps:
                self.record.evaluate(self.model)

    def _after_update(self, log: RunLog, rollouts: Rollouts) -> bool:
        """Log the episodes of an iteration after its update; return False to stop."""
        log.write_episodes(rollouts)
        return not self._interrupts.exit_code and not self._has_trained

    def _between_iterations(self, log: RunLog, shown: Progress) -> None:
        """Evaluate, save and show progress, each if due; called when an iteration is in the log, and first in a resumed run."""
        if self.model.iteration == 0:
            return
        self._stop_if_interrupted()
        steps, start = self.model.num_timesteps, time.perf_counter()
        log.after_iteration(self.model)
        if steps >= self._next_evaluation:
            self.record.evaluate(self.model)
            self._plan_evaluation(steps)
        is_kept = self.checkpoints.is_due(steps)
        if is_kept or time.perf_counter() >= self._next_save:
            self._save(is_kept)
        self._seconds_apart += time.perf_counter() - start
        shown.update(steps, self._fraction(), self.record.best_return, self._seconds_apart)
        self._stop_if_interrupted()

    def _stop_if_interrupted(self) -> None:
        if self._interrupts.exit_code:
            raise Interrupted("interrupted", self._interrupts.exit_code)

    def _fraction(self) -> float:
        """Return the share of the training that is done, from 0 to 1."""
        plan = self.plan
        by_iterations = self.model.iteration / plan.iterations if plan.iterations else 0.0
        return min(max(self.model.num_timesteps / plan.total_timesteps, by_iterations), 1.0)

    def _plan_evaluation(self, steps: int) -> None:
        """Let the next evaluation be the first multiple of `eval_freq` after so many steps."""
        self._next_evaluation = (steps // self.plan.eval_freq + 1) * self.plan.eval_freq

    def _save(self, as_checkpoint: bool) -> None:
        """Save the run so far. A full disk is a warning only: the run saves again later, when the disk may have room."""
        try:
            self.record.save(self.model)
            if as_checkpoint:
                self.checkpoints.save(self.model)
        except OSError as error:
            warnings.warn(f"the run could not be saved, training goes on: {error}", RuntimeWarning, stacklevel=2)
        self._next_save = time.perf_counter() + _SAVE_INTERVAL

    def _config(self) -> str:
        """Return the text of `config.toml`: everything that decides the run."""
        model = self.model
        packages = ["numba", "numpy", "gymnasium", *(["mujoco"] if model.env_id in compiled_env_ids("mujoco") else [])]
        versions = {name: version_of(name) for name in packages}
        return "# Written by `fastars train` when the run began; `fastars resume` goes on by it.\n\n" + toml(
            {
                "schema": SCHEMA,
                "env": {"id": model.env_id, **model.env_kwargs},
                "run": {
                    "seed": model.seed,
                    "preset": model.preset,
                    "variant": model.config.variant,
                    "backend": model.backend,
                    "n_threads": model.n_threads,
                    "n_workers": None if model.run.execution.on_ray else model.n_workers,
                    **dataclasses.asdict(self.plan),
                    "env_options": list(self.env_options) or None,
                },
                "settings": {name: value for name, value in model.config.to_dict().items() if name != "seed"},
                "versions": {"fastars": __version__, **versions, "python": platform.python_version()},
                "machine": described_machine(),
            }
        )

    def _report(self) -> None:
        """Evaluate both policies in fresh episodes and print them. The episodes that chose the best policy would flatter it."""
        policies = {"last": self.model, "best": self.record.best or self.model}  # there is no best one if every return was NaN
        n_episodes = self.plan.eval_episodes
        rollouts = {name: policy.evaluate(n_episodes, seed=FINAL_SEED) for name, policy in policies.items()}
        evaluated = {name: (policy, finished(rollouts[name])) for name, policy in policies.items()}
        plural = "" if n_episodes == 1 else "s"
        episodes = f"{n_episodes} episode{plural} of each policy, reset with seeds {FINAL_SEED}, {FINAL_SEED + 1}, ..."
        if self.model.config.physics == "lanes":
            episodes += ", in MuJoCo and not over lanes"
        if n_failed := sum(int((each.status == FAILED).sum()) for each in rollouts.values()):
            episodes += f"; without {n_failed} in which the environment failed"
        changed = changed_kwargs(self.model.env_id, self.model.env_kwargs)
        is_weighted = self.model.objectives is not None and (self.model.objectives.utility != 1.0).any()
        threshold = None if changed or is_weighted else gymnasium.spec(self.model.env_id).reward_threshold
        time_spent = self._began_at, self.seconds
        print_training(self.model, evaluated, threshold, time_spent, episodes, self.folder, self.env_options)


class RunLostError(ValueError):
    """The end of a run could not be saved; the message says what is lost."""


class _IterationCalls(EveryIteration):
    """Callback with two functions: one before each iteration, and one after its update, which returns False to stop.

    Attributes
    ----------
    seconds : float
        Time between the two, over all iterations.
    """

    def __init__(self, before: Callable[[], None], after: Callable[[Rollouts], bool]) -> None:
        super().__init__()
        self._before, self._after = before, after
        self.seconds = self._began = 0.0

    def _on_rollout_start(self) -> None:
        self._before()
        self._began = time.perf_counter()

    def _on_event(self) -> bool:
        self.seconds += time.perf_counter() - self._began
        return self._after(self.locals["rollouts"])


def warm_up(model: ARS) -> None:
    """Load or compile every kernel in one iteration of a throw-away run, so that this time does not count as training."""
    if model.backend != "numba" or not model.is_compiled:
        return
    settings = {**model.config.arguments(), "n_delta": 1, "n_top": 1, "n_eval_episodes": 1}
    settings["noise_size"] = max(model.n_weights, 1 << 16)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the model gave the same warnings when it was made
        env = make(model.env_id, **model.env_kwargs)
        other = ARS(env=env, n_threads=1, **settings)
    env.close()
    other.learn(1)
    other.evaluate(1)
