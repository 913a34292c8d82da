"""One step in time: MuJoCo's `mj_forward`, its Euler and Runge-Kutta integrators, and its checks for bad numbers."""

from fastars._compiled.jit import inline, part, routine
from fastars._compiled.simd import absolute, any_lane, other_lanes, where
from fastars._compiled.tables import constant
from fastars.physics.articulated import damping_step
from fastars.physics.constraints import find_limits
from fastars.physics.contacts import find_floor_contacts, find_pair_contacts
from fastars.physics.dynamics import clamped_control, write_smooth_forces
from fastars.physics.kinematics import move_bodies
from fastars.physics.solver import begin, minimise

LARGEST = 1e10  # MuJoCo's mjMAXVAL: numbers beyond it, and NaN, are bad


@part
def forward(m, w):
    """Compute the acceleration of the present state: `mj_forward`."""
    if w.n_outputs[0] > 0:
        for k in range(m.n_positions):
            w.forward_qpos[k] = w.qpos[k]
    move_bodies(m, w)
    write_smooth_forces(m, w)
    begin(m, w)
    find_floor_contacts(m, w)
    find_pair_contacts(m, w)
    find_limits(m, w)
    minimise(m, w)


def move_positions(m, w, start, velocity, time):
    """Write into `qpos` the positions of a table, moved along the velocities of another for some time."""
    raise NotImplementedError


def bend_rates(m, w):
    """Replace entries of `rate` whose positions don't simply add up: those of a free body's rotation."""
    raise NotImplementedError


@part
def step(m, w):
    """Step all lanes once: `mj_step`."""
    check_state(m, w)
    forward(m, w)
    check_acceleration(m, w)
    if m.is_runge_kutta:
        runge_kutta(m, w)
    else:
        euler(m, w)


@part
def euler(m, w):
    """Step with the acceleration at the start; damping may count at the end: (M + h damping) a = M qacc."""
    for dof in range(m.n_dofs):
        w.qacc_warmstart[dof] = w.acceleration_of_dof[dof]
    if m.is_implicit:
        damping_step(m, w)
    for dof in range(m.n_dofs):
        acceleration = w.acceleration_of_dof[dof]
        if m.is_implicit:
            acceleration = acceleration - w.step[dof]
        w.qvel[dof] = w.qvel[dof] + m.timestep * acceleration
    move_positions(m, w, w.qpos, w.qvel, m.timestep)


@part
def runge_kutta(m, w):
    """Step by the classical Runge-Kutta method of order 4; the first of its four accelerations is known."""
    for k in range(m.n_positions):
        w.start_qpos[k] = w.qpos[k]
    for dof in range(m.n_dofs):
        w.start_qvel[dof] = w.qvel[dof]
        w.sum_qvel[dof] = w.sum_qacc[dof] = constant(w, 0.0)
    for stage in range(4):
        if stage > 0:
            forward(m, w)
        ahead = 1.0 if stage == 2 else 0.5
        weight = 1.0 / 6.0 if stage == 0 or stage == 3 else 1.0 / 3.0
        for dof in range(m.n_dofs):
            w.rate[dof] = w.qvel[dof]
        if stage > 0:
            bend_rates(m, w)
        for dof in range(m.n_dofs):
            velocity, acceleration = w.rate[dof], w.acceleration_of_dof[dof]
            w.sum_qvel[dof] = w.sum_qvel[dof] + weight * velocity
            w.sum_qacc[dof] = w.sum_qacc[dof] + weight * acceleration
            w.stage_qvel[dof] = ahead * velocity
            w.qvel[dof] = w.start_qvel[dof] + m.timestep * (ahead * acceleration)
            w.qacc_warmstart[dof] = acceleration
        if stage < 3:
            move_positions(m, w, w.start_qpos, w.stage_qvel, m.timestep)
    for dof in range(m.n_dofs):
        w.qvel[dof] = w.start_qvel[dof] + m.timestep * w.sum_qacc[dof]
        if m.reports_mean:
            w.acceleration_of_dof[dof] = w.sum_qacc[dof]
    move_positions(m, w, w.start_qpos, w.sum_qvel, m.timestep)


@inline
def _is_bad(x):
    return other_lanes(absolute(x) <= LARGEST)


@routine
def check_state(m, w):
    """Find bad numbers in the state: `mj_checkPos` and `mj_checkVel`. Then in `ctrl`, as `mj_fwdActuation` does."""
    is_bad = constant(w, 0.0) > 1.0  # in no lane
    for k in range(m.n_positions):
        is_bad = is_bad | _is_bad(w.qpos[k])
    for dof in range(m.n_dofs):
        is_bad = is_bad | _is_bad(w.qvel[dof])
    if any_lane(is_bad):
        reset_lanes(m, w, is_bad)
    check_controls(m, w)


@routine
def check_controls(m, w):
    """Mark lanes with a bad control, and go on without any control there: MuJoCo keeps the state."""
    is_bad = constant(w, 0.0) > 1.0
    for k in range(m.n_controls):
        is_bad = is_bad | _is_bad(clamped_control(m, w, k))  # an infinite one is none where it has a range
    if any_lane(is_bad):
        w.bad[0] = where(is_bad, 1.0, w.bad[0])
        for k in range(m.n_controls):
            w.ctrl[k] = where(is_bad, 0.0, w.ctrl[k])


@routine
def check_acceleration(m, w):
    """Find bad numbers in the acceleration: `mj_checkAcc`."""
    is_bad = constant(w, 0.0) > 1.0  # in no lane
    for dof in range(m.n_dofs):
        is_bad = is_bad | _is_bad(w.acceleration_of_dof[dof])
    if any_lane(is_bad):
        reset_lanes(m, w, is_bad)


@routine
def reset_lanes(m, w, is_bad):
    """Put lanes into the model's first state and mark them: nothing that they compute counts, and it should be finite."""
    w.bad[0] = where(is_bad, 1.0, w.bad[0])
    for k in range(m.n_positions):
        w.qpos[k] = where(is_bad, m.initial[k], w.qpos[k])
    for dof in range(m.n_dofs):
        w.qvel[dof] = where(is_bad, 0.0, w.qvel[dof])
        w.qacc_warmstart[dof] = where(is_bad, 0.0, w.qacc_warmstart[dof])
        w.acceleration_of_dof[dof] = where(is_bad, 0.0, w.acceleration_of_dof[dof])
    for k in range(m.n_controls):
        w.ctrl[k] = where(is_bad, 0.0, w.ctrl[k])
