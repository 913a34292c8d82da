"""Sorting and percentiles."""

import math

import numpy as np

from fastars._compiled.jit import inline, kernel


@kernel
def ascending_order(values):
    """Return the stable order of `values` without NaN, by a bottom-up merge sort.

    `np.argsort(kind="mergesort")` takes 4 times as long to compile.
    """
    n = values.shape[0]
    order, merged = np.empty(n, np.int64), np.empty(n, np.int64)
    for k in range(n):
        order[k] = k
    width = 1
    while width < n:
        for begin in range(0, n, 2 * width):
            middle, end = min(begin + width, n), min(begin + 2 * width, n)
            left, right = begin, middle
            for k in range(begin, end):
                take_left = right >= end or (left < middle and values[order[left]] <= values[order[right]])
                if take_left:
                    merged[k] = order[left]
                    left += 1
                else:
                    merged[k] = order[right]
                    right += 1
        order, merged = merged, order
        width *= 2
    return order


@inline
def percentile(values, q):
    """Return `np.percentile(values, q)` of ascending values, with the bits of its linear rule."""
    position = (values.shape[0] - 1) * (q / 100.0)
    below = math.floor(position)
    low = values[below]
    high = values[min(below + 1, values.shape[0] - 1)]
    t = position - below
    return high - (high - low) * (1.0 - t) if t >= 0.5 else low + (high - low) * t
