"""Check the arguments of public functions: one check for each kind of value, one wording, and the name of the called function.

A check takes the name of the argument first and returns the value in the type that the package computes with. A value of the wrong
kind is a `TypeError`, a value that is not allowed a `ValueError`; both name the argument, the value and what is allowed.
"""

from __future__ import annotations

import difflib
import functools
import inspect
import math
import operator
import re
import sys
import warnings
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar, cast

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_Function = TypeVar("_Function", bound=Callable[..., Any])
_PACKAGE = __name__.partition(".")[0]
MOST_INT64 = 2**63 - 1  # kernels and files hold no larger integer
_ABOUT_ARGUMENTS = ("TypeError", "ValueError", "UnsupportedEnvError", "UnknownEnvError")
_NAMED = re.compile(r"[\w.]+\(\)[: ]")  # a message that names a function already
_SIGNATURE = re.compile(r"[\w.<>]+\(\) ((?:got|missing|takes) .*)", re.DOTALL)  # Python's own words
_UNKNOWN = re.compile(r"unexpected keyword argument '(\w+)'")
# Objects without a text of their own, as Python shows them; three dots where a message cuts the text.
_ADDRESS = re.compile(r"<((?:[^<>]|<\w+>)*?)( object)? at 0x[0-9a-fA-F]+(?:>|(?=\.\.\.))")


def user_facing(function: _Function) -> _Function:
    """Start messages about arguments with the name of the public function that the user called.

    Only a call from outside the package names itself: `ARS.load` calls `ARS()`, and its error still begins with `ARS.load()`. A
    method is named with the class of its instance, which may be a subclass of the class that defines it. An error that comes from
    the user's own code, or from another package, passes unchanged.
    """

    @functools.wraps(function)
    def checked(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except (TypeError, ValueError) as error:
            if not _is_ours(sys._getframe(1)):
                _prefix(error, function, args)
            raise

    return cast(_Function, checked)


def _called_name(function: Callable[..., Any], args: tuple[Any, ...]) -> str:
    """Return the name of a function with parentheses; a method has its class before it, a constructor is its class."""
    path, _, name = function.__qualname__.rpartition(".")
    owner = path.rpartition(".")[2]
    first = args[0] if args else None
    cls = first if isinstance(first, type) else type(first)
    if any(base.__name__ == owner for base in cls.__mro__):
        owner = cls.__name__
    return ".".join(part for part in (owner, name) if part and part != "__init__") + "()"


def _parameters(function: Callable[..., Any], args: tuple[Any, ...]) -> set[str]:
    """Return the names of the parameters; of a constructor also those that it passes on to constructors of its base classes."""
    functions = [function]
    if function.__name__ == "__init__":
        functions += [vars(base)["__init__"] for base in type(args[0]).__mro__ if inspect.isfunction(vars(base).get("__init__"))]
    return {name for each in functions for name in inspect.signature(each).parameters if name not in ("self", "cls")}


def _package(frame: Any) -> str:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0]


def _is_ours(frame: Any) -> bool:
    return _package(frame) == _PACKAGE


def _prefix(error: Exception, function: Callable[..., Any], args: tuple[Any, ...]) -> None:
    """Put the name of the called function before the message of an error that this package raised."""
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    message = error.args[0] if len(error.args) == 1 else None
    if traceback is None or type(error).__name__ not in _ABOUT_ARGUMENTS or not isinstance(message, str):
        return
    frame, name = traceback.tb_frame, _called_name(function, args)
    is_of_call = frame.f_code.co_name == "checked" and frame.f_globals["__name__"] == __name__
    is_under_decorator = message.startswith(f"{function.__qualname__}() ") and frame.f_code is not inspect.unwrap(function).__code__
    if (is_of_call or is_under_decorator) and (match := _SIGNATURE.match(message)):
        unknown = _UNKNOWN.search(message)
        hint = did_you_mean(unknown[1], _parameters(function, args)) if unknown else ""
        error.args = (f"{name} {match[1]}{hint}",)
    elif _is_ours(frame):
        text = without_addresses(message)
        error.args = (text if _NAMED.match(text) else f"{name}: {text}",)


def without_addresses(text: str) -> str:
    """Return a text in which no object is named by its address in memory: an object of the class Foo, the function f."""
    return _ADDRESS.sub(_without_address, text)


def _without_address(match: re.Match[str]) -> str:
    words = match[1]
    if match[2]:
        return f"an object of the class {words.rpartition('.')[2]}"
    kind, _, name = words.partition(" ")
    return f"the function {name.rpartition('<locals>.')[2]}" if kind == "function" else f"<{words}>"


def warn_user(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn at the line of the user's program that called into this package, perhaps by way of `gymnasium.make_vec`."""
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and _package(frame) in (_PACKAGE, "gymnasium"):
        frame, level = frame.f_back, level + 1
    warnings.warn(without_addresses(message), category, stacklevel=level)


def integer(name: str, value: Any, least: int | None = None, most: int | None = None) -> int:
    """Return the value as an int from `least` to `most`; whole floats such as 1e5 count, bools do not."""
    whole = value.is_integer() if _is_float(value) else None
    try:
        converted = int(value) if whole else operator.index(value)
    except TypeError:
        converted = None
    if _is_bool(value) or (converted is None and whole is None):
        raise TypeError(f"{name} must be an integer{_range(least, most)}, got {value!r}")
    if converted is None or (least is not None and converted < least) or (most is not None and converted > most):
        raise ValueError(f"{name} must be an integer{_range(least, most)}, got {value!r}")
    return converted


def _range(least: int | None, most: int | None) -> str:
    if most is not None:
        return f" from {least} to {_limit(most)}" if least is not None else f" of at most {_limit(most)}"
    return f" of at least {least}" if least is not None else ""


def _limit(most: int) -> str:
    """Return a limit as a person writes it: 2**63 - 1, not 9223372036854775807."""
    n_bits = most.bit_length()
    below = 2**n_bits - most
    return f"2**{n_bits} - {below}" if n_bits > 30 and below < 2**20 else str(most)


def _is_bool(value: Any) -> bool:
    """Return True for a bool, NumPy's too; by its name, as the command checks its options before it imports NumPy."""
    return isinstance(value, bool) or (type(value).__module__ == "numpy" and type(value).__name__ in ("bool", "bool_"))


def _is_float(value: Any) -> bool:
    """Return True for a float, NumPy's too."""
    return isinstance(value, float) or (type(value).__module__ == "numpy" and type(value).__name__.startswith("float"))


def count(name: str, value: Any, least: int, most: int = MOST_INT64) -> int:
    """Return the value as an int from `least` to `most`. An error mentions `most` only if the value is above it."""
    converted = integer(name, value, least)
    return converted if converted <= most else integer(name, value, least, most)


def positive_int(name: str, value: Any, most: int = MOST_INT64) -> int:
    """Return the value as an int from 1 to `most`, as `count` does."""
    return count(name, value, 1, most)


def stored_integer(name: str, value: Any, least: int = 0, most: int = MOST_INT64) -> int:
    """Return the value of a file if it is an int from `least` to `most`; a ValueError for anything else, bools and floats too."""
    if type(value) is not int or not least <= value <= most:
        raise ValueError(f"{name} must be an integer{_range(least, most)}, got {value!r:.40}")
    return value


def refuse_long_integer(name: str, value: Any) -> None:
    """Raise for an integer of more than 64 bits, or a list with one: neither kernels nor files hold it."""
    for each in value if isinstance(value, (list, tuple)) else [value]:
        if isinstance(each, int) and not -MOST_INT64 <= each <= MOST_INT64:
            raise ValueError(f"{name} must be below 2**63, got {each!r}")


def number(name: str, value: Any, least: float = -math.inf, below: float = math.inf, *, above: float = -math.inf) -> float:
    """Return the value as a finite float with `least` <= value < `below` and value > `above`."""
    try:
        is_number = not _is_bool(value) and not isinstance(value, (str, bytes))
        converted = float(value) if is_number else math.nan
    except OverflowError:  # an integer beyond every float
        converted = math.inf
    except (TypeError, ValueError):
        is_number = False
    if is_number and math.isfinite(converted) and least <= converted < below and converted > above:
        return converted
    bounds = (("of at least", least), ("above", above), ("below", below))
    limits = [f"{words} {bound:g}" for words, bound in bounds if math.isfinite(bound)]
    allowed = f"a finite number {' and '.join(limits)}".rstrip()
    raise (ValueError if is_number else TypeError)(f"{name} must be {allowed}, got {value!r}")


def positive_seconds(name: str, value: Any) -> float:
    """Return the value as a finite number of seconds above 0."""
    try:
        return number(name, value, above=0.0)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{name} must be a positive number of seconds or None, got {value!r}") from None


def boolean(name: str, value: Any) -> bool:
    """Return the value as a bool; 0 and 1 count."""
    if not (_is_bool(value) or isinstance(value, int)) or value not in (0, 1):
        raise TypeError(f"{name} must be True or False, got {value!r}")
    return bool(value)


def one_of(name: str, value: Any, allowed: Iterable[Any]) -> Any:
    """Return the one of `allowed` that the value is; the error suggests a near one. An array of one text is no text."""
    choices = tuple(allowed)
    for choice in choices:
        if isinstance(value, type(choice)) and value == choice:
            return choice
    raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}, got {value!r}{did_you_mean(value, choices)}")


def near_names(value: Any, allowed: Iterable[Any], n: int = 1) -> list[str]:
    """Return up to n of the allowed names that are near to a value, the nearest first. Capitals don't matter."""
    names = {str(choice).casefold(): str(choice) for choice in allowed}
    return [names[near] for near in difflib.get_close_matches(str(value).casefold(), names, n=n)]


def did_you_mean(value: Any, allowed: Iterable[Any]) -> str:
    """Return "; did you mean 'x'?" for the nearest of the allowed names, or nothing if none is near."""
    near = near_names(value, allowed)
    return f"; did you mean {near[0]!r}?" if near else ""


def known_names(function: str, given: Iterable[str], allowed: Iterable[str]) -> None:
    """Raise a TypeError for the first keyword argument that `function` does not have; the error suggests a near one."""
    choices = tuple(allowed)
    for name in given:
        if name not in choices:
            raise TypeError(f"{function} got an unexpected keyword argument {name!r}{did_you_mean(name, choices)}")


def seed_array(seeds: Any, n: int) -> npt.NDArray[np.uint64]:
    """Return the seeds of n episodes as uint64, shape (n,)."""
    import numpy as np

    values = np.asarray(seeds, dtype=object) if isinstance(seeds, (list, tuple)) else np.asarray(seeds)
    if values.shape != (n,):
        raise ValueError(f"seeds must have shape ({n},), one per candidate, got {values.shape}")
    for seed in values if values.dtype.kind not in "iu" else values[values < 0]:
        if not isinstance(seed, (int, np.integer)) or not 0 <= seed < 2**64:
            raise ValueError(f"seeds must be integers from 0 to 2**64 - 1, got {seed!r}")
    return values.astype(np.uint64)


def task_weights(values: Any, n_tasks: int) -> npt.NDArray[np.float64]:
    """Return the weights of n rewards as finite float64, shape (n_tasks,); None means 1 each."""
    import numpy as np

    if values is None:
        return np.ones(n_tasks)
    if n_tasks == 0:
        raise ValueError(f"reward_weights must be None where the reward is a number, got {values!r}")
    weights = np.array(values, np.float64)
    if weights.shape != (n_tasks,) or not np.isfinite(weights).all():
        raise ValueError(f"reward_weights must be finite and of shape ({n_tasks},), one for each task, got {values!r}")
    return weights
