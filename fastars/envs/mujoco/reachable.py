"""States that a model reaches when MuJoCo moves it under random linear policies: at rest, running, falling, lying, at its limits.

A third of the episodes begins in any pose, turned over and perhaps deep in the floor, from which MuJoCo throws the model up: in the
others, HalfCheetah's 384 states have no contact of its head or its back.
"""

from typing import Any

import numpy as np

from fastars._compiled.structs import FloatArray
from fastars.envs.mujoco.library import mujoco

_EPISODE_STATES = 32
_HOLD_SECONDS = 0.03  # between two controls, about as in Gymnasium's environments: an episode is a second, a Hopper has fallen
_MOST_STEPS = 20  # between two controls: small timesteps must not take long
_START_SCALES = (0.005, 0.1, 0.1)  # of Gymnasium's initial states; the last is for starts in any pose
_POLICY_SCALES = (0.03, 0.3, 3.0)  # from controls that hardly matter to controls at their bounds
_FREE, _BALL, _SLIDE = (int(getattr(mujoco.mjtJoint, f"mjJNT_{name}")) for name in ("FREE", "BALL", "SLIDE"))


def reachable_states(model: Any, n_states: int, seed: int = 0) -> FloatArray:
    """Return states of an MjModel before a step of MuJoCo, the same for the same seed, version and processor.

    Parameters
    ----------
    model : MjModel
        A model without states of actuators.
    n_states : int
        Rows that are wanted. There are fewer if MuJoCo finds bad numbers: an episode ends there.
    seed : int
        Of starts and policies.

    Returns
    -------
    ndarray of float64, shape (n_states, nq + 2 * nv + nu)
        `qpos`, `qvel`, `ctrl` and `qacc_warmstart` of a state.
    """
    rng, data = np.random.default_rng(seed), mujoco.MjData(model)
    n_episodes = -(-n_states // _EPISODE_STATES)
    episodes = [_episode(model, data, rng, number) for number in range(n_episodes)]
    return np.concatenate(episodes)[:n_states]


def _episode(model: Any, data: Any, rng: np.random.Generator, number: int) -> FloatArray:
    """Return the states of one episode, one for each control. It ends where MuJoCo finds bad numbers."""
    start, scale = number % len(_START_SCALES), _POLICY_SCALES[(number + number // len(_START_SCALES)) % len(_POLICY_SCALES)]
    _start(model, data, rng, _START_SCALES[start])
    if start == len(_START_SCALES) - 1:
        _turn_over(model, data, rng)
    n_held = min(max(round(_HOLD_SECONDS / model.opt.timestep), 1), _MOST_STEPS)
    low, high = _control_bounds(model)
    policy = scale * rng.standard_normal((model.nu, model.nq + model.nv))
    rows = []
    for _ in range(_EPISODE_STATES):
        data.ctrl[:] = np.clip(policy @ np.concatenate([data.qpos, data.qvel]), low, high)
        before = int(rng.integers(n_held))
        if before > 0:
            mujoco.mj_step(model, data, nstep=before)
        rows.append(row_of(data))
        mujoco.mj_step(model, data, nstep=n_held - before)
        if has_bad_numbers(data):
            break
    return np.array(rows)


def _start(model: Any, data: Any, rng: np.random.Generator, scale: float) -> None:
    """Put the model near its own position, or near one of its keyframes."""
    key = int(rng.integers(-1, model.nkey))
    if key < 0:
        mujoco.mj_resetData(model, data)
    else:
        mujoco.mj_resetDataKeyframe(model, data, key)
    data.qpos += rng.uniform(-scale, scale, model.nq)
    data.qvel += scale * rng.standard_normal(model.nv)


def _turn_over(model: Any, data: Any, rng: np.random.Generator) -> None:
    """Draw every angle, and raise what slides by up to half a metre; both within the limits of their joint."""
    for joint in range(model.njnt):
        kind, first = int(model.jnt_type[joint]), int(model.jnt_qposadr[joint])
        if kind == _FREE:
            data.qpos[first + 2] += rng.uniform(0.0, 0.5)
            first += 3
        if kind in (_FREE, _BALL):
            quaternion = rng.standard_normal(4)
            data.qpos[first : first + 4] = quaternion / np.linalg.norm(quaternion)
        else:
            value = data.qpos[first] + rng.uniform(0.0, 0.5) if kind == _SLIDE else rng.uniform(-np.pi, np.pi)
            data.qpos[first] = np.clip(value, *model.jnt_range[joint]) if model.jnt_limited[joint] else value


def _control_bounds(model: Any) -> tuple[FloatArray, FloatArray]:
    """Return the bounds of the controls; -1 and 1 where the model has none."""
    is_limited = model.actuator_ctrllimited.astype(bool)
    low, high = model.actuator_ctrlrange.T
    return np.where(is_limited, low, -1.0), np.where(is_limited, high, 1.0)


def row_of(data: Any) -> FloatArray:
    """Return the state of an MjData as a row of `reachable_states`."""
    return np.concatenate([data.qpos, data.qvel, data.ctrl, data.qacc_warmstart])


def has_bad_numbers(data: Any) -> bool:
    """Return True if MuJoCo found bad numbers in qpos, qvel, qacc or ctrl since its last reset."""
    first, last = int(mujoco.mjtWarning.mjWARN_BADQPOS), int(mujoco.mjtWarning.mjWARN_BADCTRL)
    return bool(data.warning.number[first : last + 1].any())
