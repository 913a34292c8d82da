"""The arrays of a MuJoCo model as compiled code reads them."""

from typing import Any, NamedTuple

FieldArray = Any  # an array of shape () is a number in compiled code


class LaneModel(NamedTuple):
    """A model with `d` = 2 coordinates (a planar one) or 3, and motion vectors of `D` = 3 or 6 entries. Body 0 is the world.

    A planar model moves in the plane of the world's directions `axes`: a point of it is u * axes[0] + w * axes[1], and it lies at a
    constant depth along axes[2]. If there is a floor, u points upwards from it.
    """

    n_bodies: FieldArray  # (), those that move for themselves, and the world
    n_frames: FieldArray  # (), all bodies
    n_positions: FieldArray  # ()
    n_dofs: FieldArray  # ()
    n_controls: FieldArray  # ()
    n_limits: FieldArray  # ()
    n_contacts: FieldArray  # (), points of bodies that may touch the floor
    n_pairs: FieldArray  # (), capsules of bodies that may touch each other
    n_sites: FieldArray  # ()
    n_sensor_numbers: FieldArray  # ()
    axes: FieldArray  # (3, 3), directions of the plane, see above
    gravity: FieldArray  # (1, D), minus the acceleration of gravity, as the world's acceleration: Featherstone, section 5.3
    timestep: FieldArray  # ()
    is_runge_kutta: FieldArray  # (), 1 for RK4, 0 for Euler
    reports_mean: FieldArray  # (), 1 if `qacc` after a step of RK4 is the mean of its stages (MuJoCo 4), 0 if it is the last one
    is_implicit: FieldArray  # (), 1 if Euler treats damping implicitly
    bends_rates: FieldArray  # (), 1 if RK4 integrates the rotation vector of a free body, as MuJoCo 4 does
    has_fluid: FieldArray  # ()
    density: FieldArray  # ()
    viscosity: FieldArray  # ()
    max_iterations: FieldArray  # (), of Newton's method
    # bodies: the world, those that have joints, and then, as "frames", those that they carry (see `bodies`)
    frame_number: FieldArray  # (n_frames,), MuJoCo's number of the body
    parent: FieldArray  # (n_frames,), a body that moves
    first_dof: FieldArray  # (n_frames,)
    end_dof: FieldArray  # (n_frames,), after the last dof
    is_free: FieldArray  # (n_frames,), 1 for a body with a free joint
    is_floating: FieldArray  # (n_frames,), 1 for a free body without armature and damping: nothing but itself resists
    last_dof: FieldArray  # (n_bodies,), the last dof that moves the body: of its own or of the nearest ancestor, or -1
    offset: FieldArray  # (n_frames, d), origin in the parent's frame
    is_turned: FieldArray  # (n_frames,), 1 if `turn` is a rotation
    turn: FieldArray  # (n_frames, 2 | 9), rotation in the parent's frame
    mass: FieldArray  # (n_bodies,), of the body and what it carries
    centre: FieldArray  # (n_bodies, d), of mass, in the body's frame
    rotational: FieldArray  # (n_bodies,) | (n_bodies, 6), inertia about the centre of mass, in the body's frame
    box: FieldArray  # (n_bodies, 3), size of the box that the fluid sees: along its axes 1, 2 and the normal in the plane
    box_axis: FieldArray  # (n_bodies, 2 | 9), rotation of the box in the body's frame
    # bodies, for outputs
    quaternion: FieldArray  # (n_frames, 4), rotation in the parent's frame
    depth: FieldArray  # (n_frames,), of the origin of a planar body, see above
    own_mass: FieldArray  # (n_frames,)
    own_centre: FieldArray  # (n_frames, d), of mass
    own_centre_depth: FieldArray  # (n_frames,)
    tree_parent: FieldArray  # (n_frames,), by MuJoCo's numbers, as the next two
    tree_root: FieldArray  # (n_frames,)
    tree_mass: FieldArray  # (n_frames,), of a body and all of its descendants
    # degrees of freedom
    dof_parent: FieldArray  # (n_dofs,), the next dof on the way to the world, or -1
    dof_kind: FieldArray  # (n_dofs,), see below
    dof_position: FieldArray  # (n_dofs,), its place in qpos
    axis: FieldArray  # (n_dofs, d), of a slide; in space also of a hinge
    sign: FieldArray  # (n_dofs,), 1 if a hinge turns from u to w, -1 otherwise
    anchor: FieldArray  # (n_dofs, d), point of the body that a hinge turns about
    axis_in_space: FieldArray  # (n_dofs, 3)
    armature: FieldArray  # (n_dofs,)
    damping: FieldArray  # (n_dofs,)
    stiffness: FieldArray  # (n_dofs,)
    spring_reference: FieldArray  # (n_dofs,)
    initial: FieldArray  # (n_positions,), qpos0
    # limits, contacts with the floor, contacts of pairs; an impedance is (see `constraints`)
    # stiffness, damping, d0, d_width, width, midpoint, inverse weight
    limit_dof: FieldArray  # (n_limits,)
    limit_range: FieldArray  # (n_limits, 2)
    limit_margin: FieldArray  # (n_limits,)
    limit_impedance: FieldArray  # (n_limits, 7)
    floor_body: FieldArray  # (), MuJoCo's number of the world, or of a body fixed to it
    contact_body: FieldArray  # (n_contacts,)
    contact_frame: FieldArray  # (n_contacts,), the body that has the geom
    contact_point: FieldArray  # (n_contacts, d), centre of a sphere, or of a capsule's end
    contact_axis: FieldArray  # (n_contacts, d), direction of the capsule; 0 for a sphere
    contact_radius: FieldArray  # (n_contacts,)
    contact_floor: FieldArray  # (n_contacts,), height of the floor
    contact_margin: FieldArray  # (n_contacts,)
    contact_friction: FieldArray  # (n_contacts,), sliding friction; 0 for a frictionless contact
    contact_softness: FieldArray  # (n_contacts,), R of the edges of the pyramid for R = 1 of the normal
    contact_impedance: FieldArray  # (n_contacts, 7)
    pair_bodies: FieldArray  # (n_pairs, 2), the first is an ancestor of the second
    pair_frames: FieldArray  # (n_pairs, 2), the bodies that have the geoms
    pair_centre1: FieldArray  # (n_pairs, d), of the capsule on the first body
    pair_half1: FieldArray  # (n_pairs, d), from there to an end; 0 for a sphere
    pair_radius1: FieldArray  # (n_pairs,)
    pair_centre2: FieldArray  # (n_pairs, d)
    pair_half2: FieldArray  # (n_pairs, d)
    pair_radius2: FieldArray  # (n_pairs,)
    parallel_absolute: FieldArray  # (), axes are parallel where |det| < parallel_absolute + parallel_relative * |a|**2 |b|**2
    parallel_relative: FieldArray  # ()
    tries_four_ends: FieldArray  # (), see `contacts`
    pair_is_sphere1: FieldArray  # (n_pairs,)
    pair_is_sphere2: FieldArray  # (n_pairs,)
    pair_reach: FieldArray  # (n_pairs,), square of the distance of the centres beyond which there is no contact
    pair_margin: FieldArray  # (n_pairs,)
    pair_impedance: FieldArray  # (n_pairs, 7)
    # motors and sites
    control_dof: FieldArray  # (n_controls,)
    control_gain: FieldArray  # (n_controls,)
    control_range: FieldArray  # (n_controls, 2)
    site_frame: FieldArray  # (n_sites,)
    site_offset: FieldArray  # (n_sites, d)
    site_depth: FieldArray  # (n_sites,)


SLIDE_OF_ROOT, SLIDE, HINGE, TURN_OF_ROOT = range(4)  # kinds of dofs; the first moves O, the last is one of three of a free body


class Workspace(NamedTuple):
    """Tables of one thread, in `L` lanes. MuJoCo's names stand behind ours.

    Vectors are about O, the origin of the root body after its slides, which is `origin` in the world: near the robot, however far
    it has walked.
    """

    # the state, as in `SimulationLanes`
    qpos: FieldArray  # (n_positions, L)
    qvel: FieldArray  # (n_dofs, L)
    ctrl: FieldArray  # (n_controls, L)
    qacc_warmstart: FieldArray  # (n_dofs, L)
    n_lanes: FieldArray  # (1,) int64
    is_bad: FieldArray  # (L,) int64
    bad: FieldArray  # (1, L), 1 where the current call found bad numbers
    bad_of_lane: FieldArray  # (L,), the same memory
    outputs: FieldArray  # (L * n_outputs,)
    n_outputs: FieldArray  # (1,) int64, 0 if nobody reads them
    # bodies
    origin: FieldArray  # (n_frames, d, L), O of the body's tree, in the world
    position: FieldArray  # (n_frames, d, L), of the body's origin, from O: xpos
    rotation: FieldArray  # (n_frames, 2 | 9, L): xmat
    velocity: FieldArray  # (n_bodies, D, L): cvel
    bias_acceleration: FieldArray  # (n_bodies, D, L), for qacc = 0
    inertia: FieldArray  # (n_bodies, 4 | 10, L): cinert
    acceleration: FieldArray  # (n_bodies, D, L), sum of S qacc from the root to the body
    step_acceleration: FieldArray  # (n_bodies, D, L), the same for a step of Newton's method
    force: FieldArray  # (n_frames, D, L), collected from the leaves to the root
    composite: FieldArray  # (n_bodies, 6 | 21, L), inertia of the body, of rows on it, and of all below: composite or articulated
    # degrees of freedom
    motion: FieldArray  # (n_dofs, D, L), S: cdof
    actuation: FieldArray  # (n_dofs, L): qfrc_actuator
    smooth: FieldArray  # (n_dofs, L), forces but those of constraints: qfrc_smooth
    acceleration_of_dof: FieldArray  # (n_dofs, L): qacc
    step: FieldArray  # (n_dofs, L), a step of Newton's method; the right and left side of solved equations
    gradient: FieldArray  # (n_dofs, L)
    push: FieldArray  # (n_dofs, L), minus the gradient, but for what the bodies add; then u of the articulated-body algorithm
    diagonal: FieldArray  # (n_dofs, L), what a dof adds to the diagonal of the Hessian: armature, its limits, implicit damping
    reach: FieldArray  # (n_dofs, D, L), U of the articulated-body algorithm: the inertia that a dof moves, times its motion vector
    hessian: FieldArray  # (n_dofs * n_dofs, L), row after row; its factor L' D L
    inverse_pivot: FieldArray  # (n_dofs, L), 1 / D, of either algorithm
    # rows of constraints that some lane has: wrenches, in groups that act on a body and on an ancestor of it
    counts: FieldArray  # (3,) int64, at `GROUPS`, `ROWS` and `LIMITS`: the number of each
    group_body: FieldArray  # (n_groups,) int64
    group_ancestor: FieldArray  # (n_groups,) int64, 0 for the world
    group_frame: FieldArray  # (n_groups,) int64, the body that has the geom
    group_other: FieldArray  # (n_groups,) int64, the other geom's
    group_end: FieldArray  # (n_groups,) int64, after the group's last row
    row_wrench: FieldArray  # (n_rows, D, L)
    row_stiffness: FieldArray  # (n_rows, L), D of the cost D r**2 / 2 for r < 0; 0 in lanes without the row: efc_D
    row_residual: FieldArray  # (n_rows, L), r = J qacc - aref
    row_change: FieldArray  # (n_rows, L), J times the step
    limit_dof: FieldArray  # (n_limits,) int64, of limits that some lane is at
    limit_sign: FieldArray  # (n_limits, L), 1 at the lower end, -1 at the upper one
    limit_stiffness: FieldArray  # (n_limits, L), D, as of the rows
    limit_residual: FieldArray  # (n_limits, L)
    limit_change: FieldArray  # (n_limits, L)
    # integrators and outputs
    forward_qpos: FieldArray  # (n_positions, L), of the last forward pass; only for outputs
    output: FieldArray  # (n_outputs, L)
    output_of_lane: FieldArray  # (n_outputs * L,), the same memory
    orientation: FieldArray  # (n_frames, 4, L), quaternions: xquat
    moment: FieldArray  # (n_frames, 3, L), mass * centre of mass
    constraint_force: FieldArray  # (n_dofs, L): qfrc_constraint
    start_qpos: FieldArray  # (n_positions, L)
    start_qvel: FieldArray  # (n_dofs, L)
    rate: FieldArray  # (n_dofs, L), at which positions change: qvel, see `bend_rates`
    stage_qvel: FieldArray  # (n_dofs, L)
    sum_qvel: FieldArray  # (n_dofs, L)
    sum_qacc: FieldArray  # (n_dofs, L)


GROUPS, ROWS, LIMITS = range(3)  # places in `Workspace.counts`
ROWS_OF_CONTACT = {2: 3, 3: 4}  # by d: in the plane, the two edges without a tangent in it are one row of double weight
