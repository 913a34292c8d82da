"""The noise table of a run, filled where its directions are: a short run would spend most of its time on the whole of it."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastars import kernels
from fastars._compiled.structs import FloatArray, IntArray, NoiseArray
from fastars._runtime.signals import run_in_thread
from fastars._runtime.threads import for_blocks
from fastars.kernels import NOISE_BLOCK
from fastars.kernels.directions import BLOCK

_PIECE = 128  # blocks (200 us) that a thread fills at a time


def _made(is_compiled: bool, *args: Any) -> NoiseTable:
    from fastars import reference

    return NoiseTable(kernels if is_compiled else reference, *args)


class NoiseTable:
    """Numbers from N(0, 1) that depend on seed and place alone, made when they are needed.

    It is filled block by block, each from a generator of its own. What was never needed takes no memory.

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
        self._is_filled = np.zeros(-(-size // NOISE_BLOCK), np.bool_)  # of each block
        self._square_sums: FloatArray | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return _made, (self._ops is kernels, self.seed, self.size, self._n_threads)

    def at(self, indices: IntArray, n_weights: int) -> NoiseArray:
        """The table, shape (size,), filled where directions of `n_weights` that start at `indices` are."""
        self._fill(self._ops.missing_blocks(indices, n_weights, self._is_filled))
        return self._values

    def whole(self) -> NoiseArray:
        """The table, shape (size,), all of it."""
        self._fill(np.flatnonzero(~self._is_filled))
        return self._values

    def square_sums(self, n_weights: int) -> FloatArray:
        """What `direction_squares` takes beside the table: sums over all of it, which short directions do without."""
        if n_weights < BLOCK:
            return np.zeros(1)
        if self._square_sums is None:
            values = self.whole()
            self._square_sums = run_in_thread(lambda: self._ops.square_sums(values))
        return self._square_sums

    def _fill(self, blocks: IntArray) -> None:
        def fill(piece: int) -> None:
            some = blocks[piece * _PIECE : (piece + 1) * _PIECE]
            self._ops.fill_blocks(np.uint64(self.seed), some, self._values)
            self._is_filled[some] = True  # only now: the handler of a signal may raise before

        for_blocks(fill, -(-len(blocks) // _PIECE), self._n_threads)
