"""Subclasses of `ARS` that change methods of stable-baselines3-contrib's ARS.

`learn` calls these where that is natural. At the definition of a class, a warning names the methods that nothing would call.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastars._compiled.structs import FloatArray
from fastars._validate import warn_user
from fastars.training.policy_modules import detached, imported_torch

_UNCALLED = {
    "_trigger_callback": "callbacks hear of steps after the rollouts of an iteration",
    "_mimic_monitor_wrapper": "_update_info_buffer gets the infos of an iteration's episodes",
    "_dump_logs": "change dump_logs",
    "_excluded_save_params": "a file holds what the run needs, and no other attribute",
    "_get_torch_save_params": "a file holds what the run needs, and no other attribute",
    "_setup_lr_schedule": "give learning_rate a function",
    "_store_transition": "ARS keeps no transitions",
    "collect_rollouts": "change evaluate_candidates",
    "train": "change _do_one_update",
}


def warn_of_uncalled(cls: type) -> None:
    """Warn at the definition of a subclass of `ARS` about methods that are never called, and say what is."""
    for name, instead in _UNCALLED.items():
        if hasattr(cls, name) and not any(hasattr(base, name) for base in cls.__bases__ if hasattr(base, "evaluate_candidates")):
            warn_user(f"{cls.__name__}.{name} is never called by fastars: {instead}")


def is_changed(model: Any, name: str) -> bool:
    """Return True if a method of a model is not fastars' own."""
    function = getattr(getattr(model, name), "__func__", None)
    return not str(getattr(function, "__module__", "")).startswith("fastars.")


def for_subclass(rows: FloatArray) -> Any:
    """Return candidates as `evaluate_candidates` gets them: a tensor where the program has imported PyTorch.

    Ours are theta + sigma delta and theta - sigma delta in turn, (2 n_delta, n_weights); theirs are all of the first kind first.
    """
    ordered = np.concatenate((rows[::2], rows[1::2]))
    torch = imported_torch()
    return ordered if torch is None else torch.from_numpy(ordered)


def rows_of(candidate_weights: Any, n_delta: int, n_weights: int) -> FloatArray:
    """Return candidates that `evaluate_candidates` got in our own order."""
    weights = _array("candidate_weights", candidate_weights)
    if weights.shape != (2 * n_delta, n_weights):
        raise ValueError(f"candidate_weights must have shape {(2 * n_delta, n_weights)}, got {weights.shape}")
    return np.ascontiguousarray(weights.reshape(2, n_delta, n_weights).swapaxes(0, 1)).reshape(2 * n_delta, n_weights)


def returns_of(values: Any, n_delta: int) -> FloatArray:
    """Return the returns that `evaluate_candidates` gave as an array (n_delta, 2)."""
    returns = _array("the returns of evaluate_candidates", values).ravel()
    if returns.size != 2 * n_delta:
        raise ValueError(f"the returns of evaluate_candidates must be {2 * n_delta} numbers, got {returns.size}")
    return returns.reshape(2, n_delta).T.copy(order="C")


def like(given: Any, array: FloatArray) -> Any:
    """Return an array as a tensor if `given` is one."""
    torch = imported_torch()
    return torch.from_numpy(array) if torch is not None and isinstance(given, torch.Tensor) else array


def _array(name: str, values: Any) -> FloatArray:
    numbers = detached(values)
    try:
        if numbers is None:  # NumPy would make a NaN of it
            raise TypeError
        return np.array(numbers, dtype=np.float64)
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be numbers, got {values!r:.80}") from None
