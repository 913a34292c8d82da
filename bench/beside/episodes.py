"""The evaluator of all packages: episodes of Gymnasium's own environment, with actions of `act`, side by side."""

from collections.abc import Callable

import gymnasium
import numpy as np

from bench.paper.runs import FIRST_EVALUATION_SEED, SEEDS_OF_ONE

N_EPISODES, N_FINAL_EPISODES = 20, 100


class Evaluator:
    """Twenty environments. An evaluation has seeds of its own, which training never has; they are the same for all packages."""

    def __init__(self, env_id: str) -> None:
        self.envs = [gymnasium.make(env_id) for _ in range(N_EPISODES)]

    def returns(self, act: Callable[[np.ndarray], np.ndarray], number: int, n_episodes: int) -> np.ndarray:
        """Return the returns of the episodes of an evaluation, (n_episodes,)."""
        first = FIRST_EVALUATION_SEED + SEEDS_OF_ONE * number
        parts = [self._episodes(act, range(start, start + N_EPISODES)) for start in range(first, first + n_episodes, N_EPISODES)]
        return np.concatenate(parts)

    def _episodes(self, act: Callable[[np.ndarray], np.ndarray], seeds: range) -> np.ndarray:
        """Return the returns of an episode with each of these seeds."""
        last = np.array([env.reset(seed=seed)[0] for env, seed in zip(self.envs, seeds, strict=True)])
        returns, running = np.zeros(len(seeds)), list(range(len(seeds)))
        while running:
            for k, action in zip(list(running), act(last[running]), strict=True):
                last[k], reward, terminated, truncated, _ = self.envs[k].step(action)
                returns[k] += reward
                if terminated or truncated:
                    running.remove(k)
        return returns
