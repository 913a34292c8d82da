"""Read the spaces in a file of stable-baselines3 from their texts. The pickles of the same spaces beside them are not read.

NumPy prints a float32 in full where it prints at most eight decimals; other bounds are within 1e-8 of the ones that were saved. Of
more than 1,000 numbers it prints the first and the last three. If these are equal, all bounds of an observation are taken to be:
no policy uses them. Bounds of actions are never guessed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from gymnasium import spaces

from fastars.envs.described_spaces import space_of

_TYPE = re.compile(r"<class '(?:gym|gymnasium)\.spaces\.\w+\.(Box|Discrete|MultiDiscrete|MultiBinary)'>")
_NUMBER = re.compile(r"[-+]?(?:inf|\d+\.?\d*(?:e[-+]?\d+)?)")
_MOST_TEXT = 1 << 20


def space_of_text(stored: Any, most: int, of_actions: bool = False) -> spaces.Space | None:
    """Return the space that a file describes.

    Parameters
    ----------
    stored : object
        "observation_space" or "action_space" of a file, which may be anything.
    most : int
        Entries that the space may have at most, flattened.
    of_actions : bool
        True for the space of actions, whose bounds decide what a policy does.

    Returns
    -------
    gymnasium.Space or None
        None if the texts don't say what is needed.
    """
    try:
        return space_of(_plain(stored, of_actions), most)
    except (KeyError, TypeError, ValueError, OverflowError, AttributeError):
        return None


def _plain(stored: Mapping[str, Any], of_actions: bool) -> dict[str, Any]:
    """Return the space in the form of `fastars.envs.described_spaces`."""
    match = _TYPE.fullmatch(stored[":type:"])
    if match is None:
        raise ValueError(f"a space of the type {str(stored[':type:'])[:40]!r}")
    kind = match[1]
    if kind == "Discrete":
        return {"type": kind, "n": int(stored["n"]), "start": int(stored.get("start", 0)), "dtype": "int64"}
    if kind == "MultiBinary":
        shape = [int(n) for n in _numbers(stored["n"])] if isinstance(stored["n"], str) else stored["n"]
        return {"type": kind, "n": shape[0] if isinstance(shape, list) and len(shape) == 1 else shape}
    shape, dtype = stored.get("_shape", stored.get("shape")), stored["dtype"]
    if kind == "MultiDiscrete":
        choices = [int(n) for n in _numbers(stored["nvec"])]
        starts = [int(n) for n in _numbers(stored["start"])] if "start" in stored else [0] * len(choices)
        return {"type": kind, "shape": shape, "dtype": dtype, "nvec": choices, "start": starts}
    low, high = (_bounds(stored[name], stored.get(f"{name}_repr"), dtype, of_actions) for name in ("low", "high"))
    return {"type": kind, "shape": shape, "dtype": dtype, "low": low, "high": high}


def _bounds(text: str, short: Any, dtype: str, of_actions: bool) -> Any:
    """Return the bounds of a Box: one number where all are equal, else a list."""
    whole = int if "int" in dtype else float
    numbers = _numbers(short) if isinstance(short, str) and "..." not in short else []
    if "..." in text and len(numbers) != 1 and not of_actions:
        numbers = list(set(_numbers(text.replace("...", ""))))
    if len(numbers) == 1:
        return whole(numbers[0])
    return [whole(number) for number in _numbers(text)]


def _numbers(text: str) -> list[str]:
    """Return the numbers in the printed form of an array."""
    if "..." in text or len(text) > _MOST_TEXT:
        raise ValueError("an array that is not printed in full")
    return _NUMBER.findall(text)
