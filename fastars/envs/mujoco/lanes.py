"""Environments that may be stepped in SIMD lanes: the model is supported, and the lanes agree with `mj_step`."""

from __future__ import annotations

import logging
from typing import Any

from fastars._compiled.jit import compiles
from fastars.envs.compiled import CompiledEnv
from fastars.envs.errors import LanesDisagreeError, UnsupportedEnvError
from fastars.envs.mujoco.agreement import N_STATES, Agreement, measured
from fastars.envs.mujoco.fields_read import fields_read
from fastars.envs.mujoco.kept_agreements import agreement_key, keep_agreement, known_agreement
from fastars.envs.mujoco.lane_functions import compiles_for_lanes, is_task
from fastars.envs.mujoco.lane_steps import lane_steps, missing_fields
from fastars.envs.mujoco.library import mujoco
from fastars.physics import lane_model
from fastars.physics.supported import unsupported

_LOG = logging.getLogger("fastars")


def lane_model_of(env: CompiledEnv) -> Any:
    """Return the lane model of a MuJoCo environment, whether the lanes agree with MuJoCo or not. Nothing is compiled.

    Raises
    ------
    UnsupportedEnvError
        As `lanes_for` does.
    """
    if not compiles():
        raise UnsupportedEnvError("lanes must be compiled, which NUMBA_DISABLE_JIT=1 forbids")
    if (reason := unsupported(env.model)) is not None:
        raise UnsupportedEnvError(reason)
    lanes = lane_model(env.model)
    if missing := fields_read(env.constants, missing_fields(env.model, lanes)):
        raise UnsupportedEnvError(f"{env.id} reads {missing[0]}, which the lanes do not compute")
    if is_task(env.constants) and not compiles_for_lanes(env.constants, lanes):
        raise UnsupportedEnvError(f"a function of {env.id} uses sim in other ways than by the names of its fields")
    return lanes


def lanes_for(env: CompiledEnv) -> Any:
    """Return the lane model of a MuJoCo environment, if the steps of the lanes are MuJoCo's.

    At the first use of a model on this machine, a few hundred reachable states are stepped by the lanes and by `mj_step`. The
    largest difference is kept beside the compiled kernels, and logged.

    Raises
    ------
    UnsupportedEnvError
        If something in its model is not supported, or its functions read what the lanes don't compute.
    LanesDisagreeError
        If a step of the lanes is not MuJoCo's. Both messages are one sentence that names the thing.
    """
    lanes = lane_model_of(env)
    if fault := agreement_of(env.id, env.model, lanes).fault:
        raise LanesDisagreeError(f"the lanes do not agree with mujoco {mujoco.mj_versionString()} in {env.id}: {fault}")
    return lanes


def agreement_of(env_id: str, model: Any, lanes: Any) -> Agreement:
    """Return the agreement of a lane model with the MjModel it was made of; it is measured if nobody has done so before."""
    key = agreement_key(model)
    known = known_agreement(env_id, key)
    if known is not None:
        return known
    found = measure(model, lanes)
    keep_agreement(env_id, key, found)
    _LOG.info("In %s, the lanes and mj_step after one step: %s", env_id, found.summary)
    return found


def measure(model: Any, lanes: Any, n_states: int = N_STATES, seed: int = 0) -> Agreement:
    """Measure the agreement of a lane model with the MjModel it was made of, whatever is known of it."""
    return measured(model, lambda states: lane_steps(model, lanes, states), n_states, seed)
