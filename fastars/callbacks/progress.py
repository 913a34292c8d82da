"""Show progress on a terminal."""

from __future__ import annotations

import time
from typing import Any

from fastars._imports import need
from fastars._printable import is_watched
from fastars._progress import Bar, Standing, count, duration
from fastars._validate import user_facing
from fastars.callbacks.base import BaseCallback


class ProgressBarCallback(BaseCallback):
    """Shows steps, steps per second and the time left on one line, as wide as the terminal allows. Needs `fastars[cli]`.

    Off a terminal and a notebook, there is one line at the end.
    """

    @user_facing
    def __init__(self) -> None:
        super().__init__()
        self._console: Any = None
        self._bar: Bar | None = None

    def _on_training_start(self) -> None:
        self._console = need("rich.console", "cli", "a progress bar").Console(highlight=False, markup=False, emoji=False)
        self._start = self.num_timesteps, time.perf_counter()
        if self._console.is_jupyter or (is_watched(self._console.file) and not self._console.is_dumb_terminal):
            self._bar = Bar(self._console, self._standing(), is_transient=True)
            self._bar.start()

    def _on_step(self) -> bool:
        if self._bar is not None and self.locals.get("iteration_ends", True):
            self._bar.standing = self._standing()
        return True

    def _standing(self) -> Standing:
        steps, total = self.num_timesteps, self.locals["total_timesteps"]
        fraction, (new, seconds) = min(steps / total, 1.0), self._done()
        if not new:
            return Standing(steps, total, fraction)
        rate = new / seconds
        return Standing(steps, total, fraction, rate, left=max(total - steps, 0) / rate)

    def _done(self) -> tuple[int, float]:
        """Return the steps of this training, and its seconds."""
        steps, start = self._start
        return self.num_timesteps - steps, max(time.perf_counter() - start, 1e-9)

    def _on_training_end(self) -> None:
        self.close()
        new, seconds = self._done()
        done = f"{self.num_timesteps:,} of {self.locals['total_timesteps']:,} steps"
        self._console.print(f"{done} in {duration(seconds)}, {count(new / seconds)} steps/s")

    def close(self) -> None:
        """Remove the bar and give the terminal back."""
        if self._bar is not None:
            self._bar.stop()
