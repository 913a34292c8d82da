"""How training calls what a user gave as a callback."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from fastars.callbacks.base import BaseCallback, CallbackList, ConvertCallback, goes_on
from fastars.callbacks.progress import ProgressBarCallback

_METHODS = "init_callback", "on_training_start", "on_rollout_start", "update_locals", "on_step", "on_rollout_end", "on_training_end"


def make_callback(callback: Any, progress_bar: bool = False) -> Any:
    """A callback of whatever `ARS.learn` takes as one: a callback, a function, a list of these, or None.

    Raises
    ------
    TypeError
        If it is none of them.
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
    """Let a callback see `n_steps` steps of the environment, in one call of its `on_step`; False if it says so.

    `n_calls` grows by `n_steps`. During the call it is the last multiple of the callback's own frequency (an attribute whose name
    ends with "freq") among these steps, if there is one.
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
    """Let a callback leave the terminal and its files as they should be, however training ended."""
    for each in _counting(callback):
        if isinstance(each, BaseCallback):
            getattr(each, "close", lambda: None)()


def _counting(callback: Any) -> Iterator[Any]:
    """A callback if it counts its calls, and those in it if it is a list of them: the others are called by events, not by steps."""
    if hasattr(callback, "n_calls"):
        yield callback
    for each in getattr(callback, "callbacks", ()):
        yield from _counting(each)


def _frequencies(callback: Any) -> list[int]:
    values = (value for name, value in getattr(callback, "__dict__", {}).items() if name.endswith("freq"))
    return [int(value) for value in values if isinstance(value, (int, np.integer)) and value > 0]
