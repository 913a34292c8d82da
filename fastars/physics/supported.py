"""Models that the lanes can compute: a whitelist over all fields of MjModel."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from fastars.physics.enums import EULER, HINGE_JOINT, RUNGE_KUTTA, SLIDE_JOINT
from fastars.physics.model_fields import ABSENT, FIXED, FIXED_OF_DOFS, FIXED_OPTIONS, fields_of, is_known
from fastars.physics.supported_contacts import contact_faults
from fastars.physics.supported_trees import tree_faults
from fastars.physics.words import element

NEWTON = 2  # mjtSolver
INTEGRATORS, SOLVERS = {2: "implicit", 3: "implicitfast"}, {0: "PGS", 1: "CG"}
ENERGY, FORWARD_INVERSE = 2, 4  # bits of opt.enableflags that only measure something
ENOUGH_ITERATIONS, FINE_TOLERANCE = 20, 1e-7
ENOUGH_MEMORY = 2**20  # bytes; the default is 13 times as much. With 10 kB, MuJoCo 3.3 left out contacts, and 3.12 failed

# Has an element of every kind, so that each array of its model has an entry.
DEFAULT_MODEL = """
<mujoco>
  <worldbody>
    <body><freejoint/><geom size="1"/></body>
    <body name="b"><joint name="j" type="slide"/><joint/><geom type="capsule" size="1 1"/><site/></body>
  </worldbody>
  <actuator><motor joint="j"/></actuator>
</mujoco>
"""


def unsupported(mj_model: Any) -> str | None:
    """Return None if the lanes can compute a model's motion, else a sentence that names the first thing in the way.

    Parameters
    ----------
    mj_model : mujoco.MjModel
        Its fields are read by their names. Each of them has a reason to be accepted; one that this code does not know must be as it
        is in a plain model. Callbacks belong to the process, not to the model, and are not looked at.
    """
    return next(faults(mj_model), None)


def faults(mj_model: Any) -> Iterator[str]:
    """Yield one sentence for each thing that is not supported."""
    yield from present_faults(mj_model)
    yield from tree_faults(mj_model)
    yield from option_faults(mj_model)
    yield from fixed_faults(mj_model)
    yield from actuator_faults(mj_model)
    yield from contact_faults(mj_model)
    yield from unknown_faults(mj_model)


def present_faults(mj_model: Any) -> Iterator[str]:
    """Yield the parts that a model must not have."""
    for count, (_, words) in ABSENT.items():
        if getattr(mj_model, count, 0):
            yield f"there is {'an' if words[0] in 'aeiou' else 'a'} {words}"


def option_faults(mj_model: Any) -> Iterator[str]:
    """Yield options of another algorithm, or of one that stops too soon."""
    option = mj_model.opt
    if option.integrator not in (EULER, RUNGE_KUTTA):
        yield f"option integrator={INTEGRATORS.get(int(option.integrator), int(option.integrator))}"
    if option.solver != NEWTON:
        yield f"option solver={SOLVERS.get(int(option.solver), int(option.solver))}"
    if option.enableflags & ~(ENERGY | FORWARD_INVERSE):
        yield f"a flag is enabled: enableflags={int(option.enableflags)}"
    for name, value in FIXED_OPTIONS.items():
        found = getattr(option, name.removeprefix("opt."), value)
        if np.any(np.asarray(found) != value):
            yield f"option {name.removeprefix('opt.')}={' '.join(f'{x:g}' for x in np.ravel(found))}"
    for name in ("iterations", "ls_iterations"):
        if getattr(option, name) < ENOUGH_ITERATIONS:
            yield f"option {name}={getattr(option, name)}: MuJoCo may stop before the solution"
    if option.tolerance > FINE_TOLERANCE:
        yield f"option tolerance={option.tolerance:g}: MuJoCo may stop before the solution"
    inertia, usual = float(mj_model.stat.meaninertia), float(np.mean(mj_model.dof_M0)) if mj_model.nv else 1.0
    if option.tolerance * inertia > FINE_TOLERANCE * usual:  # with 1e14, MuJoCo 3.3 stopped at qvel that were wrong by 358
        yield f"statistic meaninertia={inertia:g} scales the tolerance: MuJoCo may stop before the solution"
    if mj_model.narena < ENOUGH_MEMORY:
        yield f"size memory={mj_model.narena}: MuJoCo may run out of it"
    for name in ("density", "viscosity"):
        if getattr(option, name) < 0:
            yield f"option {name}={getattr(option, name):g}"


def fixed_faults(mj_model: Any) -> Iterator[str]:
    """Yield elements with a field that must have one value and has another."""
    for name, (value, words) in FIXED.items():
        for index in differing(mj_model, name, value):
            kind = {"jnt": "joint"}.get(name.split("_")[0], name.split("_")[0])
            yield f"{element(mj_model, kind, index)} has {words}"
    for name, (value, words) in FIXED_OF_DOFS.items():
        for index in differing(mj_model, name, value):
            yield f"{element(mj_model, 'joint', mj_model.dof_jntid[index])} has {words}"


def differing(mj_model: Any, name: str, value: float) -> list[int]:
    """Return the indices along the first axis of a field at which it has another value. Versions without the field have none."""
    found = np.asarray(getattr(mj_model, name, value))
    return [] if found.ndim == 0 else [i for i, row in enumerate(found) if np.any(row != value)]


def actuator_faults(mj_model: Any) -> Iterator[str]:
    """Yield actuators that do not push one slide or hinge."""
    if getattr(mj_model, "nactuator", mj_model.nu) != mj_model.nu:
        yield "an actuator has several controls"
    for index in range(mj_model.nu):
        joint = mj_model.actuator_trnid[index, 0]
        if mj_model.actuator_trntype[index] != 0:
            yield f"{element(mj_model, 'actuator', index)} does not drive a joint"
        elif mj_model.jnt_type[joint] not in (SLIDE_JOINT, HINGE_JOINT):
            yield f"{element(mj_model, 'actuator', index)} drives {element(mj_model, 'joint', joint)}, which is no slide or hinge"


def unknown_faults(mj_model: Any) -> Iterator[str]:
    """Yield fields that no list names, unless all their values are values of a model without anything special."""
    unknown = {name: value for name, value in fields_of(mj_model).items() if not is_known(name)}
    usual = fields_of(type(mj_model).from_xml_string(DEFAULT_MODEL)) if unknown else {}
    for name, value in unknown.items():
        default = usual.get(name)
        if not np.all(np.isin(np.asarray(value), np.asarray(default))):
            yield f"the model has the field {name!r}, which is unknown here, and it is not at its default"
