"""The algebra of the plane, and its joints. Directions are `u` and `w`, and a turn goes from u to w.

Each function of `algebra` compiles to the formula here where its tuples are those of the plane.
"""

from numba.extending import overload

from fastars._compiled.jit import INLINE
from fastars.physics import algebra


@overload(algebra.rotated, jit_options=INLINE)
def _rotated(rotation, x):
    if len(rotation) == 2:
        return lambda rotation, x: (rotation[0] * x[0] - rotation[1] * x[1], rotation[1] * x[0] + rotation[0] * x[1])


@overload(algebra.turned, jit_options=INLINE)
def _turned(rotation, relative):
    if len(rotation) == 2:
        return lambda rotation, relative: (
            rotation[0] * relative[0] - rotation[1] * relative[1],
            rotation[1] * relative[0] + rotation[0] * relative[1],
        )


@overload(algebra.cross_motion, jit_options=INLINE)
def _cross_motion(v, s):
    if len(v) == 3:
        return lambda v, s: (0.0, s[0] * v[2] - v[0] * s[2], v[0] * s[1] - s[0] * v[1])


@overload(algebra.cross_force, jit_options=INLINE)
def _cross_force(v, f):
    if len(v) == 3:
        return lambda v, f: (v[1] * f[2] - v[2] * f[1], -(v[0] * f[2]), v[0] * f[1])


@overload(algebra.at_point, jit_options=INLINE)
def _at_point(v, point):
    if len(v) == 3:
        return lambda v, point: (v[1] - v[0] * point[1], v[2] + v[0] * point[0])


@overload(algebra.wrench, jit_options=INLINE)
def _wrench(point, force):
    if len(point) == 2:
        return lambda point, force: (point[0] * force[1] - point[1] * force[0], force[0], force[1])


@overload(algebra.body_inertia, jit_options=INLINE)
def _body_inertia(mass, centre, rotation, rotational):
    if len(centre) == 2:

        def inertia(mass, centre, rotation, rotational):
            u, w = centre[0] * mass, centre[1] * mass
            return rotational + u * centre[0] + w * centre[1], u, w, mass

        return inertia


@overload(algebra.momentum, jit_options=INLINE)
def _momentum(inertia, v):
    if len(v) == 3:

        def product(inertia, v):
            rotational, u, w, mass = inertia
            return rotational * v[0] + u * v[2] - w * v[1], mass * v[1] - v[0] * w, mass * v[2] + v[0] * u

        return product


@overload(algebra.inertia_matrix, jit_options=INLINE)
def _inertia_matrix(inertia):
    if len(inertia) == 4:
        return lambda inertia: (inertia[0], -inertia[2], inertia[1], inertia[3], 0.0, inertia[3])


@overload(algebra.outer, jit_options=INLINE)
def _outer(x, f):
    if len(f) == 3:

        def product(x, f):
            o, u, w = f
            xo, xu, xw = x * o, x * u, x * w
            return xo * o, xo * u, xo * w, xu * u, xu * w, xw * w

        return product


@overload(algebra.times, jit_options=INLINE)
def _times(matrix, s):
    if len(s) == 3:

        def product(matrix, s):
            oo, ou, ow, uu, uw, ww = matrix
            o, u, w = s
            return oo * o + ou * u + ow * w, ou * o + uu * u + uw * w, ow * o + uw * u + ww * w

        return product
