"""Make a callback of an argument of the user, and close it."""

from __future__ import annotations

from typing import Any

from fastars._validate import user_facing
from fastars.callbacks.base import BaseCallback, CallbackList, ConvertCallback
from fastars.callbacks.hearing import counted
from fastars.callbacks.progress import ProgressBarCallback

_METHODS = "init_callback", "on_training_start", "on_rollout_start", "update_locals", "on_step", "on_rollout_end", "on_training_end"


@user_facing
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


def close(callback: Any) -> None:
    """Close a callback and the callbacks in its lists, after training or an error. Classes of stable-baselines3 have no `close`."""
    for each in counted(callback):
        if isinstance(each, BaseCallback):
            each.close()
