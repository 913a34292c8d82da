"""Sizes and numbers of a model that steps rely on, checked before a kernel is prepared: kernels trust their arrays.

The model may be an `xml_file` of the user's. Kernels read at the fixed places where Gymnasium reads, and Gymnasium fails in `step`
where a model has no such place.
"""

import math
from typing import Any, NamedTuple

from fastars.envs.errors import UnsupportedEnvError

MOST_STEPS = 2**31 - 1  # of MuJoCo in one of an environment: its Python bindings take an int of C
_LEAST_SECONDS = 1e-15  # of a timestep: MuJoCo's mjMINVAL


class _Least(NamedTuple):
    """Least sizes of a model."""

    nq: int = 0  # positions
    nv: int = 0  # velocities
    n_state: int = 0  # both
    nsite: int = 0


# By environment: what Gymnasium's `step` reads, in version 4 and 5. What it observes is not here: the size of the observation space
# shows it, and a model whose observations have another size is refused (`arguments.py`).
_LEAST = {
    "Ant": _Least(n_state=3),  # state_vector()[2]
    "HalfCheetah": _Least(nq=1),
    "Hopper": _Least(nq=3),
    "Humanoid": _Least(nq=3),
    "HumanoidStandup": _Least(nq=3),
    "InvertedDoublePendulum": _Least(nv=3, nsite=1),
    "InvertedPendulum": _Least(n_state=2),  # observation[1]
    "Pusher": _Least(),
    "Reacher": _Least(),
    "Swimmer": _Least(nq=2),
    "Walker2d": _Least(nq=3),
}
_WORDS = {"nq": "positions", "nv": "velocities", "n_state": "positions and velocities", "nsite": "sites"}


def check_model(name: str, env: Any) -> None:
    """Raise if the environment `name` can't be stepped with the model, the timestep or the frame skip of Gymnasium's `env`.

    Raises
    ------
    ValueError
        If Gymnasium's own `step` would fail, too.
    UnsupportedEnvError
        If the model has no controls, or others than the action space says.
    """
    model, where = env.model, f"env {env.spec.id!r}: xml_file {env.fullpath}"
    if fault := timestep_fault(model):
        raise ValueError(f"{where}: {fault}")
    if type(env.frame_skip) is not int or not 1 <= env.frame_skip <= MOST_STEPS:
        raise ValueError(f"env {env.spec.id!r}: frame_skip must be an integer from 1 to {MOST_STEPS}, got {env.frame_skip!r}")
    sizes = _Least(model.nq, model.nv, model.nq + model.nv, model.nsite)
    for field, size, least in zip(_Least._fields, sizes, _LEAST[name], strict=True):
        if size < least:
            words = f"{least} {_WORDS[field]}" if least > 1 else f"one of the {_WORDS[field]}"
            raise ValueError(f"{where} must have at least {words}, which Gymnasium's step reads, got {size}")
    if model.nu == 0 or env.action_space.shape != (model.nu,):
        raise UnsupportedEnvError(f"{where} has {model.nu} controls, and the action space {env.action_space}")


def timestep_fault(model: Any) -> str:
    """Return what is wrong with the timestep of an MjModel, or ""."""
    seconds = float(model.opt.timestep)
    if _LEAST_SECONDS <= seconds < math.inf:
        return ""
    return f"timestep must be a finite number of seconds of at least {_LEAST_SECONDS:g}, got {seconds:g}"
