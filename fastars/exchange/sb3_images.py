"""Images in files of stable-baselines3, whose policies take them divided by 255, and with the channels first.

fastars gives a policy the numbers of the environment. So what stable-baselines3 does to an image goes into the first layer: its
weights are divided by 255, and its columns put into the order of the environment's entries. On writing, the other way round.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastars._compiled.structs import FloatArray
from fastars.envs.spaces import is_image

WHITE = 255.0  # the largest value of a channel


def channels_first(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape that stable-baselines3 gives an image: the shortest axis is that of the channels."""
    return shape if int(np.argmin(shape)) == 0 else (shape[2], shape[0], shape[1])


def with_channels_last(weights: FloatArray, n_rows: int, stored: Any, present: Any) -> FloatArray:
    """Put the columns of a first layer into the order of the environment's images.

    Parameters
    ----------
    weights : ndarray of float64, shape (n_weights,)
        Of all layers. The first one is the first `n_rows` times the size of an image.
    n_rows : int
        Outputs of the first layer.
    stored, present : gymnasium.Space
        Observations in the file, and of the environment.

    Returns
    -------
    ndarray of float64, shape (n_weights,)
        The same weights where the two have one shape, or are no images.
    """
    if not (is_image(stored) and is_image(present)) or stored.shape == present.shape:
        return weights
    if channels_first(present.shape) != stored.shape:
        return weights
    return _reordered(weights, n_rows, stored.shape, (1, 2, 0))


def with_channels_first(weights: FloatArray, n_rows: int, space: Any) -> FloatArray:
    """Put the columns of a first layer into the order in which stable-baselines3 has an image of this space."""
    if channels_first(space.shape) == space.shape:
        return weights
    return _reordered(weights, n_rows, space.shape, (2, 0, 1))


def scaled(weights: FloatArray, n_rows: int, n_obs: int, factor: float) -> FloatArray:
    """Multiply the weights of the first layer, and none of its biases."""
    result = weights.copy()
    result[: n_rows * n_obs] *= factor
    return result


def _reordered(weights: FloatArray, n_rows: int, shape: tuple[int, ...], order: tuple[int, int, int]) -> FloatArray:
    size = n_rows * int(np.prod(shape))
    images = weights[:size].reshape(n_rows, *shape)
    moved = np.moveaxis(images, [1 + axis for axis in order], [1, 2, 3])
    return np.concatenate([moved.ravel(), weights[size:]])
