"""Contacts of spheres and capsules with the floor and with each other, as rows of constraints.

A contact's friction is a pyramid (MuJoCo's "Friction cones"): its edges, normal + friction * tangent, are the rows.
"""

from fastars._compiled.jit import inline, routine
from fastars._compiled.simd import absolute, any_lane, other_lanes, square_root, where
from fastars._compiled.tables import constant
from fastars.physics.algebra import dot, minus, plus, rotated, scaled, wrench
from fastars.physics.constraints import SMALLEST, add_row, open_group, strength


def height(m, w, body, point):
    """Return how high a point, given from O, lies in the world."""
    raise NotImplementedError


def lowered(point, by):
    """Return a point moved down."""
    raise NotImplementedError


def add_edges(m, w, contact, point, motion, stiffness, reference):
    """Add the rows of a contact with the floor at a point: the edges of its pyramid of friction, or its normal alone."""
    raise NotImplementedError


@routine
def find_floor_contacts(m, w):
    """Write the rows of spheres and ends of capsules that are, in some lane, near the floor: `mjc_PlaneSphere`."""
    for k in range(m.n_contacts):
        body = m.contact_body[k]
        centre = plus(w.position[body], rotated(w.rotation[body], m.contact_point[k]))
        distance = height(m, w, body, centre) - m.contact_floor[k] - m.contact_radius[k]
        beyond = distance - m.contact_margin[k]
        is_near = beyond < 0.0
        if any_lane(is_near):
            point = lowered(centre, 0.5 * distance + m.contact_radius[k])
            reference, softness = strength(beyond, m.contact_impedance[k])
            motion = plus(w.acceleration[body], scaled(w.velocity[body], m.contact_impedance[k][1]))  # [1] is B
            open_group(w, body, 0, m.contact_frame[k], 0)
            stiffness = where(is_near, 1.0 / (softness * m.contact_softness[k]), 0.0)
            add_edges(m, w, k, point, motion, stiffness, reference)


@routine
def find_pair_contacts(m, w):
    """Write the rows of pairs of spheres and capsules, without friction, that are near in some lane: `mjc_CapsuleCapsule`."""
    for k in range(m.n_pairs):
        first, second = m.pair_bodies[k]
        centre1 = plus(w.position[first], rotated(w.rotation[first], m.pair_centre1[k]))
        centre2 = plus(w.position[second], rotated(w.rotation[second], m.pair_centre2[k]))
        between = minus(centre1, centre2)
        if any_lane(dot(between, between) < m.pair_reach[k]):
            half1 = rotated(w.rotation[first], m.pair_half1[k])
            half2 = rotated(w.rotation[second], m.pair_half2[k])
            add_nearest(m, w, k, (centre1, half1), (centre2, half2), between)


@inline
def _clipped(x):
    """Return x within [-1, 1], the two ends of a capsule's axis."""
    return where(x > 1.0, 1.0, where(x < -1.0, -1.0, x))


@routine
def add_nearest(m, w, k, axis1, axis2, between):
    """Add the contact of a pair where its axes, (centre, half) each, are nearest; where they are parallel, up to two."""
    half1, half2 = axis1[1], axis2[1]
    aa, ab, bb = dot(half1, half1), -dot(half1, half2), dot(half2, half2)
    a, b = -dot(half1, between), dot(half2, between)
    if m.pair_is_sphere1[k] or m.pair_is_sphere2[k]:
        zero = constant(w, 0.0)
        x1 = zero if m.pair_is_sphere1[k] else _clipped(a / aa)
        x2 = zero if m.pair_is_sphere2[k] else _clipped(b / bb)
        _add_pair(m, w, k, axis1, axis2, x1, x2, zero == zero)  # in all lanes
    else:
        determinant = aa * bb - ab * ab
        is_parallel = absolute(determinant) < m.parallel_absolute + m.parallel_relative * (aa * bb)
        determinant = where(is_parallel, 1.0, determinant)
        x1, x2 = (bb * a - ab * b) / determinant, (aa * b - ab * a) / determinant
        x2 = where(x1 > 1.0, (b - ab) / bb, where(x1 < -1.0, (b + ab) / bb, x2))
        x1 = _clipped(x1)
        x1 = where(x2 > 1.0, _clipped((a - ab) / aa), where(x2 < -1.0, _clipped((a + ab) / aa), x1))
        _add_pair(m, w, k, axis1, axis2, x1, _clipped(x2), other_lanes(is_parallel))
        if any_lane(is_parallel):
            _add_ends(m, w, k, axis1, axis2, (aa, ab, bb, a, b), is_parallel)


@routine
def _add_ends(m, w, k, axis1, axis2, products, is_parallel):
    """Add the contacts of parallel capsules: at the ends of the stretch in which they lie side by side.

    An end of it is where the second capsule ends, if that is within the first, and otherwise where the first one ends. Before
    MuJoCo 3.17, the nearest points to the four ends are tried in turn, until two are near.
    """
    aa, ab, bb, a, b = products
    found = constant(w, 0.0)
    for end in range(4 if m.tries_four_ends else 2):
        sign = 1.0 - 2.0 * (end % 2)
        if m.tries_four_ends:
            first, second = constant(w, sign), _clipped((b - sign * ab) / bb)
            x1 = first if end < 2 else _clipped((a - sign * ab) / aa)
            x2 = second if end < 2 else first
        else:
            own = where(ab > 0.0, -sign, sign)  # the end of the second capsule on this side
            x1, x2 = (a - own * ab) / aa, (b - sign * ab) / bb
            is_within = sign * x1 < 1.0
            x1 = _clipped(where(is_within, x1, where(absolute(x2) > 1.0, (a - _clipped(x2) * ab) / aa, sign)))
            x2 = where(is_within, own, _clipped(x2))
        found = found + _add_pair(m, w, k, axis1, axis2, x1, x2, is_parallel & (found < 2.0))


@routine
def _add_pair(m, w, k, axis1, axis2, x1, x2, mask):
    """Add the row of a pair in the lanes of a mask, where the given points of the axes are near: return 1 there, 0 elsewhere."""
    first, second = m.pair_bodies[k]
    point = plus(axis1[0], scaled(axis1[1], x1))
    way = minus(plus(axis2[0], scaled(axis2[1], x2)), point)
    length = square_root(dot(way, way))
    distance = length - m.pair_radius1[k] - m.pair_radius2[k]
    beyond = distance - m.pair_margin[k]
    # Where axes cross in the plane, MuJoCo pushes along the normal of the plane, that is nowhere.
    is_near = mask & (beyond < 0.0) & (length >= SMALLEST)
    if any_lane(is_near):
        normal = scaled(way, 1.0 / where(is_near, length, 1.0))
        contact = plus(point, scaled(normal, m.pair_radius1[k] + 0.5 * distance))
        reference, softness = strength(beyond, m.pair_impedance[k])
        relative = minus(w.acceleration[second], w.acceleration[first])
        rate = minus(w.velocity[second], w.velocity[first])
        motion = plus(relative, scaled(rate, m.pair_impedance[k][1]))
        open_group(w, second, first, m.pair_frames[k][1], m.pair_frames[k][0])
        add_row(w, motion, wrench(contact, normal), where(is_near, 1.0 / softness, 0.0), reference)
    return where(is_near, 1.0, 0.0)
