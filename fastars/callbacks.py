"""Callbacks: what is done between the iterations of a run. Names, arguments and attributes are those of stable-baselines3.

Theirs work with `ARS.learn` as well, and ours inside of theirs. An iteration runs in compiled code, so `on_step` is called once for
all of its steps; where it returns False, training stops there.

Callbacks of stable-baselines3 count calls, one for each step of the environment, and act where the count is a multiple of
`save_freq`, `eval_freq`, `check_freq` and the like. `step` keeps that meaning: a callback sees the last multiple that an iteration
passed, and acts at most once in it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fastars._atomic import save_arrays
from fastars._extras import need
from fastars._rng import STREAM_EVALUATION
from fastars.envs import environment
from fastars.samplers import make_sampler
from fastars.samplers.compiled import at_least_one
from fastars.vec_env import taken

_METHODS = "init_callback", "on_training_start", "on_rollout_start", "update_locals", "on_step", "on_rollout_end", "on_training_end"


class BaseCallback:
    """A callback; a class of your own overrides `_on_step`, and others of the methods with an underscore.

    Parameters
    ----------
    verbose : int
        0: silent. 1: what happens is printed.

    Attributes
    ----------
    model : ARS
        The model that trains.
    n_calls : int
        Steps of the environment so far, of a vector environment those of all its environments at once.
    num_timesteps : int
        `model.num_timesteps`.
    locals : dict
        Of `ARS.learn`: "self", "total_timesteps", and of the last iteration "iteration", "rollouts", and for each of its episodes
        "rewards" (the return), "dones" (True) and "infos" (`{"episode": {"r": return, "l": length, "t": 0}}`).
    globals : dict
        Of the module of `ARS`.
    parent : BaseCallback or None
        The callback that triggers this one.
    """

    model: Any

    def __init__(self, verbose: int = 0) -> None:
        self.verbose = verbose
        self.n_calls = self.num_timesteps = 0
        self.locals: dict[str, Any] = {}
        self.globals: dict[str, Any] = {}
        self.parent: Any = None

    @property
    def training_env(self) -> Any:
        """`model.get_env()`."""
        return self.model.get_env()

    @property
    def logger(self) -> Any:
        """`model.logger`; what is recorded there becomes part of the row of this iteration."""
        return self.model.logger

    def init_callback(self, model: Any) -> None:
        """Get to know the model."""
        self.model = model
        self._init_callback()

    def on_training_start(self, locals_: dict[str, Any], globals_: dict[str, Any]) -> None:
        """Training begins."""
        self.locals, self.globals = locals_, globals_
        self.num_timesteps = self.model.num_timesteps
        self._on_training_start()

    def on_rollout_start(self) -> None:
        """An iteration begins."""
        self._on_rollout_start()

    def update_locals(self, locals_: dict[str, Any]) -> None:
        """There are new local variables."""
        self.locals.update(locals_)
        self.update_child_locals(locals_)

    def update_child_locals(self, locals_: dict[str, Any]) -> None:
        """Pass new local variables on to the callbacks that this one calls."""
        for child in self._children():
            child.update_locals(locals_)

    def on_step(self) -> bool:
        """An iteration has been run, or the event that this callback is for has happened; False stops training."""
        self.n_calls += 1
        self.num_timesteps = self.model.num_timesteps
        return self._on_step()

    def on_rollout_end(self) -> None:
        """An iteration ends."""
        self._on_rollout_end()

    def on_training_end(self) -> None:
        """Training is done."""
        self._on_training_end()

    def _children(self) -> Sequence[Any]:
        return ()

    def _init_callback(self) -> None: ...

    def _on_training_start(self) -> None: ...

    def _on_rollout_start(self) -> None: ...

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None: ...

    def _on_training_end(self) -> None: ...


class ConvertCallback(BaseCallback):
    """A function `callback(locals, globals)` as a callback; returning False stops training."""

    def __init__(self, callback: Callable[[dict[str, Any], dict[str, Any]], bool | None], verbose: int = 0) -> None:
        super().__init__(verbose)
        self.callback = callback

    def _on_step(self) -> bool:
        return _goes_on(self.callback(self.locals, self.globals))


class CallbackList(BaseCallback):
    """Several callbacks, called one after the other; training stops if one of them says so."""

    def __init__(self, callbacks: Sequence[Any]) -> None:
        super().__init__()
        self.callbacks = list(callbacks)

    def _children(self) -> Sequence[Any]:
        return self.callbacks

    def _init_callback(self) -> None:
        for callback in self.callbacks:
            callback.init_callback(self.model)
            callback.parent = self.parent

    def _on_training_start(self) -> None:
        for callback in self.callbacks:
            callback.on_training_start(self.locals, self.globals)

    def _on_rollout_start(self) -> None:
        for callback in self.callbacks:
            callback.on_rollout_start()

    def _on_step(self) -> bool:
        answers = [callback.on_step() for callback in self.callbacks]  # all are called
        return all(_goes_on(answer) for answer in answers)

    def _on_rollout_end(self) -> None:
        for callback in self.callbacks:
            callback.on_rollout_end()

    def _on_training_end(self) -> None:
        for callback in self.callbacks:
            callback.on_training_end()


class EventCallback(BaseCallback):
    """Calls another callback when something happens, which a derived class says by `_on_event`."""

    def __init__(self, callback: Any = None, verbose: int = 0) -> None:
        super().__init__(verbose)
        self.callback = callback
        if callback is not None:
            callback.parent = self

    def _children(self) -> Sequence[Any]:
        return () if self.callback is None else (self.callback,)

    def init_callback(self, model: Any) -> None:
        """Get to know the model."""
        super().init_callback(model)
        for child in self._children():
            child.init_callback(model)

    def _on_training_start(self) -> None:
        for child in self._children():
            child.on_training_start(self.locals, self.globals)

    def _on_event(self) -> bool:
        return all(_goes_on(child.on_step()) for child in self._children())


class EveryNTimesteps(EventCallback):
    """Triggers a callback every `n_steps` steps of the environment."""

    def __init__(self, n_steps: int, callback: Any) -> None:
        super().__init__(callback)
        self.n_steps = at_least_one("n_steps", n_steps)
        self.last_time_trigger = 0

    def _on_step(self) -> bool:
        if self.num_timesteps - self.last_time_trigger < self.n_steps:
            return True
        self.last_time_trigger = self.num_timesteps
        return self._on_event()


class LogEveryNTimesteps(EveryNTimesteps):
    """Writes a row of the log every `n_steps` steps of the environment; `learn(log_interval=None)` writes no others."""

    def __init__(self, n_steps: int) -> None:
        super().__init__(n_steps, ConvertCallback(lambda *_: self.model.dump_logs()))


class CheckpointCallback(BaseCallback):
    """Saves the model every `save_freq` steps, as `<save_path>/<name_prefix>_<steps>_steps.zip`.

    Each file is whole: one that a crash or a full disk interrupts is not there. `save_vecnormalize` also saves the `VecNormalize`
    around the environment, `save_replay_buffer` is without effect.
    """

    def __init__(
        self,
        save_freq: int,
        save_path: str | os.PathLike[str],
        name_prefix: str = "rl_model",
        save_replay_buffer: bool = False,
        save_vecnormalize: bool = False,
        verbose: int = 0,
    ) -> None:
        super().__init__(verbose)
        self.save_freq = at_least_one("save_freq", save_freq)
        self.save_path, self.name_prefix, self.save_vecnormalize = Path(save_path), name_prefix, save_vecnormalize

    def _init_callback(self) -> None:
        self.save_path.mkdir(parents=True, exist_ok=True)

    def _on_step(self) -> bool:
        if self.n_calls % self.save_freq == 0:
            path = self.save_path / f"{self.name_prefix}_{self.num_timesteps}_steps.zip"
            self.model.save(path)
            normalizer = self.model.get_vec_normalize_env()
            if self.save_vecnormalize and normalizer is not None:
                normalizer.save(str(self.save_path / f"{self.name_prefix}_vecnormalize_{self.num_timesteps}_steps.pkl"))
            if self.verbose:
                print(f"Saved the model to {path}")
        return True


class EvalCallback(EventCallback):
    """Evaluates the policy every `eval_freq` steps and keeps the best one.

    Parameters
    ----------
    eval_env : optional
        As `ARS` takes an environment; in compiled kernels if it can be. Default: the environment of training.
    callback_on_new_best, callback_after_eval : BaseCallback, optional
        Called after an evaluation that was better than all before, and after each; False stops training.
    n_eval_episodes : int
        Episodes of an evaluation, the same at each.
    eval_freq : int
        Steps between evaluations; 0: never.
    log_path : str, optional
        Folder for `evaluations.npz` with arrays "timesteps" (n,), "results" and "ep_lengths" (n, n_eval_episodes).
    best_model_save_path : str, optional
        Folder for `best_model.zip`.
    deterministic, render, warn
        Without effect: the actions of a policy of ARS are not drawn, and rollouts are not shown.

    Attributes
    ----------
    last_mean_reward, best_mean_reward : float
    evaluations_timesteps, evaluations_results, evaluations_length : list
    """

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
        self.n_eval_episodes, self.eval_freq = at_least_one("n_eval_episodes", n_eval_episodes), int(eval_freq)
        self.log_path = None if log_path is None else Path(log_path) / "evaluations.npz"
        self.best_model_save_path = None if best_model_save_path is None else Path(best_model_save_path)
        self.last_mean_reward = self.best_mean_reward = -np.inf
        self.evaluations_timesteps: list[int] = []
        self.evaluations_results: list[list[float]] = []
        self.evaluations_length: list[list[int]] = []
        self._sampler: Any = None

    def _children(self) -> Sequence[Any]:
        return [child for child in (self.callback_on_new_best, self.callback) if child is not None]

    def _init_callback(self) -> None:
        self._sampler = None if self.eval_env is None else _sampler_of(self.model, self.eval_env)
        for folder in (self.best_model_save_path, None if self.log_path is None else self.log_path.parent):
            if folder is not None:
                folder.mkdir(parents=True, exist_ok=True)

    def _on_step(self) -> bool:
        if self.eval_freq < 1 or self.n_calls % self.eval_freq:
            return True
        rollouts = _evaluated(self.model, self._sampler, self.n_eval_episodes)
        returns, lengths = rollouts.returns, rollouts.lengths
        self.last_mean_reward = float(returns.mean())
        self.evaluations_timesteps.append(self.num_timesteps)
        self.evaluations_results.append(returns.tolist())
        self.evaluations_length.append(lengths.tolist())
        if self.log_path is not None:
            save_arrays(
                self.log_path,
                timesteps=self.evaluations_timesteps,
                results=self.evaluations_results,
                ep_lengths=self.evaluations_length,
            )
        self.logger.record("eval/mean_reward", self.last_mean_reward)
        self.logger.record("eval/mean_ep_length", float(lengths.mean()))
        is_best = self.last_mean_reward > self.best_mean_reward
        if self.verbose:
            best = ", the best so far" if is_best else ""
            print(f"{self.num_timesteps:,} steps: mean return {self.last_mean_reward:.2f} +/- {returns.std():.2f}{best}")
        goes_on = True
        if is_best:
            self.best_mean_reward = self.last_mean_reward
            if self.best_model_save_path is not None:
                self.model.save(self.best_model_save_path / "best_model.zip")
            if self.callback_on_new_best is not None:
                goes_on = _goes_on(self.callback_on_new_best.on_step())
        if self.callback is not None and goes_on:
            goes_on = _goes_on(self.callback.on_step())
        return goes_on


class StopTrainingOnRewardThreshold(BaseCallback):
    """Stops once the best mean return of the `EvalCallback` that calls it has reached `reward_threshold`."""

    def __init__(self, reward_threshold: float, verbose: int = 0) -> None:
        super().__init__(verbose)
        self.reward_threshold = float(reward_threshold)

    def _on_step(self) -> bool:
        best = _parent(self).best_mean_reward
        if best < self.reward_threshold:
            return True
        if self.verbose:
            print(f"Training stops: the mean return {best:.2f} has reached {self.reward_threshold:g}")
        return False


class StopTrainingOnNoModelImprovement(BaseCallback):
    """Stops after more than `max_no_improvement_evals` evaluations in a row without a new best one, the first `min_evals` aside."""

    def __init__(self, max_no_improvement_evals: int, min_evals: int = 0, verbose: int = 0) -> None:
        super().__init__(verbose)
        self.max_no_improvement_evals, self.min_evals = max_no_improvement_evals, min_evals
        self.last_best_mean_reward = -np.inf
        self.no_improvement_evals = 0

    def _on_step(self) -> bool:
        best = _parent(self).best_mean_reward
        if self.n_calls > self.min_evals:
            self.no_improvement_evals = 0 if best > self.last_best_mean_reward else self.no_improvement_evals + 1
        self.last_best_mean_reward = best
        if self.no_improvement_evals <= self.max_no_improvement_evals:
            return True
        if self.verbose:
            print(f"Training stops: no better policy in the last {self.no_improvement_evals} evaluations")
        return False


class StopTrainingOnMaxEpisodes(BaseCallback):
    """Stops after `max_episodes` episodes, times the environments of a vector environment."""

    def __init__(self, max_episodes: int, verbose: int = 0) -> None:
        super().__init__(verbose)
        self.max_episodes = at_least_one("max_episodes", max_episodes)
        self.n_episodes = 0

    def _on_step(self) -> bool:
        self.n_episodes += int(np.sum(self.locals["dones"]))
        if self.n_episodes < self.max_episodes * self.model.n_envs:
            return True
        if self.verbose:
            print(f"Training stops after {self.n_episodes} episodes")
        return False


class ProgressBarCallback(BaseCallback):
    """Shows steps, steps per second and the time left. Needs `fastars[cli]`."""

    def __init__(self) -> None:
        super().__init__()
        self._bar: Any = None

    def _on_training_start(self) -> None:
        progress = need("rich.progress", "cli", "a progress bar")
        self._bar = progress.Progress(
            progress.BarColumn(),
            progress.TextColumn("{task.completed:,.0f} of {task.total:,.0f} steps {task.fields[speed]}"),
            progress.TimeElapsedColumn(),
            progress.TextColumn("left:"),
            progress.TimeRemainingColumn(),
        )
        self._start = self.num_timesteps, time.perf_counter()
        self._task = self._bar.add_task("", total=self.locals["total_timesteps"], completed=self.num_timesteps, speed="")
        self._bar.start()

    def _on_step(self) -> bool:
        steps, start = self._start
        speed = (self.num_timesteps - steps) / max(time.perf_counter() - start, 1e-9)
        self._bar.update(self._task, completed=self.num_timesteps, speed=f"at {speed:,.0f} steps/s")
        return True

    def _on_training_end(self) -> None:
        self.close()

    def close(self) -> None:
        """Leave the terminal as it was."""
        if self._bar is not None:
            self._bar.stop()


def make_callback(callback: Any, progress_bar: bool = False) -> Any:
    """A callback of whatever `ARS.learn` takes as one: a callback, a function, a list of these, or None.

    Raises
    ------
    TypeError
        If it is none of them.
    """
    if callback is None:
        made: Any = CallbackList([])
    elif isinstance(callback, (list, tuple)):
        made = CallbackList([make_callback(one) for one in callback])
    elif all(hasattr(callback, name) for name in _METHODS):
        made = callback
    elif callable(callback):
        made = ConvertCallback(callback)
    else:
        raise TypeError(f"callback must be a function callback(locals, globals), a callback, or a list of these, got {callback!r}")
    return CallbackList([made, ProgressBarCallback()]) if progress_bar else made


def step(callback: Any, n_steps: int) -> bool:
    """Let a callback see `n_steps` steps of the environment, in one call of its `on_step`; False if it says so.

    `n_calls` grows by `n_steps`. During the call it is the last multiple of the callback's own frequency (an attribute whose name
    ends with "freq") among these steps, if there is one.
    """
    n_steps = max(n_steps, 1)
    counts = [(each, each.n_calls) for each in _counting(callback)]
    for each, before in counts:
        multiples = [(before + n_steps) // frequency * frequency for frequency in _frequencies(each)]
        each.n_calls = max([multiple for multiple in multiples if multiple > before], default=before + n_steps) - 1
    try:
        return _goes_on(callback.on_step())
    finally:
        for each, before in counts:
            each.n_calls = before + n_steps


def close(callback: Any) -> None:
    """Let a callback leave the terminal and its files as they should be, however training ended."""
    for each in _counting(callback):
        if isinstance(each, BaseCallback):
            getattr(each, "close", lambda: None)()


def _goes_on(answer: Any) -> bool:
    """Whether training goes on after what a callback returned: False stops it, also NumPy's, which comparing means gives."""
    return not isinstance(answer, (bool, np.bool_)) or bool(answer)


def _counting(callback: Any) -> Iterator[Any]:
    """A callback if it counts its calls, and those in it if it is a list of them: the others are called by events, not by steps."""
    if hasattr(callback, "n_calls"):
        yield callback
    for each in getattr(callback, "callbacks", ()):
        yield from _counting(each)


def _frequencies(callback: Any) -> list[int]:
    values = (value for name, value in getattr(callback, "__dict__", {}).items() if name.endswith("freq"))
    return [int(value) for value in values if isinstance(value, (int, np.integer)) and value > 0]


def _parent(callback: BaseCallback) -> Any:
    if callback.parent is None:
        raise ValueError(f"{type(callback).__name__} must be given to an EvalCallback, which calls it")
    return callback.parent


def _sampler_of(model: Any, env: Any) -> Any:
    """What evaluates the policy of a model in another environment."""
    found = environment(taken(env).env, tasks=bool(model._env.task_names))
    if (found.n_obs, found.n_act) != (model._env.n_obs, model._env.n_act):
        raise ValueError(f"eval_env {found.id} has other spaces than {model.env_id}")
    config = model.config
    return make_sampler(found, model.policy.structure, config.clip_actions, config.squash_output, model.n_threads)


def _evaluated(model: Any, sampler: Any, n_episodes: int) -> Any:
    """Episodes of the policy itself, the same ones each time."""
    if sampler is None:
        return model.evaluate(n_episodes)
    seeds = np.random.SeedSequence(model.seed, spawn_key=(STREAM_EVALUATION, 0)).generate_state(n_episodes).astype(np.uint64)
    weights = None if model.objectives is None else model.objectives.utility
    return sampler.evaluate(model.theta[np.newaxis], model.policy.filter, seeds, False, weights)
