"""What is done every so many steps."""

from __future__ import annotations

from typing import Any

from fastars._validate import positive_int
from fastars.callbacks.base import ConvertCallback, EventCallback


class EveryNTimesteps(EventCallback):
    """Triggers a callback every `n_steps` steps of the environment."""

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
    """Writes a row of the log every `n_steps` steps of the environment; `learn(log_interval=None)` writes no others."""

    def __init__(self, n_steps: int) -> None:
        super().__init__(n_steps, ConvertCallback(lambda *_: self.model.dump_logs()))
