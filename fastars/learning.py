"""Training: `learn`, the iterations that it runs, and what callbacks hear of them.

The methods have the names and arguments of stable-baselines3-contrib's ARS, and a subclass may change them there as here. The
arithmetic of an iteration is in `training.iteration`.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any, Self

from fastars._compiled.ahead import end_helpers, ended_by_errors
from fastars._compiled.structs import FloatArray, Rollouts, empty_rollouts
from fastars._runtime.floats import IeeeFloats
from fastars._runtime.signals import HeldSignals, OpenSignals
from fastars._validate import MOST_INT64, integer, positive_int, user_facing
from fastars.callbacks import close, make_callback
from fastars.callbacks.again import Episodes
from fastars.callbacks.base import goes_on
from fastars.callbacks.hearing import Hearing
from fastars.sb3.attributes import LearnCall
from fastars.sb3.model import SB3Model
from fastars.sb3.monitor import EpisodeInfos
from fastars.sb3.subclassing import for_subclass, is_changed, like, returns_of, rows_of
from fastars.training.iteration import (
    Asked,
    ask,
    candidate_returns,
    iterate,
    make_candidates,
    perturbed_thetas,
    refuse_empty_iterations,
    roll_out,
)
from fastars.training.physics import with_compared_lanes
from fastars.training.state import State


class Learning(SB3Model):
    """The training of `ARS`."""

    _hearing: Hearing | None = None  # of the call of `learn` that runs
    _evaluated: Rollouts | None = None  # what `evaluate_candidates` ran in this iteration

    @user_facing
    @ended_by_errors
    def learn(
        self,
        total_timesteps: int,
        callback: Any = None,
        log_interval: int | None = 1,
        tb_log_name: str = "ARS",
        reset_num_timesteps: bool = True,
        async_eval: Any = None,
        progress_bar: bool = False,
    ) -> Self:
        """Train until at least `total_timesteps` environment steps are done.

        Parameters
        ----------
        total_timesteps : int
            Steps of training episodes; the iteration that reaches it is finished.
        callback : callback, callable or list of these, optional
            From `fastars.callbacks` or stable-baselines3; or a function `callback(locals, globals)`, with the model in
            `locals["self"]`. They hear of every step of an iteration, after its update; False stops training. A function that is
            to be called once per iteration: `EveryIteration(function)`.
        log_interval : int, optional
            Iterations between rows of the log; None: no rows.
        tb_log_name : str
            Name of this run in `tensorboard_log`.
        reset_num_timesteps : bool
            Count from zero. False continues a loaded or stopped run towards `total_timesteps` more steps.
        async_eval : AsyncEval, optional
            From fastars or stable-baselines3-contrib. Its number of processes is used for an environment in Python from now on; the
            rollouts are made by fastars.
        progress_bar : bool
            Show progress, speed and the time left. Needs `fastars[cli]`.

        Returns
        -------
        ARS
            This object. KeyboardInterrupt leaves it as it was after the last whole iteration.

        Raises
        ------
        NonFiniteReturnsError
            After 10 iterations in which no pair of candidates had finite returns.
        fastars.CheckpointError
            If the model was loaded without an environment, and has none yet.
        """
        total_timesteps = positive_int("total_timesteps", total_timesteps)
        log_interval = None if log_interval is None else integer("log_interval", log_interval, 0)
        n_at_once = self.n_envs if async_eval is None else self.take_workers(async_eval)  # steps that a call of on_step stands for
        total_steps, watcher = self._setup_learn(total_timesteps, callback, reset_num_timesteps, tb_log_name, progress_bar)
        # Not locals(): they hold the callback itself, a circle that would keep the noise table alive.
        shown = {
            "self": self,
            "total_timesteps": total_steps,  # callbacks compare it with num_timesteps
            "total_steps": total_steps,
            "log_interval": log_interval,
            "tb_log_name": tb_log_name,
            "reset_num_timesteps": reset_num_timesteps,
            "async_eval": async_eval,
            "progress_bar": progress_bar,
        }
        outer, hearing = self._hearing, Hearing(shown, self.num_timesteps, n_at_once, self._one_env)
        watcher.on_training_start(hearing.locals, vars(sys.modules["fastars.ars"]))
        self._hearing = hearing
        try:
            with HeldSignals():
                while self.num_timesteps < total_steps and hearing.goes_on:
                    self._update_current_progress_remaining(self.num_timesteps, total_steps)
                    self._update_and_log(watcher, async_eval, log_interval)
        finally:
            self._hearing = outer
            close(watcher)
            getattr(self._logger, "flush", lambda: None)()
            if async_eval is not None:
                async_eval.close()
        watcher.on_training_end()
        return self

    def _setup_learn(
        self,
        total_timesteps: int,
        callback: Any = None,
        reset_num_timesteps: bool = True,
        tb_log_name: str = "run",
        progress_bar: bool = False,
    ) -> tuple[int, Any]:
        """Prepare the training of `learn`. Returns the steps at which it ends, and one callback for all that were given."""
        self.run.refuse_absent_env()
        self.run.refuse_excess(training=True)
        self.run.refuse_training_beyond_memory()
        self.run = with_compared_lanes(self.run)
        make_callback(callback)  # a wrong one is an error before anything changes
        self._heard_steps = None  # of a `learn` in whose callback this one was called
        if reset_num_timesteps:
            self.num_timesteps = 0
        else:
            total_timesteps = min(total_timesteps + self.num_timesteps, MOST_INT64)  # at which the counter stops
        self._configure_logger(tb_log_name, reset_num_timesteps)
        self._call = LearnCall(self.num_timesteps, time.perf_counter(), total_timesteps)
        self._failures.forget()
        return total_timesteps, self._init_callback(callback, progress_bar)

    def _init_callback(self, callback: Any, progress_bar: bool = False) -> Any:
        """Return one callback for all that were given, which knows the model."""
        watcher = make_callback(callback, progress_bar)
        watcher.init_callback(self)
        return watcher

    def _update_and_log(self, callback: Any, async_eval: Any, log_interval: int | None) -> None:
        """Run one iteration, and write its row of the log."""
        before = self.iteration
        try:
            with OpenSignals() if is_changed(self, "_do_one_update") else HeldSignals():
                self._do_one_update(callback, async_eval)
        finally:  # the iteration is done, also if a signal comes in a callback
            if log_interval and self.iteration > before and self.iteration % log_interval == 0:
                self.dump_logs()

    def _do_one_update(self, callback: Any, async_eval: Any = None) -> None:
        """Run one iteration and its callbacks. A subclass may do more, or something else; `learn` calls it."""
        if is_changed(self, "evaluate_candidates"):
            self._update_by_own_returns(callback, async_eval)
            return
        with HeldSignals():
            with OpenSignals():
                callback.on_rollout_start()
            run, state = self.run, self.state
            with IeeeFloats():
                asked = ask(run, state, self._progress)
                candidates = make_candidates(run, state, asked)
            episodes = self._roll_out(asked, candidates)
            with self._failures.explained():
                self._commit(state, asked, episodes.rollouts)
            self._write_episodes(episodes.rollouts)
            with OpenSignals():
                self._tell_callback(callback, state, episodes)

    def _roll_out(self, asked: Asked, candidates: Any) -> Episodes:
        """Run the episodes of an iteration."""
        run, state, filter = self.run, self.state, self.policy.filter
        on_failure = self._failures.listener(run, state, candidates, asked.seeds, self._log_folder)
        rollouts = roll_out(run, state, asked, candidates, filter, on_failure)
        return Episodes(run, candidates, filter, asked.seeds.ravel(), rollouts)

    def _tell_callback(self, callback: Any, before: State, episodes: Episodes) -> None:
        """Let callbacks hear of the steps of an iteration, until one of them stops training."""
        callback.update_locals({"iteration": before.counters.iteration + 1, "rollouts": episodes.rollouts})
        if (hearing := self._hearing) is not None:
            try:
                for self._heard_steps in hearing.calls(callback, before.counters.num_timesteps, episodes):
                    if not goes_on(callback.on_step()):
                        hearing.goes_on = False
                        break
            finally:
                self._heard_steps = None
        self._update_info_buffer(EpisodeInfos(episodes.rollouts.returns, episodes.rollouts.lengths))
        callback.on_rollout_end()

    def evaluate_candidates(self, candidate_weights: Any, callback: Any, async_eval: Any = None) -> Any:
        """Run the episodes of candidates, and let the callback hear of their steps.

        `learn` calls it if a subclass has changed it. The step then follows from the returns that the subclass gives. Without such
        a change candidates are made where they run, and this method is not called.

        Parameters
        ----------
        candidate_weights : array_like or torch.Tensor, shape (2 * n_delta, n_weights)
            First theta + sigma delta of all directions, then theta - sigma delta.
        callback : callback
            As `learn` gives it.
        async_eval
            Without effect.

        Returns
        -------
        ndarray of float64 or torch.Tensor, shape (2 * n_delta,)
            The return of each candidate; a tensor if the weights are one.
        """
        callback.on_rollout_start()
        asked, before = ask(self.run, self.state, self._progress), self.state
        rows = rows_of(candidate_weights, len(asked.indices), self.n_weights)
        with HeldSignals():
            episodes = self._roll_out(asked, rows)
            n_steps = before.counters.num_timesteps + int(episodes.rollouts.lengths.sum())
            self._go_to(before.counting(num_timesteps=min(n_steps, MOST_INT64)))
            self._write_episodes(episodes.rollouts)
            self._evaluated = episodes.rollouts
        self._tell_callback(callback, before, episodes)
        returns = candidate_returns(self.run, before, episodes.rollouts).returns
        return like(candidate_weights, returns.T.ravel())

    def _update_by_own_returns(self, callback: Any, async_eval: Any) -> None:
        """Run one iteration with the returns that the `evaluate_candidates` of a subclass gives."""
        if self.objectives is not None:
            raise ValueError("evaluate_candidates can't be changed where the reward is several: the step needs the returns of each")
        run, before, self._evaluated = self.run, self.state, None
        asked = ask(run, before, self._progress)
        try:
            with OpenSignals():
                values = self.evaluate_candidates(for_subclass(perturbed_thetas(run, before, asked)), callback, async_eval)
        except BaseException:
            self._go_to(before)
            raise
        returns = returns_of(values, len(asked.indices))
        rollouts = self._evaluated
        if rollouts is None:
            rollouts = empty_rollouts(returns.size, run.env.n_obs, run.updates_obs_stats)._replace(returns=returns.ravel())
        with HeldSignals(), self._failures.explained():
            self._commit(self.state._replace(theta=before.theta), asked, rollouts, 0, returns)  # they may have tried weights

    def _commit(
        self, state: State, asked: Asked, rollouts: Rollouts, n_steps: int | None = None, returns: FloatArray | None = None
    ) -> None:
        """Go on to the state after an iteration. An error leaves the run at the state before, with failures counted."""
        with HeldSignals(), IeeeFloats():
            try:
                following, self._row = iterate(self.run, state, asked, rollouts, n_steps, returns)
                self._go_to(following)
                end_helpers()
            except Exception:
                self._current.state = state.with_failures(rollouts.n_failures, rollouts.n_restarts)
                raise
        refuse_empty_iterations(self.state)

    def _go_to(self, state: State) -> None:
        """Commit a state; a `VecNormalize` around the environment follows its statistics."""
        moved = state.moments is not self._current.state.moments
        self._current.state = state
        if moved and self._env_input.normalizer is not None:
            self._env_input.normalizer.follow(state.moments)

    @property
    def _log_folder(self) -> Path | None:
        return getattr(self._logger, "folder", None)
