"""Progress of a run on stderr: a bar on a terminal, otherwise a line every 10 s."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from fastars._compiled.announcing import announced_to
from fastars.cli.report import count, duration
from fastars.cli.terminal import complain

if TYPE_CHECKING:
    from rich.console import Console


class Progress:
    """Computes steps per second of training and the time left, and shows them at most every `interval` seconds.

    `update` is called after every iteration, which may take 100 us. So it first looks at the clock, and usually returns at once.

    Parameters
    ----------
    show : callable
        Called with steps, fraction of the run, steps per second, best return and seconds left.
    interval : float
        Seconds.
    done : (int, float)
        Steps that earlier parts of the run did, and their fraction of the run.
    """

    def __init__(self, show: Callable[[int, float, float, float, float], None], interval: float, done: tuple[int, float]) -> None:
        self._show = show
        self._done = done
        self._interval = interval
        self._start = self._shown = time.perf_counter()

    def update(self, steps: int, fraction: float, best_return: float, apart: float = 0.0) -> None:
        """Show the progress if `interval` has passed. `apart` is the time in seconds that evaluations and files have taken."""
        now = time.perf_counter()
        if now - self._shown < self._interval:
            return
        new_steps, new_fraction = steps - self._done[0], fraction - self._done[1]
        if new_steps <= 0 or new_fraction <= 0.0:
            return
        self._shown = now
        seconds = now - self._start
        left = (1.0 - fraction) * seconds / new_fraction  # includes the evaluations to come
        self._show(steps, fraction, new_steps / max(seconds - apart, 1e-9), best_return, left)


@contextlib.contextmanager
def progress(
    console: Console, total: int, done: tuple[int, float] = (0, 0.0), is_shown: bool = True, label: str = ""
) -> Iterator[Progress]:
    """Context with the progress of a run of `total` steps.

    Parameters
    ----------
    console : Console
        Stderr.
    total : int
        Steps of the run.
    done : (int, float)
        Steps of earlier parts, and their fraction of the run.
    is_shown : bool
        False: nothing is shown.
    label : str
        Text before the progress.
    """
    if not (is_shown and console.is_terminal):
        yield Progress(_line(total, label), 10.0 if is_shown else math.inf, done)
        return
    from rich.constrain import Constrain
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn
    from rich.progress import Progress as WholeBar

    class Bar(WholeBar):
        def get_renderable(self) -> Constrain:
            """Leave room for the ^C that a terminal echoes: after a full line it would begin a new line, and the bar would stay."""
            return Constrain(super().get_renderable(), console.width - 3)

    before = [TextColumn("{task.description}")] if label else []
    columns = *before, BarColumn(bar_width=20), TaskProgressColumn(), TextColumn("{task.fields[state]}")
    with Bar(*columns, console=console, transient=True) as bar:
        task = bar.add_task(label, total=1.0, state=f"{count(done[0])} of {count(total)} steps")

        bar.update(task, completed=done[1])

        def show(steps: int, fraction: float, rate: float, best_return: float, left: float) -> None:
            bar.update(task, completed=fraction, state=_state(f"{count(steps)} steps", rate, best_return, left))

        yield Progress(show, 0.1, done)


def _line(total: int, label: str) -> Callable[[int, float, float, float, float], None]:
    def show(steps: int, fraction: float, rate: float, best_return: float, left: float) -> None:
        complain((f"{label}: " if label else "") + _state(f"{count(steps)} of {count(total)} steps", rate, best_return, left))

    return show


def _state(done: str, rate: float, best_return: float, left: float) -> str:
    best = f"best return {best_return:.1f}, " if math.isfinite(best_return) else ""
    return f"{done}, {count(rate)} steps/s, {best}{duration(math.ceil(left))} left"


@contextlib.contextmanager
def compiling(console: Console) -> Iterator[None]:
    """Context that prints a message when a kernel must be compiled in it. Usually they come from the cache, without a message."""
    start, said = time.perf_counter(), list[str]()
    with contextlib.ExitStack() as stack:
        status = stack.enter_context(console.status("Loading the kernels ...")) if console.is_terminal else None

        def say(text: str) -> None:
            if not said:
                said.append(text)
                complain(text) if status is None else status.update(f"{text} ...")

        stack.enter_context(announced_to(say))
        yield
    if said:
        complain(f"Compiled the kernels in {duration(time.perf_counter() - start)}; {_kept()}.")


def _kept() -> str:
    from fastars._compiled.kernel_cache import cache_directory

    directory = cache_directory()
    return f"kept in {directory} for the next runs" if directory else "not kept, as there is no folder that only you can write"
