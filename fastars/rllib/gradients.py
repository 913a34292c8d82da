"""RLlib's functions for gradient estimates: ranks of returns, and weighted sums of directions."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

import numpy as np

from fastars import kernels
from fastars._compiled.structs import FloatArray
from fastars._validate import positive_int, user_facing


@user_facing
def batched_weighted_sum(weights: Iterable[float], vecs: Iterable[Any], batch_size: int) -> tuple[np.ndarray, int]:
    """Return the sum over i of weights[i] * vecs[i], computed in batches.

    Parameters
    ----------
    weights : iterable of float
        One for each vector.
    vecs : iterable of array_like, shape (dim,)
        As many vectors as weights. A generator of views into a noise table is read one batch at a time.
    batch_size : int
        Number of vectors that are in memory at once.

    Returns
    -------
    total : ndarray of float32, shape (dim,)
        Summed in float64. A zero of shape () if there are no vectors.
    count : int
        Number of vectors.

    Raises
    ------
    ValueError
        If weights and vectors differ in number, or the vectors in length.
    """
    batch_size = positive_int("batch_size", batch_size)
    left, right, count = iter(weights), iter(vecs), 0
    total: FloatArray | None = None
    while True:
        some = np.array(list(itertools.islice(left, batch_size)), np.float64)
        rows = [np.asarray(vec, np.float32) for vec in itertools.islice(right, batch_size)]
        if len(some) != len(rows):
            raise ValueError(f"weights and vecs must have equal length, got {count + len(some)} and {count + len(rows)}")
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


@user_facing
def compute_ranks(x: Any) -> np.ndarray:
    """Return the ranks, from 0 to n - 1, of the entries of x, shape (n,); int64."""
    values = np.asarray(x)
    if values.ndim != 1:
        raise ValueError(f"x must have one axis, got shape {values.shape}")
    ranks = np.empty(len(values), np.int64)
    ranks[np.argsort(values, kind="stable")] = np.arange(len(values))
    return ranks


@user_facing
def compute_centered_ranks(x: Any) -> np.ndarray:
    """Return the ranks of all entries of x, spread evenly over [-0.5, 0.5]; float32, with the shape of x."""
    values = np.asarray(x, np.float64)
    ranks = compute_ranks(values.ravel()).reshape(values.shape).astype(np.float32)
    return ranks / max(values.size - 1, 1) - np.float32(0.5)
