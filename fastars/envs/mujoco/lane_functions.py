"""The functions of a user's task, compiled for a lane: it has fields by name alone, where MuJoCo's `sim` is a tuple."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastars._compiled.borrowed import BorrowedType
from fastars._compiled.simulated import functions_of
from fastars.physics.workspace import one_simulation


def compiles_for_lanes(constants: Any, lane_model: Any) -> bool:
    """Return True if Numba can compile the functions of a user's task for a lane, as the kernels of rollouts do.

    It can't if a function reads `sim` by numbers, unpacks it, or calls another function that was compiled for MuJoCo's `sim` alone.
    """
    sim = one_simulation(lane_model)
    functions = functions_of(constants)
    arguments = {"observe_sim": (np.empty(1),), "reward_sim": (np.empty(len(sim.ctrl), np.float32), sim.qpos)}
    for name, others in arguments.items():
        function = getattr(functions, name)
        env, lane, *rest = map(function.typeof_pyval, (constants, sim, *others))
        try:
            function.get_call_template((env, BorrowedType(lane), *rest), {})
        except Exception:  # of any kind: a task is not refused for it, it runs through `mj_step`
            return False
    return True


def is_task(constants: Any) -> bool:
    """Return True for the constants of a user's task."""
    return type(constants).__module__ == "user"
