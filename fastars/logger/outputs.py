"""Rows of the log, and the methods of an output that takes them."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

_PLAIN = frozenset((float, int, str, bool, type(None)))
_PEER = "stable_baselines3."


class Output(Protocol):
    """An object that takes rows. Outputs may also have the methods of `TextOutput`, `FlushableOutput` and `ClosableOutput`."""

    def write(self, key_values: dict[str, Any], key_excluded: dict[str, tuple[str, ...]], step: int = 0) -> None:
        """Write one row.

        Parameters
        ----------
        key_values : dict
            The values by key.
        key_excluded : dict
            The kinds of output ("stdout", "csv", ...) that leave a key out, by key.
        step : int
            Number of environment steps.
        """


@runtime_checkable
class TextOutput(Protocol):
    """An output that also takes messages."""

    def write_sequence(self, texts: list[str]) -> None:
        """Write the texts as one line, with spaces between them."""


@runtime_checkable
class FlushableOutput(Protocol):
    """An output that holds rows back for a while."""

    def flush(self) -> None:
        """Write the rows that are held back."""


@runtime_checkable
class ClosableOutput(Protocol):
    """An output that has something to close, such as a file."""

    def close(self) -> None:
        """Close the output."""


class Row(dict[str, Any]):
    """A row that converts its numbers to text once for all files, which halves the time of a row with two files."""

    _number_texts: dict[str, str] | None = None

    @property
    def number_texts(self) -> dict[str, str]:
        """The text of each number, by key. JSON uses it for finite numbers only."""
        if self._number_texts is None:
            self._number_texts = {key: repr(value) for key, value in self.items() if type(value) in (float, int)}
        return self._number_texts


def number_texts(key_values: dict[str, Any]) -> dict[str, str]:
    """Return the text of each number of a row, by key."""
    return (key_values if isinstance(key_values, Row) else Row(key_values)).number_texts


def is_media(value: Any) -> bool:
    """Return True for a picture, video or the like that the logger of stable-baselines3 wraps in a class of its own."""
    return type(value).__module__.startswith(_PEER)


def text_values(key_values: dict[str, Any], key_excluded: dict[str, tuple[str, ...]], name: str) -> dict[str, Any]:
    """Return the values for an output of text: without pictures, and without the keys that exclude the output called `name`."""
    if any(key_excluded.values()):
        key_values = {key: value for key, value in key_values.items() if name not in key_excluded.get(key, ())}
    return {key: value for key, value in key_values.items() if type(value) in _PLAIN or not is_media(value)}
