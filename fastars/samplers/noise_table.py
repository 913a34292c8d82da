"""The noise table of a run, filled only where its directions are: the whole table would take most of the time of a short run."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastars import kernels
from fastars._compiled.structs import FloatArray, IntArray, NoiseArray
from fastars._runtime.cached import CachedProperty
from fastars._runtime.signals import HeldSignals
from fastars._runtime.threads import for_blocks, run_in_thread
from fastars.kernels import NOISE_BLOCK
from fastars.kernels.directions import BLOCK

_PIECE = 128  # blocks (200 us) that a thread fills at a time


class NoiseTable:
    """Numbers from N(0, 1) that depend on the seed and their place alone, made when they are needed.

    Each block is filled from its own generator. A block that is never needed takes no memory.

    Parameters
    ----------
    backend : module
        `fastars.kernels` or `fastars.reference`.
    seed : int
        Seed of the run.
    size : int
        Numbers in the table.
    n_threads : int
        Threads that fill it; the content is the same for any number.
    """

    def __init__(self, backend: Any, seed: int, size: int, n_threads: int = 1) -> None:
        self.seed, self.size = seed, size
        self.backend, self.n_threads = backend, n_threads
        self._square_sums: FloatArray | None = None
        self._asked: tuple[IntArray | None, int] = None, 0  # by the last call of `at`: an iteration asks twice

    def __reduce__(self) -> tuple[Any, ...]:
        return _new_table, (self.backend is kernels, self.seed, self.size, self.n_threads)

    def at(self, indices: IntArray, n_weights: int) -> NoiseArray:
        """Return the table, shape (size,), filled where directions of `n_weights` numbers start at `indices`."""
        if self._asked[0] is not indices or self._asked[1] != n_weights:
            missing = self.backend.missing_blocks(indices, n_weights, self._is_filled)
            if len(missing):
                self._fill(missing)
            self._asked = indices, n_weights
        return self._values

    def whole(self) -> NoiseArray:
        """Return the table, shape (size,), filled everywhere."""
        self._fill(np.flatnonzero(~self._is_filled))
        return self._values

    def square_sums(self, n_weights: int) -> FloatArray:
        """Return the argument `sums` of `direction_squares`: sums over the whole table, which short directions don't need."""
        if n_weights < BLOCK:
            return np.zeros(1)
        if self._square_sums is None:
            values = self.whole()
            self._square_sums = run_in_thread(lambda: self.backend.square_sums(values))
        return self._square_sums

    @CachedProperty
    def _values(self) -> NoiseArray:
        """The table, made when it is needed: a model that only predicts needs none."""
        try:
            return np.empty(self.size, np.float32)
        except (MemoryError, ValueError):  # NumPy's ValueError: more than an array can have
            raise MemoryError(f"a noise table of noise_size={self.size} numbers, 4 bytes each, does not fit into memory") from None

    @CachedProperty
    def _is_filled(self) -> np.ndarray:
        """True for each block that is filled."""
        return np.zeros(-(-self.size // NOISE_BLOCK), np.bool_)

    def _fill(self, blocks: IntArray) -> None:
        values, is_filled = self._values, self._is_filled

        def fill(piece: int) -> None:
            some = blocks[piece * _PIECE : (piece + 1) * _PIECE]
            self.backend.fill_blocks(np.uint64(self.seed), some, values)
            is_filled[some] = True  # only now: the handler of a signal may raise before

        if len(blocks) <= _PIECE:  # the usual case: 4 us less
            with HeldSignals():
                fill(0)
        else:
            for_blocks(fill, -(-len(blocks) // _PIECE), self.n_threads)


def _new_table(is_compiled: bool, *args: Any) -> NoiseTable:
    """Make the table of a pickled one; a module can't be pickled."""
    from fastars import reference

    return NoiseTable(kernels if is_compiled else reference, *args)
