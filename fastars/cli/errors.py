"""Wrong use of the command."""

import contextlib
from collections.abc import Iterator


class WrongUseError(Exception):
    """The arguments of the command are wrong; exit code 2."""


@contextlib.contextmanager
def wrong_use() -> Iterator[None]:
    """Context that turns each TypeError and ValueError, which refuse an argument, into a `WrongUseError`."""
    try:
        yield
    except (ValueError, TypeError) as error:
        raise WrongUseError(str(error)) from error
