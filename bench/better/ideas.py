"""Ideas, each as a class that replaces lines of Algorithm 2, with its source. Numbers were set before the first run."""

import numpy as np

from bench.better.algorithm import Array, Plain
from fastars import ARS, kernels

# --- Directions


class Orthogonal(Plain):
    """Blocks of d orthogonal directions, with the lengths of Gaussian ones (Choromanski et al. 2018, arXiv 1804.02395)."""

    def directions(self, n: int) -> Array:
        gaussian, d = super().directions(n), self.theta.size
        blocks = [gaussian[first : first + d] for first in range(0, n, d)]
        bases = np.concatenate([np.linalg.qr(block.T)[0].T for block in blocks])
        return bases * np.linalg.norm(gaussian, axis=1)[:, np.newaxis]


class PastDirection(Plain):
    """The first direction is the last step's (Meier et al. 2019, arXiv 1910.05268, without their weights)."""

    last: Array | None = None

    def directions(self, n: int) -> Array:
        deltas = super().directions(n)
        if self.last is not None and self.last.any():
            deltas[0] = self.last / np.linalg.norm(self.last) * np.linalg.norm(deltas[0])
        return deltas

    def step(self, gradient: Array) -> Array:
        self.last = super().step(gradient)
        return self.last


class CommonNumbers(Plain):
    """Both signs of a direction start from the same state: the setting `common_random_numbers`."""

    def episode_seeds(self, n: int) -> Array:
        return np.repeat(super().episode_seeds(n)[:, :1], 2, axis=1)


class GrowingDirections(Plain):
    """A quarter of the directions in the first eighth of the budget, a half until a quarter of it, then all."""

    def n_directions(self) -> int:
        share = 0.25 if self.progress < 0.125 else 0.5 if self.progress < 0.25 else 1.0
        return max(round(share * self.n_delta), 1)


# --- Weights of directions


class Ranks(Plain):
    """Centered ranks in the place of returns (Wierstra et al. 2014, Salimans et al. 2017): the setting `fitness_shaping`."""

    def shaped(self, returns: Array) -> Array:
        return kernels.centered_ranks(returns)


class Reuse(Plain):
    """Half of the directions are new, and ranked together with those of the iteration before, which keep their returns.

    After off-policy ranking, but without kernels between policies: an old pair tells of the place where it was made.
    """

    old: tuple[Array, Array] | None = None

    def n_directions(self) -> int:
        return max(self.n_delta // 2, 1)

    def gradient(self, deltas: Array, returns: Array) -> Array:
        (old_deltas, old_returns), self.old = self.old or (deltas[:0], returns[:0]), (deltas, returns)
        return super().gradient(np.concatenate([deltas, old_deltas]), np.concatenate([returns, old_returns]))


class Importance(Plain):
    """As `Reuse`, and the differences of old pairs have importance weights (TRES: Liu et al. 2019, arXiv 1912.08425).

    The density of a pair theta' +- nu delta around theta, divided by its density around theta', is exp(-|theta - theta'|^2 / nu^2):
    the cross terms of both signs cancel. So all old pairs have the same weight.
    """

    old: tuple[Array, Array, Array] | None = None

    def n_directions(self) -> int:
        return max(self.n_delta // 2, 1)

    def gradient(self, deltas: Array, returns: Array) -> Array:
        new = super().gradient(deltas, returns)
        old, self.old = self.old, (deltas, returns, self.theta)
        if old is None:
            return new
        shift = self.theta - old[2]
        weight = float(np.exp(-(shift @ shift) / self.sigma() ** 2))
        return (new + weight * super().gradient(*old[:2])) / (1.0 + weight)


# --- Steps


class Momentum(Plain):
    """v = 0.9 v + 0.1 g: the setting `momentum`."""

    velocity: Array | float = 0.0

    def step(self, gradient: Array) -> Array:
        self.velocity = 0.9 * self.velocity + 0.1 * gradient
        return super().step(self.velocity)


class Adam(Plain):
    """Adam (Kingma & Ba 2015), whose step in each weight is about the plain one's: the setting `optimizer`."""

    slots: tuple[Array, Array] | None = None

    def step(self, gradient: Array) -> Array:
        m, v = self.slots or (np.zeros_like(gradient), np.zeros_like(gradient))
        each = self.step_length() / np.sqrt(gradient.size)
        m, v, step = kernels.adam_step(m, v, self.iteration + 1, gradient, each, 0.9, 0.999, 1e-8, 0.0, self.theta)
        self.slots = m, v
        return step


class ClipUp(Plain):
    """v = 0.9 v + (l / 2) g / |g|, and |v| is at most l, the length of a plain step (Toklu et al. 2020, arXiv 2008.02387)."""

    velocity: Array | float = 0.0

    def step(self, gradient: Array) -> Array:
        longest, norm = self.step_length(), float(np.linalg.norm(gradient))
        velocity = 0.9 * self.velocity + (0.5 * longest / norm * gradient if norm else 0.0)
        self.velocity = velocity * min(1.0, longest / max(float(np.linalg.norm(velocity)), 1e-300))
        return self.velocity


class Normalized(Plain):
    """Every step has the usual length of a plain one."""

    def step(self, gradient: Array) -> Array:
        norm = float(np.linalg.norm(gradient))
        return self.step_length() / norm * gradient if norm else gradient


# --- Schedules


class Annealed(Plain):
    """Step size and noise go from twice to half of their values, geometrically over the budget."""

    def factor(self) -> float:
        return 2.0 ** (1.0 - 2.0 * self.progress)

    def sigma(self) -> float:
        return self.factor() * super().sigma()

    def learning_rate(self) -> float:
        return self.factor() * super().learning_rate()


class KeepBest(Plain):
    """Back to the best theta, with 0.7 of step size and noise, after 20 iterations without a better mean of the candidates."""

    best, best_theta, since, factor = -np.inf, None, 0, 1.0

    def sigma(self) -> float:
        return self.factor * super().sigma()

    def learning_rate(self) -> float:
        return self.factor * super().learning_rate()

    def gradient(self, deltas: Array, returns: Array) -> Array:
        mean = float(np.nanmean(returns))
        self.since += 1
        if mean > self.best:
            self.best, self.best_theta, self.since = mean, self.theta, 0
        elif self.since >= 20:
            self.theta, self.since, self.factor = self.best_theta, 0, max(0.7 * self.factor, 0.1)
            return np.zeros_like(self.theta)
        return super().gradient(deltas, returns)


class GrowingEpisodes(Plain):
    """Episodes end after an eighth of their steps in the first 1/16 of the budget; then this doubles with the budget used."""

    def returns(self, deltas: Array) -> Array:
        part = 8 if self.progress < 1 / 16 else 4 if self.progress < 1 / 8 else 2 if self.progress < 1 / 4 else 1
        return self.roll_out(deltas, self.episode_seeds(len(deltas)), self.model_until(part))

    def model_until(self, part: int) -> ARS:
        """Return a model whose episodes end after 1 / part of their steps."""
        self.models = getattr(self, "models", {1: self.model})
        if part not in self.models:
            self.models[part] = self.model_of(max_episode_steps=self.model.sampler.spec.max_steps // part)
        return self.models[part]


class EarlyCut(GrowingEpisodes):
    """All episodes have a quarter of their steps; the half of the directions with the best candidate there goes on.

    Biased: a direction whose gain comes late is cut. An episode that goes on is run again from its start, but its steps are counted
    once. Its observations in the first quarter count twice in the filter.
    """

    def returns(self, deltas: Array) -> Array:
        seeds = self.episode_seeds(len(deltas))
        early = self.roll_out(deltas, seeds, self.model_until(4))
        kept, early_lengths, n_episodes = (
            kernels.top_directions(early, max(len(deltas) // 2, 1), False),
            self.lengths,
            self.episodes,
        )
        returns = np.full_like(early, np.nan)
        returns[kept] = self.roll_out(deltas[kept], seeds[kept], self.model)
        self.steps -= int(early_lengths[kept].sum())
        self.episodes = n_episodes
        return returns


IDEAS = {
    "plain": Plain,
    "orthogonal": Orthogonal,
    "ranks": Ranks,
    "adam": Adam,
    "clipup": ClipUp,
    "annealed": Annealed,
    "keep-best": KeepBest,
    "reuse": Reuse,
    "importance": Importance,
    "momentum": Momentum,
    "normalized": Normalized,
    "past-direction": PastDirection,
    "common-numbers": CommonNumbers,
    "growing-directions": GrowingDirections,
    "growing-episodes": GrowingEpisodes,
    "early-cut": EarlyCut,
}
