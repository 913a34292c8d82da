"""Rows of the log as events that TensorBoard shows."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from fastars._imports import need
from fastars.files.errors import naming
from fastars.logger.outputs import is_media

_N_BINS = 30  # of a histogram
_FLUSH_SECONDS = 1.0


@runtime_checkable
class _Figure(Protocol):
    """A figure of Matplotlib, as stable-baselines3's logger wraps it."""

    figure: Any
    close: bool  # True closes the figure once it is written


@runtime_checkable
class _Image(Protocol):
    """An array of pixels, as stable-baselines3's logger wraps it."""

    image: Any
    dataformats: str  # order of the axes, such as "HWC"


class TensorBoardOutput:
    """Writes one event per row, with all numbers of the row. Needs `fastars[tensorboard]`.

    The training thread writes the events itself. tensorboardX's `SummaryWriter` gives them to a second thread, so a crash can lose
    them and a reader can come too early. Its `add_scalar` writes one event per number, which takes several times as long for a row.

    Parameters
    ----------
    folder : Path
        Folder of the run. The events are in a new file in it, `events.out.tfevents.*`.
    """

    _is_closed = True

    def __init__(self, folder: Path) -> None:
        purpose = "a log for TensorBoard"
        self._summary = need("tensorboardX.summary", "tensorboard", purpose)
        self._protocol = need("tensorboardX.proto.event_pb2", "tensorboard", purpose)
        self._name = folder / "events"
        writer = need("tensorboardX.event_file_writer", "tensorboard", purpose).EventsWriter
        # The name has the time in seconds: without the suffix, a second call of `learn` in that second overwrites the file.
        self._events = writer(str(folder / "events"), f".{time.time_ns()}")
        self._next_flush, self._is_closed = 0.0, False

    def write(self, key_values: dict[str, Any], key_excluded: dict[str, tuple[str, ...]], step: int = 0) -> None:
        """Write one row; for its arguments see `Output.write`."""
        summary = self._summary.Summary()
        values = summary.value
        for key, value in key_values.items():
            if value is None or "tensorboard" in key_excluded.get(key, ()):
                continue
            if isinstance(value, (float, int)):  # also bool; `Logger.record` converts NumPy's scalars to these
                values.add(tag=key, simple_value=value)
            elif (other := self._other(key, value)) is not None:
                values.extend(other.value)
        with naming(self._name):
            self._events.write_event(self._protocol.Event(wall_time=time.time(), step=step, summary=summary))
            if time.monotonic() >= self._next_flush:  # a flush waits for the disk, for some milliseconds
                self._events.flush()
                self._next_flush = time.monotonic() + _FLUSH_SECONDS

    def _other(self, key: str, value: Any) -> Any:
        """Return the summary of a value that is no number, or None if TensorBoard has no form for it."""
        if isinstance(value, str):
            return self._summary.text(key, value)
        if isinstance(value, _Figure):
            pixels = need("tensorboardX.utils", "tensorboard").figure_to_image(value.figure, value.close)
            return self._summary.image(key, pixels, dataformats="CHW")
        if isinstance(value, _Image):
            return self._summary.image(key, np.asarray(value.image), dataformats=value.dataformats)
        if is_media(value):  # a video, or hyperparameters
            return None
        return self._summary.histogram(key, np.asarray(value), bins=_N_BINS)

    def flush(self) -> None:
        """Write the events that are held back, for up to a second."""
        if not self._is_closed:
            self._events.flush()

    def close(self) -> None:
        """Close the file of events."""
        if not self._is_closed:
            self._is_closed = True
            self._events.close()

    def __del__(self) -> None:
        self.close()
