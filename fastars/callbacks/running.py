"""Make a callback of an argument of the user, and call it as training does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from fastars.callbacks.base import BaseCallback, CallbackList, ConvertCallback, goes_on
from fastars.callbacks.progress import ProgressBarCallback

_METHODS = "init_callback", "on_training_start", "on_rollout_start", "update_locals", "on_step", "on_rollout_end", "on_training_end"


def make_callback(callback: Any, progress_bar: bool = False) -> Any:
    """Return one callback for the argument `callback` of `ARS.learn`.

    Parameters
    ----------
    callback : callback, callable, list of these, or None
        Any object with the methods of `BaseCallback` is a callback: the class of stable-baselines3 is not imported here.
    progress_bar : bool
        True adds a `ProgressBarCallback`.

    Raises
    ------
    TypeError
        If `callback` is something else.
    """
    if callback is None:
        made: Any = CallbackList([])
    elif isinstance(callback, (list, tuple)):
        made = CallbackList([make_callback(one) for one in callback])
    elif all(hasattr(callback, name) for name in _METHODS):
        made = callback
    elif callable(callback):
        made = ConvertCallback(callback)
    else:
        raise TypeError(f"callback must be a function callback(locals, globals), a callback, or a list of these, got {callback!r}")
    return CallbackList([made, ProgressBarCallback()]) if progress_bar else made


def step(callback: Any, n_steps: int) -> bool:
    """Call `on_step` of a callback once for `n_steps` environment steps; return False if training must stop.

    `n_calls` grows by `n_steps`. During the call it is the last multiple of the callback's own frequency (an attribute whose name
    ends with "freq") among these steps, if there is one.

    Parameters
    ----------
    callback : callback
        A callback that `make_callback` returned.
    n_steps : int
        Number of environment steps since the last call.
    """
    n_steps = max(n_steps, 1)
    counts = [(each, each.n_calls) for each in _counting(callback)]
    for each, before in counts:
        multiples = [(before + n_steps) // frequency * frequency for frequency in _frequencies(each)]
        each.n_calls = max([multiple for multiple in multiples if multiple > before], default=before + n_steps) - 1
    try:
        return goes_on(callback.on_step())
    finally:
        for each, before in counts:
            each.n_calls = before + n_steps


def close(callback: Any) -> None:
    """Close a callback and the callbacks in its lists, after training or an error. Classes of stable-baselines3 have no `close`."""
    for each in _counting(callback):
        if isinstance(each, BaseCallback):
            each.close()


def _counting(callback: Any) -> Iterator[Any]:
    """Yield a callback if it counts its calls, and the callbacks in it if it is a list. Events, not steps, call all others."""
    if hasattr(callback, "n_calls"):
        yield callback
    for each in getattr(callback, "callbacks", ()):
        yield from _counting(each)


def _frequencies(callback: Any) -> list[int]:
    """Return the values of all attributes whose names end with "freq"."""
    values = (value for name, value in getattr(callback, "__dict__", {}).items() if name.endswith("freq"))
    return [int(value) for value in values if isinstance(value, (int, np.integer)) and value > 0]
