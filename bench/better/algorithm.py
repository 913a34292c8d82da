"""Algorithm 2 of Mania, Guy & Recht 2018 (arXiv 1803.07055) in NumPy, each line of it a method that an idea may replace.

Episodes run in the samplers of fastars, and its kernels rank the returns: with the same directions and episodes, `Plain` makes the
steps of `fastars.ARS`, to rounding.
"""

import warnings
from typing import Any

import numpy as np

from fastars import ARS, kernels
from fastars.training.state import ObsMoments

Array = np.ndarray


class Plain:
    """ARS as in the paper, one iteration at a time.

    Parameters
    ----------
    env_id : str
    settings : dict
        Arguments of `ARS`.
    seed : int
        Directions and episodes are a function of it and of the iteration.
    budget : int
        Environment steps of the whole run, for ideas that change with the progress.
    """

    def __init__(self, env_id: str, settings: dict[str, Any], seed: int, budget: int) -> None:
        self.env_id, self.settings, self.seed, self.budget = env_id, settings, seed, budget
        self.model = self.model_of()
        config = self.model.config
        self.n_delta, self.n_top = config.n_delta, config.n_top
        self.alpha, self.nu, self.offset = config.learning_rate, config.delta_std, config.alive_bonus_offset
        self.theta, self.moments = self.model.theta.copy(), self.model.state.moments
        self.steps = self.episodes = self.iteration = 0

    def model_of(self, **others: Any) -> ARS:
        """Return a model of the task, of which sampler, filter and evaluation are used."""
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)  # that lanes can't be had: the row would be another one
            return ARS("LinearPolicy", self.env_id, seed=self.seed, n_threads=1, diagnostics=False, **self.settings | others)

    @property
    def progress(self) -> float:
        """Share of the budget that is used."""
        return min(self.steps / self.budget, 1.0)

    # --- Algorithm 2

    def iterate(self) -> None:
        """Run one iteration."""
        self.random = np.random.Generator(np.random.Philox(key=[self.seed, self.iteration]))
        deltas = self.directions(self.n_directions())
        returns = self.returns(deltas)
        self.theta = self.theta + self.step(self.gradient(deltas, returns))
        self.iteration += 1
        self.model.state = self.model.state._replace(theta=self.theta, moments=self.moments)

    def n_directions(self) -> int:
        """Return N."""
        return self.n_delta

    def directions(self, n: int) -> Array:
        """Return delta_k, (n, d): line 4."""
        return self.random.standard_normal((n, self.theta.size))

    def sigma(self) -> float:
        """Return the noise nu."""
        return self.nu

    def learning_rate(self) -> float:
        """Return the step size alpha."""
        return self.alpha

    def returns(self, deltas: Array) -> Array:
        """Return the returns of theta + nu delta_k and theta - nu delta_k, (n, 2): line 5."""
        return self.roll_out(deltas, self.episode_seeds(len(deltas)), self.model)

    def episode_seeds(self, n: int) -> Array:
        """Return seeds of the episodes, (n, 2), below 2**32."""
        return self.random.integers(0, 1 << 32, (n, 2), dtype=np.uint64)

    def roll_out(self, deltas: Array, seeds: Array, model: ARS) -> Array:
        """Return the returns of both signs of some directions, (n, 2), and count steps, episodes and observations (line 8)."""
        noise = self.sigma() * deltas
        candidates = np.stack([self.theta + noise, self.theta - noise], axis=1).reshape(-1, self.theta.size)
        track = model.run.updates_obs_stats
        found = model.sampler.evaluate(candidates, self.model.policy.filter, seeds.ravel(), track)
        if track:
            self.moments = ObsMoments(*kernels.merge_moments(*self.moments, found.moments))
        self.lengths = found.lengths.reshape(-1, 2)
        self.steps += int(self.lengths.sum())
        self.episodes += len(candidates)
        return (found.returns + self.offset * found.lengths).reshape(-1, 2)

    def gradient(self, deltas: Array, returns: Array) -> Array:
        """Return g = 1 / (b sigma_R) sum over the top b directions of (r+ - r-) delta: lines 6 and 7."""
        top, weights, _ = kernels.step_weights(returns, self.shaped(returns), self.top(len(returns)), False, 0, 0, 0.0)
        return weights @ deltas[top]

    def top(self, n: int) -> int:
        """Return b for n directions: the share of them that the settings use."""
        return max(round(self.n_top / self.n_delta * n), 1)

    def shaped(self, returns: Array) -> Array:
        """Return what stands for the returns in the gradient."""
        return returns

    def step(self, gradient: Array) -> Array:
        """Return alpha g: line 7."""
        return self.learning_rate() * gradient

    def evaluate(self, seeds: Array) -> Array:
        """Return the returns of theta itself, without noise and shift, in episodes of these seeds."""
        candidates = np.repeat(self.theta[np.newaxis], len(seeds), axis=0)
        return self.model.sampler.evaluate(candidates, self.model.policy.filter, seeds, False).returns

    # --- Lengths by which ideas with another unit of their step are set

    def step_length(self) -> float:
        """Return the usual length of plain ARS's step.

        A difference of returns is about sqrt(2) sigma_R, and b of N directions are independent: |g| is about sqrt(2 d / b).
        """
        return self.alpha * float(np.sqrt(2.0 * self.theta.size / self.n_top))
