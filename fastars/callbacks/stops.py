"""When training stops before its last step."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastars._validate import positive_int
from fastars.callbacks.base import BaseCallback


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
        self.max_episodes = positive_int("max_episodes", max_episodes)
        self.n_episodes = 0

    def _on_step(self) -> bool:
        self.n_episodes += int(np.sum(self.locals["dones"]))
        if self.n_episodes < self.max_episodes * self.model.n_envs:
            return True
        if self.verbose:
            print(f"Training stops after {self.n_episodes} episodes")
        return False


def _parent(callback: BaseCallback) -> Any:
    if callback.parent is None:
        raise ValueError(f"{type(callback).__name__} must be given to an EvalCallback, which calls it")
    return callback.parent
