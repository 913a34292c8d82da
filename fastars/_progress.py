"""One line about a run that goes on, as wide as the terminal allows: of the command, and of `ProgressBarCallback`."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from rich.console import Console

_BAR_WIDTH, _LEAST_BAR = 20, 8  # columns
ECHO = 3  # columns left free for the ^C that a terminal echoes: after a full line it would begin a new one, and the line would stay


def count(n: float) -> str:
    """Write a number with three digits: 950, 12.3 k, 4.56 M."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if n >= 0.9995 * size:
            return f"{f'{n / size:#.3g}'.rstrip('.')} {letter}"
    return f"{n:.0f}"


def duration(seconds: float) -> str:
    """Write seconds as 0.02 s, 12 s, 3:04 or 2:03:04."""
    if seconds < 9.95:
        return f"{seconds:.2g} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    hours, minutes = whole // 3600, whole // 60 % 60
    return f"{hours}:{minutes:02d}:{whole % 60:02d}" if hours else f"{minutes}:{whole % 60:02d}"


class Standing(NamedTuple):
    """The progress of a run at one moment.

    Attributes
    ----------
    steps, total : int
        Steps that are done, and steps of the whole run.
    fraction : float
        Share of the run that is done, from 0 to 1.
    rate : float
        Steps per second; NaN if not known yet.
    best_return : float
        Best mean return of an evaluation; NaN or infinite if there is none.
    left : float
        Seconds to the end; NaN if not known yet.
    label : str
        Text before it all, such as the seed if there are several.
    """

    steps: int
    total: int
    fraction: float
    rate: float = math.nan
    best_return: float = math.nan
    left: float = math.nan
    label: str = ""

    def sentence(self) -> str:
        """Return the line for a file."""
        steps = f"{count(self.steps)} of {count(self.total)} steps"
        return (f"{self.label}: " if self.label else "") + _joined(steps, self._rate, self._best, self._left)

    def forms(self) -> list[str]:
        """Return the line for a terminal, in forms that leave out more and more."""
        percent = f"{self.label} {100.0 * self.fraction:3.0f}%".removeprefix(" ")
        steps = f"{count(self.steps)} steps" if math.isfinite(self.rate) else f"{count(self.steps)} of {count(self.total)} steps"
        parts = (
            (steps, self._rate, self._best, self._left),
            (steps, self._best, self._left),
            (self._best, self._left),
            (self._left,),
            (),
        )
        return [f"{percent} {_joined(*each)}".rstrip() for each in parts]

    @property
    def _rate(self) -> str:
        return f"{count(self.rate)} steps/s" if math.isfinite(self.rate) else ""

    @property
    def _best(self) -> str:
        return f"best return {self.best_return:.1f}" if math.isfinite(self.best_return) else ""

    @property
    def _left(self) -> str:
        return f"{duration(math.ceil(self.left))} left" if math.isfinite(self.left) else ""


def _joined(*parts: str) -> str:
    return ", ".join(filter(None, parts))


def first_that_fits(forms: Iterable[str], width: int) -> str:
    """Return the first of the texts that is at most `width` columns wide; if none is, the end of the last one is cut off."""
    form = ""
    for form in forms:
        if len(form) <= width:
            return form
    return form[: max(width, 0)]


class Bar:
    """A bar on a terminal with the standing of a run beside it. The bar goes first where there is no room for both.

    Parameters
    ----------
    console : rich.console.Console
        The terminal.
    standing : Standing
        What is shown first.
    is_transient : bool
        True to remove the line at the end.
    """

    def __init__(self, console: Console, standing: Standing, is_transient: bool = True) -> None:
        from rich.live import Live

        self._console, self.standing = console, standing
        self._live = Live(get_renderable=self._line, console=console, transient=is_transient, refresh_per_second=10)

    def start(self) -> None:
        """Show the bar."""
        self._live.start(refresh=True)

    def stop(self) -> None:
        """Give the terminal back."""
        self._live.stop()

    def _line(self) -> Any:
        """Return the line for the present width, with the styles that all terminals have."""
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        width = self._console.width - ECHO
        forms = self.standing.forms()
        room = width - len(forms[0]) - 1
        if room < _LEAST_BAR:
            return Text(first_that_fits(forms, width), no_wrap=True)
        line = Table.grid(padding=(0, 1, 0, 0))
        bar = ProgressBar(1.0, self.standing.fraction, min(room, _BAR_WIDTH))
        bar.style, bar.complete_style, bar.finished_style = "dim", "bold", "bold"
        line.add_row(bar, Text(forms[0], no_wrap=True))
        return line
