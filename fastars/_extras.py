"""Packages that are needed for one thing only: imported where that is done, and named where they are missing."""

from importlib import import_module
from typing import Any


def need(name: str, extra: str, what: str = "this") -> Any:
    """The module of an optional package.

    Raises
    ------
    ImportError
        If it is missing; the message says which extra of fastars brings it.
    """
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != name.partition(".")[0]:
            raise
        raise ImportError(f'{what} needs {name.partition(".")[0]}: pip install "fastars[{extra}]"', name=error.name) from error
