"""Contacts that the lanes can compute: of spheres and capsules with one floor, and with each other.

Those with each other have no friction, and one of the two bodies is an ancestor of the other.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from fastars.physics.coordinates import ancestry, place_at_zero, rotation_matrix, turn_at_zero
from fastars.physics.enums import CAPSULE, FREE_JOINT, PLANE, SPHERE
from fastars.physics.pairs import colliding_pairs
from fastars.physics.supported_trees import ALIGNED, plane_normal, softness_faults, tree_faults
from fastars.physics.words import element

UP = np.array([0.0, 0.0, 1.0])
SHAPES = {1: "a height field", 4: "an ellipsoid", 5: "a cylinder", 6: "a box", 7: "a mesh", 8: "a signed distance field"}
PYRAMIDAL = 0
LEAST_FRICTION = 1e-3  # With 1e-5, MuJoCo's least, its accelerations and ours differed by 1e-5: D grows as 1 / friction**2.


def contact_faults(mj_model: Any) -> Iterator[str]:
    """Yield one sentence for each geom or pair of geoms that may touch and is not supported. Faults of the tree come first."""
    if any(tree_faults(mj_model)):
        return
    pairs, normal = colliding_pairs(mj_model), None if FREE_JOINT in mj_model.jnt_type else plane_normal(mj_model)
    for geom in sorted({geom for pair in pairs for geom in pair}):
        yield from geom_faults(mj_model, geom, normal)
    floors = sorted({a for a, _ in pairs if mj_model.geom_type[a] == PLANE})
    if len(floors) > 1:
        names = " and ".join(element(mj_model, "geom", floor) for floor in floors[:2])
        yield f"there are several floors: {names}"
    for a, b in pairs:
        if mj_model.geom_type[a] != PLANE:
            yield from pair_faults(mj_model, a, b, normal)
        elif normal is not None and abs(UP @ normal) > ALIGNED:
            yield f"{element(mj_model, 'geom', b)} may touch the floor, and the model does not move in a vertical plane"
        elif normal is not None and is_oblique(normal) and condim_of(mj_model, a, b) == 3 and mj_model.geom_type[b] == SPHERE:
            words = f"{element(mj_model, 'geom', b)} is a sphere that may touch the floor with friction"
            yield f"{words}, and the model moves in a plane along neither the world's x nor its y axis"
        elif condim_of(mj_model, a, b) == 3 and friction_of(mj_model, a, b) < LEAST_FRICTION:
            words = f"{element(mj_model, 'geom', a)} and {element(mj_model, 'geom', b)}"
            yield f"the friction of {words} is {friction_of(mj_model, a, b):g}: too small for exact numbers, condim 1 has none"
    if mj_model.opt.cone != PYRAMIDAL and pairs:
        yield "option cone=elliptic"


def geom_faults(mj_model: Any, geom: int, normal: np.ndarray | None) -> Iterator[str]:
    """Yield faults of a geom that may touch another one. `normal` is None in space."""
    words, body = element(mj_model, "geom", geom), mj_model.geom_bodyid[geom]
    shape, is_fixed = mj_model.geom_type[geom], mj_model.body_weldid[body] == 0
    axes = turn_at_zero(mj_model, body) @ rotation_matrix(mj_model.geom_quat[geom])
    if shape not in (PLANE, SPHERE, CAPSULE):
        yield f"{words} is {SHAPES.get(int(shape), 'of an unknown shape')}"
    elif shape == PLANE and not is_fixed:
        yield f"{words} is a plane on a moving body"
    elif shape == PLANE and np.max(np.abs(axes[:, 2] - UP)) > ALIGNED:
        yield f"{words} is a plane that is not horizontal"
    elif shape != PLANE and is_fixed:
        yield f"{words} is fixed to the world and no plane"
    elif shape == CAPSULE and normal is not None and abs(axes[:, 2] @ normal) > ALIGNED:
        yield f"{words} is a capsule that is not in the plane in which the model moves"
    if mj_model.geom_gap[geom] != 0:
        yield f"{words} has a gap"
    if mj_model.geom_condim[geom] not in (1, 3):
        yield f"{words} has condim {mj_model.geom_condim[geom]}"
    yield from softness_faults(mj_model.geom_solref[geom], mj_model.geom_solimp[geom], f"{words} has")


def pair_faults(mj_model: Any, a: int, b: int, normal: np.ndarray | None) -> Iterator[str]:
    """Yield faults of two spheres or capsules that may touch. `normal` is None in space."""
    bodies = [int(mj_model.geom_bodyid[geom]) for geom in (a, b)]
    words = f"{element(mj_model, 'geom', a)} and {element(mj_model, 'geom', b)} may touch"
    if condim_of(mj_model, a, b) != 1:
        yield f"{words}, with friction"
    if bodies[0] not in ancestry(mj_model, bodies[1]) and bodies[1] not in ancestry(mj_model, bodies[0]):
        yield f"{words}, and are in two branches of the tree"
    if normal is not None:
        depths = [normal @ place_at_zero(mj_model, geom) for geom in (a, b)]
        if abs(depths[0] - depths[1]) > ALIGNED:
            yield f"{words}, and do not lie in one plane"


def is_oblique(normal: np.ndarray) -> bool:
    """Return True if a vertical plane is normal to neither the world's x axis nor its y axis, along which spheres have friction."""
    return bool(np.max(np.abs(normal[:2])) < 1 - ALIGNED)


def condim_of(mj_model: Any, a: int, b: int) -> int:
    """Return the condim of a pair: of the geom with the higher priority, else the larger one."""
    decides = max((a, b), key=lambda geom: (mj_model.geom_priority[geom], mj_model.geom_condim[geom]))
    return int(mj_model.geom_condim[decides])


def friction_of(mj_model: Any, a: int, b: int) -> float:
    """Return the sliding friction of a pair: of the geom with the higher priority, else the larger one."""
    decides = max((a, b), key=lambda geom: (mj_model.geom_priority[geom], mj_model.geom_friction[geom, 0]))
    return float(mj_model.geom_friction[decides, 0])
