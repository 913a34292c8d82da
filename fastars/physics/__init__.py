"""Forward dynamics of MuJoCo models over SIMD lanes.

The steps of `mj_step` are modules that read like the textbook: `kinematics`, `dynamics`, `contacts`, `constraints`, `solver` with
`articulated` and `composite`, `integrators`, `outputs`. `model` lists what they read and write, `reading` fills it from an MjModel,
`supported` says which models can be read. Models in the plane and in space share all but their algebra: `algebra` lists it, and
`planar` and `spatial` have its formulas, also those of joints, edges of contacts, fluid and outputs.
"""

from fastars.physics.lanes import new_lanes
from fastars.physics.reading import lane_model

__all__ = ["lane_model", "new_lanes"]
