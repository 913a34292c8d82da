"""Act at intervals of environment steps, or once per iteration."""

from __future__ import annotations

from typing import Any

from fastars._validate import positive_int, user_facing
from fastars.callbacks.base import ConvertCallback, EventCallback


class EveryNTimesteps(EventCallback):
    """Calls a callback every `n_steps` environment steps.

    Parameters
    ----------
    n_steps : int
        Environment steps between two calls.
    callback : BaseCallback
        The callback.
    """

    @user_facing
    def __init__(self, n_steps: int, callback: Any) -> None:
        super().__init__(callback)
        self.n_steps = positive_int("n_steps", n_steps)
        self.last_time_trigger = 0

    def _on_step(self) -> bool:
        if self.num_timesteps - self.last_time_trigger < self.n_steps:
            return True
        self.last_time_trigger = self.num_timesteps
        return self._on_event()


class LogEveryNTimesteps(EveryNTimesteps):
    """Writes a row of the log every `n_steps` environment steps. With `learn(log_interval=None)` there are no other rows.

    Parameters
    ----------
    n_steps : int
        Environment steps between two rows.
    """

    @user_facing
    def __init__(self, n_steps: int) -> None:
        super().__init__(n_steps, None)

    def _on_event(self) -> bool:
        self.model.dump_logs()
        return True


class EveryIteration(EventCallback):
    """Calls a callback once per iteration, at its last step, after the update. fastars' own.

    Parameters
    ----------
    callback : BaseCallback or callable
        The callback, or a function `callback(locals, globals)`. Training stops when it returns False. `locals["rollouts"]` has the
        returns and lengths of the iteration's episodes.
    """

    @user_facing
    def __init__(self, callback: Any = None) -> None:
        is_function = callable(callback) and not hasattr(callback, "on_step")
        super().__init__(ConvertCallback(callback) if is_function else callback)

    def _on_step(self) -> bool:
        return not self.locals.get("iteration_ends", True) or self._on_event()
