"""Outputs of a model in space, which environments read besides the state: orientations, and the forces of contacts on bodies."""

from numba.extending import overload

from fastars._compiled.jit import INLINE, inline
from fastars.physics import outputs
from fastars.physics.algebra import minus, plus
from fastars.physics.planar import is_planar
from fastars.physics.spatial import cross, unit_quaternion


@overload(outputs.in_world, jit_options=INLINE)
def _in_world(m, point, depth):
    if not is_planar(m):
        return lambda m, point, depth: point


@overload(outputs.write_root_orientation, jit_options=INLINE)
def _write_root_orientation(m, w, body):
    if not is_planar(m):
        return _write_free_orientation


def _write_free_orientation(m, w, body):
    if m.is_free[body]:
        place = m.dof_position[m.first_dof[body]] + 3
        q = w.forward_qpos[place], w.forward_qpos[place + 1], w.forward_qpos[place + 2], w.forward_qpos[place + 3]
        w.orientation[body] = unit_quaternion(q)
        return True
    return False


@overload(outputs.write_contact_forces, jit_options=INLINE)
def _write_contact_forces(m, w, place):
    if not is_planar(m):
        return _write_wrenches


def _write_wrenches(m, w, place):
    for frame in range(1, m.n_frames):
        _write_wrench(m, w, place, m.frame_number[frame], w.origin[frame], w.force[frame])
    if m.floor_body > 0 and m.n_contacts > 0:  # what the contacts do to the floor is in the world's row
        _write_wrench(m, w, place, m.floor_body, w.origin[m.contact_body[0]], w.force[0])


@inline
def _write_wrench(m, w, place, number, origin, force):
    """Write moment and force, the moment about the centre of mass of the body's tree: `mj_rnePostConstraint`."""
    centre = 10 * m.n_frames + 3 * m.n_sites + 3 * m.tree_root[number]  # in `subtree_com`
    arm = minus(origin, (w.output[centre], w.output[centre + 1], w.output[centre + 2]))
    moment = plus(force[:3], cross(arm, force[3:]))
    entry = place + 6 * number
    w.output[entry], w.output[entry + 1], w.output[entry + 2] = moment
    w.output[entry + 3], w.output[entry + 4], w.output[entry + 5] = force[3:]
