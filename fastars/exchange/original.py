"""Read and write `lin_policy_plus.npz` of the original ARS (github.com/modestyachts/ARS).

The file holds an array of three objects: weights (n_act, n_obs), mean and standard deviation of observations. NumPy stores such an
array as a pickle, which is read as plain data.
"""

from __future__ import annotations

import io
import warnings
from typing import Any

import numpy as np

from fastars._validate import user_facing
from fastars.exchange.pickles import numpy_array, numpy_objects, read_pickle
from fastars.exchange.trained import TrainedPolicy, normalisation, policy_of_layers, trained_of
from fastars.files.archives import MAX_NUMBERS, MAX_OBS, Archive, npy
from fastars.files.atomic import write_atomically
from fastars.training.policy_structure import layers_of_policy

_TINY = 1e-7  # in training, the original replaces smaller deviations by infinity; the file has them unchanged
_EPSILON = 1e-8  # the original adds it to every deviation, in the file too


def matches(names: list[str]) -> bool:
    """Return True if a zip with members of these names can be a file of the original."""
    return len(names) == 1 and names[0].endswith(".npy")


def read(archive: Archive) -> TrainedPolicy:
    """Read the policy in a file of the original ARS.

    Raises
    ------
    ValueError, KeyError, TypeError
        If the file holds no policy.
    """
    dtype, shape, _, data = npy(archive.read(archive.names[0]))
    if dtype.kind != "O" or shape != (3,):
        raise ValueError(f"an array of {dtype} with shape {shape}, not the three objects of the original: weights, mean, deviation")
    trees = numpy_objects(read_pickle(bytes(data)))
    matrix, mean, std = (numpy_array(tree, most) for tree, most in zip(trees, (MAX_NUMBERS, MAX_OBS, MAX_OBS), strict=True))
    weights, sizes, _ = policy_of_layers([(matrix, None)])
    trained = TrainedPolicy(
        weights=weights,
        n_obs=sizes[0],
        n_act=sizes[-1],
        policy="LinearPolicy",
        policy_kwargs={"with_bias": False, "squash_output": False},
        source="original",
        clip_actions=False,
        preset="modestyachts",
    )
    if mean.ndim == 0 and std.ndim == 0:  # the NoFilter of the original
        if mean != 0.0 or std != 1.0:
            raise ValueError(f"mean {mean} and deviation {std}, where an unfiltered policy has 0 and 1")
        return trained
    mean, std = normalisation(mean, std, trained.n_obs)
    return trained._replace(mean=mean, std=np.where(std - _EPSILON < _TINY, np.inf, std))


@user_facing
def write(model: Any, path: Any) -> None:
    """Write a model's linear policy to a file of the original ARS.

    Parameters
    ----------
    model : fastars.ARS
        A model.
    path : str or PathLike
        The file. An existing file is replaced in one step.

    Raises
    ------
    ValueError
        If the policy has hidden layers, biases or squashed actions, which the format can't hold.
    """
    trained = trained_of(model)
    (matrix, bias), *hidden = layers_of_policy(
        trained.weights, [trained.n_obs, *model.config.net_arch, trained.n_act], model.config.with_bias
    )
    if hidden or bias is not None or trained.squash_output:
        raise ValueError("model must have a linear policy without bias and squash_output: files of the original hold no others")
    if np.isfinite(trained.clip_observations):
        warnings.warn(
            f"the original does not clip observations: clip_observations={trained.clip_observations:g} is left out", stacklevel=3
        )
    parts = np.empty(3, object)
    parts[:] = matrix, *((0, 1) if trained.mean is None else (trained.mean, trained.std))
    content = io.BytesIO()
    np.savez(content, parts)
    write_atomically(path, [content.getvalue()])
