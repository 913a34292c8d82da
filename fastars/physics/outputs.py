"""Quantities that environments read besides the state: MuJoCo's xpos, xquat, xipos, site_xpos, subtree_com and forces.

They are results of the last forward pass, as `mj_step` leaves them. Rows of lanes are filled first, then each lane's own row.
"""

from fastars._compiled.jit import inline, part, routine
from fastars._compiled.simd import square_root, where
from fastars._compiled.tables import constant
from fastars._compiled.trig import sincos_wide
from fastars.physics.algebra import dot, minus, plus, rotated, scaled
from fastars.physics.constraints import SMALLEST, active_stiffness
from fastars.physics.kinematics import place_body
from fastars.physics.model import GROUPS, HINGE, LIMITS
from fastars.physics.spatial import quaternion_product


def in_world(m, point, depth):
    """Return the three coordinates of a point in the world."""
    raise NotImplementedError


def write_contact_forces(m, w, place):
    """Write from an index on the forces of contacts on each body, MuJoCo's `cfrc_ext`; they are in `force`, about O."""
    raise NotImplementedError


def write_root_orientation(m, w, body):
    """Write the quaternion of a body with a free joint, and return True; return False for any other body."""
    raise NotImplementedError


@part
def write_outputs(m, w):
    """Write the outputs of all lanes."""
    n = write_places(m, w)
    write_row_forces(m, w)
    write_contact_forces(m, w, n + 3 * m.n_dofs)
    write_constraint_forces(m, w)
    for dof in range(m.n_dofs):
        w.output[n + dof] = w.acceleration_of_dof[dof]
        w.output[n + m.n_dofs + dof] = w.actuation[dof]
        w.output[n + 2 * m.n_dofs + dof] = w.constraint_force[dof]
    n_outputs, n_lanes = w.n_outputs[0], w.n_lanes[0]
    for k in range(n_outputs):
        for lane in range(n_lanes):
            w.outputs[lane * n_outputs + k] = w.output_of_lane[k * n_lanes + lane]


@inline
def _put(w, place, values):
    w.output[place] = values[0]
    w.output[place + 1] = values[1]
    w.output[place + 2] = values[2]


@routine
def write_places(m, w):
    """Write positions and orientations; return the index after them."""
    xpos, xquat = 0, 3 * m.n_frames
    xipos = xquat + 4 * m.n_frames
    site_xpos = xipos + 3 * m.n_frames
    subtree_com = site_xpos + 3 * m.n_sites
    for frame in range(m.n_bodies, m.n_frames):
        place_body(m, w, frame)
    for frame in range(m.n_frames):
        number = m.frame_number[frame]
        place = plus(w.origin[frame], w.position[frame])
        _put(w, xpos + 3 * number, in_world(m, place, m.depth[frame]))
        _write_orientation(m, w, frame)
        a, b, c, d = w.orientation[frame]
        w.output[xquat + 4 * number] = a
        _put(w, xquat + 4 * number + 1, (b, c, d))
        centre = in_world(m, plus(place, rotated(w.rotation[frame], m.own_centre[frame])), m.own_centre_depth[frame])
        _put(w, xipos + 3 * number, centre)
        w.moment[number] = scaled(centre, m.own_mass[frame])
    for k in range(m.n_sites):
        frame = m.site_frame[k]
        place = plus(plus(w.origin[frame], w.position[frame]), rotated(w.rotation[frame], m.site_offset[k]))
        _put(w, site_xpos + 3 * k, in_world(m, place, m.site_depth[k]))
    for number in range(m.n_frames - 1, -1, -1):
        mass, moment = m.tree_mass[number], w.moment[number]
        if mass >= SMALLEST:
            _put(w, subtree_com + 3 * number, scaled(moment, 1.0 / mass))
        else:
            for k in range(3):
                w.output[subtree_com + 3 * number + k] = w.output[xipos + 3 * number + k]
        if number > 0:
            w.moment[m.tree_parent[number]] = plus(w.moment[m.tree_parent[number]], moment)
    return subtree_com + 3 * m.n_frames


@inline
def _write_orientation(m, w, body):
    if body > 0 and not write_root_orientation(m, w, body):
        quaternion = quaternion_product(w.orientation[m.parent[body]], m.quaternion[body])
        for dof in range(m.first_dof[body], m.end_dof[body]):
            if m.dof_kind[dof] == HINGE:
                position = m.dof_position[dof]
                sine, cosine = sincos_wide(0.5 * (w.forward_qpos[position] - m.initial[position]))
                x, y, z = m.axis_in_space[dof]
                quaternion = quaternion_product(quaternion, (cosine, sine * x, sine * y, sine * z))
        w.orientation[body] = scaled(quaternion, 1.0 / square_root(dot(quaternion, quaternion)))


@routine
def write_row_forces(m, w):
    """Write into `force` what the rows do to each body: -D r times the wrench, over the rows with r < 0."""
    for frame in range(m.n_frames):
        w.force[frame] = w.velocity[0]  # no force
    start = 0
    for group in range(w.counts[GROUPS]):
        frame, other = w.group_frame[group], w.group_other[group]
        for row in range(start, w.group_end[group]):
            push = scaled(w.row_wrench[row], -active_stiffness(w, row) * w.row_residual[row])
            w.force[frame], w.force[other] = plus(w.force[frame], push), minus(w.force[other], push)
        start = w.group_end[group]


@routine
def write_constraint_forces(m, w):
    """Write the force of the rows on each dof, `qfrc_constraint`. The bodies' `force`, by `write_row_forces`, is used up."""
    zero = constant(w, 0.0)
    for frame in range(m.n_frames - 1, 0, -1):
        force = w.force[frame]
        for dof in range(m.first_dof[frame], m.end_dof[frame]):
            w.constraint_force[dof] = dot(w.motion[dof], force)
        w.force[m.parent[frame]] = plus(w.force[m.parent[frame]], force)
    for k in range(w.counts[LIMITS]):
        dof, residual = w.limit_dof[k], w.limit_residual[k]
        force = -w.limit_sign[k] * (w.limit_stiffness[k] * where(residual < 0.0, residual, zero))
        w.constraint_force[dof] = w.constraint_force[dof] + force
