"""One run of `fastars train`: warm up, learn and evaluate by turns, save whatever happens, report."""

from __future__ import annotations

import platform
import threading
import time
import warnings
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import gymnasium

from fastars import __version__
from fastars._structs import FAILED
from fastars.ars import ARS
from fastars.cli.environment import changed_kwargs
from fastars.cli.interrupts import Interrupted, Interrupts
from fastars.cli.progress import Progress, compiling, progress
from fastars.cli.report import console, print_training
from fastars.cli.run_folder import MODEL, Record, finished, toml
from fastars.envs import compiled_env_ids, make
from fastars.logger import Logger

if TYPE_CHECKING:
    from rich.console import Console

FINAL_SEED = 0  # the final evaluation's episodes; `fastars eval` replays the same, in their order
_SAVE_INTERVAL = 30.0  # seconds


class Run:
    """A run that keeps its best policy, and saves all it has when it ends in whatever way.

    Parameters
    ----------
    model : ARS
    folder : Path
        An empty folder.
    total : int
        Environment steps of training.
    eval_freq : int
        Steps between evaluations.
    n_episodes : int
        Episodes of an evaluation, and of the final one.
    log_interval : int
        Iterations between rows of `progress.csv`.
    named : sequence of str
        What `fastars eval` must be told of the environment.
    """

    def __init__(
        self,
        model: ARS,
        folder: Path,
        total: int,
        eval_freq: int,
        n_episodes: int,
        log_interval: int,
        named: Sequence[str] = (),
    ) -> None:
        self.model, self.folder, self.total, self.named = model, folder, total, named
        self.eval_freq, self.n_episodes, self.log_interval = eval_freq, n_episodes, log_interval
        self.record = Record(folder, n_episodes)
        self.seconds = self._apart = 0.0  # of training, and of evaluations and files during it
        self._next_evaluation, self._next_save = 0, 0.0  # the first iteration's policy is evaluated, too
        self._interrupts = Interrupts(model._update, self.record.save)

    def run(self) -> None:
        """Train and report; `Interrupted` if a signal stopped it."""
        (self.folder / "config.toml").write_text(self._config(), encoding="utf-8")
        self.model.set_logger(Logger(self.folder, formats=["csv"]))
        with self._interrupts:
            try:
                self._train(console(stderr=True))
            except Interrupted:
                pass
            finally:
                self.record.save(self.model)
                self.model.logger.close()
        if self._interrupts.exit_code:
            raise Interrupted(
                f"interrupted after {self.model.num_timesteps:,} steps; the policy is in {self.folder / MODEL}",
                self._interrupts.exit_code,
            )
        self._report()

    def _train(self, errors: Console) -> None:
        with compiling(errors):
            _in_thread(self._warm_up)
        with progress(errors, self.total) as shown:
            self._next_save = time.perf_counter() + _SAVE_INTERVAL
            start = time.perf_counter()
            self.model.learn(self.total, lambda local, _: self._after_iteration(shown), log_interval=self.log_interval)
            self.seconds = time.perf_counter() - start - self._apart
            if self.record.evaluated_at != self.model.num_timesteps:
                self.record.evaluate(self.model)

    def _after_iteration(self, shown: Progress) -> bool:
        """False to stop."""
        steps = self.model.num_timesteps
        if steps >= self._next_evaluation and not self._interrupts.exit_code:
            start = time.perf_counter()
            self._next_evaluation = (steps // self.eval_freq + 1) * self.eval_freq
            self.record.evaluate(self.model)
            self._save_sometimes()
            self._apart += time.perf_counter() - start
        shown.update(steps, self.record.best_return, self._apart)
        return not self._interrupts.exit_code

    def _save_sometimes(self) -> None:
        """Save if the last time was long ago. A full disk is no reason to lose the run: at its end, it may have room again."""
        if time.perf_counter() < self._next_save:
            return
        try:
            self.record.save(self.model)
        except OSError as error:
            warnings.warn(f"the run could not be saved, training goes on: {error}", RuntimeWarning, stacklevel=2)
        self._next_save = time.perf_counter() + _SAVE_INTERVAL

    def _warm_up(self) -> None:
        """One iteration of a throw-away run: it loads or compiles every kernel, so that its time isn't taken for training."""
        model = self.model
        if model.backend != "numba" or not model.is_compiled:
            return
        settings = {**model.config.arguments(), "n_delta": 1, "n_top": 1, "n_eval_episodes": 1}
        settings["noise_size"] = max(model.n_weights, 1 << 16)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # said when the model was made
            env = make(model.env_id, **model.env_kwargs)
            other = ARS(env=env, n_threads=1, **settings)
        env.close()
        other.learn(1)
        other.evaluate(1)

    def _config(self) -> str:
        """The text of `config.toml`: all that decides the run."""
        model = self.model
        packages = ["numba", "numpy", "gymnasium", *(["mujoco"] if model.env_id in compiled_env_ids("mujoco") else [])]
        versions = {name: version(name) for name in packages}
        return "# Written by `fastars train` when the run began.\n\n" + toml(
            {
                "env": {"id": model.env_id, **model.env_kwargs},
                "run": {
                    "total_timesteps": self.total,
                    "seed": model.seed,
                    "preset": model.preset,
                    "variant": model.config.variant,
                    "backend": model.backend,
                    "n_threads": model.n_threads,
                    "n_workers": model.n_workers,
                    "eval_freq": self.eval_freq,
                    "eval_episodes": self.n_episodes,
                    "log_interval": self.log_interval,
                },
                "settings": {name: value for name, value in model.config.to_dict().items() if name != "seed"},
                "versions": {"fastars": __version__, **versions, "python": platform.python_version()},
            }
        )

    def _report(self) -> None:
        """The result, in episodes of their own: those that chose the best policy flatter it."""
        policies = {"last": self.model, "best": self.record.best or self.model}  # none is best if every return was NaN
        rollouts = {name: policy.evaluate(self.n_episodes, seed=FINAL_SEED) for name, policy in policies.items()}
        evaluated = {name: (policy, finished(rollouts[name])) for name, policy in policies.items()}
        plural = "" if self.n_episodes == 1 else "s"
        episodes = f"{self.n_episodes} episode{plural} of each policy, reset with seeds {FINAL_SEED}, {FINAL_SEED + 1}, ..."
        if n_failed := sum(int((each.status == FAILED).sum()) for each in rollouts.values()):
            episodes += f"; without {n_failed} in which the environment failed"
        changed = changed_kwargs(self.model.env_id, self.model.env_kwargs)
        is_weighted = self.model.objectives is not None and (self.model.objectives.utility != 1.0).any()
        threshold = None if changed or is_weighted else gymnasium.spec(self.model.env_id).reward_threshold
        print_training(self.model, evaluated, threshold, self.seconds, episodes, self.folder, self.named)


def _in_thread(work: Callable[[], None]) -> None:
    """Call `work` in a thread, and wait where a signal can be raised: LLVM calls Python back, and what is raised there is lost."""
    failures: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as failure:
            failures.append(failure)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join()
    if failures:
        raise failures[0]
