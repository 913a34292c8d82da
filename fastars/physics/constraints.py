"""The rows of constraints: limits of joints, and wrenches between two bodies, which is what contacts are.

A row has a residual r = J qacc - aref, where J qacc is the acceleration that the row sees: of a dof at its limit, or the power of
the row's wrench with the bodies' acceleration. It pushes with the force -D r where r < 0. No Jacobian J is formed. MuJoCo's chapter
"Computation", from "Constraint model" on; `mj_makeImpedance` and `mj_referenceConstraint`.

An impedance in the model is (K, B, d0, d_width, width, midpoint, inverse weight): aref = -B velocity - K d(x) x, and D = 1 / R with
R = (1 - d) / d * inverse weight, for a distance x beyond the margin.
"""

from fastars._compiled.jit import inline, routine
from fastars._compiled.simd import absolute, any_lane, where
from fastars._compiled.tables import constant
from fastars.physics.algebra import dot
from fastars.physics.model import GROUPS, LIMITS, ROWS

SMALLEST = 1e-15  # MuJoCo's mjMINVAL


@inline
def strength(x, impedance):
    """Return the position's part of the residual, -aref, and R. `x` is the distance beyond the margin, and negative."""
    spring, _, d0, d_width, width, midpoint, inverse_weight = impedance
    d = x * 0.0 + 0.5 * (d0 + d_width)  # a number in as many lanes as x
    if d0 != d_width and width > SMALLEST:
        y = absolute(x / width)
        rest = 1.0 - y
        d = where(y <= midpoint, y * y / midpoint, 1.0 - rest * rest / (1.0 - midpoint))
        d = where(y >= 1.0, d_width, d0 + d * (d_width - d0))
    softness = (1.0 - d) * inverse_weight / d
    return spring * d * x, where(softness < SMALLEST, SMALLEST, softness)


@inline
def add_row(w, motion, wrench, stiffness, reference):
    """Add a row to the newest group. `motion` is the bodies' acceleration + B velocity, `stiffness` 0 in lanes without the row."""
    row = w.counts[ROWS]
    w.row_wrench[row] = wrench
    w.row_stiffness[row] = stiffness
    w.row_residual[row] = dot(motion, wrench) + reference
    w.counts[ROWS] = row + 1
    w.group_end[w.counts[GROUPS] - 1] = row + 1


@inline
def open_group(w, body, ancestor, frame, other):
    """Start a group of rows that act on a body, and the other way on an ancestor of it: on the world, 0, nothing acts.

    `frame` and `other` are the bodies of MuJoCo that `body` and `ancestor` carry there, see `bodies`.
    """
    group = w.counts[GROUPS]
    w.group_body[group], w.group_ancestor[group] = body, ancestor
    w.group_frame[group], w.group_other[group] = frame, other
    w.counts[GROUPS] = group + 1


@routine
def find_limits(m, w):
    """Write the rows of joints that are, in some lane, at a limit."""
    one, n_active = constant(w, 1.0), 0
    for k in range(m.n_limits):
        dof = m.limit_dof[k]
        lowest, highest = m.limit_range[k]
        position = w.qpos[m.dof_position[dof]]
        to_lowest, to_highest = position - lowest, highest - position
        is_lower = to_lowest < to_highest
        distance = where(is_lower, to_lowest, to_highest) - m.limit_margin[k]
        is_near = distance < 0.0
        if any_lane(is_near):
            sign = where(is_lower, one, -one)
            reference, softness = strength(distance, m.limit_impedance[k])
            damped = w.acceleration_of_dof[dof] + m.limit_impedance[k][1] * w.qvel[dof]
            w.limit_dof[n_active] = dof
            w.limit_sign[n_active] = sign
            w.limit_stiffness[n_active] = where(is_near, 1.0 / softness, 0.0)
            w.limit_residual[n_active] = sign * damped + reference
            n_active += 1
    w.counts[LIMITS] = n_active


@inline
def active_stiffness(w, row):
    """Return D in the lanes in which a row pushes, 0 in others."""
    return where(w.row_residual[row] < 0.0, w.row_stiffness[row], 0.0)


@inline
def active_limit_stiffness(w, k):
    """Return the same of a limit."""
    return where(w.limit_residual[k] < 0.0, w.limit_stiffness[k], 0.0)
