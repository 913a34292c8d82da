"""Compile a user's environment, and find it again in the cache of kernels by its content.

Numba tells environments apart by the class of their constants, so each gets one of its own, named after a digest of all that its
functions lead to (`closure_digest`). In another process, functions of the same content give the class of the same name, and with it
the kernels in the cache.
"""

from __future__ import annotations

import collections
import functools
import hashlib
import itertools
import logging
import re
from typing import Any

import numpy as np
from gymnasium.spaces import Discrete

from fastars._compiled.closure_digest import ClosureDigest
from fastars._compiled.jit import inline
from fastars._compiled.protocol import register_functions
from fastars._compiled.tuples import rewards64, to_float32, to_float64
from fastars.envs.errors import UnsupportedEnvError
from fastars.envs.user_definition import UserDefinition, UserFunctions, two_actions
from fastars.envs.user_functions import BOOLS, numba_text
from fastars.kernels.inspection import first_step

_numbers = itertools.count()
_new_class: Any = collections.namedtuple  # for a type checker, a NamedTuple has a name that is written down
_KINDS: dict[str, Any] = {}  # classes of constants, by name
_log = logging.getLogger(__name__)


def kind_of(definition: UserDefinition) -> Any:
    """Return the class of constants that picks the functions in kernels; functions of the same content share it."""
    capture = ClosureDigest(definition.functions._asdict())
    is_discrete = isinstance(definition.action_space, Discrete)
    fields = definition.constants._fields
    title = re.sub(r"\W", "_", type(definition.constants).__name__)
    if capture.obstacle:
        _say_uncached(definition.id, capture.obstacle)
        # The module's name lets the cache see that the class is not fastars' own.
        kind = _class(f"{title}_{next(_numbers)}", title, fields, module="user")
        register_functions(kind, *_scalar(UserFunctions(**capture.compiled), is_discrete))
        return kind
    # The fields too: the order in which they stand is compiled, and functions only name them.
    content = repr((capture.digest, fields, is_discrete)).encode()
    name = f"{title}_{hashlib.sha256(content).hexdigest()[:32]}"
    if name not in _KINDS:
        _KINDS[name] = _class(name, title, fields, module=__name__)
        register_functions(_KINDS[name], *_scalar(UserFunctions(**capture.compiled), is_discrete))
    return _KINDS[name]


def _class(name: str, title: str, fields: tuple[str, ...], module: str) -> Any:
    """Return a class of constants that is shown to the user under `title`, the name of the user's own class."""
    kind = _new_class(name, fields, module=module)
    kind.__repr__ = lambda self: f"{title}({', '.join(f'{name}={value!r}' for name, value in self._asdict().items())})"
    return kind


def __getattr__(name: str) -> Any:
    """Return a class of constants: a cached kernel finds it by name, if its functions were registered in this process."""
    if name not in _KINDS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return _KINDS[name]


@functools.cache  # once, however often a notebook's cell is run
def _say_uncached(env_id: str, obstacle: str) -> None:
    _log.warning("%s: its kernels are compiled anew in every process, since %s", env_id, obstacle)


def _scalar(functions: UserFunctions, is_discrete: bool) -> UserFunctions:
    """Return the functions as kernels call them: states and actions in float64, as in plain Python; observations in float32."""
    users_reset, users_observe, users_step = functions

    @inline
    def reset(env: Any, rng: Any) -> Any:
        return to_float64(users_reset(env, rng))

    @inline
    def observe(env: Any, state: Any) -> Any:
        return to_float32(to_float64(users_observe(env, state)))

    @inline
    def step(env: Any, state: Any, action: Any) -> Any:
        after, reward, terminated = users_step(env, state, action)
        return to_float64(after), rewards64(reward), terminated

    @inline
    def step_of_box(env: Any, state: Any, action: Any) -> Any:
        # As in plain Python: sums and products of float32 round in other places in NumPy than in Numba.
        return step(env, state, to_float64(action))

    return UserFunctions(reset, observe, step if is_discrete else step_of_box)


def compile_step(definition: UserDefinition) -> None:
    """Compile a step now, so that Numba's errors come at registration, with the name of the function at fault.

    Raises
    ------
    UnsupportedEnvError
        For a function that Numba can't compile.
    TypeError
        If `step` gives a number as `terminated`.
    """
    constants = definition.kind(*definition.constants)
    action = two_actions(definition.action_space)[0]
    if not isinstance(definition.action_space, Discrete):
        action = to_float32(action)
    try:
        *_, terminated = first_step(constants, np.ones(4, np.uint64), action)
    except Exception as error:
        raise _explained(definition, constants, action, error) from None
    if not isinstance(terminated, BOOLS):
        raise TypeError("step must give a bool as terminated wherever it returns; compiled, it gives a number")


def _explained(definition: UserDefinition, constants: Any, action: Any, error: Exception) -> UnsupportedEnvError:
    """Return an error that names the function at fault and carries Numba's text."""
    functions = ClosureDigest(definition.functions._asdict()).compiled
    state = to_float64(definition.functions.reset(definition.constants, np.random.default_rng(0)))
    arguments = {"reset": (np.ones(4, np.uint64),), "observe": (state,), "step": (state, action)}
    at_fault = "reset, observe and step"
    for name, function in functions.items():
        try:
            function.get_call_template(tuple(map(function.typeof_pyval, (constants, *arguments[name]))), {})
        except Exception as error_of_function:
            at_fault, error = name, error_of_function
            break
    text = numba_text(error)
    if "array(uint64" in text:
        text += "\n(rng is drawn from by the functions of fastars.scalar: uniform(rng, low, high) and so on)"
    return UnsupportedEnvError(f"{at_fault} must be what Numba can compile. Numba says: {text}")
