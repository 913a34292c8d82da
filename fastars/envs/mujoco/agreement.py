"""The agreement of the lanes with `mj_step`: a step of both from the same reachable states, and the largest difference.

Numbers differ in two ways. MuJoCo's solver stops when its next step would gain little (`opt.tolerance`); the lanes go on until the
solution is exact to rounding. And both round in another order. So, where they differ by more than rounding, MuJoCo is asked for a
second answer: `exact`, with tolerance 0 and more iterations on a copy of the model. In each state the lanes are held against
the nearer one:

- against the exact answer, rounding is all that may be left. What MuJoCo's tolerance leaves is as large as 1e-6 for some models,
  and no bound on it is known: an allowance for it would hide errors of this size;
- MuJoCo's line search may stop before tolerance 0 is reached. Then the answer as it comes can be the better one.

The nearer answer is chosen for a state as a whole, not for each number: wrong physics is near to neither.

A difference is divided by the largest entry of its field in this state, if that is above 1: an acceleration of 1e4 rad/s^2 is only
known to 1e-12. Measured: 1e-13 for Gymnasium's models. A mass that is wrong by 1e-6 shows as 1e-7 and more.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from fastars._compiled.structs import FloatArray
from fastars._runtime.floats import IeeeFloats
from fastars.envs.mujoco.library import mujoco
from fastars.envs.mujoco.messages import collected_warnings
from fastars.envs.mujoco.reachable import has_bad_numbers, reachable_states

# What is compared: the state, and the outputs of `SimulationLanes` in their order.
FIELDS = (
    *("qpos", "qvel", "xpos", "xquat", "xipos", "site_xpos", "subtree_com"),
    *("qacc", "qfrc_actuator", "qfrc_constraint", "cfrc_ext"),
)
ALLOWED = 1e-9  # of a field's size
N_STATES = 384
_ROUNDING = 1e-12  # of a field's size: differences below this need no second answer, which may take MuJoCo 5 ms
_LEAST_STATES = 64  # fewer show nothing
_MOST = 1e6  # larger positions and velocities are not compared: rounding alone moves an angle of 1e6 rad by 1e-10 rad
_EXACT = {"tolerance": 0.0, "iterations": 200, "ls_tolerance": 1e-6, "ls_iterations": 200}  # options of MuJoCo's solver


class Agreement(NamedTuple):
    """The largest difference between the lanes and `mj_step` after one step."""

    n_states: int  # whose numbers were compared
    difference: float  # of the field's size
    field: str  # such as "qacc[3]"; "" if one of both found bad numbers, and the other did not
    ours: float  # for the field "": 1 if we found them, 0 if not
    theirs: float
    state: int  # number of the state among `reachable_states`
    qpos: tuple[float, ...]  # of this state
    solver_error: float  # of the field's size: the largest difference between MuJoCo's two answers, 0 where one was enough

    @property
    def summary(self) -> str:
        """A few words about the largest difference."""
        return self.fault or f"differ by {self.difference:.1e} at most ({self.field}), in {self.n_states} states"

    @property
    def fault(self) -> str:
        """A sentence about the largest difference if it is above what is allowed, or if too few states were compared; else ""."""
        if self.n_states < _LEAST_STATES:
            return f"only {self.n_states} states with numbers below {_MOST:g} were found to compare the lanes with mj_step in"
        if self.difference <= ALLOWED:
            return ""
        where = f"in reachable state {self.state}, at qpos {_short(self.qpos)}"
        if not self.field:
            return f"bad numbers are found in {'the lanes' if self.ours else 'mj_step'} only, {where}"
        return (
            f"after one step {self.field} is {self.ours!r} in the lanes and {self.theirs!r} in mj_step, {where}: they differ by "
            f"{self.difference:.1e} of the field's size, and {ALLOWED:g} is allowed"
        )


class Stepped(NamedTuple):
    """Results of one step from each of several states."""

    rows: FloatArray  # (n, width), the fields one after the other
    is_bad: Any  # (n,), bool: bad numbers were found
    fields: tuple[str, ...] = FIELDS


def measured(model: Any, step: Callable[[FloatArray], Stepped], n_states: int = N_STATES, seed: int = 0) -> Agreement:
    """Return the agreement of `step` with MuJoCo's own steps of an MjModel, from reachable states."""
    with collected_warnings(), IeeeFloats():
        states = reachable_states(model, n_states, seed)
        return compared(model, states, step(states))


def field_shapes(model: Any, fields: tuple[str, ...] = FIELDS) -> dict[str, tuple[int, ...]]:
    """Return the shapes of fields of an MjData."""
    by_dof = dict.fromkeys(("qvel", "qacc", "qfrc_actuator", "qfrc_constraint"), (model.nv,))
    by_body = {"xpos": 3, "xquat": 4, "xipos": 3, "subtree_com": 3, "cfrc_ext": 6}
    of_bodies = {name: (model.nbody, width) for name, width in by_body.items()}
    shapes = {"qpos": (model.nq,), "site_xpos": (model.nsite, 3), **by_dof, **of_bodies}
    return {name: shapes[name] for name in fields}


def exact_model(model: Any) -> Any:
    """Return a copy of an MjModel whose solver goes on until it gains nothing."""
    exact = copy.copy(model)
    for name, value in _EXACT.items():
        setattr(exact.opt, name, value)
    return exact


def mujoco_steps(model: Any, states: FloatArray, fields: tuple[str, ...] = FIELDS) -> Stepped:
    """Take one `mj_step` from each state (n, nq + 2 * nv + nu)."""
    data = mujoco.MjData(model)
    ends = np.cumsum([model.nq, model.nv, model.nu])
    rows, is_bad = [], np.zeros(len(states), bool)
    for k, state in enumerate(states):
        mujoco.mj_resetData(model, data)
        data.qpos[:], data.qvel[:], data.ctrl[:], data.qacc_warmstart[:] = np.split(state, ends)
        mujoco.mj_step(model, data)
        mujoco.mj_rnePostConstraint(model, data)
        is_bad[k] = has_bad_numbers(data)
        rows.append(np.concatenate([getattr(data, name).ravel() for name in fields]))
    return Stepped(np.array(rows).reshape(len(states), -1), is_bad, fields)


def compared(model: Any, states: FloatArray, ours: Stepped) -> Agreement:
    """Return the largest difference, over all states, between our results and MuJoCo's."""
    shapes, theirs = field_shapes(model, ours.fields), mujoco_steps(model, states, ours.fields)
    errors = _errors(shapes, ours.rows, theirs.rows)
    solver_error = _take_nearer(model, states, ours, theirs, errors)
    n = model.nq + model.nv
    is_compared = ~(ours.is_bad | theirs.is_bad | _has_huge(states[:, :n]) | _has_huge(theirs.rows[:, :n]))
    errors[~is_compared] = 0.0  # after bad numbers, MuJoCo has begun anew, from the model's own position
    errors[ours.is_bad != theirs.is_bad] = np.inf
    state, column = map(int, np.unravel_index(int(np.argmax(errors)), errors.shape))
    name, values = _entry(shapes, column), (ours.rows[state, column], theirs.rows[state, column])
    if ours.is_bad[state] != theirs.is_bad[state]:
        name, values = "", (ours.is_bad[state], theirs.is_bad[state])
    return Agreement(
        n_states=int(is_compared.sum()),
        difference=float(errors[state, column]),
        field=name,
        ours=float(values[0]),
        theirs=float(values[1]),
        state=state,
        qpos=tuple(map(float, states[state, : model.nq])),
        solver_error=solver_error,
    )


def _has_huge(rows: FloatArray) -> Any:
    """Return for each row (n, width) if it has a number that is not finite or above what is compared, (n,)."""
    return ~(np.abs(rows) <= _MOST).all(axis=1)


def _take_nearer(model: Any, states: FloatArray, ours: Stepped, theirs: Stepped, errors: FloatArray) -> float:
    """Put MuJoCo's exact results into `theirs`, and ours against these into `errors`, in the states where they are nearer to ours.

    Returns
    -------
    float
        The largest difference between MuJoCo's two answers, of a field's size, in the states where two were needed.
    """
    shapes, asked = field_shapes(model, ours.fields), np.flatnonzero(errors.max(axis=1) > _ROUNDING)
    if not len(asked):
        return 0.0
    exact = mujoco_steps(exact_model(model), states[asked], ours.fields)
    exact_errors = _errors(shapes, ours.rows[asked], exact.rows)
    solver_error = _errors(shapes, exact.rows, theirs.rows[asked])[~exact.is_bad].max(initial=0.0)
    is_nearer = exact_errors.max(axis=1) < errors[asked].max(axis=1)
    theirs.rows[asked[is_nearer]], errors[asked[is_nearer]] = exact.rows[is_nearer], exact_errors[is_nearer]
    return float(solver_error)


def _errors(shapes: dict[str, tuple[int, ...]], a: FloatArray, b: FloatArray) -> FloatArray:
    """Return the differences of entries (n, width), each divided by the largest entry of its field in `b`, if that is above 1.

    Numbers that are not finite differ infinitely from all others.
    """
    out, first = np.zeros_like(b), 0
    with np.errstate(invalid="ignore", over="ignore"):
        for shape in shapes.values():
            part = slice(first, first := first + math.prod(shape))
            size = np.maximum(1.0, np.abs(b[:, part]).max(axis=1, initial=0.0))
            out[:, part] = np.abs(a[:, part] - b[:, part]) / size[:, None]
    return np.where(np.isnan(out), np.inf, out)


def _entry(shapes: dict[str, tuple[int, ...]], column: int) -> str:
    """Return the name of a column, such as "xpos[2, 0]"."""
    for name, shape in shapes.items():
        if column < math.prod(shape):
            return f"{name}[{', '.join(str(int(k)) for k in np.unravel_index(column, shape))}]"
        column -= math.prod(shape)
    raise IndexError(column)


def _short(values: tuple[float, ...]) -> str:
    return f"[{', '.join(f'{value:.6g}' for value in values)}]"
