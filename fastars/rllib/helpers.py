"""The functions of RLlib's ARS and ES, with its signatures, over fastars' kernels."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from fastars import kernels
from fastars._compiled.structs import FloatArray
from fastars._validate import positive_int

_SEED = 123  # of RLlib's noise table
_BLOCK = 1 << 20  # normals drawn at a time: the table is float32, and what is drawn twice as large


def batched_weighted_sum(weights: Iterable[float], vecs: Iterable[Any], batch_size: int) -> tuple[np.ndarray, int]:
    """The sum over i of weights[i] * vecs[i], a batch at a time.

    Parameters
    ----------
    weights : iterable of float
        One for each vector.
    vecs : iterable of array_like, shape (dim,)
        As many; views into a noise table, from a generator, are read as they come.
    batch_size : int
        Vectors that are in memory at once.

    Returns
    -------
    total : ndarray of float32, shape (dim,)
        Summed in float64. A zero of shape () where there are no vectors.
    count : int
        How many there were.

    Raises
    ------
    ValueError
        If there are not as many weights as vectors, or the vectors differ in length.
    """
    batch_size = positive_int("batch_size", batch_size)
    left, right, count = iter(weights), iter(vecs), 0
    total: FloatArray | None = None
    while True:
        some = np.array(list(itertools.islice(left, batch_size)), np.float64)
        rows = [np.asarray(vec, np.float32) for vec in itertools.islice(right, batch_size)]
        if len(some) != len(rows):
            raise ValueError(f"weights and vecs must be as many, got {count + len(some)} and {count + len(rows)}")
        if not rows:
            break
        total = np.zeros(rows[0].size) if total is None else total
        if any(row.shape != total.shape for row in rows):
            raise ValueError(f"vecs must have shape {total.shape}, got {', '.join(sorted({str(row.shape) for row in rows}))}")
        part = np.zeros_like(total)
        kernels.weighted_sum(some, np.concatenate(rows), np.arange(len(rows)) * total.size, part)
        total += part
        count += len(rows)
    return (np.zeros((), np.float32) if total is None else total.astype(np.float32)), count


def create_shared_noise(count: int) -> np.ndarray:
    """RLlib's noise table: `count` standard normals, float32, the same numbers as its own."""
    generator = np.random.RandomState(_SEED)
    table = np.empty(positive_int("count", count), np.float32)
    for start in range(0, len(table), _BLOCK):
        part = table[start : start + _BLOCK]
        part[:] = generator.randn(len(part))
    return table


class SharedNoiseTable:
    """Directions as views into a table of noise.

    Parameters
    ----------
    noise : ndarray of float32, shape (n,)
    seed : int, optional
        Of the indices that are drawn. Default: of the operating system, so that two workers don't draw the same directions, as
        RLlib's do when its `seed` is set.
    """

    def __init__(self, noise: np.ndarray, seed: int | None = None) -> None:
        if getattr(noise, "dtype", None) != np.float32 or noise.ndim != 1:
            raise TypeError(f"noise must be an array of float32 with one axis, got {noise!r}")
        self.noise = noise
        self._generator = np.random.default_rng(seed)

    def get(self, i: int, dim: int) -> np.ndarray:
        """A view of `dim` numbers from index i on."""
        if not 0 <= i <= len(self.noise) - dim:
            raise ValueError(f"i must be from 0 to {len(self.noise) - dim} for dim={dim}, got {i}")
        return self.noise[i : i + dim]

    def sample_index(self, dim: int) -> int:
        """An index from which `dim` numbers follow, each with the same probability."""
        return int(self._generator.integers(0, len(self.noise) - dim + 1))

    def get_delta(self, dim: int) -> tuple[int, np.ndarray]:
        """(index, view) of a direction."""
        index = self.sample_index(dim)
        return index, self.get(index, dim)


def compute_ranks(x: Any) -> np.ndarray:
    """Ranks from 0 to n - 1 of the entries of x, shape (n,); int64."""
    values = np.asarray(x)
    if values.ndim != 1:
        raise ValueError(f"x must have one axis, got shape {values.shape}")
    ranks = np.empty(len(values), np.int64)
    ranks[np.argsort(values, kind="stable")] = np.arange(len(values))
    return ranks


def compute_centered_ranks(x: Any) -> np.ndarray:
    """Ranks of all entries of x, spread evenly over [-0.5, 0.5]; float32, of the shape of x."""
    values = np.asarray(x, np.float64)
    ranks = compute_ranks(values.ravel()).reshape(values.shape).astype(np.float32)
    return ranks / max(values.size - 1, 1) - np.float32(0.5)


class _Optimizer:
    """A step down a gradient. `policy` has `num_params` and `get_flat_weights()`."""

    def __init__(self, policy: Any) -> None:
        self.policy, self.dim, self.t = policy, policy.num_params, 0

    def update(self, globalg: Any) -> tuple[FloatArray, float]:
        """The step for a gradient of the loss, shape (num_params,).

        Returns
        -------
        theta : ndarray of float64, shape (num_params,)
            New weights; the policy keeps its own.
        ratio : float
            Norm of the step over the norm of the weights, infinite where these are zero.
        """
        gradient = np.ascontiguousarray(globalg, np.float64)
        if gradient.shape != (self.dim,):
            raise ValueError(f"globalg must have shape ({self.dim},), got {gradient.shape}")
        theta = np.array(self.policy.get_flat_weights(), np.float64)
        self.t += 1
        step = self._step(-gradient, theta)
        norm = float(np.linalg.norm(theta))
        return theta + step, float(np.linalg.norm(step)) / norm if norm > 0.0 else math.inf

    def _step(self, ascent: FloatArray, theta: FloatArray) -> FloatArray:
        raise NotImplementedError


class SGD(_Optimizer):
    """v = momentum v + (1 - momentum) g; theta -= stepsize v."""

    def __init__(self, policy: Any, stepsize: float, momentum: float = 0.0) -> None:
        super().__init__(policy)
        self.stepsize, self.momentum = stepsize, momentum
        self._velocity = np.zeros(self.dim)

    @property
    def v(self) -> FloatArray:
        """Velocity, along the gradient of the loss."""
        return -self._velocity

    def _step(self, ascent: FloatArray, theta: FloatArray) -> FloatArray:
        self._velocity, step = kernels.sgd_step(self._velocity, ascent, self.stepsize, self.momentum, 0.0, theta)
        return step


class Adam(_Optimizer):
    """Kingma & Ba 2015, in the form at the end of their section 2."""

    def __init__(self, policy: Any, stepsize: float, beta1: float = 0.9, beta2: float = 0.999, epsilon: float = 1e-8) -> None:
        super().__init__(policy)
        self.stepsize, self.beta1, self.beta2, self.epsilon = stepsize, beta1, beta2, epsilon
        self._m, self._v = np.zeros(self.dim), np.zeros(self.dim)

    def _step(self, ascent: FloatArray, theta: FloatArray) -> FloatArray:
        constants = float(self.stepsize), self.beta1, self.beta2, self.epsilon, 0.0
        self._m, self._v, step = kernels.adam_step(self._m, self._v, self.t, ascent, *constants, theta)
        return step
