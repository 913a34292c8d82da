"""Reads what touches what from an MjModel: contacts with the floor, pairs of geoms, and how hard each of them is.

MuJoCo's documentation: "Computation", on the constraint model and on collisions; "Modeling", on contact parameters and solver
parameters. Changes between versions are measured.
"""

import re
import sys
from typing import Any, NamedTuple

import numpy as np

from fastars._compiled.structs import FloatArray
from fastars.physics.bodies import order_of
from fastars.physics.constraints import SMALLEST
from fastars.physics.coordinates import Coordinates, rotation_matrix
from fastars.physics.enums import CAPSULE, PLANE, SPHERE
from fastars.physics.pairs import colliding_pairs

_LEAST_FRICTION = 1e-5  # mjMINMU


def mujoco_version(model: Any) -> tuple[int, ...]:
    """Return the version of the mujoco package that a model belongs to: (major, minor)."""
    package = sys.modules[type(model).__module__.partition(".")[0]]
    return tuple(int(number) for number in re.findall(r"\d+", package.mj_versionString())[:2])


def impedance(model: Any, reference: Any, impedances: Any, inverse_weight: float) -> list[float]:
    """Return (K, B, d0, d_width, width, midpoint, inverse weight) for MuJoCo's `solref`, which is positive, and `solimp`."""
    low, high = np.clip(impedances[:2], 1e-4, 0.9999)
    width, midpoint = max(0.0, float(impedances[2])), float(np.clip(impedances[3], 1e-4, 0.9999))
    damping = float(reference[1])
    time = max(float(reference[0]), 2.0 * model.opt.timestep)  # a time constant must not be below two steps ("refsafe")
    spring = 1.0 / max(SMALLEST, high * high * time * time * damping * damping)
    damper = 2.0 / max(SMALLEST, high * time)
    return [spring, damper, low, high, width, midpoint, float(inverse_weight)]


class _Mixed(NamedTuple):
    """Parameters of the contacts of two geoms."""

    is_pyramid: bool  # False for a contact without friction
    friction: float
    margin: float
    reference: FloatArray
    impedances: FloatArray


def _mixed(model: Any, geom1: int, geom2: int) -> _Mixed:
    """Combine the parameters of two geoms: those of the higher priority, or a mean by `solmix`, the larger friction and condim."""
    geoms, version = [geom1, geom2], mujoco_version(model)
    margins = model.geom_margin[geoms]
    priorities = model.geom_priority[geoms]
    if priorities[0] != priorities[1]:
        geoms = [geoms[int(priorities[1] > priorities[0])]] * 2
    weights = np.where(model.geom_solmix[geoms] >= SMALLEST, model.geom_solmix[geoms], 0.0)
    mix = weights[0] / weights.sum() if weights.sum() else 0.5
    references, impedances = model.geom_solref[geoms], model.geom_solimp[geoms]
    return _Mixed(
        is_pyramid=int(model.geom_condim[geoms].max()) > 1,
        friction=max(_LEAST_FRICTION, float(model.geom_friction[geoms, 0].max())),
        margin=float(margins.sum() if version >= (3, 5) else margins.max()),
        reference=mix * references[0] + (1 - mix) * references[1],
        impedances=mix * impedances[0] + (1 - mix) * impedances[1],
    )


class _Rod(NamedTuple):
    """A sphere or a capsule: all points within `radius` of a segment, in the frame of the moving body that carries it."""

    body: int
    frame: int  # place of MuJoCo's body in the order of frames
    centre: FloatArray  # (3,)
    axis: FloatArray  # (3,), 0 for a sphere
    half: float  # length of the segment / 2
    radius: float

    @property
    def ends(self) -> list[FloatArray]:
        """The ends of the segment, one for a sphere."""
        return [self.centre + sign * self.half * self.axis for sign in ((1.0, -1.0) if np.any(self.axis) else (0.0,))]


def _rod(model: Any, geom: int) -> _Rod:
    order, number, is_capsule = order_of(model), int(model.geom_bodyid[geom]), model.geom_type[geom] == CAPSULE
    return _Rod(
        body=order.body(number),
        frame=int(order.places[number]),
        centre=order.in_body(number, model.geom_pos[geom]),
        axis=order.turned(number, rotation_matrix(model.geom_quat[geom])[:, 2]) if is_capsule else np.zeros(3),
        half=float(model.geom_size[geom, 1]) if is_capsule else 0.0,
        radius=float(model.geom_size[geom, 0]),
    )


def read_floor_contacts(model: Any, coordinates: Coordinates) -> dict[str, Any]:
    """Return the fields of a `LaneModel` about points of bodies that may touch a floor."""
    rows: list[dict[str, Any]] = []
    floors = [(a, b) for a, b in colliding_pairs(model) if model.geom_type[a] == PLANE]
    for floor, geom in floors:
        mixed, rod = _mixed(model, floor, geom), _rod(model, geom)
        weight, softness = float(model.body_invweight0[model.geom_bodyid[geom], 0]), 1.0
        if mixed.is_pyramid:  # an edge sees the normal and friction times a tangent; `mj_makeImpedance` on R
            weight = weight + mixed.friction**2 * weight
            softness = 2.0 * mixed.friction**2
        for end in rod.ends:
            row = {"body": rod.body, "frame": rod.frame, "point": coordinates.points(end), "axis": coordinates.points(rod.axis)}
            row |= {"radius": rod.radius, "floor": coordinates.height(model, floor), "margin": mixed.margin, "softness": softness}
            row |= {"friction": mixed.friction if mixed.is_pyramid else 0.0}
            rows.append(row | {"impedance": impedance(model, mixed.reference, mixed.impedances, weight)})
    like = {"body": 0, "frame": 0, "point": coordinates.points(np.zeros(3)), "axis": coordinates.points(np.zeros(3)), "radius": 0.0}
    like |= dict.fromkeys(("floor", "margin", "softness", "friction"), 0.0) | {"impedance": [0.0] * 7}
    floor_body = int(model.geom_bodyid[floors[-1][0]]) if floors else 0
    return {"n_contacts": len(rows), "floor_body": floor_body} | columns("contact", rows, like)


def read_pairs(model: Any, coordinates: Coordinates) -> dict[str, Any]:
    """Return the fields of a `LaneModel` about bodies that may touch each other, and about the version's rule for parallel axes."""
    geoms = [(a, b) for a, b in colliding_pairs(model) if model.geom_type[a] != PLANE]
    rows = [_pair(model, coordinates, a, b) for a, b in geoms]
    like: dict[str, Any] = dict.fromkeys(("radius1", "radius2", "reach", "margin"), 0.0) | {"bodies": [0, 0], "frames": [0, 0]}
    like |= dict.fromkeys(("centre1", "half1", "centre2", "half2"), coordinates.points(np.zeros(3)))
    like |= {"is_sphere1": 0, "is_sphere2": 0, "impedance": [0.0] * 7}
    version = mujoco_version(model)
    is_relative = version >= (3, 16)
    parallel = {
        **{"parallel_absolute": 0.0 if is_relative else SMALLEST, "parallel_relative": 1e-8 if is_relative else 0.0},
        **{"tries_four_ends": version < (3, 17)},
    }
    return {"n_pairs": len(rows)} | parallel | columns("pair", rows, like)


def _pair(model: Any, coordinates: Coordinates, a: int, b: int) -> dict[str, Any]:
    """Return the row of two geoms that may touch; the ancestor's comes first, as its body has the smaller number."""
    geoms = sorted((a, b), key=lambda geom: int(model.geom_bodyid[geom]))
    mixed, rods = _mixed(model, *geoms), [_rod(model, geom) for geom in geoms]
    weight = float(model.body_invweight0[model.geom_bodyid[geoms], 0].sum())
    row: dict[str, Any] = {"bodies": [rod.body for rod in rods], "frames": [rod.frame for rod in rods], "margin": mixed.margin}
    for k, rod in enumerate(rods, start=1):
        row |= {
            f"centre{k}": coordinates.points(rod.centre),
            f"half{k}": coordinates.points(rod.half * rod.axis),
            f"radius{k}": rod.radius,
        }
        row |= {f"is_sphere{k}": int(model.geom_type[geoms[k - 1]] == SPHERE)}
    reach = sum(rod.half + rod.radius for rod in rods) + mixed.margin
    return row | {"reach": max(0.0, reach) ** 2, "impedance": impedance(model, mixed.reference, mixed.impedances, weight)}


def columns(prefix: str, rows: list[dict[str, Any]], like: dict[str, Any]) -> dict[str, Any]:
    """Return the columns of rows as arrays of the kind of `like`, also where there are no rows."""
    kinds = {name: np.asarray(value) for name, value in like.items()}
    return {
        f"{prefix}_{name}": np.array([row[name] for row in rows], kind.dtype).reshape(len(rows), *kind.shape)
        for name, kind in kinds.items()
    }
