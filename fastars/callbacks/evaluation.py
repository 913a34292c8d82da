"""Evaluate the policy during a run, and keep the best one."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fastars._compiled.structs import FloatArray
from fastars._folding import print_line
from fastars._runtime.signals import HeldSignals
from fastars._validate import integer, positive_int, user_facing, warn_user
from fastars.callbacks.base import EventCallback, goes_on, saving
from fastars.envs import environment
from fastars.files.atomic import save_arrays
from fastars.files.opening import without_link
from fastars.samplers import make_sampler
from fastars.samplers.failure import log_missing_returns
from fastars.sb3.subclassing import is_changed
from fastars.sb3.vec_env import unwrap_env
from fastars.training.seeds import evaluation_seeds


class EvalCallback(EventCallback):
    """Evaluates the policy every `eval_freq` steps and keeps the best one.

    Callbacks hear of the steps of an iteration after its update, so every evaluation is of the policy at the end of an iteration.
    The result is a row of its own in the log.

    Parameters
    ----------
    eval_env : optional
        An environment in any form that `ARS` takes. It runs in compiled kernels if possible. Default: the environment of training.
    callback_on_new_best : BaseCallback, optional
        Called after an evaluation that is better than all before; training stops when it returns False.
    callback_after_eval : BaseCallback, optional
        Called after each evaluation; training stops when it returns False.
    n_eval_episodes : int
        Number of episodes per evaluation. Every evaluation runs the same episodes.
    eval_freq : int
        Environment steps between two evaluations; 0 or less evaluates never.
    log_path : str, optional
        Folder for `evaluations.npz` with arrays "timesteps" (n,), "results" and "ep_lengths" (n, n_eval_episodes).
    best_model_save_path : str, optional
        Folder for `best_model.zip`.
    verbose : int
        1 prints the result of each evaluation.
    deterministic, render, warn
        Without effect: a policy of ARS is deterministic, and rollouts are not shown.

    Attributes
    ----------
    last_mean_reward, best_mean_reward : float
        Mean return of the last evaluation and of the best one.
    evaluations_timesteps : list of int
        Environment steps before each evaluation.
    evaluations_results, evaluations_length : list of list
        Returns and lengths of the episodes of each evaluation.
    """

    @user_facing
    def __init__(
        self,
        eval_env: Any = None,
        callback_on_new_best: Any = None,
        callback_after_eval: Any = None,
        n_eval_episodes: int = 5,
        eval_freq: int = 10_000,
        log_path: str | os.PathLike[str] | None = None,
        best_model_save_path: str | os.PathLike[str] | None = None,
        deterministic: bool = True,
        render: bool = False,
        verbose: int = 1,
        warn: bool = True,
    ) -> None:
        super().__init__(callback_after_eval, verbose)
        self.callback_on_new_best = callback_on_new_best
        if callback_on_new_best is not None:
            callback_on_new_best.parent = self
        self.eval_env = eval_env
        self.n_eval_episodes = positive_int("n_eval_episodes", n_eval_episodes)
        self.eval_freq = integer("eval_freq", eval_freq)
        self.log_path = None if log_path is None else Path(log_path) / "evaluations.npz"
        self.best_model_save_path = None if best_model_save_path is None else Path(best_model_save_path)
        self.last_mean_reward = self.best_mean_reward = -np.inf
        self.evaluations_timesteps: list[int] = []
        self.evaluations_results: list[list[float]] = []
        self.evaluations_length: list[list[int]] = []
        self._sampler: Any = None
        self._last: tuple[Any, Any] = None, None  # the state of the model at the last evaluation, and its episodes

    def _children(self) -> Sequence[Any]:
        return [child for child in (self.callback_on_new_best, self.callback) if child is not None]

    def close(self) -> None:
        """End worker processes of the evaluation environment."""
        if self._sampler is not None:
            self._sampler.close()

    def _init_callback(self) -> None:
        if is_changed(self.model, "predict"):
            name = f"{type(self.model).__name__}.predict"
            warn_user(
                f"{name} is not called by fastars' EvalCallback, which runs the policy: take stable-baselines3's EvalCallback"
            )
        self.close()
        self._sampler = None if self.eval_env is None else _eval_sampler(self.model, self.eval_env)
        for folder in (self.best_model_save_path, None if self.log_path is None else self.log_path.parent):
            if folder is not None:
                folder.mkdir(parents=True, exist_ok=True)

    def _on_step(self) -> bool:
        if self.eval_freq < 1 or self.n_calls % self.eval_freq:
            return True
        if self._last[0] is not self.model.state:  # the same policy has the same episodes
            rollouts = _evaluate(self.model, self._sampler, self.n_eval_episodes)
            self._last = self.model.state, rollouts
        rollouts = self._last[1]
        is_best = self._keep(rollouts.returns, rollouts.lengths)
        called = [self.callback]
        if is_best:
            self.best_mean_reward = self.last_mean_reward
            if self.best_model_save_path is not None:
                path = self.best_model_save_path / "best_model.zip"
                with saving(f"the best model {path}"):
                    self.model.save(without_link(path))
            called.insert(0, self.callback_on_new_best)
        return all(goes_on(callback.on_step()) for callback in called if callback is not None)

    def _keep(self, returns: FloatArray, lengths: np.ndarray) -> bool:
        """Put an evaluation into the attributes, the file and the log. Return True if it is the best so far."""
        with HeldSignals():
            self.last_mean_reward = float(returns.mean())
            self.evaluations_timesteps.append(self.num_timesteps)
            self.evaluations_results.append(returns.tolist())
            self.evaluations_length.append(lengths.tolist())
        if self.log_path is not None:
            with saving(f"evaluations {self.log_path}"):
                save_arrays(
                    self.log_path,
                    timesteps=self.evaluations_timesteps,
                    results=self.evaluations_results,
                    ep_lengths=self.evaluations_length,
                )
        self.logger.record("eval/mean_reward", self.last_mean_reward)
        self.logger.record("eval/mean_ep_length", float(lengths.mean()))
        self.logger.record("time/total_timesteps", self.num_timesteps, exclude="tensorboard")
        self.logger.dump(self.num_timesteps)
        is_best = self.last_mean_reward > self.best_mean_reward
        if self.verbose:
            best = ", the best so far" if is_best else ""
            print_line(f"{self.num_timesteps:,} steps: mean return {self.last_mean_reward:.2f} +/- {returns.std():.2f}{best}")
        return is_best


def _eval_sampler(model: Any, env: Any) -> Any:
    """Return a sampler that runs the policy of a model in another environment."""
    own = model.run.env
    found = environment(unwrap_env(env).env, tasks=bool(own.task_names))
    if (found.n_obs, found.n_act) != (own.n_obs, own.n_act):
        raise ValueError(f"eval_env must have the spaces of {model.env_id}, got {found.id}")
    config = model.config
    return make_sampler(found, model.policy.structure, config.clip_actions, config.squash_output, model.n_threads)


def _evaluate(model: Any, sampler: Any, n_episodes: int) -> Any:
    """Run episodes of the unperturbed policy, the same ones each time."""
    if sampler is None:
        return model.evaluate(n_episodes)
    seeds = evaluation_seeds(model.seed, n_episodes)
    weights = None if model.objectives is None else model.objectives.utility
    rollouts = sampler.evaluate(model.theta[np.newaxis], model.policy.filter, seeds, False, weights)
    log_missing_returns(model.env_id, rollouts)
    return rollouts
