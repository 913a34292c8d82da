"""A run of `fastars train` or `fastars resume`: warm up, learn and evaluate by turns, save at the end in any case, report."""

from __future__ import annotations

import shlex
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from fastars._runtime.threads import run_in_thread
from fastars.ars import ARS
from fastars.callbacks import EveryIteration
from fastars.cli.final_evaluation import FinalEvaluation, episodes_text, evaluate_finally, threshold_of
from fastars.cli.interrupts import Interrupted, Interrupts
from fastars.cli.plan import CONFIG, Plan
from fastars.cli.progress import Compilation, Progress, progress
from fastars.cli.report import print_training
from fastars.cli.run_config import described_run
from fastars.cli.run_folder import FIRST_MODEL, MODEL, Checkpoints, Record
from fastars.cli.run_log import RunLog
from fastars.cli.terminal import console
from fastars.cli.toml import toml
from fastars.envs import make
from fastars.files.atomic import write_atomically
from fastars.training.iteration import make_candidates, roll_out

if TYPE_CHECKING:
    from rich.console import Console

    from fastars._compiled.structs import Rollouts

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
    label : str
        Text before the progress, such as the seed if there are several.

    Attributes
    ----------
    record : Record
        Evaluations and the best policy.
    checkpoints : Checkpoints
    seconds : float
        Time of rollouts and updates, without evaluations, rows of the log and files.
    compilation : Compilation
        The kernels that the command compiles. One that has begun before is put here.
    """

    def __init__(
        self, model: ARS, folder: Path, plan: Plan, env_options: Sequence[str] = (), is_shown: bool = True, label: str = ""
    ) -> None:
        self.model, self.folder, self.plan, self.env_options = model, folder, plan, env_options
        self._is_shown, self._label = is_shown, label
        self.record = Record(folder, plan.eval_episodes)
        self.checkpoints = Checkpoints(folder, plan.save_freq, plan.keep_checkpoints)
        self.seconds = 0.0
        self.compilation = Compilation(console(stderr=True))
        self._seconds_apart = 0.0  # evaluations and files during the training
        self._began_at = 0  # steps that earlier parts of the run did
        self._goes_on = False  # true of a run with an earlier part
        self._next_evaluation = 0  # steps; the policy after the first iteration is evaluated, too
        self._next_save = 0.0  # on the clock of time.perf_counter
        atomic = model.learn, self.record.evaluate, self.record.save
        self._interrupts = Interrupts(*atomic, interruptible=(make_candidates, roll_out, model.evaluate))

    def run(self, of_run: Mapping[str, Any] = MappingProxyType({})) -> None:
        """Begin, train and report."""
        self.begin(of_run)
        self.train()
        self.report()

    def begin(self, of_run: Mapping[str, Any] = MappingProxyType({})) -> None:
        """Write `config.toml` and the state before the first iteration, from which `fastars resume` can go on.

        Parameters
        ----------
        of_run : mapping
            More entries of the table [run], or other values of its entries.
        """
        write_atomically(self.folder / CONFIG, [self._config(of_run).encode()], follow=False)
        try:
            if "init" in of_run:
                self.model.save(self.folder / FIRST_MODEL)
            self.record.save(self.model)
        except OSError:
            (self.folder / CONFIG).unlink(missing_ok=True)  # nothing is lost, and the same command can begin the run later
            raise

    def restore(self, best: ARS | None) -> None:
        """Restore evaluations, checkpoints and the best policy of the earlier part of the run, up to the state of the model."""
        self.record.restore(self.model, best)
        self._goes_on = True
        self._began_at = self.model.num_timesteps
        self.checkpoints.restore(self._began_at)
        if self.record.evaluated_at >= 0:
            self._plan_evaluation(self.record.evaluated_at)

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

    def train(self) -> None:
        """Train to the end of the plan; raise `Interrupted` if a signal stops the run. In any case, it is saved.

        After `restore`, it goes on from there, and later rows of the log are cut off: they come again.
        """
        log = RunLog(self.folder, self.plan, self.model, evaluated_at=self.record.evaluated_at if self._goes_on else None)
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
        with self.compilation.part():
            run_in_thread(lambda: warm_up(self.model))
        self.model.set_logger(log.logger)
        total = self.plan.total_timesteps
        with progress(errors, total, (self._began_at, self._fraction()), self._is_shown, self._label) as shown:
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

    def _config(self, of_run: Mapping[str, Any]) -> str:
        """Return the text of `config.toml`."""
        first = "# Written by `fastars train` when the run began; `fastars resume` goes on by it.\n\n"
        return first + toml(described_run(self.model, self.plan, of_run))

    def final_evaluation(self) -> FinalEvaluation:
        """Evaluate the last and the best policy in fresh episodes."""
        policies = {"last": self.model, "best": self.record.best or self.model}  # there is no best one if every return was NaN
        return evaluate_finally(policies, self.plan.eval_episodes)

    def report(self) -> None:
        """Print the final evaluation."""
        evaluated = self.final_evaluation()
        episodes = episodes_text(self.model, self.plan.eval_episodes, evaluated.n_failed)
        time_spent = self._began_at, self.seconds
        policies, threshold = evaluated.policies, threshold_of(self.model)
        print_training(self.model, policies, threshold, time_spent, episodes, self.folder, self.env_options)


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
