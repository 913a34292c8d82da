"""`lin_policy_plus.npz` of the original ARS (github.com/modestyachts/ARS): weights (n_act, n_obs), mean and deviation of
observations.

They are an array of objects, which NumPy keeps as a pickle; it is read as plain data.
"""

from __future__ import annotations

import io
import warnings
from typing import Any

import numpy as np

from fastars.exchange.pickles import numpy_array, numpy_objects, read_pickle
from fastars.exchange.trained import TrainedPolicy, layers_of_policy, normalisation, policy_of_layers, trained_of
from fastars.files.archives import MAX_NUMBERS, MAX_OBS, Archive, npy
from fastars.files.atomic import write_atomically

_TINY = 1e-7  # a deviation below it was infinite in training, though the file has it as it is


def is_one(names: list[str]) -> bool:
    """Whether a zip with members of these names can be a file of the original."""
    return len(names) == 1 and names[0].endswith(".npy")


def read(archive: Archive) -> TrainedPolicy:
    """The policy in a file of the original ARS.

    Raises
    ------
    ValueError, KeyError, TypeError
        If it is none.
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
    if mean.ndim == 0 and std.ndim == 0:  # its NoFilter
        if mean != 0.0 or std != 1.0:
            raise ValueError(f"mean {mean} and deviation {std}, where an unfiltered policy has 0 and 1")
        return trained
    mean, std = normalisation(mean, std, trained.n_obs)
    return trained._replace(mean=mean, std=np.where(std < _TINY, np.inf, std))


def write(model: Any, path: Any) -> None:
    """Write a model's linear policy to a file as the original ARS writes it.

    Parameters
    ----------
    model : fastars.ARS
        A model.
    path : str or PathLike
        The file, replaced as a whole.

    Raises
    ------
    ValueError
        If the format can't hold the policy: one with hidden layers, biases or squashed actions.
    """
    trained = trained_of(model)
    (matrix, bias), *hidden = layers_of_policy(
        trained.weights, [trained.n_obs, *model.config.net_arch, trained.n_act], model.config.with_bias
    )
    if hidden or bias is not None or trained.squash_output:
        raise ValueError("the original's files hold linear policies without bias and squash_output only")
    if np.isfinite(trained.clip_observations):
        warnings.warn(
            f"the original does not clip observations: clip_observations={trained.clip_observations:g} is left out", stacklevel=2
        )
    parts = np.empty(3, object)
    parts[:] = matrix, *((0, 1) if trained.mean is None else (trained.mean, trained.std))
    content = io.BytesIO()
    np.savez(content, parts)
    write_atomically(path, [content.getvalue()])
