"""Positive numbers that sum to 1."""

from __future__ import annotations

import numpy as np

from fastars._compiled.structs import FloatArray


def softmax(scores: FloatArray) -> FloatArray:
    """Return exp(score) / sum of exp(scores) for each score, without overflow."""
    shares: FloatArray = np.exp(scores - scores.max())
    return shares / shares.sum()
