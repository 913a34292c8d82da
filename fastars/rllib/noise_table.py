"""RLlib's noise table, with the same numbers."""

from __future__ import annotations

import numpy as np

from fastars._validate import integer, positive_int, user_facing

_SEED = 123  # of RLlib's noise table
_BLOCK = 1 << 20  # normals drawn at a time: they are drawn as float64, and the table is float32


@user_facing
def create_shared_noise(count: int) -> np.ndarray:
    """Return a table of `count` standard normal numbers, float32, with the same numbers as RLlib's table."""
    generator = np.random.RandomState(_SEED)
    table = np.empty(positive_int("count", count), np.float32)
    for start in range(0, len(table), _BLOCK):
        part = table[start : start + _BLOCK]
        part[:] = generator.randn(len(part))
    return table


class SharedNoiseTable:
    """Directions as views into a noise table.

    Parameters
    ----------
    noise : ndarray of float32, shape (n,)
    seed : int, optional
        Seed of the indices that are drawn. Default: drawn from the operating system, so that two workers draw different directions.
        RLlib's workers draw the same directions if its `seed` is set.
    """

    @user_facing
    def __init__(self, noise: np.ndarray, seed: int | None = None) -> None:
        if not isinstance(noise, np.ndarray) or noise.dtype != np.float32 or noise.ndim != 1:
            raise TypeError(f"noise must be an array of float32 with one axis, got {noise!r}")
        self.noise = noise
        self._generator = np.random.default_rng(seed)

    @user_facing
    def get(self, i: int, dim: int) -> np.ndarray:
        """Return a view of `dim` numbers that begins at index i."""
        dim = integer("dim", dim, 1, len(self.noise))
        i = integer("i", i, 0, len(self.noise) - dim)
        return self.noise[i : i + dim]

    @user_facing
    def sample_index(self, dim: int) -> int:
        """Draw an index at which a view of `dim` numbers can begin, all with the same probability."""
        return int(self._generator.integers(0, len(self.noise) - integer("dim", dim, 1, len(self.noise)) + 1))

    @user_facing
    def get_delta(self, dim: int) -> tuple[int, np.ndarray]:
        """Draw a direction. Returns (index, view)."""
        index = self.sample_index(dim)
        return index, self.get(index, dim)
