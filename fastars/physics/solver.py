"""Newton's method for the acceleration under constraints, in MuJoCo's primal form.

The acceleration minimises (a - a_smooth)' M (a - a_smooth) / 2 + sum over rows of D r**2 / 2 where r < 0, r = J a - aref. That is
strictly convex, and quadratic as long as no row changes its sign. So a full step of Newton's method that changes no sign ends at
the minimum, to rounding: there is no tolerance. Each lane stops when it is there; at the limit of iterations (`opt.iterations`), as
in MuJoCo, the last acceleration stays.

M and J are not formed. A row acts on a body with its wrench F, so it adds D F F' to the inertia of the body. `articulated` takes
the step from these inertias; where bodies may touch each other, `composite` does.
"""

from fastars._compiled.jit import inline, part, routine
from fastars._compiled.simd import absolute, any_lane, other_lanes, where
from fastars._compiled.tables import constant
from fastars.physics.algebra import dot, inertia_matrix, minus, momentum, outer, plus, scaled
from fastars.physics.articulated import newton_step
from fastars.physics.composite import newton_step_with_pairs
from fastars.physics.constraints import active_stiffness
from fastars.physics.kinematics import spread_to_bodies
from fastars.physics.model import GROUPS, LIMITS, ROWS

_SLOPE_LEFT = 1e-10  # of the slope at the start, where a line search ends
_SEARCH_STEPS = 20


@inline
def begin(m, w):
    """Begin at the acceleration of the last step."""
    for dof in range(m.n_dofs):
        w.acceleration_of_dof[dof] = w.qacc_warmstart[dof]
    spread_to_bodies(m, w, w.acceleration_of_dof, w.acceleration)
    w.counts[GROUPS] = w.counts[ROWS] = w.counts[LIMITS] = 0


@part
def minimise(m, w):
    """Write the acceleration of the dofs; it starts at `acceleration_of_dof`, for which the residuals of rows are known."""
    zero, one = constant(w, 0.0), constant(w, 1.0)
    is_done = zero > one  # in no lane
    for _ in range(m.max_iterations):
        push_bodies(m, w)
        slope = newton_step(m, w) if m.n_pairs == 0 else newton_step_with_pairs(m, w)
        has_changed = write_changes(w)
        is_searching = has_changed & other_lanes(is_done)
        length = one
        if any_lane(is_searching):
            length = search_line(w, slope, is_searching)
        length = where(is_done, 0.0, length)
        move_rows(m, w, length)
        is_done = is_done | other_lanes(has_changed)
        if not any_lane(other_lanes(is_done)):
            break
        for body in range(1, m.n_bodies):
            w.acceleration[body] = plus(w.acceleration[body], scaled(w.step_acceleration[body], length))


@routine
def push_bodies(m, w):
    """Write each body's part of the gradient, as a force, and of the Hessian, as an inertia."""
    for body in range(1, m.n_bodies):
        inertia = w.inertia[body]
        w.force[body] = momentum(inertia, w.acceleration[body])
        w.composite[body] = inertia_matrix(inertia)
    start = 0
    for group in range(w.counts[GROUPS]):
        body, ancestor = w.group_body[group], w.group_ancestor[group]
        if ancestor == 0:
            force, matrix = w.force[body], w.composite[body]
            for row in range(start, w.group_end[group]):
                stiffness, residual, wrench = active_stiffness(w, row), w.row_residual[row], w.row_wrench[row]
                force = plus(force, scaled(wrench, stiffness * residual))
                matrix = plus(matrix, outer(stiffness, wrench))
            w.force[body], w.composite[body] = force, matrix
        else:
            push = scaled(w.row_wrench[start], active_stiffness(w, start) * w.row_residual[start])
            w.force[body], w.force[ancestor] = plus(w.force[body], push), minus(w.force[ancestor], push)
        start = w.group_end[group]


@routine
def write_changes(w):
    """Write how residuals change in a full step; return the lanes in which one changes its sign."""
    zero = constant(w, 0.0)
    has_changed, start = zero > 1.0, 0
    for group in range(w.counts[GROUPS]):
        motion = minus(w.step_acceleration[w.group_body[group]], w.step_acceleration[w.group_ancestor[group]])
        for row in range(start, w.group_end[group]):
            change, residual = dot(motion, w.row_wrench[row]), w.row_residual[row]
            w.row_change[row] = change
            has_changed = has_changed | ((w.row_stiffness[row] > 0.0) & ((residual < 0.0) ^ (residual + change < 0.0)))
        start = w.group_end[group]
    for k in range(w.counts[LIMITS]):
        change, residual = w.limit_sign[k] * w.step[w.limit_dof[k]], w.limit_residual[k]
        w.limit_change[k] = change
        has_changed = has_changed | ((w.limit_stiffness[k] > 0.0) & ((residual < 0.0) ^ (residual + change < 0.0)))
    return has_changed


@routine
def search_line(w, slope, is_searching):
    """Return the length of the step, in the lanes of a mask, at which the cost along it is smallest; 1 in others.

    Newton's method in one dimension, kept inside the interval in which the slope is known to change its sign.
    """
    first, curvature = slopes_of_rows(w, constant(w, 0.0))
    linear, quadratic = slope - first, -slope - curvature  # without rows; step' H step = -slope
    lowest, highest, length = constant(w, 0.0), constant(w, 1e30), constant(w, 1.0)
    for _ in range(_SEARCH_STEPS):
        p, h = slopes_of_rows(w, length)
        p, h = p + linear + length * quadratic, h + quadratic
        is_searching = is_searching & other_lanes(absolute(p) <= -slope * _SLOPE_LEFT)
        if not any_lane(is_searching):
            break
        is_beyond = p > 0.0
        highest = where(is_searching & is_beyond, length, highest)
        lowest = where(is_searching & other_lanes(is_beyond), length, lowest)
        trial = length - p / h
        middle = 0.5 * (lowest + where(highest > 1e29, 2.0 * length, highest))
        trial = where((trial > lowest) & (trial < highest), trial, middle)
        length = where(is_searching, trial, length)
    return length


@routine
def slopes_of_rows(w, length):
    """Return the first and second derivative of the rows' cost along the step."""
    zero = constant(w, 0.0)
    p, h = zero, zero
    for row in range(w.counts[ROWS]):
        change = w.row_change[row]
        residual = w.row_residual[row] + length * change
        pull = where(residual < 0.0, w.row_stiffness[row] * change, 0.0)
        p, h = p + pull * residual, h + pull * change
    for k in range(w.counts[LIMITS]):
        change = w.limit_change[k]
        residual = w.limit_residual[k] + length * change
        pull = where(residual < 0.0, w.limit_stiffness[k] * change, 0.0)
        p, h = p + pull * residual, h + pull * change
    return p, h


@inline
def move_rows(m, w, length):
    """Take a step of the given length: move the acceleration of dofs, and the residuals."""
    for dof in range(m.n_dofs):
        w.acceleration_of_dof[dof] = w.acceleration_of_dof[dof] + length * w.step[dof]
    for row in range(w.counts[ROWS]):
        w.row_residual[row] = w.row_residual[row] + length * w.row_change[row]
    for k in range(w.counts[LIMITS]):
        w.limit_residual[k] = w.limit_residual[k] + length * w.limit_change[k]
