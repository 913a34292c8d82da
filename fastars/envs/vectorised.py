"""Find out if the functions of a compiled environment run over SIMD lanes, by a look at LLVM's code."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from fastars._compiled.jit import uncached
from fastars._compiled.lane_rows import LANES
from fastars.envs.compiled import CompiledEnv
from fastars.kernels import inspection

# Operations of LLVM, also on vectors, that become one call of the C library per number, except where Numba finds Intel's SVML.
_C_LIBRARY = {"acos", "asin", "atan", "atan2", "cos", "cosh", "exp", "exp10", "exp2", "log", "log10", "log2", "pow", "powi", "sin"}
_C_LIBRARY |= {"sinh", "tan", "tanh"}
_NOT_CALLED_IN_LOOPS = ("NRT_", "numba_", "Py", "__svml_")


def calls_in_lanes(compiled: CompiledEnv) -> dict[str, tuple[str, ...]]:
    """Return `observe` and `step`, if a loop of them over lanes was not vectorised, with the calls that were left in the loop."""
    rows = np.zeros(LANES)
    constants = compiled.constants
    state, _, _, _, _ = inspection.first_step(constants, np.ones(4, np.uint64), _an_action(compiled))
    integers, observations = np.zeros(LANES, np.int64), rows.astype(np.float32)
    rewards = np.zeros((compiled.n_tasks or 1) * LANES)
    loops: dict[str, tuple[Any, tuple[Any, ...]]] = {"observe": (inspection.observe_lanes, (constants, rows, state, observations))}
    if hasattr(compiled.action_space, "n"):
        loops["step"] = inspection.step_lanes_discrete, (constants, rows, state, integers, rewards, integers)
    else:
        loops["step"] = inspection.step_lanes_box, (constants, rows, state, rows, _an_action(compiled), rewards, integers)
    found = {}
    for name, (loop, arguments) in loops.items():
        dispatcher = uncached(loop)
        signature = tuple(map(dispatcher.typeof_pyval, arguments))
        dispatcher.compile(signature)
        code = _body_of(dispatcher.inspect_llvm(signature), loop.__name__)
        calls = _calls(code)
        if calls or "vector.body" not in code:
            found[name] = calls
    return found


def _an_action(compiled: CompiledEnv) -> Any:
    """Return an action as the kernels take it."""
    space = compiled.action_space
    if hasattr(space, "n"):
        return int(space.start)
    return tuple(np.clip(np.zeros(space.shape, np.float32), space.low, space.high))


def _body_of(code: str, name: str) -> str:
    """Return LLVM's code of one function; functions that were not merged into it are left out."""
    for body in re.findall(r"^define .*?^}", code, re.MULTILINE | re.DOTALL):
        head = body.partition("\n")[0]
        if name in head and "cpython" not in head:
            return str(body)
    return code


def _calls(code: str) -> tuple[str, ...]:
    """Return the names of the functions that the code calls lane by lane."""
    names = dict.fromkeys(re.findall(r"\bcall\b[^@\n]*@\"?([\w.$]+)", code))
    calls = dict.fromkeys(name.split(".")[1] if name.startswith("llvm.") else name for name in names)
    found = [name for name in calls if name in _C_LIBRARY or not (f"llvm.{name}." in code or name.startswith(_NOT_CALLED_IN_LOOPS))]
    return (*found, *(["fmod (the operator %)"] if re.search(r"= frem ", code) else []))
