"""Show progress on a terminal."""

from __future__ import annotations

import time
from typing import Any

from fastars._imports import need
from fastars._validate import user_facing
from fastars.callbacks.base import BaseCallback


class ProgressBarCallback(BaseCallback):
    """Shows steps, steps per second and the time left. Needs `fastars[cli]`."""

    @user_facing
    def __init__(self) -> None:
        super().__init__()
        self._bar: Any = None

    def _on_training_start(self) -> None:
        progress = need("rich.progress", "cli", "a progress bar")
        self._bar = progress.Progress(
            progress.BarColumn(),
            progress.TextColumn("{task.completed:,.0f} of {task.total:,.0f} steps {task.fields[speed]}"),
            progress.TimeElapsedColumn(),
            progress.TextColumn("left:"),
            progress.TimeRemainingColumn(),
        )
        self._start = self.num_timesteps, time.perf_counter()
        self._task = self._bar.add_task("", total=self.locals["total_timesteps"], completed=self.num_timesteps, speed="")
        self._bar.start()

    def _on_step(self) -> bool:
        if not self.locals.get("iteration_ends", True):
            return True
        steps, start = self._start
        speed = (self.num_timesteps - steps) / max(time.perf_counter() - start, 1e-9)
        self._bar.update(self._task, completed=self.num_timesteps, speed=f"at {speed:,.0f} steps/s")
        return True

    def _on_training_end(self) -> None:
        self.close()

    def close(self) -> None:
        """Stop the bar and give the terminal back."""
        if self._bar is not None:
            self._bar.stop()
