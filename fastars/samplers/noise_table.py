"""The noise table of a run, filled as far as its directions reach: a short run would spend most of its time on the whole of it."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastars import kernels
from fastars._signals import apart
from fastars._structs import FloatArray, IntArray, NoiseArray
from fastars.kernels import NOISE_BLOCK
from fastars.kernels.directions import BLOCK
from fastars.samplers.compiled import for_blocks

_PARALLEL = 1 << 16  # numbers (200 us) from which a second thread pays


def _made(is_compiled: bool, *args: Any) -> NoiseTable:
    from fastars import reference

    return NoiseTable(kernels if is_compiled else reference, *args)


class NoiseTable:
    """Numbers from N(0, 1) that depend on seed and place alone, made when they are needed.

    A block is drawn in order by a generator of its own, so it is filled from its beginning to the last number needed so far. What
    was never needed takes no memory.

    Parameters
    ----------
    ops : module
        `fastars.kernels` or `fastars.reference`.
    seed : int
        Seed of the run.
    size : int
        Numbers in the table.
    n_threads : int
        Threads that fill it; the content is the same for any number.
    """

    def __init__(self, ops: Any, seed: int, size: int, n_threads: int = 1) -> None:
        self.seed, self.size = seed, size
        self._ops, self._n_threads = ops, n_threads
        self._values = np.empty(size, np.float32)
        self._blocks = np.zeros((-(-size // NOISE_BLOCK), 5), np.uint64)  # of each its generator, and how many numbers it has drawn
        self._square_sums: FloatArray | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return _made, (self._ops is kernels, self.seed, self.size, self._n_threads)

    def at(self, indices: IntArray, n_weights: int) -> NoiseArray:
        """The table, shape (size,), filled where directions of `n_weights` that start at `indices` are."""
        self._fill(self._ops.noise_reach(indices, n_weights, self.size))
        return self._values

    def whole(self) -> NoiseArray:
        """The table, shape (size,), all of it."""
        starts = NOISE_BLOCK * np.arange(len(self._blocks))
        self._fill(np.minimum(self.size - starts, NOISE_BLOCK).astype(np.uint64))
        return self._values

    def square_sums(self, n_weights: int) -> FloatArray:
        """What `direction_squares` takes beside the table: sums over all of it, which short directions do without."""
        if n_weights < BLOCK:
            return np.zeros(1)
        if self._square_sums is None:
            values = self.whole()
            self._square_sums = apart(lambda: self._ops.square_sums(values))
        return self._square_sums

    def _fill(self, reach: np.ndarray) -> None:
        """Let every block have at least so many numbers."""
        drawn = self._blocks[:, 4]
        blocks = np.flatnonzero(reach > drawn)
        if len(blocks) == 0:
            return

        def fill(place: int) -> None:
            block = int(blocks[place])
            *state, n_drawn = self._blocks[block].tolist()
            generator = np.array(state, np.uint64) if n_drawn else self._ops.noise_generator(np.uint64(self.seed), block)
            start = block * NOISE_BLOCK
            self._ops.extend_noise(generator, self._values[start + n_drawn : start + int(reach[block])])
            self._blocks[block] = np.append(generator, reach[block])  # at once: a handler of a signal may raise before it or after

        n_numbers = int((reach - drawn)[blocks].sum())
        for_blocks(fill, len(blocks), self._n_threads if n_numbers >= _PARALLEL else 1)
