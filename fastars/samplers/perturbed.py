"""Candidates as theta and directions: a sampler makes them where their episodes run."""

from __future__ import annotations

from dataclasses import dataclass

from fastars import kernels
from fastars._compiled.structs import FloatArray, IntArray
from fastars.samplers.noise_table import NoiseTable


@dataclass(frozen=True)
class Perturbed:
    """The candidates theta + sigma delta and theta - sigma delta of some directions in a noise table.

    Its length and its items are the length and the rows of the array (2 n_delta, n_weights) that it stands for.
    """

    theta: FloatArray  # (n_weights,)
    sigma: float
    indices: IntArray  # (n_delta,), where each direction starts in the table
    table: NoiseTable

    def __len__(self) -> int:
        return 2 * len(self.indices)

    def __getitem__(self, candidate: int) -> FloatArray:
        direction, sign = divmod(candidate, 2)
        of_direction = self.indices[direction : direction + 1]
        noise = self.table.at(of_direction, len(self.theta))
        pair: FloatArray = kernels.perturb(self.theta, self.sigma, noise, of_direction)
        row: FloatArray = pair[sign]
        return row
