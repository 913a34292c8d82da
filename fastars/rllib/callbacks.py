"""RLlib's callbacks: a class whose methods run between iterations."""

from __future__ import annotations

from typing import Any

from fastars._validate import warn_user


class DefaultCallbacks:
    """Callbacks that do nothing. Derive a class from this one, and give it to `ARSConfig.callbacks()`.

    RLlib's ARS called no method for episodes, samples or batches, and neither does fastars: a warning names those that a class has.
    """

    def on_algorithm_init(self, *, algorithm: Any, **kwargs: Any) -> None:
        """Run after the algorithm has been made."""

    def on_train_result(self, *, algorithm: Any, result: dict[str, Any], **kwargs: Any) -> None:
        """Run after each iteration; what it changes in `result` is what `train` returns."""

    def on_evaluate_start(self, *, algorithm: Any, **kwargs: Any) -> None:
        """Run before `evaluate`."""

    def on_evaluate_end(self, *, algorithm: Any, evaluation_metrics: dict[str, Any], **kwargs: Any) -> None:
        """Run after `evaluate`, with its result."""

    def on_checkpoint_loaded(self, *, algorithm: Any, **kwargs: Any) -> None:
        """Run after a checkpoint has been restored."""


HEARD = frozenset(name for name in vars(DefaultCallbacks) if name.startswith("on_"))


def made(callbacks_class: Any) -> Any:
    """Return an instance of a class of callbacks; warn about methods of the user's that nothing calls."""
    callbacks = callbacks_class()
    theirs = ("ray.rllib.algorithms.callbacks", "ray.rllib.callbacks.callbacks", __name__)
    own = [cls for cls in type(callbacks).__mro__ if cls.__module__ not in (*theirs, "builtins")]
    unheard = sorted({name for cls in own for name in vars(cls) if name.startswith("on_") and name not in HEARD})
    if unheard:
        warn_user(f"{type(callbacks).__name__}: ARS never calls {', '.join(unheard)}, nor did RLlib's")
    return callbacks


def call(callbacks: Any, name: str, **arguments: Any) -> None:
    """Call a method of the callbacks, if they have it; later versions of Ray renamed some."""
    method = getattr(callbacks, name, None)
    if method is not None:
        method(**arguments)
