"""Compare a compiled environment with a Gymnasium one, step by step."""

from __future__ import annotations

import math
from typing import Any

import gymnasium
import numpy as np

from fastars.envs.compiled import CompiledEnv
from fastars.kernels import inspection


class EnvMismatchError(ValueError):
    """A compiled environment and its reference differ; the message names the episode, the step, the field and the difference."""


def compare_spaces(compiled: CompiledEnv, other: gymnasium.Env) -> None:
    """Raise an `EnvMismatchError` if the two have observations of different shapes, or different action spaces."""
    ours, theirs = compiled.observation_space.shape, other.observation_space.shape
    if ours != theirs:
        raise EnvMismatchError(f"observation_space has shape {ours} compiled and {theirs} in the reference")
    if compiled.action_space != other.action_space:
        raise EnvMismatchError(f"action_space is {compiled.action_space} compiled and {other.action_space} in the reference")


class Comparison:
    """Episodes of both environments, compared step by step; counts and the largest difference are kept."""

    def __init__(self, compiled: CompiledEnv, other: gymnasium.Env, rtol: float, atol: float) -> None:
        self.compiled, self.other, self.rtol, self.atol = compiled, other, rtol, atol
        self.steps, self.terminations, self.largest = 0, 0, 0.0

    def run(self, seed: int, n_steps: int) -> None:
        """Compare the episode with this seed."""
        n_steps = min(n_steps, self.compiled.max_steps)
        actions = _random_actions(self.compiled.action_space, np.random.default_rng(seed), n_steps)
        observations, rewards, length, terminates = self._kernel_episode(seed, actions)
        where = f"episode with seed {seed}"
        observation, _ = self.other.reset(seed=seed)
        self._compare_entries(f"{where}, start: observation", observations[0], observation)
        for t in range(length):
            action: Any = actions[t] if actions.ndim == 2 else int(actions[t])
            observation, reward, terminated, truncated, _ = self.other.step(action)
            step = f"{where}, step {t + 1}"
            self._compare_entries(f"{step}: observation", observations[t + 1], observation)
            self._compare_rewards(f"{step}: reward", rewards[t], reward)
            _compare_flags(f"{step}: terminated", terminates and t == length - 1, terminated)
            _compare_flags(f"{step}: truncated", t + 1 == self.compiled.max_steps, truncated)
        self.steps += length
        self.terminations += terminates

    def _kernel_episode(self, seed: int, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, int, bool]:
        """Run an episode in the kernel: (observations, rewards, length, terminated)."""
        constants, n_rewards = self.compiled.constants, self.compiled.n_tasks or 1
        observations = np.zeros((len(actions) + 1, self.compiled.n_obs), np.float32)
        rewards = np.zeros((len(actions), n_rewards))
        if actions.ndim == 1:
            ended = inspection.discrete_episode(constants, np.uint64(seed), actions, observations, rewards)
        else:
            like = (np.float32(0.0),) * actions.shape[1]
            ended = inspection.box_episode(constants, np.uint64(seed), actions, like, observations, rewards)
        return observations, rewards, int(ended[0]), bool(ended[1])

    def _compare_entries(self, where: str, ours: np.ndarray, theirs: Any) -> None:
        with np.errstate(over="ignore"):
            theirs = np.asarray(theirs).astype(np.float32).ravel()
        for k in range(len(ours)):
            self._compare(f"{where}[{k}]", ours[k], theirs[k])

    def _compare_rewards(self, where: str, ours: np.ndarray, theirs: Any) -> None:
        names = self.compiled.task_names
        if not names:
            return self._compare(where, ours[0], np.float64(theirs))
        if np.shape(theirs) != ours.shape:
            raise EnvMismatchError(f"{where} has shape {ours.shape} compiled and {np.shape(theirs)} in the reference")
        for name, a, b in zip(names, ours, np.asarray(theirs, np.float64), strict=True):
            self._compare(f"{where} {name!r}", a, b)
        return None

    def _compare(self, where: str, ours: Any, theirs: Any) -> None:
        """Compare two numbers of the same precision."""
        a, b = float(ours), float(theirs)
        if a == b or (math.isnan(a) and math.isnan(b)):
            return
        difference = abs(a - b)
        if not (math.isfinite(difference) and difference <= self.atol + self.rtol * abs(b)):
            size = ""
            if math.isfinite(difference):
                ulp = difference / float(np.spacing(abs(theirs)))
                size = f"; they differ by {difference:.3g} ({ulp:.3g} {theirs.dtype} ulp)"
            raise EnvMismatchError(f"{where} is {ours} compiled and {theirs} in the reference{size}")
        self.largest = max(self.largest, difference)


def _compare_flags(where: str, ours: bool, theirs: Any) -> None:
    if bool(ours) != bool(theirs):
        raise EnvMismatchError(f"{where} is {bool(ours)} compiled and {bool(theirs)} in the reference")


def _random_actions(space: Any, rng: np.random.Generator, n: int) -> np.ndarray:
    """Draw actions (n,) of a Discrete space, or (n, n_act) of a Box: every fourth is a corner; without bounds, normal."""
    if hasattr(space, "n"):
        return rng.integers(space.start, space.start + space.n, n)
    low, high = np.where(np.isfinite([space.low, space.high]), [space.low, space.high], 0.0).astype(np.float64)
    actions = rng.uniform(low, np.maximum(low, high), (n, *space.shape))
    corners = np.where(rng.random((n, *space.shape)) < 0.5, low, high)
    actions[::4] = corners[::4]
    actions = np.where(np.isfinite(space.low) & np.isfinite(space.high), actions, rng.standard_normal(actions.shape))
    return np.clip(actions.astype(np.float32), space.low, space.high)
