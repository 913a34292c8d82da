"""A callback, several of them as one, and callbacks that call others."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np


class BaseCallback:
    """A callback; a class of your own overrides `_on_step`, and others of the methods with an underscore.

    Parameters
    ----------
    verbose : int
        0: silent. 1: what happens is printed.

    Attributes
    ----------
    model : ARS
        The model that trains.
    n_calls : int
        Steps of the environment so far, of a vector environment those of all its environments at once.
    num_timesteps : int
        `model.num_timesteps`.
    locals : dict
        Of `ARS.learn`: "self", "total_timesteps", and of the last iteration "iteration", "rollouts", and for each of its episodes
        "rewards" (the return), "dones" (True) and "infos" (`{"episode": {"r": return, "l": length, "t": 0}}`).
    globals : dict
        Of the module of `ARS`.
    parent : BaseCallback or None
        The callback that triggers this one.
    """

    model: Any

    def __init__(self, verbose: int = 0) -> None:
        self.verbose = verbose
        self.n_calls = self.num_timesteps = 0
        self.locals: dict[str, Any] = {}
        self.globals: dict[str, Any] = {}
        self.parent: Any = None

    @property
    def training_env(self) -> Any:
        """`model.get_env()`."""
        return self.model.get_env()

    @property
    def logger(self) -> Any:
        """`model.logger`; what is recorded there becomes part of the row of this iteration."""
        return self.model.logger

    def init_callback(self, model: Any) -> None:
        """Get to know the model."""
        self.model = model
        self._init_callback()

    def on_training_start(self, locals_: dict[str, Any], globals_: dict[str, Any]) -> None:
        """Training begins."""
        self.locals, self.globals = locals_, globals_
        self.num_timesteps = self.model.num_timesteps
        self._on_training_start()

    def on_rollout_start(self) -> None:
        """An iteration begins."""
        self._on_rollout_start()

    def update_locals(self, locals_: dict[str, Any]) -> None:
        """There are new local variables."""
        self.locals.update(locals_)
        self.update_child_locals(locals_)

    def update_child_locals(self, locals_: dict[str, Any]) -> None:
        """Pass new local variables on to the callbacks that this one calls."""
        for child in self._children():
            child.update_locals(locals_)

    def on_step(self) -> bool:
        """An iteration has been run, or the event that this callback is for has happened; False stops training."""
        self.n_calls += 1
        self.num_timesteps = self.model.num_timesteps
        return self._on_step()

    def on_rollout_end(self) -> None:
        """An iteration ends."""
        self._on_rollout_end()

    def on_training_end(self) -> None:
        """Training is done."""
        self._on_training_end()

    def _children(self) -> Sequence[Any]:
        return ()

    def _init_callback(self) -> None: ...

    def _on_training_start(self) -> None: ...

    def _on_rollout_start(self) -> None: ...

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None: ...

    def _on_training_end(self) -> None: ...


class ConvertCallback(BaseCallback):
    """A function `callback(locals, globals)` as a callback; returning False stops training."""

    def __init__(self, callback: Callable[[dict[str, Any], dict[str, Any]], bool | None], verbose: int = 0) -> None:
        super().__init__(verbose)
        self.callback = callback

    def _on_step(self) -> bool:
        return goes_on(self.callback(self.locals, self.globals))


class CallbackList(BaseCallback):
    """Several callbacks, called one after the other; training stops if one of them says so."""

    def __init__(self, callbacks: Sequence[Any]) -> None:
        super().__init__()
        self.callbacks = list(callbacks)

    def _children(self) -> Sequence[Any]:
        return self.callbacks

    def _init_callback(self) -> None:
        for callback in self.callbacks:
            callback.init_callback(self.model)
            callback.parent = self.parent

    def _on_training_start(self) -> None:
        for callback in self.callbacks:
            callback.on_training_start(self.locals, self.globals)

    def _on_rollout_start(self) -> None:
        for callback in self.callbacks:
            callback.on_rollout_start()

    def _on_step(self) -> bool:
        answers = [callback.on_step() for callback in self.callbacks]  # all are called
        return all(goes_on(answer) for answer in answers)

    def _on_rollout_end(self) -> None:
        for callback in self.callbacks:
            callback.on_rollout_end()

    def _on_training_end(self) -> None:
        for callback in self.callbacks:
            callback.on_training_end()


class EventCallback(BaseCallback):
    """Calls another callback when something happens, which a derived class says by `_on_event`."""

    def __init__(self, callback: Any = None, verbose: int = 0) -> None:
        super().__init__(verbose)
        self.callback = callback
        if callback is not None:
            callback.parent = self

    def _children(self) -> Sequence[Any]:
        return () if self.callback is None else (self.callback,)

    def init_callback(self, model: Any) -> None:
        """Get to know the model."""
        super().init_callback(model)
        for child in self._children():
            child.init_callback(model)

    def _on_training_start(self) -> None:
        for child in self._children():
            child.on_training_start(self.locals, self.globals)

    def _on_event(self) -> bool:
        return all(goes_on(child.on_step()) for child in self._children())


def goes_on(answer: Any) -> bool:
    """Whether training goes on after what a callback returned: False stops it, also NumPy's, which comparing means gives."""
    return not isinstance(answer, (bool, np.bool_)) or bool(answer)


@contextlib.contextmanager
def saving(what: str) -> Iterator[None]:
    """While a file is written. A disk that is full or fails loses the file, never the run, and is warned of every time."""
    try:
        yield
    except OSError as error:
        warnings.warn(f"{what} could not be saved, training goes on: {error}", RuntimeWarning, stacklevel=3)
