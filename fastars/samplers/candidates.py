"""Candidates as theta and directions: each of them is made when it is read, and where its episodes run."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastars._compiled.structs import Filter, FloatArray, IntArray, NoiseArray, Rollouts, SeedArray, empty_rollouts
from fastars._runtime.threads import for_blocks
from fastars._validate import user_facing
from fastars.samplers.noise_table import NoiseTable
from fastars.samplers.results import part_of, write_part

_COLUMNS = 1 << 19  # of a candidate that a thread writes at a time, in 0.5 ms; to wake a thread takes 0.02 ms
PIECE = 1 << 21  # weights that one call makes, 16 MiB, if that is a candidate or more
_MOST_AT_ONCE = 1 << 23  # weights of an array of all candidates, 64 MiB; where there are more, each is made when it is needed


@dataclass(frozen=True, eq=False)
class Candidates:
    """The candidates theta + sigma delta and theta - sigma delta of an iteration, each of them made when it is read.

    It is read like the array of float64, shape (2 n_delta, n_weights), that it stands for: `len`, `candidates[i]`,
    `candidates[a:b]` and iteration give new arrays with the bits of its rows. `numpy.asarray` makes the whole array.

    Attributes
    ----------
    theta : ndarray of float64, shape (n_weights,)
    sigma : float
        Deviation of the noise (`delta_std`).
    indices : ndarray of int64, shape (n_delta,)
        Where each direction starts in the noise table.
    table : NoiseTable
    """

    theta: FloatArray
    sigma: float
    indices: IntArray
    table: NoiseTable

    @property
    def shape(self) -> tuple[int, int]:
        """Shape of the array: (2 n_delta, n_weights)."""
        return 2 * len(self.indices), len(self.theta)

    @property
    def is_large(self) -> bool:
        """True if the array would be larger than 64 MiB."""
        return self.shape[0] * self.shape[1] > _MOST_AT_ONCE

    def __len__(self) -> int:
        return 2 * len(self.indices)

    def __getitem__(self, which: Any) -> FloatArray:
        if isinstance(which, slice):
            begin, end, step = which.indices(len(self))
            return self._rows(begin, max(end, begin)) if step == 1 else self[np.arange(len(self))[which]]
        if isinstance(which, list | np.ndarray) and np.ndim(which) == 1:
            numbers = np.arange(len(self))[which]
            rows = np.empty((len(numbers), len(self.theta)))
            for row, candidate in zip(rows, numbers, strict=True):
                self.write(candidate, row)
            return rows
        row = np.empty(len(self.theta))
        self.write(which, row)
        return row

    def __iter__(self) -> Iterator[FloatArray]:
        for first in range(0, len(self), 2):
            yield from self._rows(first, first + 2)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if copy is False:
            raise ValueError("candidates are no array: they can't be read as one without a copy")
        return self[:] if dtype is None else self[:].astype(dtype, copy=False)

    def __repr__(self) -> str:
        return f"<Candidates: {len(self)} of {len(self.theta):,} weights, sigma={self.sigma:g}>"

    @user_facing
    def write(self, candidate: int, out: np.ndarray) -> None:
        """Write a candidate to an array, which may be used again for the next one.

        Parameters
        ----------
        candidate : int
            From 0 to 2 n_delta - 1; a negative number counts from the end.
        out : ndarray of float64 or float32, shape (n_weights,)
            Written. It must be contiguous, and not the memory of theta. float32 gets the numbers of float64, rounded.

        Raises
        ------
        IndexError
            If there is no such candidate.
        ValueError
            If `out` is another array.
        """
        number, n = operator.index(candidate), len(self)
        if not -n <= number < n:
            raise IndexError(f"candidate must be from {-n} to {n - 1}, got {number}")
        is_good = isinstance(out, np.ndarray) and out.dtype in (np.float64, np.float32) and out.shape == self.theta.shape
        if not is_good or not (out.flags.c_contiguous and out.flags.writeable):
            wanted = f"a contiguous array of float64 or float32, shape ({len(self.theta)},), that can be written to"
            found = f"{out.dtype}, shape {out.shape}" if isinstance(out, np.ndarray) else type(out).__name__
            raise ValueError(f"out must be {wanted}; got {found}")
        if np.may_share_memory(out, self.theta):  # of all that is read later, and of the run
            raise ValueError("out must be an array of its own; got the memory of theta, which the candidates are made from")
        self._write_on_threads(number % n, out)

    def direction(self, k: int) -> NoiseArray:
        """Return delta_k, a read-only view of the noise table: float32, shape (n_weights,)."""
        begin = int(self.indices[k])
        view = self.table.at(np.array([begin]), len(self.theta))[begin : begin + len(self.theta)]
        view.flags.writeable = False
        return view

    def _rows(self, begin: int, end: int) -> FloatArray:
        """Return candidates `begin` to `end - 1` as an array; threads make many of them side by side."""
        rows = np.empty((end - begin, len(self.theta)))
        each = 2 * max(PIECE // (2 * max(len(self.theta), 1)), 1)
        noise = self.table.at(self.indices[begin // 2 : -(-end // 2)], len(self.theta))

        def make(piece: int) -> None:
            some = rows[piece * each : (piece + 1) * each]
            self.table.backend.write_candidates(self.theta, self.sigma, noise, self.indices, begin + piece * each, some)

        for_blocks(make, -(-len(rows) // each), self.table.n_threads)
        return rows

    def _write_on_threads(self, candidate: int, out: np.ndarray) -> None:
        """Write a candidate; threads write parts of a large one."""
        start = self.indices[candidate // 2 : candidate // 2 + 1]
        noise = self.table.at(start, len(out))
        n_parts = max(len(out) // _COLUMNS, 1)

        def write(part: int) -> None:
            low, high = part * len(out) // n_parts, (part + 1) * len(out) // n_parts
            row, theta = out[np.newaxis, low:high], self.theta[low:high]
            self.table.backend.write_candidates(theta, self.sigma, noise, start + low, candidate % 2, row)

        for_blocks(write, n_parts, self.table.n_threads)


def of_episodes(weights: FloatArray | Candidates, seeds: SeedArray, out: Rollouts, first: int, last: int) -> tuple[Any, ...]:
    """Return the arguments (weights, seeds, begin, end, out) of a rollout kernel for episodes `first` to `last - 1`.

    Of `Candidates`, those are made that the episodes need, and the arrays are the parts that belong to them.
    """
    if not isinstance(weights, Candidates):
        return weights, seeds, first, last, out
    each = len(seeds) // len(weights)
    begin, end = first // each, -(-last // each)
    part = slice(begin * each, end * each)
    return weights[begin:end], seeds[part], first - part.start, last - part.start, part_of(out, part)


def n_pieces(weights: FloatArray | Candidates) -> int:
    """Return the least number of blocks in which `Candidates` should run, so that few of them are there at a time."""
    return -(-weights.shape[0] * weights.shape[1] // PIECE) if isinstance(weights, Candidates) else 1


def in_pieces(
    evaluate: Callable[..., Rollouts],
    candidates: Candidates,
    filter: Filter,
    seeds: SeedArray,
    track: bool,
    n_tasks: int,
    least: int = 1,
) -> Rollouts:
    """Evaluate a piece of the candidates at a time, as an array, by `evaluate(weights, seeds)`, and return all results.

    A piece has 16 MiB of weights, but not less than `least` candidates.
    """
    n_at_once = max(PIECE // candidates.shape[1], least)
    out, each = empty_rollouts(len(seeds), len(filter.mean), track, n_tasks), len(seeds) // len(candidates)
    for first in range(0, len(candidates), n_at_once):
        rows = candidates[first : first + n_at_once]
        part = slice(first * each, (first + len(rows)) * each)
        write_part(out, part, evaluate(rows, seeds[part]))
    return out
