"""Stop training before its last step."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastars._folding import print_line
from fastars._validate import integer, number, positive_int, user_facing
from fastars.callbacks.base import BaseCallback


class StopTrainingOnRewardThreshold(BaseCallback):
    """Stops training when the best mean return of the `EvalCallback` that calls it has reached a threshold.

    Parameters
    ----------
    reward_threshold : float
        The threshold; infinity stops never.
    verbose : int
        1 prints why training stops.
    """

    @user_facing
    def __init__(self, reward_threshold: float, verbose: int = 0) -> None:
        super().__init__(verbose)
        self.reward_threshold = math.inf if reward_threshold == math.inf else number("reward_threshold", reward_threshold)

    def _on_step(self) -> bool:
        best = _parent(self).best_mean_reward
        if best < self.reward_threshold:
            return True
        if self.verbose:
            print_line(f"Training stops: the mean return {best:.2f} has reached {self.reward_threshold:g}")
        return False


class StopTrainingOnNoModelImprovement(BaseCallback):
    """Stops training after too many evaluations in a row without a new best one; an `EvalCallback` calls it after each evaluation.

    Parameters
    ----------
    max_no_improvement_evals : int
        Number of evaluations in a row without a new best one that are allowed.
    min_evals : int
        Number of evaluations at the beginning that are not counted.
    verbose : int
        1 prints why training stops.
    """

    @user_facing
    def __init__(self, max_no_improvement_evals: int, min_evals: int = 0, verbose: int = 0) -> None:
        super().__init__(verbose)
        self.max_no_improvement_evals = integer("max_no_improvement_evals", max_no_improvement_evals, 0)
        self.min_evals = integer("min_evals", min_evals, 0)
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
            print_line(f"Training stops: no better policy in the last {self.no_improvement_evals} evaluations")
        return False


class StopTrainingOnMaxEpisodes(BaseCallback):
    """Stops training after a number of episodes.

    Parameters
    ----------
    max_episodes : int
        Number of episodes; for a vector environment, in the mean over its environments.
    verbose : int
        1 prints why training stops.
    """

    @user_facing
    def __init__(self, max_episodes: int, verbose: int = 0) -> None:
        super().__init__(verbose)
        self.max_episodes = positive_int("max_episodes", max_episodes)
        self.n_episodes = 0

    def _on_step(self) -> bool:
        self.n_episodes += int(np.sum(self.locals["dones"]))
        if self.n_episodes < self.max_episodes * self.model.n_envs:
            return True
        if self.verbose:
            print_line(f"Training stops after {self.n_episodes} episodes")
        return False


def _parent(callback: BaseCallback) -> Any:
    if callback.parent is None:
        raise ValueError(f"{type(callback).__name__} must be an argument of an EvalCallback, which calls it")
    return callback.parent
