"""One line for a user who waits for the compiler.

The first kernel that is missing in the cache is said in the log of `fastars`. Where the log does not show it, stderr does if
somebody looks: on a terminal, in a notebook, and after `tell_on_stderr`. A script without a terminal stays silent.
"""

import contextlib
import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

_KEPT = "Compiling the kernels for this processor, once: usually 5 to 20 s"
_NOT_KEPT = "Compiling kernels, which can't be kept: every process does so"
_LOG = logging.getLogger("fastars")


class _Line:
    """The line of this process. `is_wanted` is True if stderr may have it whoever looks."""

    def __init__(self) -> None:
        self.is_wanted, self._is_said = False, False

    def say(self, text: str) -> None:
        if self._is_said:
            return
        with contextlib.suppress(OSError, ValueError, AttributeError):  # a stderr that is closed, or of the user's own
            if _LOG.isEnabledFor(logging.INFO):
                _LOG.info(text)
            elif self.is_wanted or _is_watched():
                sys.stderr.write(f"fastars: {text[0].lower()}{text[1:]}\n")
                sys.stderr.flush()
            else:
                return
        self._is_said = True


_line = _Line()
_listeners: list[Callable[[str], None]] = [_line.say]


def announce(path: Path | None) -> None:
    """Say that a kernel is missing, whose file would be at `path`; None: it can't be kept."""
    _listeners[-1](_NOT_KEPT if path is None else _KEPT)


def tell_on_stderr() -> None:
    """Write the line on stderr, whoever looks."""
    _line.is_wanted = True


@contextlib.contextmanager
def announced_to(say: Callable[[str], None]) -> Iterator[None]:
    """Context in which `say` is called with the line, for every kernel that is missing, and nothing is written."""
    _listeners.append(say)
    try:
        yield
    finally:
        _listeners.remove(say)


def _is_watched() -> bool:
    """Return True if somebody looks at the stderr of this process. Of several processes on one terminal the first one speaks."""
    from multiprocessing import parent_process  # here, as the command's help needs no processes

    return parent_process() is None and ("ipykernel" in sys.modules or sys.stderr.isatty())
