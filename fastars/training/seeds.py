"""The recipe of all random numbers of a run: each is a pure function of the seed and its place, so no generator is ever saved."""

from __future__ import annotations

from types import ModuleType

import numpy as np

from fastars._compiled.rng import STREAM_EVALUATION, STREAM_WEIGHTS
from fastars._compiled.structs import SeedArray
from fastars.training.config import Config


def episode_seeds(backend: ModuleType, config: Config, iteration: int) -> SeedArray:
    """Return the seeds of the training episodes of an iteration, shape (n_delta, 2, n_eval_episodes)."""
    seeds: SeedArray = backend.episode_seeds(
        np.uint64(config.seed), iteration, config.n_delta, config.n_eval_episodes, config.common_random_numbers
    )
    return seeds


def evaluation_seeds(seed: int, n_episodes: int) -> SeedArray:
    """Return the seeds of evaluation episodes, shape (n_episodes,): apart from training's, the same at every call."""
    stream = np.random.SeedSequence(seed, spawn_key=(STREAM_EVALUATION, 0))
    return stream.generate_state(n_episodes).astype(np.uint64)


def weights_generator(seed: int) -> np.random.Generator:
    """Return the generator of the first weights of a policy."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(STREAM_WEIGHTS, 0))))
