"""Progress of a run on stderr: a bar on a terminal, otherwise a line every 10 s."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from fastars._compiled.announcing import announced_to
from fastars._printable import is_watched
from fastars._progress import ECHO, Bar, Standing, duration, first_that_fits
from fastars.cli.terminal import complain

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live


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
    """Context with the progress of a run.

    Parameters
    ----------
    console : rich.console.Console
        On stderr.
    total : int
        Steps of the run.
    done : (int, float)
        Steps of earlier parts, and their fraction of the run.
    is_shown : bool
        False to show nothing.
    label : str
        Text before the progress.
    """
    if not (is_shown and _can_move(console)):
        yield Progress(_line(total, label), 10.0 if is_shown else math.inf, done)
        return
    bar = Bar(console, Standing(done[0], total, done[1], label=label))

    def show(steps: int, fraction: float, rate: float, best_return: float, left: float) -> None:
        bar.standing = Standing(steps, total, fraction, rate, best_return, left, label)

    bar.start()
    try:
        yield Progress(show, 0.1, done)
    finally:
        bar.stop()


def _can_move(console: Console) -> bool:
    """Return True if the console is a terminal on which a line can be written again."""
    return is_watched(console.file) and not console.is_dumb_terminal


def _line(total: int, label: str) -> Callable[[int, float, float, float, float], None]:
    def show(steps: int, fraction: float, rate: float, best_return: float, left: float) -> None:
        complain(Standing(steps, total, fraction, rate, best_return, left, label).sentence())

    return show


class Compilation:
    """Kernels that a command compiles, at one place of it or at several: said when it begins, and once when all is done.

    Usually kernels come from the cache, without a message.

    Parameters
    ----------
    console : rich.console.Console
        On stderr.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._text, self._seconds = "", 0.0

    @contextlib.contextmanager
    def part(self, is_last: bool = True) -> Iterator[None]:
        """Context in which kernels may be compiled. After the last one, a line says how long that took in all."""
        start, before = time.perf_counter(), self._seconds
        with contextlib.ExitStack() as stack:
            if _can_move(self._console):
                stack.enter_context(_live(self._console, lambda: self._forms(before + time.perf_counter() - start)))
            stack.enter_context(announced_to(self._hear))
            yield
        if self._text:
            self._seconds += time.perf_counter() - start
            if is_last:
                complain(f"Compiled the kernels in {duration(self._seconds)}; {_kept()}.")

    def _hear(self, text: str) -> None:
        if not self._text and not _can_move(self._console):
            complain(text)
        self._text = text

    def _forms(self, seconds: float) -> list[str]:
        """Return the line for a terminal, in forms that get shorter."""
        if not self._text:
            return ["Loading the kernels ..."]
        so_far = f"{seconds:.0f} s so far"
        return [f"{self._text} ({so_far})", f"Compiling the kernels, once ({so_far})", f"Compiling ({so_far})"]


def compiling(console: Console) -> contextlib.AbstractContextManager[None]:
    """Return a context that says so if a kernel must be compiled in it, and afterwards how long that took."""
    return Compilation(console).part()


def _live(console: Console, forms: Callable[[], list[str]]) -> Live:
    """Return a line that is renewed while the context lasts, and then goes away."""
    from rich.live import Live
    from rich.text import Text

    def line() -> Text:
        return Text(first_that_fits(forms(), console.width - ECHO), no_wrap=True)

    return Live(get_renderable=line, console=console, transient=True, refresh_per_second=4)


def _kept() -> str:
    from fastars._compiled.kernel_cache import cache_directory

    directory = cache_directory()
    return f"kept in {directory} for the next runs" if directory else "not kept, as there is no folder that only you can write"
