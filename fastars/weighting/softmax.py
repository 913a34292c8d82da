"""Positive numbers that sum to 1."""

from __future__ import annotations

import numpy as np

from fastars._compiled.structs import FloatArray


def softmax(scores: FloatArray) -> FloatArray:
    """exp(score) / sum of exp(scores), without overflow."""
    shares: FloatArray = np.exp(scores - scores.max())
    return shares / shares.sum()
