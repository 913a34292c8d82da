"""Base classes of callbacks: one callback, a list of callbacks, and callbacks that call another callback."""

from __future__ import annotations

import contextlib
import copy
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from fastars._validate import user_facing


class BaseCallback:
    """A callback that does nothing. A class of your own overrides `_on_step`, and other methods that begin with an underscore.

    Parameters
    ----------
    verbose : int
        0 prints nothing, 1 prints each action.

    Attributes
    ----------
    model : ARS
        The model that trains.
    n_calls : int
        Number of environment steps so far; a step of a vector environment, in all of its environments at once, counts as one.
    num_timesteps : int
        `model.num_timesteps`: the environment steps so far, those of all environments.
    locals : dict
        Local variables of `ARS.learn`: its arguments; "iteration" and "rollouts" of the last iteration; and of the step that is
        heard of, an entry for each environment of a vector environment: "dones", "infos", "rewards", "actions", "new_obs". At the
        last step of an episode, the info has `{"episode": {"r": return, "l": length, "t": 0}}`. Rollouts do not keep the rest:
        whoever asks for rewards, actions, observations or other entries of infos lets the episode run again, in Gymnasium.
    globals : dict
        Global variables of the module of `ARS`.
    parent : BaseCallback or None
        The callback that calls this one.
    """

    model: Any

    @user_facing
    def __init__(self, verbose: int = 0) -> None:
        self.verbose = verbose
        self.n_calls = self.num_timesteps = 0
        self.locals: dict[str, Any] = {}
        self.globals: dict[str, Any] = {}
        self.parent: Any = None

    def __getstate__(self) -> dict[str, Any]:
        """Return the state of a copy, which belongs to no training yet: without the model, its log and its variables."""
        return {**{name: value for name, value in vars(self).items() if name != "model"}, "locals": {}, "globals": {}}

    def __copy__(self) -> BaseCallback:
        """Return an independent copy, as `copy.deepcopy` does; its lists and counters are its own."""
        return copy.deepcopy(self)

    @property
    def training_env(self) -> Any:
        """`model.get_env()`."""
        return self.model.get_env()

    @property
    def logger(self) -> Any:
        """`model.logger`; values recorded there become part of the row of this iteration."""
        return self.model.logger

    def init_callback(self, model: Any) -> None:
        """Take the model that trains."""
        self.model = model
        self._init_callback()

    def on_training_start(self, locals_: dict[str, Any], globals_: dict[str, Any]) -> None:
        """Act before training begins."""
        self.locals, self.globals = locals_, globals_
        self.num_timesteps = self.model.num_timesteps
        self._on_training_start()

    def on_rollout_start(self) -> None:
        """Act before an iteration."""
        self._on_rollout_start()

    def update_locals(self, locals_: dict[str, Any]) -> None:
        """Take the new values of local variables."""
        self.locals.update(locals_)
        self.update_child_locals(locals_)

    def update_child_locals(self, locals_: dict[str, Any]) -> None:
        """Pass the new values of local variables to the callbacks that this one calls."""
        for child in self._children():
            child.update_locals(locals_)

    def on_step(self) -> bool:
        """Act after a step, or after the event that this callback waits for; False stops training."""
        self.n_calls += 1
        self.num_timesteps = self.model.num_timesteps
        return self._on_step()

    def on_rollout_end(self) -> None:
        """Act at the end of an iteration."""
        self._on_rollout_end()

    def on_training_end(self) -> None:
        """Act after training."""
        self._on_training_end()

    def close(self) -> None:
        """Release the terminal and files. `ARS.learn` calls this last, also after an error."""

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
    """A function `callback(locals, globals)` as a callback; training stops when it returns False."""

    @user_facing
    def __init__(self, callback: Callable[[dict[str, Any], dict[str, Any]], bool | None], verbose: int = 0) -> None:
        super().__init__(verbose)
        self.callback = callback

    def _on_step(self) -> bool:
        return goes_on(self.callback(self.locals, self.globals))


class CallbackList(BaseCallback):
    """Several callbacks, called in their order; training stops after the call in which one of them returns False."""

    @user_facing
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
        answers = [callback.on_step() for callback in self.callbacks]  # before `all`, so that every callback is called
        return all(goes_on(answer) for answer in answers)

    def _on_rollout_end(self) -> None:
        for callback in self.callbacks:
            callback.on_rollout_end()

    def _on_training_end(self) -> None:
        for callback in self.callbacks:
            callback.on_training_end()


class EventCallback(BaseCallback):
    """Calls another callback at an event. A derived class decides when, and calls `_on_event`."""

    @user_facing
    def __init__(self, callback: Any = None, verbose: int = 0) -> None:
        super().__init__(verbose)
        self.callback = callback
        if callback is not None:
            callback.parent = self

    def _children(self) -> Sequence[Any]:
        return () if self.callback is None else (self.callback,)

    def init_callback(self, model: Any) -> None:
        """Take the model that trains."""
        super().init_callback(model)
        for child in self._children():
            child.init_callback(model)

    def _on_training_start(self) -> None:
        for child in self._children():
            child.on_training_start(self.locals, self.globals)

    def _on_event(self) -> bool:
        return all(goes_on(child.on_step()) for child in self._children())


def goes_on(answer: Any) -> bool:
    """Return True unless a callback returned False, Python's or NumPy's (the result of comparing two means)."""
    return not isinstance(answer, (bool, np.bool_)) or bool(answer)


@contextlib.contextmanager
def saving(what: str) -> Iterator[None]:
    """Warn about an OSError while a file is written, and continue: a full or failing disk loses the file, never the run."""
    try:
        yield
    except OSError as error:
        warnings.warn(f"{what} could not be saved, training goes on: {error}", RuntimeWarning, stacklevel=3)
